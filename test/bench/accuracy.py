"""How far singular values are from a float64 SVD, in units of the largest. Usage: accuracy.py FILE AUDIT.json

Checks a layer of each of the largest shapes; prints one object a layer with the error of Rankscope's values, of
numpy's SVD of the float32 matrix and, where PyTorch is installed, of torch.linalg.svdvals in float32.
"""

import json
import sys

import numpy as np

from checkpoint import matrices

LAYERS = 6
# Beyond this a float64 SVD takes minutes.
MAX_SIDE = 3072


def chosen(document):
    """One layer of each shape, from the middle of those of that shape; the largest shapes first."""
    by_shape = {}
    for layer in document["layers"]:
        if "singularValues" in layer and "groups" not in layer and max(layer["shape"]) <= MAX_SIDE:
            by_shape.setdefault(tuple(layer["shape"]), []).append(layer)
    middles = [layers[len(layers) // 2] for layers in by_shape.values()]
    middles.sort(key=lambda layer: -layer["parameters"])
    return {layer["name"]: layer for layer in middles[:LAYERS]}


def main():
    with open(sys.argv[2], encoding="utf-8") as file:
        wanted = chosen(json.load(file))
    try:
        import torch
    except ImportError:
        torch = None
    results = []
    for name, values in matrices(sys.argv[1])[1]:
        layer = wanted.get(name)
        if layer is None or sorted(layer["shape"]) != sorted(values.shape):
            continue
        exact = np.linalg.svd(values.astype(np.float64), compute_uv=False)

        def error(found):
            return float(np.abs(np.asarray(found, np.float64) - exact).max() / exact[0])

        result = {
            "name": name,
            "shape": list(values.shape),
            "rankscope": error(layer["singularValues"]),
            "numpy32": error(np.linalg.svd(values.astype(np.float32), compute_uv=False)),
        }
        if torch is not None:
            result["torch32"] = error(torch.linalg.svdvals(torch.from_numpy(values).float()).numpy())
        results.append(result)
    json.dump(results, sys.stdout)


main()
