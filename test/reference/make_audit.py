#!/usr/bin/env python3
"""Makes audit.json: what an audit must find, computed without Rankscope by numpy's float64 SVD.

    OPENBLAS_CORETYPE=SkylakeX /usr/bin/python3 test/reference/make_audit.py

Needs numpy and PyTorch (files are read by torch.load; a small reader each for safetensors and for the tar files that
PyTorch wrote before 2017). Classes that a pickle names are replaced by inert stand-ins: nothing in a file is executed.

Sources of matrices:
  sample     media/sample/sample.safetensors
  shared     every safetensors, PyTorch and NumPy file listed in SHARED, where the shared data folder exists
             (RANKSCOPE_SHARED, or ../shared beside the project)
  generated  matrices from the integer formula in generated.py, which the test repeats in TypeScript

Every floating tensor with two axes or more is one matrix: leading axes of length 1 are dropped while more than two
axes remain, then the first axis is the rows and all others the columns. Tensors with more than two axes also get the
spectra of other readings that a shape alone cannot rule out: `rowNorm` (mean length of the rows, for an
O x 1 x ... kernel read as depthwise: one row a group) and `slices` (mean spectrum of the matrices along the first
axis, for a stack E x m x n read as experts).
"""

import gzip
import io
import json
import os
import pickle
import platform
import sys
import tarfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

import generated

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(__file__).with_name("audit.json")
SHARED = [
    "resnet_cifar10/*.th",
    "vit_cifar10_small/*.pth",
    "ultraface/pretrained/*.pth",
    "nerf_lowres_ckpt/*/*.ckpt",
    "tinygpt_shakespeare/*.pt",
    "ggml_mnist/*.state_dict",
    "burn_mnist/*.pt",
    "burn_mnist/*.safetensors",
    "silero_vad/*.safetensors",
    "char_rnn_shakespeare/saved_models/*.pt",
    "pt_format_variants/*.pt",
    "pt_format_variants/*.tar",
    "pt_format_variants/*.safetensors",
    "nerf_lego_200/*.npz",
    "cifar10_lossless_subset/*.npz",
]
# Three bytes that are no checkpoint: an audit must refuse it, so it has no reference.
NOT_A_CHECKPOINT = {"src__pytorch__reader__test_data__broken.pt"}
ENERGY_LEVELS = ["0.9", "0.95", "0.99", "0.999", "0.9999"]
MAX_LISTED = 512


def effective_rank(sigma):
    p = sigma / sigma.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def metrics(sigma):
    """Ranks of one spectrum, and how far the cumulative energy at each rank is from its level (for ties)."""
    energy = sigma**2
    total = energy.sum()
    if total == 0:
        return {"zero": True}
    held = np.cumsum(energy) / total
    ranks, margins = {}, {}
    for level in ENERGY_LEVELS:
        ranks[level] = int(np.searchsorted(held, float(level)) + 1)
        margins[level] = float(np.abs(held - float(level)).min())
    found = {
        "rank": ranks["0.9999"],
        "energyRanks": ranks,
        "margins": margins,
        "stableRank": float(total / energy[0]),
        "effectiveRank": effective_rank(sigma),
        "spectralNorm": float(sigma[0]),
        "frobeniusNorm": float(np.sqrt(total)),
    }
    if sigma.size <= MAX_LISTED:
        found["sigma"] = [float(f"{s:.17g}") for s in sigma]
    return found


def svd(matrix):
    return np.linalg.svd(matrix, compute_uv=False)


def reference(array, dtype):
    """The reference of one tensor, or None where it is no matrix."""
    if array.ndim < 2:
        return None
    entry = {"shape": list(array.shape), "dtype": dtype}
    if array.size == 0:
        return {**entry, "empty": True}
    if not np.isfinite(array).all():
        return {**entry, "nonFinite": True}
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    matrix = array.reshape(array.shape[0], -1)
    entry.update({"matrix": list(matrix.shape), **metrics(svd(matrix))})
    if array.ndim > 2 and array.shape[1] == 1:
        entry["rowNorm"] = float(np.linalg.norm(matrix, axis=1).mean())
    if array.ndim == 3:
        entry["slices"] = {
            "shape": list(array.shape[1:]),
            "sigma": np.mean([svd(part) for part in array], axis=0).tolist(),
        }
    return entry


class StandIn:
    """Takes the place of every class a pickle names: keeps the state, does nothing."""

    def __init__(self, *_args, **_kwargs):
        pass

    def __setstate__(self, state):
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})


ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch", "Size"): torch.Size,
}


class InertUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module == "torch" and name.endswith("Storage"):
            return getattr(torch, name)
        if module in ("builtins", "__builtin__") and name in ("set", "dict", "list", "int", "float"):
            return {"set": set, "dict": dict, "list": list, "int": int, "float": float}[name]
        return type(name, (StandIn,), {})


class InertPickle:
    """What torch.load takes for the pickle module."""

    Unpickler = InertUnpickler
    UnpicklingError = pickle.UnpicklingError

    @staticmethod
    def load(file, **options):
        return InertUnpickler(file, **options).load()


def walk(value, path):
    """(name, array, dtype) of every tensor below `value`: keys joined with dots, list indices as parts."""
    if isinstance(value, torch.Tensor):
        if value.dtype.is_floating_point:
            yield ".".join(path), value.detach().double().numpy(), str(value.dtype).removeprefix("torch.")
    elif isinstance(value, StandIn):
        yield from walk_module(value, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, [*path, str(key)])
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from walk(item, [*path, str(index)])


def walk_module(module, path):
    """A pickled nn.Module, named as its state_dict would name it."""
    for table in ("_parameters", "_buffers", "_modules"):
        yield from walk(getattr(module, table, {}), path)


def read_torch(path):
    # PyTorch 1.13 overlooks its own pickle_module argument: without this line it would import what the file names.
    torch.serialization.pickle = InertPickle
    yield from walk(torch.load(path, map_location="cpu", pickle_module=InertPickle), [])


def read_tar(path):
    """PyTorch's format before 2017: a tar of `storages` and a pickle that refers to them."""
    with tarfile.open(path) as archive:
        storages, data = (archive.extractfile(name) for name in ("storages", "pickle"))
        loaded = {}
        for _ in range(InertPickle.load(storages)):
            key, _location, kind = InertPickle.load(storages)
            size = int.from_bytes(storages.read(8), "little")
            bytes_each = kind().element_size()
            loaded[key] = kind.from_buffer(storages.read(size * bytes_each), byte_order="little")

        def rebuild(storage, *layout):
            # Some writers give the storage's description itself where PyTorch gives a persistent id.
            found = loaded[storage[2]] if isinstance(storage, tuple) else storage
            return torch._utils._rebuild_tensor_v2(found, *layout)

        class Unpickler(InertUnpickler):
            def persistent_load(self, identifier):
                return loaded[identifier[2]]

            def find_class(self, module, name):
                return rebuild if name == "_rebuild_tensor_v2" else super().find_class(module, name)

        yield from walk(Unpickler(io.BytesIO(data.read())).load(), [])


SAFETENSORS_DTYPES = {"F64": ("float64", "<f8"), "F32": ("float32", "<f4"), "F16": ("float16", "<f2")}


def read_safetensors(path):
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__" or entry["dtype"] not in SAFETENSORS_DTYPES:
            continue
        dtype, code = SAFETENSORS_DTYPES[entry["dtype"]]
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[start + begin : start + end], code)
        yield name, values.reshape(entry["shape"]).astype(np.float64), dtype


def read_npz(path):
    with np.load(path, allow_pickle=False) as archive:
        for name in archive:
            if archive[name].dtype.kind == "f":
                yield name, archive[name].astype(np.float64), str(archive[name].dtype)


READERS = {".safetensors": read_safetensors, ".npz": read_npz, ".tar": read_tar}


def file_references(path):
    found = {}
    for name, array, dtype in READERS.get(path.suffix, read_torch)(path):
        entry = reference(array, dtype)
        if entry is not None:
            found[name] = entry
    return found


def generated_references():
    found = {}
    for recipe in generated.RECIPES:
        matrix = generated.matrix(recipe)
        found[recipe["name"]] = {
            "recipe": recipe,
            "sha256": generated.digest(matrix),
            **reference(matrix.astype(np.float64), "float32"),
        }
    return found


def main():
    shared = Path(os.environ.get("RANKSCOPE_SHARED", ROOT.parent / "shared")) / "data"
    if not shared.is_dir():
        sys.exit(f"{shared} is missing: the references of shared files cannot be made")
    paths = [p for pattern in SHARED for p in sorted(shared.glob(pattern)) if p.name not in NOT_A_CHECKPOINT]
    document = {
        "about": "Reference values of rank audits: numpy float64 SVD (LAPACK gesdd), independent of Rankscope.",
        "command": "OPENBLAS_CORETYPE=SkylakeX /usr/bin/python3 test/reference/make_audit.py",
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__},
        "matrix": "leading axes of length 1 dropped, then first axis x the rest; sigma is descending",
        "margins": "distance of the cumulative energy (a fraction) nearest to each level from that level",
        "generated": generated_references(),
        "sample": file_references(ROOT / "media/sample/sample.safetensors"),
        "shared": {str(path.relative_to(shared)): file_references(path) for path in paths},
    }
    text = json.dumps(document, indent=None, separators=(",", ":")).replace('},"', '},\n"')
    OUT.write_text(text + "\n")
    tensors = [entry for group in (document["sample"], *document["shared"].values()) for entry in group.values()]
    print(f"{OUT.name}: {OUT.stat().st_size} bytes, {len(paths)} files, {len(tensors)} tensors, "
          f"{len(document['generated'])} generated; gzip {len(gzip.compress(text.encode()))}")


main()
