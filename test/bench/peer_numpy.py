"""A page of numpy: numpy.linalg.svd(compute_uv=False) of every matrix. Usage: peer_numpy.py FILE float32|float64

The dtype is that of the matrix given to numpy. The work is float64 either way: numpy.linalg casts float32 to float64
before it calls LAPACK (its ufuncs are d->d) and the result back.
"""

import sys
import time

import numpy as np

from checkpoint import matrices, report


def main():
    dtype = sys.argv[2]
    how, found = matrices(sys.argv[1])
    seconds, count = 0.0, 0
    for _name, values in found:
        started = time.perf_counter()
        np.linalg.svd(values.astype(dtype, copy=False), compute_uv=False)
        seconds += time.perf_counter() - started
        count += 1
    report(seconds, count, how, dtype=dtype)


main()
