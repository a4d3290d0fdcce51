"""WeightWatcher's own analysis of a checkpoint loaded into bare linear layers. Usage: peer_weightwatcher.py FILE"""

import sys
import time

import torch
import weightwatcher

from checkpoint import matrices, report


def main():
    how, found = matrices(sys.argv[1])
    layers = []
    for _name, values in found:
        layer = torch.nn.Linear(values.shape[1], values.shape[0], bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(values))
        layers.append(layer)
    watcher = weightwatcher.WeightWatcher(model=torch.nn.Sequential(*layers))
    started = time.perf_counter()
    details = watcher.analyze()
    report(time.perf_counter() - started, len(details), how, dtype="as WeightWatcher chooses")


main()
