"""Writes tensors.json: what independent readers find in the checkpoints of the shared data folder.

OPENBLAS_CORETYPE=SkylakeX python3 test/reference/make_tensors.py <data folder>

Needs torch (1.13 made the committed file) and numpy. For each file: name, shape, element type and the sha256 of the
values as contiguous little-endian bytes. PyTorch files are loaded by torch.load; TorchScript by torch.jit.load;
safetensors and the tar files (which torch.load does not accept as written) by the few lines of numpy below; whole
modules with an unpickler that puts stand-in classes for everything but torch's own rebuild functions. Nothing
hostile is ever loaded: the hostile folder is not looked at, but for one file that is taken apart by numpy alone.
"""

import hashlib
import io
import json
import pathlib
import pickle
import sys
import tarfile

import numpy
import torch

DATA = pathlib.Path(sys.argv[1])
OUT = pathlib.Path(__file__).with_name("tensors.json")

SAFETENSORS = {"F32": "float32", "F16": "float16", "F64": "float64", "I64": "int64", "I32": "int32"}
ALLOWED = {"torch", "torch._utils", "collections", "torch.storage"}


class Stand(torch.nn.Module):
    """Stands for a class that is not imported: only its attributes are used."""

    def __init__(self, *_args, **_kwargs):
        super().__init__()


class Restricted(pickle.Unpickler):
    def find_class(self, module, name):
        if module in ALLOWED:
            return super().find_class(module, name)
        if (module, name) == ("__builtin__", "set"):
            return set
        return Stand


class RestrictedPickle:
    """What torch.load needs of a pickle module."""

    Unpickler = Restricted

    @staticmethod
    def load(file, **options):
        return Restricted(file, **options).load()


def entry(data, shape, dtype):
    return {"shape": list(shape), "dtype": dtype, "sha256": hashlib.sha256(data).hexdigest()}


def of_tensor(tensor):
    tensor = tensor.detach().contiguous()
    dtype = str(tensor.dtype).replace("torch.", "")
    raw = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
    return entry(raw.numpy().tobytes(), tensor.shape, dtype)


def of_array(array):
    return entry(array.astype(array.dtype.newbyteorder("<")).tobytes(order="C"), array.shape, array.dtype.name)


def walk(value, path, found):
    if isinstance(value, torch.Tensor):
        found[".".join(path)] = of_tensor(value)
    elif isinstance(value, torch.nn.Module):
        walk(value.state_dict(), path, found)
    elif isinstance(value, dict):
        for key, inner in value.items():
            walk(inner, path + [str(key)], found)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            walk(inner, path + [str(index)], found)
    return found


def load_with_stand_ins(file):
    """torch.load(pickle_module=…); torch 1.13 itself ignores that argument."""
    with open(file, "rb") as stream, torch.serialization._open_zipfile_reader(stream) as archive:
        return torch.serialization._load(archive, "cpu", RestrictedPickle, encoding="utf-8")


def read_torch(file, load=lambda file: torch.load(file, map_location="cpu")):
    value = load(file)
    return {file.stem: of_tensor(value)} if isinstance(value, torch.Tensor) else walk(value, [], {})


def read_script(file):
    """Attributes that are tensors count too, not only parameters and buffers."""
    found = {}
    for prefix, module in torch.jit.load(str(file)).named_modules():
        names = set(dict(module.named_parameters(recurse=False))) | set(dict(module.named_buffers(recurse=False)))
        for attribute in names | {"_state", "_context"}:
            value = getattr(module, attribute, None)
            if isinstance(value, torch.Tensor):
                found[f"{prefix}.{attribute}".lstrip(".")] = of_tensor(value)
    return found


def read_safetensors(file):
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, facts in header.items():
        begin, end = facts["data_offsets"]
        part = data[8 + length + begin : 8 + length + end]
        found[name] = entry(part, facts["shape"], SAFETENSORS[facts["dtype"]])
    return found


class TarReference(pickle.Unpickler):
    """References to storages as they stand; every class is its own name."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: ("tensor", storage, offset, size, stride)
        return name


NUMPY = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "LongStorage": "<i8", "IntStorage": "<i4"}


def read_tar(file):
    with tarfile.open(file) as archive:
        members = {name: archive.extractfile(name).read() for name in ("pickle", "storages")}
    stream = io.BytesIO(members["storages"])
    storages = {}
    for _ in range(TarReference(stream).load()):
        # Unpickler reads ahead: find the end of each record by hand.
        start = stream.tell()
        key, _, kind = TarReference(stream).load()
        stream.seek(members["storages"].index(b"t.", start) + 2)
        count = int.from_bytes(stream.read(8), "little")
        itemsize = numpy.dtype(NUMPY[kind]).itemsize
        storages[key] = numpy.frombuffer(stream.read(count * itemsize), NUMPY[kind])
    found = {}
    for name, (_, storage, offset, size, stride) in TarReference(io.BytesIO(members["pickle"])).load().items():
        values = storages[storage[2]][offset:]
        strides = [step * values.itemsize for step in stride]
        found[name] = of_array(numpy.lib.stride_tricks.as_strided(values, size, strides))
    return found


def read_npz(file):
    with numpy.load(file) as archive:
        return {name: of_array(archive[name]) for name in archive.files}


def read_hostile_looking():
    """One tensor in an archive, taken apart without unpickling: 12 float32 values of shape [3, 4]."""
    import zipfile

    file = DATA / "hostile_picklescan/data/new_pytorch_model.bin"
    data = zipfile.ZipFile(file).read("archive/data/0")
    return {file.stem: entry(data[:48], [3, 4], "float32")}


def main():
    files = {}

    def add(file, found):
        files[file.relative_to(DATA).as_posix()] = found

    for pattern in (
        "resnet_cifar10/*.th",
        "vit_cifar10_small/*.pth",
        "ultraface/pretrained/*.pth",
        "nerf_lowres_ckpt/*/*.ckpt",
        "tinygpt_shakespeare/*.pt",
        "ggml_mnist/*.state_dict",
        "burn_mnist/*.pt",
        "pt_format_variants/*.pt",
    ):
        for file in sorted(DATA.glob(pattern)):
            if "broken" not in file.name:
                add(file, read_torch(file))
    for file in sorted(DATA.glob("char_rnn_shakespeare/saved_models/*.pt")):
        add(file, read_torch(file, load_with_stand_ins))
    for file in sorted(DATA.glob("silero_vad/*.jit")):
        add(file, read_script(file))
    for file in sorted(DATA.glob("*/*.safetensors")):
        add(file, read_safetensors(file))
    for file in sorted(DATA.glob("pt_format_variants/*.tar")):
        add(file, read_tar(file))
    for pattern in ("cifar10_lossless_subset/*.npz", "nerf_lego_200/*.npz"):
        for file in sorted(DATA.glob(pattern)):
            add(file, read_npz(file))
    add(DATA / "hostile_picklescan/data/new_pytorch_model.bin", read_hostile_looking())
    lines = [f" {json.dumps(name)}: {json.dumps(found)}" for name, found in files.items()]
    body = ",\n".join(lines)
    OUT.write_text(f'{{"how": {json.dumps(__doc__.strip())},\n"files": {{\n{body}\n}}}}\n')
    print(len(files), "files,", sum(map(len, files.values())), "tensors")


if __name__ == "__main__":
    main()
