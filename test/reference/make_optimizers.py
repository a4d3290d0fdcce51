"""Writes optimizers.json: parameters after steps of PyTorch's optimisers, and factors of its schedules.

    python3 make_optimizers.py

One weight and one bias get given gradients for five steps; only the weight decays, as parameter groups have it. Everything
is float64. The clipped gradients are torch.nn.utils.clip_grad_norm_'s.
"""

import json
from pathlib import Path

import numpy as np
import torch

rng = np.random.default_rng(5)
WEIGHT = rng.normal(0, 1, (2, 3)).round(4)
BIAS = rng.normal(0, 1, 2).round(4)
GRADIENTS = [
    (rng.normal(0, 1, (2, 3)).round(4), rng.normal(0, 1, 2).round(4)) for _ in range(5)
]


def run(recipe):
    weight, bias = (torch.tensor(x, requires_grad=True) for x in (WEIGHT, BIAS))
    decay = recipe.get("weightDecay", 0.01 if recipe["kind"] == "adamw" else 0.0)
    groups = [{"params": [weight], "weight_decay": decay}, {"params": [bias], "weight_decay": 0.0}]
    if recipe["kind"] == "sgd":
        optimizer = torch.optim.SGD(
            groups,
            lr=recipe["learningRate"],
            momentum=recipe.get("momentum", 0.0),
            nesterov=recipe.get("nesterov", False),
        )
    else:
        maker = torch.optim.AdamW if recipe["kind"] == "adamw" else torch.optim.Adam
        optimizer = maker(
            groups,
            lr=recipe["learningRate"],
            betas=(recipe.get("beta1", 0.9), recipe.get("beta2", 0.999)),
            eps=recipe.get("epsilon", 1e-8),
        )
    for dw, db in GRADIENTS:
        weight.grad, bias.grad = torch.tensor(dw), torch.tensor(db)
        optimizer.step()
    return {"recipe": recipe, "weight": weight.detach().ravel().tolist(), "bias": bias.detach().tolist()}


OPTIMIZERS = [
    {"kind": "sgd", "learningRate": 0.1},
    {"kind": "sgd", "learningRate": 0.1, "momentum": 0.9, "weightDecay": 0.05},
    {"kind": "sgd", "learningRate": 0.1, "momentum": 0.9, "nesterov": True, "weightDecay": 0.05},
    {"kind": "adam", "learningRate": 0.05},
    {"kind": "adam", "learningRate": 0.05, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "weightDecay": 0.1},
    {"kind": "adamw", "learningRate": 0.05},
    {"kind": "adamw", "learningRate": 0.05, "weightDecay": 0.3},
]


def factors(make, steps):
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


S = torch.optim.lr_scheduler
STEPS = 20
SCHEDULES = [
    ({"kind": "constant"}, lambda o: S.LambdaLR(o, lambda _: 1.0)),
    ({"kind": "cosine", "final": 0.1}, lambda o: S.CosineAnnealingLR(o, STEPS, eta_min=0.1)),
    ({"kind": "linear", "final": 0.25}, lambda o: S.LinearLR(o, 1.0, 0.25, STEPS)),
    ({"kind": "exponential", "final": 0.01}, lambda o: S.ExponentialLR(o, 0.01 ** (1 / STEPS))),
    ({"kind": "steps", "epochs": [1, 3], "factor": 0.2}, lambda o: S.MultiStepLR(o, [5, 15], 0.2)),
    (
        {"kind": "cosine", "warmupSteps": 4},
        lambda o: S.SequentialLR(
            o,
            [S.LinearLR(o, 0.25, 1.0, 3), S.CosineAnnealingLR(o, STEPS - 4)],
            [4],
        ),
    ),
]

LIMIT = 0.7
clipped = [torch.tensor(g, requires_grad=True) for g in (WEIGHT, BIAS)]
for one, gradient in zip(clipped, GRADIENTS[0]):
    one.grad = torch.tensor(gradient)
torch.nn.utils.clip_grad_norm_(clipped, LIMIT)

Path(__file__).with_suffix("").with_name("optimizers.json").write_text(
    json.dumps(
        {
            "madeWith": f"torch {torch.__version__}, numpy {np.__version__}",
            "start": {"weight": WEIGHT.ravel().tolist(), "bias": BIAS.tolist()},
            "gradients": [{"weight": w.ravel().tolist(), "bias": b.tolist()} for w, b in GRADIENTS],
            "optimizers": [run(recipe) for recipe in OPTIMIZERS],
            "steps": STEPS,
            "stepsPerEpoch": 5,
            "schedules": [{"recipe": recipe, "factors": factors(make, STEPS)} for recipe, make in SCHEDULES],
            "clipping": {
                "limit": LIMIT,
                "weight": clipped[0].grad.ravel().tolist(),
                "bias": clipped[1].grad.tolist(),
            },
        },
        indent=1,
    )
    + "\n"
)
