"""Writes training_tasks.json: what tasks must compute, from PyTorch and NumPy.

    OPENBLAS_CORETYPE=SkylakeX python3 make_training_tasks.py [path of the shared data]

Losses and their gradients are PyTorch's own functions and autograd in float64; volume rendering is a plain loop over the
samples of a ray; whether a point is inside of a mesh is its generalized winding number (Jacobson et al., 2013): the sum of
the solid angles of all triangles, by the formula of Van Oosterom and Strackee (1983), over 4 pi, above one half.
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SHARED = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
rng = np.random.default_rng(77)


def numbers(array):
    return [float(x) for x in np.asarray(array, dtype=np.float64).ravel()]


def loss_with_gradient(inputs, function):
    leaf = torch.tensor(inputs, dtype=torch.float64, requires_grad=True)
    loss = function(leaf)
    loss.backward()
    return {"loss": float(loss), "gradient": numbers(leaf.grad)}


def cross_entropy():
    logits = rng.normal(0, 3, (6, 4)).astype(np.float32)
    targets = rng.integers(0, 4, 6)
    labels = torch.tensor(targets)
    cases = [
        {"smoothing": s, **loss_with_gradient(logits, lambda x: F.cross_entropy(x, labels, label_smoothing=s))}
        for s in (0.0, 0.1)
    ]
    return {"logits": numbers(logits), "targets": targets.tolist(), "classes": 4, "cases": cases}


def masked():
    logits = rng.normal(0, 2, (2, 3, 5)).astype(np.float32)
    targets = rng.integers(0, 5, (2, 3))
    weights = np.array([[0, 1, 0], [1, 1, 0]])
    ignored = torch.tensor(np.where(weights == 1, targets, -100)).reshape(-1)
    result = loss_with_gradient(logits, lambda x: F.cross_entropy(x.reshape(-1, 5), ignored, ignore_index=-100))
    shape = {"shape": [2, 3, 5], "targets": targets.ravel().tolist(), "weights": weights.ravel().tolist()}
    return {"logits": numbers(logits), **shape, **result}


def occupancy():
    logits = np.array([-30, -4, -0.5, 0, 0.25, 3, 40], dtype=np.float32)
    inside = np.array([0, 1, 0, 1, 1, 0, 1], dtype=np.float64)
    target = torch.tensor(inside)
    result = loss_with_gradient(logits, lambda x: F.binary_cross_entropy_with_logits(x, target))
    return {"logits": numbers(logits), "inside": numbers(inside), **result}


def render(raw, lengths, background, density):
    """One ray after the other, one sample after the other."""
    colours = []
    for ray in range(raw.shape[0]):
        reaches = torch.ones((), dtype=torch.float64)
        colour = torch.zeros(3, dtype=torch.float64)
        for i in range(raw.shape[1]):
            value = raw[ray, i, 3]
            sigma = F.softplus(value - 1) if density == "softplus" else F.relu(value)
            stays = torch.exp(-sigma * lengths[ray, i])
            colour = colour + reaches * (1 - stays) * torch.sigmoid(raw[ray, i, :3])
            reaches = reaches * stays
        colours.append(colour + reaches * background[ray])
    return torch.stack(colours)


def rendering():
    raw = rng.normal(0, 2, (3, 7, 4)).astype(np.float32)
    lengths = rng.uniform(0.01, 0.9, (3, 7)).astype(np.float32)
    background = np.array([[1, 1, 1], [0, 0, 0], [0.25, 0.5, 0.75]], dtype=np.float32)
    target = rng.uniform(0, 1, (3, 3)).astype(np.float32)
    fixed = [torch.tensor(x, dtype=torch.float64) for x in (lengths, background, target)]
    cases = []
    for density in ("softplus", "relu"):
        colours = render(torch.tensor(raw, dtype=torch.float64), fixed[0], fixed[1], density)
        result = loss_with_gradient(raw, lambda x: F.mse_loss(render(x, fixed[0], fixed[1], density), fixed[2]))
        cases.append({"density": density, "colours": numbers(colours), **result})
    inputs = {"raw": raw, "lengths": lengths, "background": background, "target": target}
    return {**{name: numbers(values) for name, values in inputs.items()}, "rays": 3, "samples": 7, "cases": cases}


def rays():
    """A camera turned by chance and moved: the ray of a pixel, through its centre."""
    turn, _ = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    if np.linalg.det(turn) < 0:
        turn[:, 0] *= -1
    pose = np.eye(4)
    pose[:3, :3] = turn
    pose[:3, 3] = [0.5, -3.0, 2.0]
    height, width, focal = 6, 10, 8.5
    pixels = [0, 9, 23, 59]
    directions = []
    for pixel in pixels:
        y, x = divmod(pixel, width)
        camera = np.array([(x + 0.5 - width / 2) / focal, -(y + 0.5 - height / 2) / focal, -1.0])
        world = turn @ camera
        directions.append(world / np.linalg.norm(world))
    size = {"height": height, "width": width, "focal": focal, "pixels": pixels}
    return {**size, "pose": numbers(pose), "directions": numbers(directions)}


def opacity():
    """The last channel of pictures that have one, as PIL reads it."""
    folder = HERE.parent / "fixtures" / "data"
    return {
        name: np.asarray(Image.open(folder / f"{name}.png"))[..., -1].ravel().tolist() for name in ("rgba", "grey_alpha")
    }


def read_obj(path):
    vertices, faces = [], []
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            vertices.append([float(word) for word in words[1:4]])
        elif words[:1] == ["f"]:
            corners = [int(word.split("/")[0]) - 1 for word in words[1:]]
            faces += [[corners[0], corners[i], corners[i + 1]] for i in range(1, len(corners) - 1)]
    return np.array(vertices), np.array(faces)


def winding_numbers(points, triangles):
    result = np.empty(len(points))
    for i, point in enumerate(points):
        a, b, c = (triangles[:, corner] - point for corner in range(3))
        la, lb, lc = (np.sqrt((v * v).sum(1)) for v in (a, b, c))
        numerator = (a * np.cross(b, c)).sum(1)
        denominator = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        result[i] = np.arctan2(numerator, denominator).sum() / (2 * np.pi)
    return result


def inside(name, resolution, count):
    """Points of the grid: half of them anywhere, half beside the surface."""
    vertices, faces = read_obj(SHARED / "meshes" / f"{name}.obj")
    used = vertices[np.unique(faces)]
    low, high = used.min(0), used.max(0)
    fitted = (vertices - (low + high) / 2) * (1.9 / (high - low).max())
    triangles = fitted[faces]
    anywhere = rng.integers(0, resolution, (count, 3))
    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
    chosen = triangles[rng.choice(len(triangles), count, p=area / area.sum())]
    corners = rng.dirichlet([1, 1, 1], count)
    on_surface = (chosen * corners[:, :, None]).sum(1)
    cells = (on_surface + 1) * resolution / 2 - 0.5 + rng.uniform(-1.5, 1.5, (count, 3))
    beside = np.clip(np.rint(cells), 0, resolution - 1).astype(np.int64)
    grid = np.concatenate([anywhere, beside])
    numbers_ = winding_numbers((2 * grid + 1) / resolution - 1, triangles)
    index = (grid[:, 2] * resolution + grid[:, 1]) * resolution + grid[:, 0]
    return {
        "resolution": resolution,
        "anywhere": count,
        "points": base64.b64encode(index.astype("<u4").tobytes()).decode(),
        "inside": base64.b64encode(np.packbits(numbers_ > 0.5, bitorder="little").tobytes()).decode(),
    }


def main():
    result = {
        "crossEntropy": cross_entropy(),
        "masked": masked(),
        "occupancy": occupancy(),
        "rendering": rendering(),
        "rays": rays(),
        "opacity": opacity(),
        "meshes": {"spot": inside("spot", 64, 2000), "stanford-bunny": inside("stanford-bunny", 128, 1500)},
    }
    (HERE / "training_tasks.json").write_text(json.dumps(result) + "\n")


main()
