"""A page of PyTorch: load a checkpoint, torch.linalg.svdvals in float32 of every matrix. Usage: peer_torch.py FILE"""

import os
import sys
import time

import torch

from checkpoint import matrices, report


def main():
    torch.set_num_threads(os.cpu_count())
    how, found = matrices(sys.argv[1])
    seconds, count = 0.0, 0
    for _name, values in found:
        weight = torch.from_numpy(values).float()
        started = time.perf_counter()
        torch.linalg.svdvals(weight)
        seconds += time.perf_counter() - started
        count += 1
    report(seconds, count, how, dtype="float32")


main()
