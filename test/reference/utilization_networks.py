"""The networks of utilization.json with their data, for the reference in plain PyTorch and for the Python host alike.

Needs NumPy and the shared data folder (RANKSCOPE_SHARED, or ../shared beside the project). Input Grams are summed over
the first 2,000 training images, accuracy is measured on all test images that there are."""

import gzip
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from resnet_cifar import load_resnet, normalise
from vit_cifar_small import load_vit

ROOT = Path(__file__).resolve().parents[2]
GRAM_IMAGES = 2000
BATCH = 233  # a quarter of the 932 test images of the CIFAR-10 subset


def shared():
    return Path(os.environ.get("RANKSCOPE_SHARED", ROOT.parent / "shared")) / "data"


def cifar(transform):
    data = np.load(shared() / "cifar10_lossless_subset" / "cifar10_lossless_subset.npz")
    labels = torch.from_numpy(data["y_test"].astype(np.int64))
    return transform(data["x_train"][:GRAM_IMAGES]), transform(data["x_test"]), labels


def by_255(pixels):
    return torch.from_numpy(pixels).float() / 255


def idx(name, header, shape):
    with gzip.open(shared() / "mnist" / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header).reshape(shape).copy()


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


def resnet20():
    return (load_resnet(shared() / "resnet_cifar10" / "resnet20-12fca82f.th"), *cifar(normalise))


def vit():
    return (load_vit(shared() / "vit_cifar10_small" / "vit_model.pth"), *cifar(by_255))


def mlp():
    model = Mlp().eval()
    file = shared() / "ggml_mnist" / "mnist_model.state_dict"
    model.load_state_dict(torch.load(str(file), map_location="cpu"))
    labels = torch.from_numpy(idx("t10k-labels-idx1-ubyte.gz", 8, -1).astype(np.int64))
    train = idx("train-images-idx3-ubyte.gz", 16, (-1, 784))[:GRAM_IMAGES]
    return model, by_255(train), by_255(idx("t10k-images-idx3-ubyte.gz", 16, (-1, 784))), labels


# Each gives (model, Gram images, validation images, labels).
NETWORKS = {"resnet20": resnet20, "mlp": mlp, "vit": vit}


def batches(images, labels=None):
    starts = range(0, len(images), BATCH)
    if labels is None:
        return [images[i : i + BATCH] for i in starts]
    return [(images[i : i + BATCH], labels[i : i + BATCH]) for i in starts]


def load(network):
    """For the Python host."""
    torch.set_num_threads(2)
    model, gram_images, images, labels = NETWORKS[network]()
    return {"model": model, "validation": batches(images, labels), "gram": batches(gram_images)}
