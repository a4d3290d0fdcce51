"""Small networks in PyTorch, exported to ONNX, with what PyTorch itself computes of them: weights, input Grams in
float64 and accuracies. Run with the folder to write to as its argument.

For each network: NAME.onnx, NAME.pt (its state dict), NAME.inputs and NAME.labels (raw float32, int32) and, in
manifest.json, sizes, layers and accuracies; layer i's Gram and changed weight are NAME.i.gram and NAME.i.changed, its
weight NAME.i.weight (raw float64, groups x out x in)."""

import json
import math
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

OUT = Path(sys.argv[1])


class Attention(nn.Module):
    """One transformer block on tokens, every projection a linear layer of its own, so that the exporter writes MatMul."""

    def __init__(self, width, heads, classes):
        super().__init__()
        self.heads = heads
        self.embed = nn.Linear(5, width)
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.embed(x)
        n, tokens, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1) @ v
        x = x + self.project(mixed.transpose(1, 2).reshape(n, tokens, width))
        x = x + self.mlp(self.norm2(x))
        return self.head(x.mean(dim=1))


class Signal(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(2, 6, 5, stride=2, padding=2)
        self.second = nn.Conv1d(6, 8, 3, dilation=2, groups=2, bias=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.second(torch.relu(self.first(x)))).mean(dim=2))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=4)
        self.down = nn.Conv2d(8, 12, 3, stride=2, padding=1, dilation=1)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = x + F.relu(self.grouped(x))
        return self.head(F.relu(self.down(x)).mean(dim=(2, 3)))


def volume():
    return nn.Sequential(nn.Conv3d(1, 4, (2, 3, 2), stride=(1, 2, 1)), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 3 * 2 * 3, 3))


NETWORKS = {
    "mlp": (nn.Sequential(nn.Flatten(), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 5)), (4, 5)),
    "residual": (Residual(), (3, 9, 8)),
    "signal": (Signal(), (2, 21)),
    "volume": (volume(), (1, 4, 5, 4)),
    "attention": (Attention(12, 3, 4), (7, 5)),
}


def rows_of(module, x):
    """groups x vectors x n: what the layer multiplies with its weight, in float64."""
    x = x.double()
    if isinstance(module, nn.Linear):
        return x.reshape(1, -1, module.in_features)
    taps = list(module.kernel_size)
    # One convolution with a unit kernel for each place of a patch gives the patches of any number of axes.
    places = math.prod(taps)
    unit = torch.eye(places, dtype=torch.float64).reshape(places, 1, *taps)
    convolution = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.dim()]
    channels = x.shape[1]
    patches = convolution(
        x,
        unit.repeat(channels, *([1] * (len(taps) + 1))),
        stride=module.stride,
        padding=module.padding,
        dilation=module.dilation,
        groups=channels,
    )
    # n x (channels * places) x positions
    patches = patches.flatten(2).transpose(1, 2).reshape(-1, module.groups, channels // module.groups * places)
    return patches.transpose(0, 1)


def accuracy(model, x, labels):
    with torch.no_grad():
        return 100 * (model(x).argmax(1) == labels).double().mean().item()


def write(name, tensor):
    tensor.detach().contiguous().numpy().tofile(OUT / name)


def export(name, model, shape, generator):
    x = torch.randn(96, *shape, generator=generator)
    model.train()
    model(x)  # statistics of batch norms
    model.eval()
    with torch.no_grad():
        # Classes in balance, so that accuracy follows every weight.
        last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        last.bias -= model(x).mean(0)
    torch.onnx.export(
        model, x[:2], str(OUT / f"{name}.onnx"), input_names=["x"], output_names=["y"],
        dynamic_axes={"x": {0: "N"}, "y": {0: "N"}}, training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=name == "attention",
    )  # fmt: skip
    torch.save(model.state_dict(), OUT / f"{name}.pt")
    with torch.no_grad():
        labels = model(x).argmax(1)
    labels[::3] = torch.randint(0, int(labels.max()) + 1, labels[::3].shape, generator=generator)
    grams = {}
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))]

    def hook(module, inputs, _):
        rows = rows_of(module, inputs[0])
        grams[module] = rows.transpose(1, 2) @ rows

    hooks = [module.register_forward_hook(hook) for _, module in layers]
    before = accuracy(model, x, labels)
    for handle in hooks:
        handle.remove()
    described = []
    for i, (path, module) in enumerate(layers):
        groups = getattr(module, "groups", 1)
        weight = module.weight.detach()
        m = weight.shape[0] // groups
        changed = torch.randn(weight.shape, generator=generator) * weight.std()
        write(f"{name}.{i}.weight", weight.double())
        write(f"{name}.{i}.changed", changed.double())
        write(f"{name}.{i}.gram", grams[module])
        kept = weight.clone()
        module.weight.data = changed
        described.append({
            "name": f"{path}.weight", "shape": [m, weight[0].numel()], "groups": groups,
            "kind": "linear" if isinstance(module, nn.Linear) else "conv",
            "bias": 0 if module.bias is None else module.bias.numel(),
            "changedAccuracy": accuracy(model, x, labels),
        })  # fmt: skip
        module.weight.data = kept
    write(f"{name}.inputs", x)
    write(f"{name}.labels", labels.int())
    return {"shape": list(shape), "accuracy": before, "layers": described}


torch.set_num_threads(1)
torch.manual_seed(5)
generator = torch.Generator().manual_seed(6)
manifest = {name: export(name, model, shape, generator) for name, (model, shape) in NETWORKS.items()}
(OUT / "manifest.json").write_text(json.dumps(manifest))
