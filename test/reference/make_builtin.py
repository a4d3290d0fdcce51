"""Writes builtin.json: outputs, gradients and running statistics of the built-in networks, in PyTorch's float64.

    OPENBLAS_CORETYPE=SkylakeX python3 make_builtin.py

Nothing but results is stored. Every parameter is made by generated.py's stream, seeded by a hash of its name and scaled
by what kind it is (`values_of`); so are inputs, and the vectors that outputs and gradients are multiplied with. The loss
is the sum of outputs times such a vector; of a gradient, its norm and its products with two of them are kept. `rounding`
is how far PyTorch's own float32 is away from these, as a share of the norm: what can be expected of another float32.
"""

import json
import re
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from builtin_networks import inner_layers, network, shapes_of
from generated import stream

# Of everything that is computed; `rounding` takes float32.
dtype = torch.float64

OMEGA = 7.0
LOW_RANK = {"kind": "low-rank", "rank": 2}
SINE = {"kind": "sine", "rank": 2, "omega": OMEGA, "gain": 3.0}
LORA = {"kind": "lora", "rank": 2, "alpha": 3}
SINE_LORA = {"kind": "sine-lora", "rank": 1, "alpha": 2, "omega": OMEGA, "gain": 2.5}

RESNET20 = {"kind": "resnet", "depth": 20, "classes": 4, "widthFactor": 0.125}
VGG11 = {"kind": "vgg", "depth": 11, "classes": 4, "widthFactor": 0.03125}
VIT = {"kind": "vit", "width": 12, "blocks": 2, "heads": 3, "patch": 8, "image": 16, "classes": 5}
GPT = {"kind": "gpt", "width": 12, "blocks": 2, "heads": 3, "context": 6, "vocabulary": 11}
ENCODER = {"kind": "encoder", "width": 12, "blocks": 2, "heads": 2, "context": 5, "vocabulary": 9}
MLP = {"kind": "perceptron", "widths": [12, 10, 8, 5]}
FIELD = {"kind": "coordinates", "width": 16}
NERF = {"kind": "nerf", "width": 16, "hidden": 7, "positionFrequencies": 2, "directionFrequencies": 1}

CASES = [
    {"name": "perceptron, relu", "recipe": MLP, "batch": 3},
    {"name": "perceptron, gelu, low-rank", "recipe": {**MLP, "activation": "gelu"}, "forms": [LOW_RANK], "batch": 3},
    {"name": "perceptron, tanh, sine", "recipe": {**MLP, "activation": "tanh"}, "forms": [SINE], "batch": 3},
    {"name": "perceptron, sigmoid, LoRA", "recipe": {**MLP, "activation": "sigmoid"}, "forms": [LORA], "batch": 3},
    {"name": "field, Gaussian", "recipe": {**FIELD, "scale": 0.5}, "batch": 6},
    {"name": "field, Gaussian, sine", "recipe": {**FIELD, "scale": 0.5}, "forms": [SINE], "batch": 6},
    {"name": "field, relu, low-rank", "recipe": {**FIELD, "activation": "relu"}, "forms": [LOW_RANK], "batch": 6},
    {
        "name": "field, sine, of two inputs, encoded",
        "recipe": {**FIELD, "inputs": 2, "outputs": 3, "hidden": 1, "activation": "sine", "scale": 0.5, "frequencies": 2},
        "batch": 6,
    },
    {"name": "NeRF", "recipe": NERF, "batch": 5},
    {"name": "NeRF, sine", "recipe": NERF, "forms": [SINE], "batch": 5},
    {"name": "VGG-11", "recipe": VGG11, "batch": 2},
    {"name": "VGG-11, training, low-rank", "recipe": VGG11, "forms": [LOW_RANK], "batch": 3, "training": True},
    {"name": "ResNet-20", "recipe": RESNET20, "batch": 2},
    {"name": "ResNet-20, training", "recipe": RESNET20, "batch": 3, "training": True},
    {"name": "ResNet-20, training, low-rank", "recipe": RESNET20, "forms": [LOW_RANK], "batch": 2, "training": True},
    {"name": "ResNet-20, training, sine", "recipe": RESNET20, "forms": [SINE], "batch": 2, "training": True},
    {"name": "ResNet-20, LoRA", "recipe": RESNET20, "forms": [LORA], "batch": 2},
    {"name": "ResNet-20, sine-LoRA", "recipe": RESNET20, "forms": [SINE_LORA], "batch": 2},
    {
        "name": "ResNet-18, training, low-rank",
        "recipe": {"kind": "resnet", "depth": 18, "classes": 3, "widthFactor": 0.03125},
        "forms": [LOW_RANK],
        "batch": 2,
        "training": True,
    },
    {
        "name": "ResNet-50, low-rank",
        "recipe": {"kind": "resnet", "depth": 50, "classes": 3, "widthFactor": 0.03125},
        "forms": [LOW_RANK],
        "batch": 2,
    },
    {"name": "ViT", "recipe": VIT, "batch": 2},
    {"name": "ViT, low-rank", "recipe": VIT, "forms": [LOW_RANK], "batch": 2},
    {"name": "ViT, sine", "recipe": VIT, "forms": [SINE], "batch": 2},
    {
        "name": "ViT, LoRA on attention",
        "recipe": VIT,
        "forms": [{**LORA, "layers": "attn\\.(qkv|proj)"}, {**SINE_LORA, "layers": "blocks\\.1\\.attn\\.proj"}],
        "batch": 2,
    },
    {"name": "GPT", "recipe": GPT, "batch": 2},
    {"name": "GPT, sine", "recipe": GPT, "forms": [SINE], "batch": 2},
    {"name": "encoder, tokens", "recipe": ENCODER, "batch": 2},
    {"name": "encoder, tokens, sine", "recipe": ENCODER, "forms": [SINE], "batch": 2},
    {"name": "encoder, classes, LoRA", "recipe": {**ENCODER, "head": "classes"}, "forms": [LORA], "batch": 2},
    {"name": "encoder, classes, sine-LoRA", "recipe": {**ENCODER, "head": "classes"}, "forms": [SINE_LORA], "batch": 2},
]

# [inputs, outputs, kernel, stride, padding, groups, height, width]
CONVOLUTIONS = [
    [3, 4, 3, 1, 1, 1, 6, 5],
    [3, 4, 3, 2, 1, 1, 7, 6],
    [2, 5, 4, 4, 0, 1, 8, 12],
    [2, 3, 5, 3, 2, 1, 9, 11],
    [4, 6, 1, 1, 0, 1, 4, 3],
    [4, 6, 1, 2, 0, 1, 5, 4],
    [2, 3, 3, 1, 0, 1, 5, 6],
    [6, 9, 3, 1, 1, 3, 5, 6],
    [6, 4, 3, 2, 1, 2, 6, 6],
    [4, 4, 3, 1, 1, 4, 5, 5],
    [3, 6, 3, 2, 1, 3, 7, 8],
]


def seed_of(name):
    seed = 0x811C9DC5
    for character in name.encode():
        seed = ((seed ^ character) * 0x01000193) & 0xFFFFFFFF
    # The stream stands still at 0.
    return seed or 1


def numbers(name, shape):
    count = int(np.prod(shape))
    values = stream(seed_of(name), count + 16)[16:]
    return values.reshape(shape)


def values_of(name, shape):
    """Rounded to float32, as Rankscope keeps them: weights uniform with variance 1/n, scales around 1, variances positive."""
    u = numbers(name, shape)
    if name.endswith("running_var"):
        u = 1 + 0.5 * u
    elif name.endswith(".U") or ".lora_B" in name:
        u = 0.5 * u
    elif name.endswith(".V") or ".lora_A" in name:
        u = 0.5 * u
    elif len(shape) == 1:
        u = (1.0 if name.endswith(".weight") else 0.0) + 0.25 * u
    elif len(shape) >= 2:
        u = u * np.sqrt(3.0 / np.prod(shape[1:]))
    return torch.from_numpy(u.astype(np.float32)).to(dtype)


def whole(form, name, shape, leaves):
    """The weight in its form; its arrays are put into `leaves`."""
    m = shape[0]
    n = int(np.prod(shape[1:]))

    def leaf(key, size):
        leaves[key] = values_of(key, size).requires_grad_()
        return leaves[key]

    kind = form["kind"]
    rank, omega, gain = form["rank"], form.get("omega", 1.0), form.get("gain", 1.0)
    if kind in ("low-rank", "sine"):
        product = leaf(f"{name}.U", [m, rank]) @ leaf(f"{name}.V", [n, rank]).T
        return (torch.sin(omega * product) / gain if kind == "sine" else product).reshape(shape)
    frozen = values_of(name, shape)
    module = name[: -len(".weight")]
    a, b = leaf(f"{module}.lora_A.weight", [rank, n]), leaf(f"{module}.lora_B.weight", [m, rank])
    change = torch.sin(omega * (b @ a)) / gain if kind == "sine-lora" else b @ a
    return frozen + form.get("alpha", rank) / rank * change.reshape(shape)


def probe(name, vector):
    gradient = vector.detach().double().numpy().ravel()
    products = [float(gradient @ numbers(f"{name}/{i}", gradient.shape)) for i in range(2)]
    return [float(np.linalg.norm(gradient)), *products]


def rounded(values):
    return [float(f"{value:.9g}") for value in values]


def form_of(case, name, shape, inner):
    """The last that fits; without an expression, inner layers."""
    chosen = {"kind": "dense"}
    if len(shape) < 2:
        return chosen
    for form in case.get("forms", []):
        if re.search(form["layers"], name) if "layers" in form else name in inner:
            chosen = form
    return chosen


def run(case):
    recipe = case["recipe"]
    shapes = shapes_of(recipe)
    inner = inner_layers(recipe, shapes)
    leaves, values = {}, {}
    for name, shape in shapes.items():
        form = form_of(case, name, shape, inner)
        if form["kind"] != "dense":
            values[name] = whole(form, name, shape, leaves)
        else:
            values[name] = values_of(name, shape)
            if "running_" not in name:
                leaves[name] = values[name].requires_grad_()
    x = inputs_of(case, recipe)
    output, statistics = network(recipe, case.get("training", False))(values, x)
    weights = torch.from_numpy(numbers("loss", list(output.shape))).to(dtype)
    (output * weights).sum().backward()
    return {
        "shapes": shapes,
        "inner": inner,
        "outputs": rounded(output.detach().numpy().ravel()),
        "gradients": {name: rounded(probe(name, leaf.grad)) for name, leaf in leaves.items() if leaf.grad is not None},
        "statistics": {name: rounded(probe(name, value)) for name, value in statistics.items()},
    }


def with_rounding(case):
    global dtype
    exact = run(case)
    dtype = torch.float32
    single = run(case)
    dtype = torch.float64
    # Gradients that are zero but for rounding are left out.
    norms = [probe[0] for probe in exact["gradients"].values()]
    errors = [
        np.abs(np.subtract(single["gradients"][name], probe)).max() / probe[0]
        for name, probe in exact["gradients"].items()
        if probe[0] > 1e-9 * max(norms)
    ]
    return {**exact, "rounding": float(f"{max(errors):.2g}")}


def inputs_of(case, recipe):
    batch, kind = case["batch"], recipe["kind"]
    if kind in ("gpt", "encoder"):
        u = numbers("input", [batch, recipe["context"]])
        return torch.from_numpy(np.floor((u + 1) / 2 * recipe["vocabulary"]).astype(np.int64))
    shapes = {"perceptron": [recipe.get("widths", [0])[0]], "coordinates": [recipe.get("inputs", 3)], "nerf": [6]}
    image = recipe.get("image", 32)
    shape = [batch, *shapes.get(kind, [image, image, 3])]
    return torch.from_numpy(numbers("input", shape).astype(np.float32)).to(dtype)


def convolve(sizes, form):
    inputs, outputs, kernel, stride, padding, groups, height, width = sizes
    shape = [outputs, inputs // groups, kernel, kernel]
    m, n = outputs // groups, int(np.prod(shape[1:]))
    leaves = {}

    def leaf(key, size):
        leaves[key] = values_of(key, size).requires_grad_()
        return leaves[key]

    kind = form["kind"]
    if kind == "dense":
        weight = leaf("conv.weight", shape)
    elif kind in ("lora", "sine-lora"):
        stacked = [groups] if groups > 1 else []
        a = leaf("conv.lora_A.weight", [*stacked, form["rank"], n])
        b = leaf("conv.lora_B.weight", [*stacked, m, form["rank"]])
        change = b @ a if kind == "lora" else torch.sin(form["omega"] * (b @ a)) / form["gain"]
        weight = values_of("conv.weight", shape) + form["alpha"] / form["rank"] * change.reshape(shape)
    else:
        stacked = [groups] if groups > 1 else []
        product = leaf("conv.weight.U", [*stacked, m, form["rank"]]) @ leaf(
            "conv.weight.V", [*stacked, n, form["rank"]]
        ).transpose(-1, -2)
        weight = (torch.sin(form["omega"] * product) / form["gain"] if kind == "sine" else product).reshape(shape)
    x = torch.from_numpy(numbers("input", [2, height, width, inputs]).astype(np.float32)).double().requires_grad_()
    bias = leaf("conv.bias", [outputs])
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, stride, padding, groups=groups).permute(0, 2, 3, 1)
    (y * torch.from_numpy(numbers("loss", list(y.shape)))).sum().backward()
    leaves["input"] = x
    return {
        "outputs": rounded(probe("outputs", y.contiguous())),
        "gradients": {name: rounded(probe(name, leaf.grad.contiguous())) for name, leaf in leaves.items()},
    }


def main():
    here = Path(__file__).parent
    cases = [{**case, **with_rounding(case)} for case in CASES]
    convolutions = []
    for sizes in CONVOLUTIONS:
        largest = min(sizes[1] // sizes[5], sizes[0] // sizes[5] * sizes[2] ** 2)
        for form in [{"kind": "dense"}, LOW_RANK, SINE, LORA, SINE_LORA]:
            if form.get("rank", 1) <= largest:
                convolutions.append({"sizes": sizes, "form": form, **convolve(sizes, form)})
    document = {"about": __doc__.split("\n")[0], "cases": cases, "convolutions": convolutions}
    (here / "builtin.json").write_text(json.dumps(document, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
