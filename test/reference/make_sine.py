"""Writes sine.json: what numpy and torch make of matrices from generated.py, in float64.

    python3 make_sine.py > sine.json

truncatedSvd  relative errors of numpy.linalg.svd cut at rank k; with `inputs` (a recipe of X, samples x n) in the norm
              of the inputs: W·S for the symmetric root S of XᵀX, by numpy.linalg.eigh.
gradients     torch.autograd of 1/2 ||(a sin(U Vᵀ) - W) S||² by U, V and log a.
fits          relative error of truncated SVD, which a fit of the same matrix is held against.
"""

import json
import sys

import numpy as np
import torch

from generated import matrix


def dense(rows, columns, seed, **more):
    return {"name": f"{rows} x {columns}", "kind": "dense", "rows": rows, "columns": columns, "seed": seed, **more}


def root(inputs, n):
    if inputs is None:
        return np.eye(n)
    x = matrix(inputs).astype(np.float64)
    values, vectors = np.linalg.eigh(x.T @ x)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def svd_error(w, s, k):
    sigma = np.linalg.svd(w @ s, compute_uv=False)
    return float(np.sqrt(np.sum(sigma[k:] ** 2) / np.sum(sigma**2)))


def truncated_svd():
    cases = [
        (dense(130, 67, 7), None, [1, 10, 66, 67]),
        (dense(67, 257, 8), None, [1, 5, 40]),
        ({"name": "decay", "kind": "decay", "rows": 96, "columns": 96, "power": 1, "seed": 13}, None, [1, 8, 40]),
        ({"name": "rank 7", "kind": "product", "rows": 120, "columns": 80, "rank": 7, "seed": 11}, None, [3, 7, 20]),
        (dense(40, 1, 21), None, [1]),
        (dense(1, 40, 22), None, [1]),
        # More samples than inputs, and fewer, so that the Gram matrix is singular.
        (dense(60, 50, 23), {**dense(200, 50, 24), "kind": "decay", "power": 1}, [3, 20]),
        (dense(30, 80, 25), dense(40, 80, 26), [3, 12]),
        (dense(90, 30, 27), dense(300, 30, 28), [5]),
    ]
    for recipe, inputs, ranks in cases:
        w = matrix(recipe).astype(np.float64)
        s = root(inputs, w.shape[1])
        yield {
            "recipe": recipe,
            **({"inputs": inputs} if inputs else {}),
            "errors": {str(k): svd_error(w, s, k) for k in ranks},
        }


def gradients():
    # Sides on and off the kernels' tiles of 64 and 8, ranks on and off their vectors of 4, phases of several turns.
    for rows, columns, k, amplitude, spread, weighted in [
        (70, 133, 5, 0.75, 1.0, False),
        (64, 64, 8, 1.5, 4.0, False),
        (3, 2, 1, 1.0, 1.0, False),
        (129, 9, 12, 0.5, 2.0, False),
        (70, 67, 6, 0.75, 1.0, True),
    ]:
        scale = 2.0 ** round(np.log2(spread))
        recipes = {
            "W": dense(rows, columns, 31),
            "U": dense(rows, k, 32),
            "V": dense(columns, k, 33, scale=scale),
        }
        inputs = dense(150, columns, 34) if weighted else None
        w, u, v = (torch.tensor(matrix(recipes[name]).astype(np.float64)) for name in "WUV")
        s = root(inputs, columns)
        # The direction of G is what counts; a mean diagonal of 1 keeps it comparable.
        s = torch.tensor(s / np.sqrt(np.trace(s @ s) / columns))
        log_a = torch.tensor(float(np.log(amplitude)), dtype=torch.float64)
        for parameter in (u, v, log_a):
            parameter.requires_grad_()
        objective = 0.5 * (((torch.exp(log_a) * torch.sin(u @ v.T) - w) @ s) ** 2).sum()
        objective.backward()
        yield {
            **recipes,
            **({"inputs": inputs} if weighted else {}),
            "amplitude": amplitude,
            "objective": objective.item(),
            "slope": log_a.grad.item(),
            "gradU": [float(f"{x:.8g}") for x in u.grad.flatten().tolist()],
            "gradV": [float(f"{x:.8g}") for x in v.grad.flatten().tolist()],
        }


def fits():
    for recipe, k in [
        ({**dense(192, 192, 41), "name": "Kaiming uniform"}, 48),
        (dense(48, 300, 42), 4),
        ({"name": "decaying", "kind": "decay", "rows": 96, "columns": 80, "power": 1, "seed": 43}, 8),
        ({"name": "steep", "kind": "decay", "rows": 64, "columns": 96, "power": 3, "seed": 44}, 5),
        ({"name": "rank 7", "kind": "product", "rows": 120, "columns": 80, "rank": 7, "seed": 11}, 7),
    ]:
        w = matrix(recipe).astype(np.float64)
        yield {"recipe": recipe, "rank": k, "svdError": svd_error(w, np.eye(w.shape[1]), k)}


made = f"make_sine.py, Python {sys.version.split()[0]}, numpy {np.__version__}, torch {torch.__version__}"
json.dump(
    {"made": made, "truncatedSvd": list(truncated_svd()), "gradients": list(gradients()), "fits": list(fits())},
    sys.stdout,
)
print()
