"""Singular values of products of two factors by numpy in float64, the product formed in long double:
test/reference/adapters.json.

    python3 test/reference/make_adapters.py
"""

import json
from pathlib import Path

import numpy

HERE = Path(__file__).parent


def stream(seed, count):
    """The xorshift32 stream of generated.ts, over 4, as float32."""
    values, state = [], seed
    for _ in range(count):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        values.append(state / 2**31 - 1)
    return (numpy.array(values) / 4).astype(numpy.float32)


def rounded(values, dtype):
    """Values as a file of this element type holds them: bfloat16 by rounding the bits of float32 to nearest even."""
    if dtype == "bfloat16":
        bits = values.astype(numpy.float32).view(numpy.uint32).astype(numpy.uint64)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16
        return bits.astype(numpy.uint32).view(numpy.float32)
    return values.astype({"float16": numpy.float16, "float32": numpy.float32, "float64": numpy.float64}[dtype])


def pair(case):
    """U m x k and V n x k. `columns` multiplies column j of U by 10^-(step*j) and of V by 10^(step*j)."""
    m, n, k = case["rows"], case["columns"], case["rank"]
    values = stream(case["seed"], k * (m + n)).astype(numpy.float64)
    U, V = values[: m * k].reshape(m, k), values[m * k :].reshape(n, k)
    how = case["how"]
    powers = 2.0 ** (-case.get("step", 0) * numpy.arange(k))
    if how == "balanced":
        U, V = U * powers, V / powers
    elif how == "decaying":
        U, V = U * powers, V * powers
    elif how == "cancelling":
        # Pairs of columns that are nearly opposite: what is left is 2^-step of what is added.
        for j in range(0, k - 1, 2):
            U[:, j + 1] = U[:, j]
            V[:, j + 1] = -V[:, j] + 2.0 ** -case["step"] * V[:, j + 1]
    elif how == "deficient":
        U[:, 1:] = U[:, :1]
    return rounded(U, case["dtype"]), rounded(V, case["dtype"])


CASES = [
    {"rows": 40, "columns": 33, "rank": 4},
    {"rows": 33, "columns": 40, "rank": 4, "dtype": "bfloat16", "scale": 2.0},
    {"rows": 70, "columns": 50, "rank": 8, "dtype": "float16", "scale": -0.5},
    {"rows": 37, "columns": 90, "rank": 16, "dtype": "float64", "scale": 4.0},
    {"rows": 3, "columns": 60, "rank": 8},
    {"rows": 1, "columns": 5, "rank": 2, "dtype": "bfloat16"},
    {"rows": 1, "columns": 1, "rank": 1},
    {"rows": 48, "columns": 48, "rank": 48},
    {"rows": 64, "columns": 40, "rank": 12, "how": "balanced", "step": 9},
    {"rows": 64, "columns": 40, "rank": 12, "how": "decaying", "step": 5},
    {"rows": 64, "columns": 40, "rank": 8, "how": "cancelling", "step": 18},
    {"rows": 64, "columns": 40, "rank": 8, "how": "cancelling", "step": 22, "dtype": "float64"},
    {"rows": 50, "columns": 45, "rank": 5, "how": "deficient"},
    {"rows": 50, "columns": 45, "rank": 6, "scale": 1e-30, "how": "decaying", "step": 8, "dtype": "float64"},
]

cases = []
for index, given in enumerate(CASES):
    case = {"dtype": "float32", "scale": 1.0, "how": "plain", "seed": 31 + index, **given}
    U, V = pair(case)
    product = U.astype(numpy.longdouble) @ V.astype(numpy.longdouble).T * numpy.longdouble(case["scale"])
    values = numpy.linalg.svd(product.astype(numpy.float64), compute_uv=False)
    kept = values[: case["rank"]]
    cases.append({**case, "singularValues": [float(value) for value in kept]})

(HERE / "adapters.json").write_text(json.dumps(cases, indent=1) + "\n")
