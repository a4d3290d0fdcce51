/** A real network, converted, and both files that are written of it: the factors and the dense model. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import { convert } from '../../src/engine/convert';
import type { ConversionDocument } from '../../src/engine/conversionDocument';
import { pythonWith, runPython } from '../reference/python';
import { ROOT, sharedData } from '../reference/references';

const data = sharedData();
const program = data === undefined ? undefined : pythonWith('torch, numpy');
const skip =
  data === undefined ? 'no shared data here' : program === undefined && 'no Python with torch and numpy here';

const scratch = mkdtempSync(path.join(tmpdir(), 'rankscope-resnet-'));
after(() => {
  rmSync(scratch, { recursive: true, force: true });
});

const RESNET = path.join(data ?? '', 'resnet_cifar10/resnet20-12fca82f.th');
const IMAGES = path.join(data ?? '', 'cifar10_lossless_subset/cifar10_lossless_subset.npz');

/** Of the original on these images, as measured by whoever put them together. */
const ORIGINAL_ACCURACY = 0.9163;

/** The loader is the copy beside the factors, as the reader of the file finds it. */
const EVALUATE = `
import json, os, sys
reference, original, images, factors, materialized = sys.argv[1:]
sys.path[:0] = [reference, os.path.dirname(factors)]
import numpy as np
import torch
from resnet_cifar import load_resnet, normalise
import sine_lowrank
torch.set_num_threads(2)
with np.load(images) as file:
    pixels, labels = normalise(file["x_test"]), torch.from_numpy(file["y_test"].astype("int64"))

def logits(model):
    with torch.no_grad():
        return torch.cat([model(batch) for batch in pixels.split(233)])

def accuracy(values):
    return (values.argmax(1) == labels).double().mean().item()

def is_safe(path):
    try:
        torch.load(path, map_location="cpu", weights_only=True)
        return True
    except Exception:
        return False

def load(path):
    return torch.load(path, map_location="cpu")["state_dict"]

networks = {"original": load_resnet(original), "materialized": load_resnet(materialized)}
networks["dense"] = sine_lowrank.load_into(load_resnet(original), factors).eval()
networks["factors"] = sine_lowrank.load_into(load_resnet(original), factors, keep_factors=True).eval()
found = {name: logits(network) for name, network in networks.items()}
before, after = load(original), load(materialized)
layers = {layer.tensor[len("state_dict."):] for layer in sine_lowrank.load_factors(factors).values()}
print(json.dumps({
    "accuracy": {name: accuracy(values) for name, values in found.items()},
    "apart": {name: (found["materialized"] - found[name]).abs().max().item() for name in ("dense", "factors")},
    "safe": [is_safe(original), is_safe(materialized)],
    "same names": list(before) == list(after),
    "changed": sorted(n for n in before if not torch.equal(before[n], after[n])),
    "layers": sorted(layers),
    "kinds": sorted({type(m).__name__ for m in networks["factors"].modules() if hasattr(m, "V")}),
}))
`;

interface Findings {
  readonly accuracy: Readonly<Record<'original' | 'materialized' | 'dense' | 'factors', number>>;
  readonly apart: Readonly<Record<'dense' | 'factors', number>>;
  readonly safe: readonly [original: boolean, materialized: boolean];
  readonly 'same names': boolean;
  readonly changed: readonly string[];
  readonly layers: readonly string[];
  readonly kinds: readonly string[];
}

async function converted(to: 'sine' | 'svd'): Promise<ConversionDocument> {
  const backend = createWasmBackend(2);
  try {
    const { document } = await convert({
      path: RESNET,
      to,
      ranks: { kind: 'share', share: 0.6 },
      // The last four convolutions, the largest: without training anew, all of them at once cost the network its skill.
      layers: /layer3\.[12]\.conv/,
      materialize: true,
      out: path.join(scratch, to),
      steps: 150,
      backend,
      signal: new AbortController().signal,
      cache: null,
    });
    return document;
  } finally {
    await backend.dispose();
  }
}

describe('ResNet-20 with its largest layers converted', { skip }, () => {
  for (const to of ['sine', 'svd'] as const) {
    test(`has the same accuracy through ${to} factors as through the dense file`, async (t) => {
      const { files, layers } = await converted(to);
      const argv = [
        path.join(ROOT, 'test/reference'),
        RESNET,
        IMAGES,
        files.factors,
        files.materialized ?? '',
      ];
      const { status, stdout, stderr } = runPython(program ?? '', EVALUATE, argv);
      assert.equal(status, 0, stderr);
      const found = JSON.parse(stdout) as Findings; // what the script prints
      const { accuracy, apart } = found;
      t.diagnostic(
        `accuracy ${JSON.stringify(accuracy)}, largest difference of logits ${JSON.stringify(apart)}`,
      );
      assert.ok(Math.abs(accuracy.original - ORIGINAL_ACCURACY) < 1e-4, `${accuracy.original}`);
      assert.equal(accuracy.dense, accuracy.materialized);
      assert.equal(accuracy.factors, accuracy.materialized);
      // A network that lost its weights would agree with itself too: chance is 0.1.
      assert.ok(accuracy.materialized > 0.5, `${accuracy.materialized}`);
      assert.ok(apart.dense < 1e-4 && apart.factors < 1e-3, JSON.stringify(apart));
      // PyTorch 1.13 refuses the original: it cannot read the accuracy beside the weights. Later ones read both.
      assert.equal(found.safe[1], found.safe[0]);
      assert.ok(found['same names']);
      assert.deepEqual(found.changed, found.layers);
      assert.deepEqual(found.kinds, to === 'sine' ? ['SineLowRankConv'] : ['LowRankConv']);
      assert.equal(layers.filter(({ outcome }) => outcome === 'converted').length, 4);
      assert.equal(found.layers.length, 4);
    });
  }
});
