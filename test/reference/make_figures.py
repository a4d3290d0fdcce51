"""Writes figures.json: the matrices of `rankscope figures` made anew, and what numpy's SVD (float64) finds in them.

    python3 make_figures.py > figures.json

The stream of random numbers is written from its definition: xoshiro128** (Blackman & Vigna), the four words of its state
being MurmurHash3's 32-bit finaliser of seed + 1, 2, 3, 4 times 0x9e3779b9; x becomes bound * ((2x + 1) / 2^32 - 1).
A matrix is filled row by row and rounded to float32; factors are U first, then V, from the seed after the full-rank
matrix'. Their product and everything after it is float64.
"""

import json
import sys

import numpy as np
import scipy.stats

MASK = 0xFFFFFFFF
LEVELS = ["0.9", "0.95", "0.99", "0.999", "0.9999"]
SEED = 0


def murmur(h):
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & MASK
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & MASK
    return h ^ (h >> 16)


def rotl(x, by):
    return ((x << by) | (x >> (32 - by))) & MASK


class Stream:
    def __init__(self, seed):
        self.s = [murmur((seed + i * 0x9E3779B9) & MASK) for i in (1, 2, 3, 4)]

    def integer(self):
        s = self.s
        result = (rotl((s[1] * 5) & MASK, 7) * 9) & MASK
        t = (s[1] << 9) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 11)
        return result

    def uniform(self, shape, bound):
        x = np.array([self.integer() for _ in range(int(np.prod(shape)))], dtype=np.float64)
        return np.float32(bound * ((2 * x + 1) / 2.0**32 - 1)).reshape(shape)


def full_rank(m, n):
    return Stream(SEED).uniform((m, n), np.sqrt(6 / n)).astype(np.float64)


def low_rank(m, n, k):
    stream = Stream(SEED + 1)
    u = stream.uniform((m, k), np.sqrt(6 / m)).astype(np.float64)
    v = stream.uniform((n, k), np.sqrt(6 / n)).astype(np.float64)
    return u @ v.T


def ranks(matrix):
    sigma = np.linalg.svd(matrix, compute_uv=False)
    energy = np.cumsum(sigma**2) / np.sum(sigma**2)
    for e in LEVELS:  # a tie would make the reference itself a matter of rounding
        assert np.min(np.abs(energy - float(e))) > 1e-9
    return {
        "spectralNorm": float(np.linalg.norm(matrix, 2)),
        "stableRank": float(np.linalg.norm(matrix, "fro") ** 2 / np.linalg.norm(matrix, 2) ** 2),
        "effectiveRank": float(np.exp(scipy.stats.entropy(sigma))),
        "energyRanks": {e: int(np.searchsorted(energy, float(e)) + 1) for e in LEVELS},
        "every16th": (sigma / sigma[0])[::16].tolist(),
    }


def sine(a, omega):
    return np.sin(omega * a)


def proposition_1(a):
    smallest = float(np.min(np.abs(a[a != 0])))
    norm = float(np.linalg.norm(np.sqrt(np.abs(a)), 2))
    limit = np.pi / (3 * smallest)
    return {"smallestEntry": smallest, "rootNorm": norm, "omegaLimit": limit, "boundAtLimit": limit * (smallest / norm) ** 2}


vit, heat, compared = low_rank(3072, 768, 5), low_rank(128, 128, 1), low_rank(256, 256, 5)
full_256 = full_rank(256, 256)
spectra_256 = {"full rank": ranks(full_256), "low rank, k = 5": ranks(compared)}
reference = {
    "made": f"make_figures.py, Python {sys.version.split()[0]}, numpy {np.__version__}",
    "seed": SEED,
    "integers": {str(seed): [stream.integer() for _ in range(8)] for seed in (0, 1, MASK) for stream in [Stream(seed)]},
    "spectra": [
        {"full rank": ranks(full_rank(3072, 768)), "low rank, k = 5": ranks(vit), "sine, ω = 2000": ranks(sine(vit, 2000))},
        {
            **spectra_256,
            "sine, ω = 500": ranks(sine(compared, 500)),
            "sigmoid, ω = 500": ranks(1 / (1 + np.exp(-500 * compared))),
            "ReLU, any ω": ranks(np.maximum(0, 500 * compared)),
        },
        {**spectra_256, **{f"ω = {w}": ranks(sine(compared, w)) for w in (10, 50, 100, 150, 200, 500)}},
    ],
    "heatMaps": [
        {**ranks(matrix), "diagonal": np.diag(matrix)[::16].tolist()}
        for matrix in (full_rank(128, 128), heat, sine(heat, 100), sine(heat, 2000))
    ],
    "sweep": [{"omega": w, **ranks(sine(compared, w))} for w in (10, 4000)],
    "proposition1": proposition_1(compared),
}
json.dump(reference, sys.stdout, ensure_ascii=False, indent=1)
print()
