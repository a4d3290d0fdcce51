"""Products of factors, multiplied out by numpy in float64 and rounded once: test/reference/products.json.

    python3 test/reference/make_products.py
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


def product(case):
    groups, m, n, k = case["groups"], case["rows"], case["columns"], case["rank"]
    values = stream(case["seed"], groups * k * (m + n)).astype(numpy.float64)
    U = values[: groups * m * k].reshape(groups, m, k)
    V = values[groups * m * k :].reshape(groups, n, k)
    phase = case["omega"] * (U @ V.transpose(0, 2, 1))
    made = numpy.sin(phase) if case["activation"] == "sine" else phase
    made = made / numpy.array(case["gains"]).reshape(-1, 1, 1)
    return made.transpose(0, 2, 1) if case["transposed"] else made


CASES = [
    {"activation": "sine", "omega": 30.0, "gains": [7.5]},
    {"activation": "sine", "omega": 30.0, "gains": [7.5], "transposed": True},
    {"activation": "identity", "omega": 1.0, "gains": [1.0], "rank": 1},
    {"activation": "sine", "omega": 211.0, "gains": [2.0, 0.5, 3.0], "groups": 3, "rows": 4, "columns": 9},
    {"activation": "sine", "omega": 5.0, "gains": [4.0, 8.0], "groups": 2, "transposed": True},
]

cases = []
for index, given in enumerate(CASES):
    case = {"groups": 1, "rows": 5, "columns": 7, "rank": 3, "transposed": False, "seed": 11 + index, **given}
    values = product(case).astype(numpy.float32).ravel()
    cases.append({**case, "values": [float(value) for value in values]})

(HERE / "products.json").write_text(json.dumps(cases, indent=1) + "\n")
