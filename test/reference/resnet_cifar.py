"""ResNet-20/32/44/56 for CIFAR-10 (He et al. 2016, section 4.2): three stages of basic blocks with 16, 32 and 64
channels; where the shape changes, the shortcut is every second pixel with zeros for the new channels (option A)."""

import torch
from torch import nn
from torch.nn import functional as F

# Channel means and deviations of ImageNet, which these checkpoints were trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.added = outputs - inputs

    def shortcut(self, x):
        if self.stride == 1 and self.added == 0:
            return x
        before = self.added // 2
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, before, self.added - before))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNetCifar(nn.Module):
    def __init__(self, blocks, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(blocks, 16, 16, 1)
        self.layer2 = self._stage(blocks, 16, 32, 2)
        self.layer3 = self._stage(blocks, 32, 64, 2)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _stage(blocks, inputs, outputs, stride):
        first = BasicBlock(inputs, outputs, stride)
        return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.layer3(self.layer2(self.layer1(y)))
        return self.linear(y.mean(dim=(2, 3)))


def load_resnet(path):
    """The network of a checkpoint whose names begin with `module.`, ready for evaluation.

    The depth is told by the number of blocks in the file."""
    state = torch.load(str(path), map_location="cpu")["state_dict"]
    state = {name[len("module.") :]: value for name, value in state.items()}
    blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layer1."))
    model = ResNetCifar(blocks)
    model.load_state_dict(state)
    return model.eval()


def normalise(pixels):
    """uint8 N x 3 x H x W (a NumPy array) to the float32 tensor that the network was trained on."""
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return (torch.from_numpy(pixels).float() / 255 - mean) / std
