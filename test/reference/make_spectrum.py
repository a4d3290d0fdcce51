"""Writes spectrum.json: singular values and what numpy makes of them, in float64, by the definitions in words.

    python3 make_spectrum.py > spectrum.json

Matrices come from a seeded generator; their singular values from numpy.linalg.svd (float64). Energy ranks are a plain
cumulative sum, the entropy is scipy.stats.entropy, the Marchenko-Pastur edge is taken from the matrix' entries.
"""

import json
import sys

import numpy as np
import scipy
import scipy.stats

LEVELS = ["0.9", "0.95", "0.99", "0.999", "0.9999"]


def expected(matrix, sigma):
    m, n = matrix.shape
    energy = np.cumsum(sigma**2)
    edge = np.sqrt(np.mean(matrix**2)) * (np.sqrt(m) + np.sqrt(n))
    ranks = {e: int(np.searchsorted(energy, float(e) * energy[-1]) + 1) for e in LEVELS}
    for e in LEVELS:  # a tie would make the reference itself a matter of rounding
        assert np.min(np.abs(energy / energy[-1] - float(e))) > 1e-12, (m, n, e)
    return {
        "rank": ranks["0.9999"],
        "energyRanks": ranks,
        "stableRank": float(np.linalg.norm(matrix, "fro") ** 2 / np.linalg.norm(matrix, 2) ** 2),
        "effectiveRank": float(np.exp(scipy.stats.entropy(sigma))),
        "spectralNorm": float(np.linalg.norm(matrix, 2)),
        "frobeniusNorm": float(np.linalg.norm(matrix, "fro")),
        "randomEdge": float(edge),
        "spikes": int(np.sum(sigma > edge)),
    }


def matrices():
    rng = np.random.default_rng(20240501)
    yield "gaussian 40 x 96", rng.standard_normal((40, 96)) * 0.05
    u, _ = np.linalg.qr(rng.standard_normal((64, 32)))
    v, _ = np.linalg.qr(rng.standard_normal((48, 32)))
    yield "decaying 64 x 48, exact rank 32", (u * np.exp(-0.2 * np.arange(32))) @ v.T
    yield "power law 32 x 32", (u[:32] * (1.0 + np.arange(32)) ** -1.5) @ v.T[:, :32]
    yield "noise with three spikes 80 x 60", rng.standard_normal((80, 60)) + 9 * (
        np.linalg.qr(rng.standard_normal((80, 3)))[0] @ np.linalg.qr(rng.standard_normal((60, 3)))[0].T
    ) * np.array(3.0)
    yield "row 1 x 37", rng.standard_normal((1, 37))
    yield "column 29 x 1", rng.standard_normal((29, 1))
    yield "tiny values 12 x 20", rng.standard_normal((12, 20)) * 1e-140
    yield "huge values 12 x 20", rng.standard_normal((12, 20)) * 1e140
    yield "long flat tail 300 x 320", np.diag(np.r_[1e3, np.full(299, 1.0)]) @ np.linalg.qr(
        rng.standard_normal((320, 300))
    )[0].T


cases = []
for name, matrix in matrices():
    sigma = np.linalg.svd(matrix, compute_uv=False)
    cases.append({"name": name, "shape": list(matrix.shape), "singularValues": sigma.tolist(), "expected": expected(matrix, sigma)})

made = f"make_spectrum.py, Python {sys.version.split()[0]}, numpy {np.__version__}, scipy {scipy.__version__}"
json.dump({"made": made, "cases": cases}, sys.stdout)
print()
