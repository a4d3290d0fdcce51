# MIT License. Copyright (c) The Rankscope authors. Keep this line; everything else may be changed.
"""Weights kept as factors by Rankscope, in PyTorch (1.13 or newer); needs nothing else.

    model.load_state_dict(dense_weights("model.sine-k16.safetensors"))  # an ordinary state dict
    load_into(model, "model.sine-k16.safetensors")                     # the same, whatever prefix the names have
    load_into(model, "model.sine-k16.safetensors", keep_factors=True)  # goes on training with the factors

W = sin(omega * U V^T) / g (Ji et al., "Sine activated low-rank matrices for parameter efficient learning", eq. 3), or
W = U V^T for truncated SVD. U and V are trained, omega and g are not. SineLowRankLinear(n, m, rank) starts one anew.
"""

import json
import math
import struct
import warnings
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KEY, SCHEMA = "rankscope.factors", "rankscope/factors@1"
MAX_HEADER = 100_000_000  # bytes, as the format's own reader has it
MAX_ELEMENTS = 1 << 28  # of one weight: factors of a megabyte could ask for a terabyte
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
CONVOLUTIONS = {nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d, nn.Conv3d: F.conv3d}
NAMES = "F64:float64 F32:float32 F16:float16 BF16:bfloat16 F8_E4M3:float8_e4m3fn F8_E5M2:float8_e5m2 C64:complex64 "
NAMES += "BOOL:bool I64:int64 I32:int32 I16:int16 I8:int8 U64:uint64 U32:uint32 U16:uint16 U8:uint8"
# Some came after torch 1.13.
DTYPES = {key: getattr(torch, name, None) for key, name in (pair.split(":") for pair in NAMES.split())}


@dataclass
class Factors:
    """One layer: groups matrices m x n, each as U (m x k) and V (n x k)."""

    name: str
    sine: bool
    omega: float
    gains: List[float]
    tensor: str  # the weight that this is, or is one expert of
    shape: Tuple[int, ...]  # of that weight
    transposed: bool  # the weight holds W^T (in x out)
    expert: Optional[int]
    U: Tensor  # groups x m x k
    V: Tensor  # groups x n x k

    def dense(self) -> Tensor:
        """The weight in float32, computed in float64; groups beside each other, not yet in its shape."""
        gains, V = torch.tensor(self.gains, dtype=torch.float64).view(-1, 1, 1), self.V.double()
        rows = [_product(U.double(), V, self.omega, gains, self.sine).float() for U in self.U.split(1024, dim=1)]
        W = torch.cat(rows, dim=1)
        return W.transpose(1, 2) if self.transposed else W


def _product(U: Tensor, V: Tensor, omega: Any, gain: Any, sine: bool) -> Tensor:
    phase = omega * (U @ V.transpose(-1, -2))
    return (torch.sin(phase) if sine else phase) / gain


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _counts(values: Sequence[Any]) -> bool:
    return all(type(n) is int and n >= 0 for n in values)


def _unique(pairs: Sequence[Tuple[str, Any]]) -> Dict[str, Any]:
    _check(len(dict(pairs)) == len(pairs), "a name stands there twice")
    return dict(pairs)


def _read(path: str) -> Tuple[Dict[str, Tensor], Dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises ValueError for a malformed one."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = struct.unpack("<Q", file.read(8))[0] if size >= 8 else 0
        _check(size >= 8, f"{path}: no safetensors file: {size} bytes")
        _check(length <= min(MAX_HEADER, size - 8), f"{path}: no safetensors file: a header of {length} bytes")
        try:
            header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_unique)
            metadata = header.pop("__metadata__", {})
            tensors = {name: _tensor(file, 8 + length, size, entry) for name, entry in header.items()}
        except MALFORMED as error:
            raise ValueError(f"{path}: malformed header: {type(error).__name__}: {error}") from error
        return tensors, metadata


def _tensor(file: Any, start: int, size: int, entry: Dict[str, Any]) -> Tensor:
    shape, (begin, end), dtype = entry["shape"], entry["data_offsets"], DTYPES.get(entry["dtype"])
    _check(dtype is not None, f"element type {entry['dtype']} is not known here")
    fits = _counts([*shape, begin, end]) and start + end <= size
    fits = fits and math.prod(shape) * torch.empty(0, dtype=dtype).element_size() == end - begin
    _check(fits, f"bytes {begin} to {end} for a tensor of shape {shape}")
    file.seek(start + begin)
    data = bytearray(file.read(end - begin))
    return torch.frombuffer(data, dtype=dtype).view(shape) if data else torch.empty(shape, dtype=dtype)


def _load(path: str) -> Tuple[Dict[str, Factors], Dict[str, Tensor], Dict[str, str]]:
    """Factors, all other tensors, and names of weights that are the same as another's."""
    tensors, metadata = _read(path)
    _check(type(metadata) is dict and KEY in metadata, f"{path}: no factors: its metadata has no {KEY}")
    try:
        document = json.loads(metadata[KEY], object_pairs_hook=_unique)
        _check(document["schema"] == SCHEMA, f"schema {document['schema']}, not {SCHEMA}")
        layers = {name: _layer(name, entry, tensors) for name, entry in document["layers"].items()}
        return layers, tensors, dict(document.get("ties", {}))
    except MALFORMED as error:
        raise ValueError(f"{path}: malformed {KEY}: {type(error).__name__}: {error}") from error


def _layer(name: str, entry: Dict[str, Any], tensors: Dict[str, Tensor]) -> Factors:
    kind, shape, expert, owner = entry["factorization"], tuple(entry["shape"]), entry.get("expert"), entry["tensor"]
    omega, gains = float(entry.get("omega", 1)), [float(gain) for gain in entry.get("gains", [1])]
    U, V = (tensors.pop(f"{name}.{side}") for side in "UV")
    U, V = (factor if factor.dim() == 3 else factor[None] for factor in (U, V))
    _check(kind in ("sine", "svd"), f"{name}: factorization {kind} is not known here")
    _check(type(owner) is str and _counts(shape), f"{name}: tensor {owner} of shape {shape}")
    _check(all(math.isfinite(x) and x > 0 for x in [omega, *gains]), f"{name}: omega {omega}, gains {gains}")
    fit = U.dim() == V.dim() == 3 and len(U) == len(V) == len(gains) and U.shape[2] == V.shape[2]
    _check(fit, f"{name}: factors of {list(U.shape)} and {list(V.shape)} with {len(gains)} gains")
    _check(U.dtype == V.dtype == torch.float32, f"{name}: factors of {U.dtype} and {V.dtype}")
    _check(expert is None or (_counts([expert]) and expert < shape[0]), f"{name}: expert {expert} of {shape}")
    elements, one = len(U) * U.shape[1] * V.shape[1], math.prod(shape if expert is None else shape[1:])
    _check(one == elements and math.prod(shape) <= MAX_ELEMENTS, f"{name}: {elements} elements for shape {list(shape)}")
    return Factors(name, kind == "sine", omega, gains, owner, shape, bool(entry["transposed"]), expert, U, V)


def load_factors(path: str) -> Dict[str, Factors]:
    """The factors of every converted layer. Raises ValueError for a file that has none or is malformed."""
    return _load(path)[0]


def dense_weights(path: str) -> Dict[str, Tensor]:
    """The whole model as a state dict: factors multiplied out, everything else as it is in the file."""
    layers, weights, ties = _load(path)
    for name in dict.fromkeys(layer.tensor for layer in layers.values()):
        parts = sorted((part for part in layers.values() if part.tensor == name), key=lambda part: part.expert or 0)
        count = 1 if parts[0].expert is None else parts[0].shape[0]
        whole = [part.expert or 0 for part in parts] == list(range(count)) and len({part.shape for part in parts}) == 1
        _check(whole and name not in weights, f"{path}: {name}: kept twice, or not all of it is there")
        weights[name] = torch.cat([part.dense() for part in parts]).reshape(parts[0].shape)
    for name, owner in ties.items():
        _check(owner in weights, f"{path}: {name}: tied to {owner}, which is not there")
        weights[name] = weights[owner]
    return weights


class LowRankLinear(nn.Module):
    """y = U V^T x + b as two thin products."""

    def __init__(self, U: Tensor, V: Tensor, bias: Optional[nn.Parameter] = None) -> None:
        super().__init__()
        self.U, self.V, self.bias = nn.Parameter(U), nn.Parameter(V), bias

    @property
    def weight(self) -> Tensor:
        return self.U @ self.V.T

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.V.T), self.U, self.bias)


class SineLowRankLinear(nn.Module):
    """y = sin(omega * U V^T) / g x + b, with U m x k and V n x k. Starts Kaiming-uniform, the fan of U being m and of V
    being n; g is sqrt(n) unless told."""

    def __init__(self, in_features: int, out_features: int, rank: int, omega: float = 500.0,
                 gain: Optional[float] = None, bias: bool = True) -> None:  # fmt: skip
        super().__init__()
        self.U = nn.Parameter(torch.empty(out_features, rank).uniform_(-1, 1) * math.sqrt(6 / out_features))
        self.V = nn.Parameter(torch.empty(in_features, rank).uniform_(-1, 1) * math.sqrt(6 / in_features))
        start = torch.empty(out_features).uniform_(-1, 1) / math.sqrt(in_features)
        self.bias = nn.Parameter(start) if bias else None
        self.register_buffer("omega", torch.tensor(float(omega)))
        self.register_buffer("gain", torch.tensor(math.sqrt(in_features) if gain is None else float(gain)))

    @property
    def weight(self) -> Tensor:
        return _product(self.U, self.V, self.omega, self.gain, sine=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class LowRankConv(nn.Module):
    """A convolution by U (groups x m x k) and V (groups x n x k): V into k channels a group, then U, 1 x 1."""

    sine = False

    def __init__(self, conv: nn.Module, U: Tensor, V: Tensor, omega: float, gains: Sequence[float]) -> None:
        super().__init__()
        self.U, self.V, self.bias = nn.Parameter(U), nn.Parameter(V), conv.bias
        self.register_buffer("omega", torch.tensor(float(omega)))
        self.register_buffer("gain", torch.tensor(list(gains)).view(-1, 1, 1))
        self.kernel, self.function = (conv.in_channels // conv.groups, *conv.kernel_size), CONVOLUTIONS[type(conv)]
        conv.weight = conv.bias = None  # what is left of it knows stride, padding, dilation and groups
        self.conv = conv

    @property
    def weight(self) -> Tensor:
        return _product(self.U, self.V, self.omega, self.gain, self.sine).reshape(-1, *self.kernel)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv._conv_forward(x, self.V.transpose(1, 2).reshape(-1, *self.kernel), None)
        outer = (self.U * (self.omega / self.gain)).flatten(0, 1)
        outer = outer.reshape(*outer.shape, *[1] * (len(self.kernel) - 1))
        return self.function(inner, outer, self.bias, groups=len(self.U))


class SineLowRankConv(LowRankConv):
    """A convolution whose kernel is sin(omega * U V^T) / g."""

    sine = True

    def forward(self, x: Tensor) -> Tensor:
        return self.conv._conv_forward(x, self.weight, self.bias)


def _factored(module: nn.Module, layer: Factors) -> Optional[nn.Module]:
    """The module with factors for a weight; None where there is none of its kind."""
    if layer.transposed or layer.expert is not None or tuple(module.weight.shape) != layer.shape:
        return None
    like = {"device": module.weight.device, "dtype": module.weight.dtype}
    if type(module) in CONVOLUTIONS and len(layer.U) == module.groups:
        kind = SineLowRankConv if layer.sine else LowRankConv
        return kind(module, layer.U, layer.V, layer.omega, layer.gains).to(**like)
    if type(module) is not nn.Linear or len(layer.U) != 1:
        return None
    if layer.sine:
        linear = SineLowRankLinear(*layer.shape[::-1], layer.U.shape[2], layer.omega, layer.gains[0])
        linear.U, linear.V, linear.bias = nn.Parameter(layer.U[0]), nn.Parameter(layer.V[0]), module.bias
        return linear.to(**like)
    return LowRankLinear(layer.U[0] * (layer.omega / layer.gains[0]), layer.V[0], module.bias).to(**like)


def _matching(stored: Sequence[str], wanted: Sequence[str], factored: Sequence[str]) -> Dict[str, str]:
    """Names in the model by names in the file, with the prefixes (module., state_dict. …) that make most fit."""

    def prefixes(names: Sequence[str]) -> List[str]:
        deepest = max(names, key=lambda name: name.count("."), default="")
        parts = deepest.split(".")[:-2]  # a layer keeps its own name, or any one would fit any other
        return ["".join(f"{part}." for part in parts[:i]) for i in range(len(parts) + 1)]

    known, best = set(wanted), {}
    for strip in prefixes(factored):
        for add in prefixes(wanted):
            pairs = {name: add + name[len(strip) :] for name in stored if name.startswith(strip)}
            found = {name: target for name, target in pairs.items() if target in known}
            best = found if len(found) > len(best) else best
    return best


def load_into(model: nn.Module, path: str, keep_factors: bool = False, strict: bool = True) -> nn.Module:
    """Loads a factor file into a model, in place, and gives the model back.

    keep_factors: nn.Linear and nn.Conv modules become ones that keep and train the factors; weights of other modules,
    and weights that several share, become dense. strict: what does not match raises ValueError before anything is
    changed; otherwise it is left out with a warning."""
    weights, layers = dense_weights(path), {layer.tensor: layer for layer in load_factors(path).values()}
    state = model.state_dict(keep_vars=True)
    names = _matching(list(weights), list(state), list(layers))
    alike = {name: weights[name].shape == state[target].shape for name, target in names.items()}
    found, unlike = set(names.values()), [pair for pair in names.items() if not alike[pair[0]]]
    misses = {
        "only the model has": [n for n in state if n not in found and not n.endswith("num_batches_tracked")],
        "only the file has": [n for n in weights if n not in names],
        "of other shapes are": [f"{n} {list(weights[n].shape)}, not {list(state[t].shape)}" for n, t in unlike],
    }
    text = "; ".join(f"{what} {', '.join(ns[:9])}{' …' * (len(ns) > 9)}" for what, ns in misses.items() if ns)
    _check(not text or (not strict and len(names) > 0), f"{path} does not fit the model: {text}")
    if text:
        warnings.warn(f"{path} does not fit the model altogether: {text}")
    owners = [id(value) for value in state.values()]
    for name, target in names.items():
        parent, _, child = target.rpartition(".")
        replaceable = keep_factors and name in layers and child == "weight" and owners.count(id(state[target])) == 1
        swapped = _factored(model.get_submodule(parent), layers[name]) if replaceable and parent else None
        if swapped is not None:
            above, _, last = parent.rpartition(".")
            setattr(model.get_submodule(above), last, swapped)
        elif alike[name]:
            with torch.no_grad():
                state[target].copy_(weights[name])
    return model
