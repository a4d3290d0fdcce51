"""Writes utilization_small.json: subspaces, utilized ranks and errors of single layers, in numpy float64 from the
definitions, with the inputs X themselves at hand (Rankscope sees only their Gram matrix).

    OPENBLAS_CORETYPE=SkylakeX python3 make_utilization_small.py

Weights and inputs come from generated.py, so that no data is stored. Groups are blocks of one weight and of the columns
of X, with one dimension common to all. `sums` are W' times (1, 2, ..., n) for each row of every group.
"""

import json
from pathlib import Path

import numpy as np

from generated import matrix

RANK_ENERGY = 0.9999
ENERGIES = [0.9, 0.99, 0.999]
CASES = [
    {
        "name": "wide, inputs that fade",
        "groups": 1,
        "weight": {"kind": "dense", "rows": 24, "columns": 40, "seed": 101},
        "inputs": {"kind": "decay", "rows": 300, "columns": 40, "power": 1, "seed": 102},
        "pairs": [[40, 24], [1, 1], [13, 24], [40, 7], [25, 15]],
    },
    {
        "name": "tall, inputs of rank 9",
        "groups": 1,
        "weight": {"kind": "dense", "rows": 50, "columns": 30, "seed": 103},
        "inputs": {"kind": "product", "rows": 200, "columns": 30, "rank": 9, "seed": 104},
        "pairs": [[9, 9], [5, 8], [9, 4]],
    },
    {
        "name": "weight that fades, dense inputs",
        "groups": 1,
        "weight": {"kind": "decay", "rows": 33, "columns": 35, "power": 2, "seed": 105},
        "inputs": {"kind": "dense", "rows": 70, "columns": 35, "seed": 106},
        "pairs": [[35, 33], [20, 20]],
    },
    {
        "name": "three groups",
        "groups": 3,
        "weight": {"kind": "decay", "rows": 24, "columns": 18, "power": 1, "seed": 107},
        "inputs": {"kind": "decay", "rows": 150, "columns": 54, "power": 1, "seed": 108},
        "pairs": [[18, 8], [6, 5]],
    },
    {
        "name": "one output",
        "groups": 1,
        "weight": {"kind": "dense", "rows": 1, "columns": 12, "seed": 109},
        "inputs": {"kind": "dense", "rows": 40, "columns": 12, "seed": 110},
        "pairs": [[5, 1]],
    },
]


def eigen(symmetric):
    values, vectors = np.linalg.eigh(symmetric)
    return np.maximum(values[::-1], 0), vectors[:, ::-1]


def leading(energies, share):
    cumulative = np.cumsum(energies)
    # A tie would make the reference itself a matter of rounding.
    assert np.min(np.abs(cumulative / cumulative[-1] - share)) > 1e-10
    return int(np.sum(cumulative < share * cumulative[-1])) + 1


def rank(weight):
    return leading(np.linalg.svd(weight, compute_uv=False) ** 2, RANK_ENERGY)


def project(x, w, k_s, k_t):
    s = eigen(x.T @ x)[1][:, :k_s]
    t = eigen(w @ x.T @ x @ w.T)[1][:, :k_t]
    return t @ t.T @ w @ s @ s.T


def facts(xs, ws, k_s, k_t):
    projected = [project(x, w, k_s, k_t) for x, w in zip(xs, ws)]
    outputs = sum(np.linalg.norm(x @ w.T) ** 2 for x, w in zip(xs, ws))
    lost = sum(np.linalg.norm(x @ (w - p).T) ** 2 for x, w, p in zip(xs, ws, projected))
    bound = 0.0
    for x, w in zip(xs, ws):
        s, t = eigen(x.T @ x)[1][:, k_s:], eigen(w @ x.T @ x @ w.T)[1][:, k_t:]
        bound += np.linalg.norm(x @ w.T @ t) ** 2 + (np.linalg.norm(w, 2) * np.linalg.norm(x @ s)) ** 2
    n = ws[0].shape[1]
    return {
        "kS": k_s,
        "kT": k_t,
        "utilizedRanks": [rank(p) for p in projected],
        "measured": lost / outputs,
        "bound": min(1.0, bound / outputs),
        "sums": np.concatenate([p @ np.arange(1.0, n + 1) for p in projected]).tolist(),
    }


def case(recipe):
    groups = recipe["groups"]
    w = matrix(recipe["weight"]).astype(np.float64)
    x = matrix(recipe["inputs"]).astype(np.float64)
    ws, xs = np.split(w, groups), np.split(x, groups, axis=1)
    inputs = sum(eigen(x.T @ x)[0] for x in xs)
    outputs = sum(eigen(w @ x.T @ x @ w.T)[0] for x, w in zip(xs, ws))
    return {
        **recipe,
        "rank": float(np.mean([rank(w) for w in ws])),
        "inputEnergies": (inputs / inputs.sum()).tolist(),
        "outputEnergies": (outputs / outputs.sum()).tolist(),
        "atEnergy": [
            {"energy": e, **facts(xs, ws, leading(inputs, e), leading(outputs, e))} for e in ENERGIES
        ],
        "atDimensions": [facts(xs, ws, k_s, k_t) for k_s, k_t in recipe["pairs"]],
    }


OUT = Path(__file__).with_name("utilization_small.json")
OUT.write_text(json.dumps({"command": "python3 make_utilization_small.py", "numpy": np.__version__, "cases": [case(c) for c in CASES]}) + "\n")
