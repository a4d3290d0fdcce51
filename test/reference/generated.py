"""Matrices from an integer formula, the same in Python and in TypeScript (test/reference/generated.ts), so that no data
is stored. Element k of a stream with seed s is the (k+1)-th state of xorshift32 (shifts 13, 17, 5; state 0 = s),
divided by 2^31 and less 1: exact in float64. Everything below is one IEEE operation at a time, in this order, and the
result is rounded to float32 once at the end.

  dense     A[i,j] = u[i*n + j]
  product   A = sum over k < rank, in order, of u[i*rank + k] * v[k*n + j]; v continues the stream after u
  decay     A[i,j] = u[i*n + j] / (1 + j)^power
  repeated  A[i,j] = u[j mod rank]: equal rows, rank 1
  diagonal  A[i,i] = 1 / (1 + i), zero elsewhere
and every element is multiplied by `scale` (a power of two) before rounding.
"""

import hashlib

import numpy as np

RECIPES = [
    {"name": "one element", "kind": "dense", "rows": 1, "columns": 1, "seed": 1},
    {"name": "one row", "kind": "dense", "rows": 1, "columns": 7, "seed": 2},
    {"name": "one column", "kind": "dense", "rows": 9, "columns": 1, "seed": 3},
    {"name": "two by two", "kind": "dense", "rows": 2, "columns": 2, "seed": 4},
    {"name": "small wide", "kind": "dense", "rows": 3, "columns": 5, "seed": 5},
    {"name": "square", "kind": "dense", "rows": 64, "columns": 64, "seed": 6},
    {"name": "odd tall", "kind": "dense", "rows": 130, "columns": 67, "seed": 7},
    {"name": "odd wide", "kind": "dense", "rows": 67, "columns": 257, "seed": 8},
    {"name": "very tall", "kind": "dense", "rows": 1500, "columns": 5, "seed": 9},
    {"name": "large", "kind": "dense", "rows": 384, "columns": 512, "seed": 10},
    {"name": "low rank tall", "kind": "product", "rows": 120, "columns": 80, "rank": 7, "seed": 11},
    {"name": "low rank wide", "kind": "product", "rows": 80, "columns": 300, "rank": 19, "seed": 12},
    {"name": "decaying", "kind": "decay", "rows": 96, "columns": 96, "power": 1, "seed": 13},
    {"name": "steep", "kind": "decay", "rows": 100, "columns": 60, "power": 3, "seed": 14},
    {"name": "tiny values", "kind": "decay", "rows": 40, "columns": 33, "power": 1, "seed": 15, "scale": 2.0**-100},
    {"name": "huge values", "kind": "decay", "rows": 33, "columns": 40, "power": 1, "seed": 16, "scale": 2.0**100},
    {"name": "equal rows", "kind": "repeated", "rows": 50, "columns": 31, "rank": 31, "seed": 17},
    {"name": "harmonic diagonal", "kind": "diagonal", "rows": 40, "columns": 48},
    {"name": "all zero", "kind": "dense", "rows": 12, "columns": 8, "seed": 18, "scale": 0.0},
]


def stream(seed, count):
    state, values = seed, np.empty(count)
    for k in range(count):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        values[k] = state / 2.0**31 - 1.0
    return values


def power(base, exponent):
    result = 1.0
    for _ in range(exponent):
        result = result * base
    return result


def matrix(recipe):
    """The float32 matrix of a recipe."""
    m, n = recipe["rows"], recipe["columns"]
    kind = recipe["kind"]
    if kind == "diagonal":
        values = np.zeros((m, n))
        for i in range(min(m, n)):
            values[i, i] = 1.0 / (1 + i)
    elif kind == "product":
        r = recipe["rank"]
        numbers = stream(recipe["seed"], m * r + r * n)
        u, v = numbers[: m * r].reshape(m, r), numbers[m * r :].reshape(r, n)
        values = np.zeros((m, n))
        for k in range(r):
            values = values + u[:, k : k + 1] * v[k : k + 1, :]
    elif kind == "repeated":
        values = np.tile(stream(recipe["seed"], recipe["rank"]), (m, 1))[:, :n]
    else:
        values = stream(recipe["seed"], m * n).reshape(m, n)
        if kind == "decay":
            values = values / np.array([power(1.0 + j, recipe["power"]) for j in range(n)])
    return (values * recipe.get("scale", 1.0)).astype(np.float32)


def digest(values):
    """sha256 of the little-endian row-major float32 bytes: proof that both programs made the same matrix."""
    return hashlib.sha256(np.ascontiguousarray(values, "<f4").tobytes()).hexdigest()
