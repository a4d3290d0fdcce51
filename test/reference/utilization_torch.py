#!/usr/bin/env python3
"""Makes utilization.json: what a utilization search must find, computed without Rankscope, in plain PyTorch.

    OPENBLAS_CORETYPE=SkylakeX /usr/bin/python3 test/reference/utilization_torch.py [resnet20 mlp vit]

Networks and data are those of utilization_networks.py. Without names, all are measured; with names, only those, and the
rest of the file stays. The ResNet takes ten minutes on two cores: the whole network is evaluated for every probe, on
purpose.

The method (DESIGN, "Search for utilized rank"; the paper's sections 2.2 and 5.2), with what it leaves open settled:
  G      sum of x xT over all input vectors x of a layer (a convolution's are its flattened patches), in the original
         network in evaluation mode; activations are float32, products and sums float64
  S      eigenvectors of G, largest eigenvalue first; negative eigenvalues (rounding) count as 0
  T      eigenvectors of W G WT with the original W, likewise
  k(e)   smallest k whose k largest eigenvalues sum to at least e times the sum of all
  W'     P_T W P_S in float64, rounded to float32 when it is put into the network
  rank   smallest r whose r largest sigma**2 sum to at least 0.9999 times the sum of all, in float64
  search low, high = 1, n; while low < high: try (low + high) // 2, passed -> high, failed -> low + 1. So k = n is
         never tried: it is the layer as it was when the projection's turn came.
         Input side first (W P_S), then output side (P_T W P_S with the k_S that was found).
         The p-th projection, p = 1 ... 2 L, passes with accuracy >= A0 - p * delta. Accuracies are integer counts of
         images, so a slack of 1e-9 only takes rounding out of the comparison.
"""

import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from utilization_networks import BATCH, NETWORKS

OUT = Path(__file__).with_name("utilization.json")
RANK_ENERGY = 0.9999
SLACK = 1e-9


# --- linear algebra ---------------------------------------------------------------------------------------------------


def leading(energies, share):
    """Smallest k whose k first energies (descending) sum to at least `share` of all."""
    cumulative = torch.cumsum(energies, 0)
    return int((cumulative < share * cumulative[-1]).sum()) + 1


def rank(weight):
    return leading(torch.linalg.svdvals(weight) ** 2, RANK_ENERGY)


def eigen(symmetric):
    """Eigenvalues, descending and not negative, and eigenvectors as columns."""
    values, vectors = torch.linalg.eigh(symmetric)
    return values.flip(0).clamp(min=0), vectors.flip(1)


def projection(vectors, k):
    return vectors[:, :k] @ vectors[:, :k].T


# --- layers -----------------------------------------------------------------------------------------------------------


class Layer:
    """A weight matrix of the network (out x in, float64) and the place it is put back to."""

    def __init__(self, name, parameter):
        self.name = name
        self.parameter = parameter
        self.weight = parameter.detach().double().reshape(len(parameter), -1).clone()
        self.gram = torch.zeros(self.weight.shape[1], self.weight.shape[1], dtype=torch.float64)
        self.vectors = 0

    def put(self, weight):
        with torch.no_grad():
            self.parameter.copy_(weight.reshape(self.parameter.shape).float())

    def add(self, inputs):
        """inputs: vectors x n."""
        inputs = inputs.detach().double()
        self.gram += inputs.T @ inputs
        self.vectors += len(inputs)


def patches(conv, x):
    columns = F.unfold(x, conv.kernel_size, conv.dilation, conv.padding, conv.stride)
    return columns.transpose(1, 2).reshape(-1, columns.shape[1])


def attended(attention, x):
    """What a self-attention's output projection is given, written out: softmax(q kT / sqrt(d)) v, heads side by side."""
    batch, tokens, width = x.shape
    heads = attention.num_heads
    projected = x @ attention.in_proj_weight.T + attention.in_proj_bias
    q, k, v = projected.view(batch, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) / (width // heads) ** 0.5
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, width)


def layers_and_hooks(model):
    """Layers in the order in which the networks here run them, and the hooks that sum their Grams."""
    layers, hooks = [], []

    def add(name, parameter, module, vectors):
        layer = Layer(name, parameter)
        layers.append(layer)
        hooks.append(module.register_forward_pre_hook(lambda _, inputs: layer.add(vectors(inputs[0]))))

    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            width = module.embed_dim
            add(f"{name}.in_proj_weight", module.in_proj_weight, module, lambda x, w=width: x.reshape(-1, w))
            add(f"{name}.out_proj.weight", module.out_proj.weight, module, lambda x, m=module: attended(m, x))
        elif name.endswith("out_proj"):
            continue
        elif isinstance(module, nn.Conv2d):
            add(f"{name}.weight", module.weight, module, lambda x, m=module: patches(m, x))
        elif isinstance(module, nn.Linear):
            add(f"{name}.weight", module.weight, module, lambda x, m=module: x.reshape(-1, m.in_features))
    return layers, hooks


# --- the method -------------------------------------------------------------------------------------------------------


def accuracy(model, images, labels):
    """Percent."""
    right = 0
    with torch.no_grad():
        for i in range(0, len(labels), BATCH):
            right += int((model(images[i : i + BATCH]).argmax(1) == labels[i : i + BATCH]).sum())
    return 100 * right / len(labels)


def collect(model, images):
    """Layers with their Grams over the images."""
    layers, hooks = layers_and_hooks(model)
    with torch.no_grad():
        for i in range(0, len(images), 50):
            model(images[i : i + 50])
    for hook in hooks:
        hook.remove()
    return layers


def finding(layer, k_s, k_t, **more):
    input_values, s = eigen(layer.gram)
    output_values, t = eigen(layer.weight @ layer.gram @ layer.weight.T)
    projected = projection(t, k_t) @ layer.weight @ projection(s, k_s)
    layer.put(projected)
    error = layer.weight - projected
    energy = lambda w: float(((w @ layer.gram) * w).sum())
    return {
        "name": layer.name,
        "shape": list(layer.weight.shape),
        "maxRank": min(layer.weight.shape),
        "rank": rank(layer.weight),
        "kS": k_s,
        "kT": k_t,
        "energyS": float(input_values[:k_s].sum() / input_values.sum()),
        "energyT": float(output_values[:k_t].sum() / output_values.sum()),
        "utilizedRank": rank(projected),
        "error": energy(error) / energy(layer.weight),
        "vectors": layer.vectors,
        "gramTrace": float(layer.gram.trace()),
        **more,
    }


def label_free(layers, share):
    """Label-free search; the network is left projected."""
    found = []
    for layer in layers:
        k_s = leading(eigen(layer.gram)[0], share)
        k_t = leading(eigen(layer.weight @ layer.gram @ layer.weight.T)[0], share)
        found.append(finding(layer, k_s, k_t))
    return found


def smallest(limit, passes):
    low, high = 1, limit
    while low < high:
        middle = (low + high) // 2
        if passes(middle):
            high = middle
        else:
            low = middle + 1
    return low


def cumulative(layers, delta, evaluate, before):
    """The search that labels guide; the network is left projected. evaluate() gives percent."""
    found, projections = [], 0
    for layer in layers:
        probes = []

        def search(side, limit, projected):
            threshold = before - projections * delta

            def passes(k):
                layer.put(projected(k))
                value = evaluate()
                passed = value >= threshold - SLACK
                probes.append({"side": side, "k": k, "value": value, "threshold": threshold, "passed": passed})
                return passed

            return smallest(limit, passes)

        m, n = layer.weight.shape
        s = eigen(layer.gram)[1]
        projections += 1
        k_s = search("input", n, lambda k: layer.weight @ projection(s, k))
        narrowed = layer.weight @ projection(s, k_s)
        t = eigen(layer.weight @ layer.gram @ layer.weight.T)[1]
        projections += 1
        k_t = search("output", m, lambda k: projection(t, k) @ narrowed)
        found.append(finding(layer, k_s, k_t, probes=probes))
        found[-1]["valueAfter"] = evaluate()
        print(f"  {layer.name}: kS {k_s}, kT {k_t}, rank {found[-1]['utilizedRank']}", file=sys.stderr, flush=True)
    return found


# --- results ----------------------------------------------------------------------------------------------------------


def mean_utilization(found, key):
    """Percent."""
    return 100 * sum(layer[key] / layer["maxRank"] for layer in found) / len(found)


def outcome(found, value):
    return {"mlu": mean_utilization(found, "utilizedRank"), "accuracy": value, "layers": found}


def measure(load, delta=0.1, share=0.99):
    model, gram_images, images, labels = load()
    evaluate = lambda: accuracy(model, images, labels)
    before = evaluate()
    layers = collect(model, gram_images)
    found = label_free(layers, share)
    free = outcome(found, evaluate())
    for layer in layers:
        layer.put(layer.weight)
    found = cumulative(layers, delta, evaluate, before)
    searched = outcome(found, evaluate())
    searched["passes"] = sum(len(layer["probes"]) for layer in found)
    return {
        "gramSamples": len(gram_images),
        "validationSamples": len(labels),
        "accuracy": before,
        "mluOriginal": mean_utilization(found, "rank"),
        "labelFree": {"energy": share, **free},
        "cumulative": {"delta": delta, **searched},
    }


def main(names):
    torch.set_num_threads(2)
    document = json.loads(OUT.read_text()) if OUT.exists() else {}
    document["about"] = "Utilized ranks by an independent PyTorch implementation; see the head of utilization_torch.py"
    document["command"] = "OPENBLAS_CORETYPE=SkylakeX /usr/bin/python3 test/reference/utilization_torch.py"
    document["versions"] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    networks = document.setdefault("networks", {})
    for name in names or NETWORKS:
        started = time.perf_counter()
        networks[name] = found = measure(NETWORKS[name])
        print(
            f"{name}: accuracy {found['accuracy']:.2f}, MLU {found['mluOriginal']:.2f}; label-free "
            f"{found['labelFree']['mlu']:.2f} / {found['labelFree']['accuracy']:.2f}; cumulative "
            f"{found['cumulative']['mlu']:.2f} / {found['cumulative']['accuracy']:.2f}, "
            f"{found['cumulative']['passes']} passes ({time.perf_counter() - started:.0f} s)"
        )
        OUT.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
