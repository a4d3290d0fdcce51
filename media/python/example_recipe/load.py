"""Copy this file and resnet.rankscope.json beside your code, and change the four lines marked with <-."""

import torch
from torchvision import datasets, models, transforms  # <- your model's own module


def load(weights, images, device="cpu"):
    """Rankscope calls this with the recipe's "arguments" and measures what it returns."""
    model = models.resnet18()  # <- your model
    model.load_state_dict(torch.load(weights, map_location="cpu"))  # <- its weights
    prepare = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
    data = datasets.ImageFolder(images, prepare)  # <- pairs of (input, class)
    part = torch.utils.data.Subset(data, range(min(2000, len(data))))
    # In the same order each time: what is measured again must be the same.
    return {
        "model": model.to(device),
        "gram": torch.utils.data.DataLoader(part, batch_size=64),
        "validation": torch.utils.data.DataLoader(data, batch_size=64),
    }
