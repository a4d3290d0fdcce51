"""The δ-search on ResNet-20 written plainly in PyTorch: the whole network is evaluated for every probe. It is the
tests' reference itself, timed. Usage: peer_torch_utilize.py DELTA"""

import json
import sys
import time
from pathlib import Path

import torch

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
sys.dont_write_bytecode = True
sys.path.insert(0, str(REFERENCE))

from utilization_networks import resnet20  # noqa: E402
from utilization_torch import accuracy, collect, cumulative, mean_utilization  # noqa: E402


def main(delta):
    torch.set_num_threads(2)
    model, gram_images, images, labels = resnet20()
    started = time.perf_counter()
    before = accuracy(model, images, labels)
    layers = collect(model, gram_images)
    grams = time.perf_counter()
    found = cumulative(layers, delta, lambda: accuracy(model, images, labels), before)
    now = time.perf_counter()
    print(
        json.dumps(
            {
                "seconds": now - started,
                "gramSeconds": grams - started,
                "before": before,
                "after": found[-1]["valueAfter"],
                "mlu": mean_utilization(found, "utilizedRank"),
                "passes": sum(len(layer["probes"]) for layer in found),
            }
        )
    )


main(float(sys.argv[1]))
