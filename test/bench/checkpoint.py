"""The matrices of a checkpoint, as plain Python gets at them: floating tensors with two axes or more, first axis x rest."""

import json
import os
import sys
from pathlib import Path

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def read_safetensors(path):
    """One tensor at a time, straight from the file; used where the safetensors package is not installed."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] in DTYPES:
            begin, end = entry["data_offsets"]
            dtype = np.dtype(DTYPES[entry["dtype"]])
            values = np.fromfile(path, dtype, (end - begin) // dtype.itemsize, offset=8 + length + begin)
            yield name, values.reshape(entry["shape"])


def load_safetensors(path):
    try:
        from safetensors.numpy import load_file
    except ImportError:
        return "own reader", read_safetensors(path)
    return "safetensors.numpy", load_file(path).items()


def walk(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from walk(item, (*path, str(index)))
    elif hasattr(value, "is_floating_point") and value.is_floating_point():
        yield ".".join(path), value.detach().float().numpy()


def load_torch(path):
    import torch

    # Only tensors and containers are let through, unless whoever runs the bench says that the file is trusted.
    limited = os.environ.get("BENCH_TRUSTS_FILE") != "1"
    return "torch.load", walk(torch.load(path, map_location="cpu", weights_only=limited))


def matrices(path):
    """(how it was read, iterable of (name, matrix))"""
    suffix = Path(path).suffix
    if suffix == ".safetensors":
        how, tensors = load_safetensors(path)
    elif suffix == ".npz":
        how, tensors = "numpy.load", np.load(path).items()
    elif suffix == ".npy":
        how, tensors = "numpy.load", [("", np.load(path))]
    else:
        how, tensors = load_torch(path)
    return how, (
        (name, values.reshape(values.shape[0], -1))
        for name, values in tensors
        if values.ndim >= 2 and values.size > 0 and values.dtype.kind == "f"
    )


def blas_libraries():
    """Linear-algebra libraries that this process has loaded (Linux)."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    names = {line.split()[-1] for line in lines if "/" in line}
    return sorted(n for n in names if any(k in n.rsplit("/", 1)[-1].lower() for k in ("blas", "lapack", "mkl")))


def report(seconds, count, how, **more):
    """One line of a peer's output."""
    sys.stdout.write("\n" + json.dumps({"computeSeconds": seconds, "matrices": count, "reader": how, **more}) + "\n")
