"""The sine-low-rank fit of Rankscope in plain PyTorch, float32: truncated SVD of arcsin(clip(W/a)), then Adam on U, V and
log a with a cosine schedule and annealed noise, until nothing more is gained; and a second, cooler descent where the
first gained little. The gradient is written out, which is faster here than autograd.

    peer_torch_sine.py FILE RANK STEPS THREADS
"""

import json
import math
import sys
import time

import torch

from checkpoint import matrices

NOISY_SHARE, PATIENCE, LEAST_GAIN = 0.7, 25, 1e-4
# Amplitude in root mean squares, first step length, first noise as a multiple of the SVD's error.
HOT, COOL = (1.0, 0.6, 0.25), (3.0, 0.18, 0.075)
WORTH_A_SECOND = 0.98


def factors(matrix, k):
    """Top k singular pairs by the float64 Gram matrix of the smaller side, for a matrix at least as tall as wide."""
    wide = matrix.double()
    _, vectors = torch.linalg.eigh(wide.T @ wide)
    v = vectors[:, -k:]
    u = wide @ v
    root = u.norm(dim=0).sqrt()
    return (u / root).float(), (v * root).float()


def error_of(weight, approximation):
    return ((weight.double() - approximation).norm() / weight.double().norm()).item()


def descend(weight, k, steps, svd_error, candidate):
    amplitude, rate, noise = candidate
    unit = k**-0.25
    u, v = factors(torch.asin((weight / amplitude).clamp(-1, 1)), k)
    ratio = (weight.shape[0] / weight.shape[1]) ** 0.25
    u, v = u * ratio, v / ratio
    log_a = torch.tensor(math.log(amplitude))
    adam = torch.optim.Adam(
        [{"params": [u, v], "lr": rate * unit}, {"params": [log_a], "lr": 0.05}], betas=(0.9, 0.999)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda t: 0.5 * (1 + math.cos(math.pi * t / steps)))
    best = math.inf
    for step in range(steps):
        heat = 1 - step / (NOISY_SHARE * steps)
        if heat > 0:
            sigma = noise * svd_error * heat * unit
            for factor in (u, v):
                factor.add_(torch.rand_like(factor).sub_(0.5), alpha=sigma * math.sqrt(12))
        a = log_a.exp()
        phases = u @ v.T
        sines = torch.sin(phases)
        residual = a * sines - weight
        slopes = residual * torch.cos(phases)
        u.grad, v.grad = slopes @ v, slopes.T @ u
        log_a.grad = a * (residual * sines).sum()
        if heat <= 0 and step % PATIENCE == 0:
            objective = (residual * residual).sum().item()
            if objective > best * (1 - LEAST_GAIN):
                break
            best = objective
        adam.step()
        schedule.step()
    product = u.double() @ v.double().T
    return error_of(weight, log_a.double().exp() * torch.sin(product)), step + 1


def fit(weight, k, steps):
    """(relative error, relative error of truncated SVD, steps)"""
    if weight.shape[0] < weight.shape[1]:
        weight = weight.T.contiguous()
    weight = weight / weight.square().mean().sqrt()
    u, v = factors(weight, k)
    svd_error = error_of(weight, u.double() @ v.double().T)
    error, taken = descend(weight, k, steps, svd_error, HOT)
    if error > WORTH_A_SECOND * svd_error:
        second, more = descend(weight, k, steps, svd_error, COOL)
        error, taken = min(error, second, svd_error), taken + more
    return error, svd_error, taken


def main():
    path, k, steps, threads = sys.argv[1], *map(int, sys.argv[2:5])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    _, found = matrices(path)
    seconds, errors = 0.0, []
    with torch.no_grad():
        for _name, values in found:
            weight = torch.from_numpy(values.copy())
            started = time.perf_counter()
            errors.append(fit(weight, k, steps))
            seconds += time.perf_counter() - started
    error, svd_error, taken = errors[0]
    print(json.dumps({"seconds": seconds, "error": error, "svdError": svd_error, "steps": taken}))


main()
