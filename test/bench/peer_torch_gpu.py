"""PyTorch on the same graphics card: singular values of every matrix of a safetensors file, two ways.

    peer_torch_gpu.py FILE [svdvals|eigvalsh] [VALUES]

svdvals   torch.linalg.svdvals in float32
eigvalsh  square roots of torch.linalg.eigvalsh of the float64 Gram matrix of the smaller side

Needs PyTorch with CUDA (on a processor it runs too, when BENCH_ANY_DEVICE=1 is set, to try the script). Prints one line
of JSON; VALUES is a file for the singular values, float64, one matrix after the other in the file's order.
"""

import json
import os
import struct
import sys
import time

import numpy as np
import torch


def matrices(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        for name, entry in header.items():
            if name == "__metadata__" or len(entry["shape"]) < 2:
                continue
            start, end = entry["data_offsets"]
            file.seek(8 + length + start)
            values = np.frombuffer(file.read(end - start), np.float32)
            yield name, values.reshape(entry["shape"][0], -1)


def svdvals(weight):
    return torch.linalg.svdvals(weight).double()


def eigvalsh(weight):
    wide = (weight if weight.shape[0] <= weight.shape[1] else weight.T).double()
    return torch.linalg.eigvalsh(wide @ wide.T).clamp(min=0).sqrt().flip(0)


def main():
    path, way, *rest = sys.argv[1:]
    if not torch.cuda.is_available() and os.environ.get("BENCH_ANY_DEVICE") != "1":
        sys.exit("no CUDA here")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = False
    solve = {"svdvals": svdvals, "eigvalsh": eigvalsh}[way]

    def wait():
        if device.type == "cuda":
            torch.cuda.synchronize()

    solve(torch.rand(64, 64, device=device))  # libraries load with the first call
    wait()
    found, seconds = [], 0.0
    started = time.perf_counter()
    for _name, values in matrices(path):
        weight = torch.from_numpy(values.copy()).to(device)
        wait()
        before = time.perf_counter()
        singular = solve(weight)
        wait()
        seconds += time.perf_counter() - before
        found.append(singular.cpu().numpy())
    whole = time.perf_counter() - started
    if rest:
        np.concatenate(found).astype(np.float64).tofile(rest[0])
    name = torch.cuda.get_device_name(0) if device.type == "cuda" else "CPU"
    print(json.dumps({"seconds": seconds, "whole": whole, "device": name, "torch": torch.__version__}))


main()
