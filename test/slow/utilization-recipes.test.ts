/**
 * Networks of every kind that runs here, from their recipes to utilized ranks: ResNet-20 in ONNX and an MLP against plain
 * PyTorch, layer by layer; a ViT in Python and a TensorFlow.js model end to end.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import type { MeasurementRequest } from '../../src/engine/utilization/measurementRequest';
import { resolveMeasurement } from '../../src/engine/utilization/measurementRequest';
import type { UtilizationDocument } from '../../src/engine/utilizationDocument';
import { utilize } from '../../src/engine/utilize';
import { openNetwork } from '../../src/network/open';
import { passesBound } from '../../src/utilization';
import { pythonWith } from '../reference/python';
import { ROOT, sharedData } from '../reference/references';
import { utilizationReferences, type NetworkReference } from '../reference/utilizationReferences';

const shared = sharedData();
const skip = shared === undefined && 'no shared data here';
const python = pythonWith('torch, numpy');
const noPython = python === undefined && 'no Python with torch here';
const references = utilizationReferences();

const backend = createWasmBackend(2);
const scratch = mkdtempSync(path.join(tmpdir(), 'rankscope-recipes-'));
after(async () => {
  await backend.dispose();
  rmSync(scratch, { recursive: true, force: true });
});

const inShared = (...parts: string[]): string => path.join(shared ?? '', ...parts);

/** Writes a recipe and measures what it says; input subspaces are taken once for all settings. */
async function measure(
  name: string,
  recipe: object,
  request: Omit<MeasurementRequest, 'path'>,
  { trusted = false, decompose }: { readonly trusted?: boolean; readonly decompose?: string } = {},
): Promise<UtilizationDocument> {
  const file = path.join(scratch, `${name}.rankscope.json`);
  writeFileSync(file, JSON.stringify({ schema: 'rankscope/recipe@1', ...recipe }));
  const measurement = await resolveMeasurement({ ...request, path: file });
  const { settings, checkpoint } = measurement;
  return utilize({
    open: (signal) => openNetwork(measurement.recipe, { backend, signal, trusted }),
    ...{ settings, checkpoint, backend, decompose },
    resume: false,
    spectra: false,
    searches: path.join(scratch, 'searches'),
    signal: new AbortController().signal,
  });
}

const percent = (share: number | null | undefined): number => 100 * (share ?? NaN);

/** Ranks do not depend on who runs the network; accuracy may by an image on the edge between two classes. */
function assertLabelFree(document: UtilizationDocument, reference: NetworkReference): void {
  const numbers = document.layers.map(({ shape, rank, kS, kT, utilizedRank }) => [
    shape,
    rank,
    kS,
    kT,
    utilizedRank,
  ]);
  assert.deepEqual(
    numbers,
    reference.labelFree.layers.map(({ shape, rank, kS, kT, utilizedRank }) => [
      shape,
      rank,
      kS,
      kT,
      utilizedRank,
    ]),
  );
  assert.ok(Math.abs(percent(document.summary.mlu) - reference.labelFree.mlu) < 1e-9);
  assert.ok(Math.abs(percent(document.summary.mluOriginal) - reference.mluOriginal) < 1e-9);
  const oneImage = 100 / reference.validationSamples + 1e-9;
  assert.ok(Math.abs((document.summary.before ?? NaN) - reference.accuracy) <= oneImage);
  assert.ok(Math.abs((document.summary.afterProjection ?? NaN) - reference.labelFree.accuracy) <= oneImage);
}

function assertSearched(document: UtilizationDocument, reference?: NetworkReference): void {
  const { summary, layers } = document;
  assert.ok(
    (summary.afterProjection ?? NaN) >= (summary.before ?? NaN) - (summary.guaranteedDrop ?? NaN) - 1e-9,
  );
  assert.ok(
    summary.passes <= passesBound(layers.map(({ shape: [outputs, inputs] }) => ({ inputs, outputs }))),
  );
  for (const { error, utilizedRank, kS, kT } of layers) {
    assert.ok(error.measured <= error.bound);
    assert.ok(utilizedRank <= Math.min(kS, kT));
  }
  if (reference === undefined) return;
  const distance = Math.abs(percent(summary.mlu) - reference.cumulative.mlu);
  assert.ok(distance <= 1.5, `MLU ${percent(summary.mlu)}, PyTorch has ${reference.cumulative.mlu}`);
}

/** Two layers for fc1, or one; accuracy on all of MNIST. */
const LOAD_DECOMPOSED = `
import json, struct, sys
import numpy as np, torch
from utilization_networks import mlp

raw = open(sys.argv[1], "rb").read()
(length,) = struct.unpack("<Q", raw[:8])
header = json.loads(raw[8 : 8 + length])
header.pop("__metadata__")
tensors = {}
for name, entry in header.items():
    start, end = entry["data_offsets"]
    values = np.frombuffer(raw[8 + length + start : 8 + length + end], np.float32).reshape(entry["shape"])
    tensors[name] = torch.from_numpy(values.copy())
model, _, images, labels = mlp()
for name in ("fc1", "fc2"):
    if name + ".0.weight" in tensors:
        rank, inputs = tensors[name + ".0.weight"].shape
        outputs = tensors[name + ".1.weight"].shape[0]
        two = [torch.nn.Linear(inputs, rank, bias=False), torch.nn.Linear(rank, outputs)]
        setattr(model, name, torch.nn.Sequential(*two))
model.load_state_dict(tensors)
with torch.no_grad():
    print(100 * (model(images).argmax(1) == labels).double().mean().item())
`;

describe('ResNet-20 in ONNX', { skip: skip !== false ? skip : noPython }, () => {
  const images = inShared('cifar10_lossless_subset', 'cifar10_lossless_subset.npz');
  const normalised = { path: images, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  const recipe = {
    network: {
      kind: 'onnx',
      model: 'resnet20.onnx',
      checkpoint: inShared('resnet_cifar10', 'resnet20-12fca82f.th'),
    },
    data: {
      gram: { ...normalised, inputs: 'x_train', to: 2000 },
      validation: { ...normalised, inputs: 'x_test', labels: 'y_test' },
    },
  };
  const exported = spawnSync(
    python ?? '',
    [path.join(ROOT, 'test/bench/export_resnet.py'), path.join(scratch, 'resnet20.onnx')],
    {
      encoding: 'utf8',
      env: { ...process.env, RANKSCOPE_SHARED: path.dirname(shared ?? ''), OPENBLAS_CORETYPE: 'SkylakeX' },
    },
  );

  test('label-free at 0.99: every layer as in plain PyTorch', async () => {
    assert.equal(exported.status, 0, exported.stderr);
    assertLabelFree(await measure('resnet20', recipe, { energy: 0.99 }), references.networks.resnet20);
  });

  test('cumulative at δ = 0.1: within 1.5 points of plain PyTorch, never below the guarantee', async () => {
    assertSearched(await measure('resnet20', recipe, { delta: 0.1 }), references.networks.resnet20);
  });
});

describe('an MLP from its checkpoint', { skip }, () => {
  const recipe = {
    network: { kind: 'mlp', checkpoint: inShared('ggml_mnist', 'mnist_model.state_dict') },
    data: {
      gram: { path: inShared('mnist', 'train-images-idx3-ubyte.gz'), to: 2000 },
      validation: { path: inShared('mnist', 't10k-images-idx3-ubyte.gz') },
      batchSize: 500,
    },
  };

  test('label-free at 0.99: both layers as in plain PyTorch', async () => {
    assertLabelFree(await measure('mlp', recipe, { energy: 0.99 }), references.networks.mlp);
  });

  test('cumulative at δ = 0.1: within 1.5 points of plain PyTorch', async () => {
    assertSearched(await measure('mlp', recipe, { delta: 0.1 }), references.networks.mlp);
  });
});

describe('an MLP in Python, with its checkpoint', { skip: skip !== false ? skip : noPython }, () => {
  test('is decomposed: after a search that left its projections in the model, too', async () => {
    const checkpoint = inShared('ggml_mnist', 'mnist_model.state_dict');
    const recipe = {
      network: {
        kind: 'python',
        file: path.join(ROOT, 'test/reference/utilization_networks.py'),
        arguments: { network: 'mlp' },
        checkpoint,
        python,
      },
    };
    process.env.RANKSCOPE_SHARED = path.dirname(shared ?? '');
    const decompose = path.join(scratch, 'mlp-two.safetensors');
    const { summary, files } = await measure(
      'mlp-python',
      recipe,
      { delta: 0.3 },
      { trusted: true, decompose },
    );
    assert.equal(files?.decomposed, decompose);
    assert.ok(Math.abs((summary.afterDecomposition ?? NaN) - (summary.afterProjection ?? NaN)) < 0.5);
    // Straight from the file, without our code, and without the library whose model it was.
    const { status, stdout, stderr } = spawnSync(python ?? '', ['-c', LOAD_DECOMPOSED, decompose], {
      encoding: 'utf8',
      env: { ...process.env, PYTHONPATH: path.join(ROOT, 'test/reference'), OPENBLAS_CORETYPE: 'SkylakeX' },
    });
    assert.equal(status, 0, stderr);
    assert.ok(Math.abs(Number(stdout) - (summary.afterDecomposition ?? NaN)) < 0.011, stdout);
  });
});

describe('a ViT in Python', { skip: skip !== false ? skip : noPython }, () => {
  test('a search from a recipe, up to a budget of passes', async () => {
    const recipe = {
      network: {
        kind: 'python',
        file: path.join(ROOT, 'test/reference/utilization_networks.py'),
        arguments: { network: 'vit' },
        python,
      },
    };
    process.env.RANKSCOPE_SHARED = path.dirname(shared ?? '');
    const document = await measure('vit', recipe, { delta: 0.1, maxPasses: 10 }, { trusted: true });
    assertSearched(document);
    const { before, passes, mlu, mluOriginal } = document.summary;
    assert.ok(Math.abs((before ?? NaN) - references.networks.vit.accuracy) < 1e-9);
    assert.ok(passes <= 10 && (mlu ?? 1) < (mluOriginal ?? 0));
  });
});

describe('a TensorFlow.js model', { skip }, () => {
  test('a search from a model.json: most of its convolutions and of its first dense layer is not used', async () => {
    const recipe = {
      network: { kind: 'tfjs', model: inShared('tfjs_mnist_modeljson', 'model.json') },
      data: {
        gram: { path: inShared('mnist', 'train-images-idx3-ubyte.gz'), to: 300 },
        validation: { path: inShared('mnist', 't10k-images-idx3-ubyte.gz'), to: 500 },
      },
    };
    const document = await measure('digits', recipe, { delta: 0.2 });
    assertSearched(document);
    assert.equal(document.layers.length, 6);
    assert.ok((document.summary.before ?? 0) > 98);
    assert.ok(percent(document.summary.mlu) < 60 && percent(document.summary.mluOriginal) > 90);
  });
});
