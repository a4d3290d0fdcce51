"""Writes ResNet-20 with its trained weights as an ONNX model. Usage: export_resnet.py OUT.onnx"""

import sys
from pathlib import Path

import torch

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))

from utilization_networks import resnet20  # noqa: E402

model = resnet20()[0]
torch.onnx.export(
    model,
    torch.zeros(1, 3, 32, 32),
    sys.argv[1],
    input_names=["images"],
    output_names=["scores"],
    dynamic_axes={"images": {0: "samples"}, "scores": {0: "samples"}},
    # Folding batch norms into weights would leave nothing of the checkpoint's.
    training=torch.onnx.TrainingMode.PRESERVE,
    do_constant_folding=False,
)
