/** Linear layers of a checkpoint as a network. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import type { LayerGram, RunnableNetwork } from '../../src/network/network';
import { openNetwork } from '../../src/network/open';
import { parseRecipe } from '../../src/network/readRecipe';
import { temporaryFolder } from '../fixtures/handmade';
import { safetensorsBytes } from '../reference/generated';
import { networkReferences } from '../reference/networkReferences';
import { sharedData } from '../reference/references';

const backend = createWasmBackend(2);
after(() => backend.dispose());
const never = new AbortController().signal;

function open(network: object, data: object | undefined, trusted = false): Promise<RunnableNetwork> {
  const recipe = { schema: 'rankscope/recipe@1', network, ...(data !== undefined && { data }) };
  const file = path.resolve('x.rankscope.json');
  return openNetwork(parseRecipe(JSON.stringify(recipe), file), { backend, signal: never, trusted });
}

const { write } = temporaryFolder();

/** A `.npy` of float32 or int32. */
function npy(shape: readonly number[], values: Float32Array | Int32Array): Buffer {
  const descr = values instanceof Float32Array ? '<f4' : '<i4';
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0]);
  return Buffer.concat([start, Buffer.from(`${header.padEnd(117)}\n`), Buffer.from(values.buffer)]);
}

const SIZES = [6, 5, 4, 3] as const;
const SAMPLES = 40;
const wave = (length: number, phase: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(phase + 1.7 * i + 0.01 * i * i));
const layers = [0, 1, 2].map((i) => {
  const [inputs, outputs] = [SIZES[i] ?? 0, SIZES[i + 1] ?? 0];
  return { inputs, outputs, weight: wave(inputs * outputs, i), bias: wave(outputs, 10 + i) };
});
const x = wave(SAMPLES * SIZES[0], 20);

const ACTIVATIONS: Readonly<Record<string, (value: number) => number>> = {
  relu: (v) => Math.max(0, v),
  tanh: Math.tanh,
  sigmoid: (v) => 1 / (1 + Math.exp(-v)),
  gelu: (v) => (v * (1 + erf(v / Math.SQRT2))) / 2,
};

/** The error function by its series, which is exact enough for |x| < 4. */
function erf(value: number): number {
  let [sum, term] = [value, value];
  for (let n = 1; n < 120; n++) {
    term *= (-value * value) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** Inputs of every layer and the outputs, in float64, written out. */
function forward(activation: string): number[][][] {
  const act = ACTIVATIONS[activation];
  assert.ok(act);
  let rows = Array.from({ length: SAMPLES }, (_, s) => [...x.subarray(s * SIZES[0], (s + 1) * SIZES[0])]);
  const all = [rows];
  layers.forEach(({ inputs, outputs, weight, bias }, index) => {
    rows = rows.map((row) =>
      Array.from({ length: outputs }, (_, o) => {
        const product = row.reduce(
          (sum, value, i) => sum + value * (weight[o * inputs + i] ?? NaN),
          bias[o] ?? NaN,
        );
        return index < 2 ? act(product) : product;
      }),
    );
    all.push(rows);
  });
  return all;
}

const checkpoint = write(
  'mlp.safetensors',
  safetensorsBytes(
    layers.flatMap(({ inputs, outputs, weight, bias }, i) => [
      { name: `net.${i}.weight`, shape: [outputs, inputs], values: weight },
      { name: `net.${i}.bias`, shape: [outputs], values: bias },
    ]),
  ),
);
const inputs = write('x.npy', npy([SAMPLES, SIZES[0]], x));

describe('linear layers as a network', () => {
  for (const activation of Object.keys(ACTIVATIONS)) {
    test(`with ${activation} between them: names, weights, Gram matrices and accuracy`, async () => {
      const all = forward(activation);
      const outputs = all.at(-1) ?? [];
      const best = outputs.map((row) => row.indexOf(Math.max(...row)));
      const labels = write(
        `${activation}.npy`,
        npy(
          [SAMPLES],
          Int32Array.from(best, (label, i) => (i % 4 === 0 ? (label + 1) % 3 : label)),
        ),
      );
      const network = await open(
        { kind: 'mlp', checkpoint, activation },
        { validation: { path: inputs, labels }, batchSize: 16 },
      );
      assert.deepEqual(
        network.layers.map(({ name, shape, bias }) => [name, ...shape, bias]),
        [
          ['net.0.weight', 5, 6, 5],
          ['net.1.weight', 4, 5, 4],
          ['net.2.weight', 3, 4, 3],
        ],
      );
      assert.equal((await network.evaluate(undefined, never)).value, 75);
      const found: LayerGram[] = [];
      await network.inputGrams(
        [0, 1, 2],
        (gram) => {
          found.push(gram);
          return Promise.resolve();
        },
        never,
      );
      for (const { layer, gram } of found) {
        const n = SIZES[layer] ?? 0;
        const rows = all[layer] ?? [];
        assert.equal(rows.length, SAMPLES);
        gram.forEach((entry, at) => {
          const [i, j] = [Math.floor(at / n), at % n];
          const expected = rows.reduce((sum, row) => sum + (row[i] ?? NaN) * (row[j] ?? NaN), 0);
          assert.ok(Math.abs(entry - expected) < 1e-4, `${layer} ${i} ${j}: ${entry}, not ${expected}`);
        });
        assert.deepEqual([...(await network.weight(layer, never))], [...(layers[layer]?.weight ?? [])]);
      }
      assert.equal(found.length, 3);
      await network.dispose();
    });
  }

  const refuses = (
    tensors: readonly (readonly [name: string, ...shape: number[]])[],
    reason: RegExp,
  ): Promise<void> => {
    const file = write(
      'wrong.safetensors',
      safetensorsBytes(
        tensors.map(([name, ...shape]) => ({
          name,
          shape,
          values: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1),
        })),
      ),
    );
    return assert.rejects(open({ kind: 'mlp', checkpoint: file }, { validation: { path: inputs } }), reason);
  };

  test('are refused where they are no chain, or not linear', async () => {
    await refuses(
      [
        ['a.weight', 5, 6],
        ['b.weight', 3, 4],
      ],
      /tensor "b\.weight": takes 4 numbers, but "a\.weight" before it gives 5/,
    );
    await refuses(
      [
        ['conv.weight', 4, 3, 3, 3],
        ['fc.weight', 3, 4],
      ],
      /tensor "conv\.weight": not a linear layer/,
    );
    await refuses([['bias', 4]], /there is no linear layer in it/);
    await refuses([['a.weight', 5, 7]], /samples are 6 numbers, but the network takes 7 numbers/);
  });
});

test('a recipe that runs Python is refused where nothing is trusted', async () => {
  await assert.rejects(
    open({ kind: 'python', file: 'load.py' }, undefined),
    /network\.kind "python" runs .*load\.py: trust the workspace to allow it/,
  );
});

const shared = sharedData();

describe(
  'a real multilayer perceptron',
  { skip: shared === undefined && 'no shared data beside the project' },
  () => {
    test('has the accuracy of PyTorch on all of MNIST, and its Gram matrix', async () => {
      const { images, right, grams } = networkReferences().shared.mlp;
      const folder = shared ?? '';
      const network = await open(
        { kind: 'mlp', checkpoint: path.join(folder, 'ggml_mnist/mnist_model.state_dict') },
        { validation: { path: path.join(folder, 'mnist/t10k-images-idx3-ubyte.gz') }, batchSize: 500 },
      );
      const { value, samples } = await network.evaluate(undefined, never);
      assert.equal(samples, images);
      assert.ok(Math.abs(value - (100 * right) / images) < 1e-9);
      await network.inputGrams(
        [1],
        ({ gram, vectors }) => {
          const facts = grams['fc2.weight'];
          assert.ok(facts);
          let trace = 0;
          for (let i = 0; i < 500; i++) trace += gram[i * 501] ?? NaN;
          assert.equal(vectors, facts.vectors);
          assert.ok(Math.abs(trace / facts.trace - 1) < 1e-6);
          return Promise.resolve();
        },
        never,
      );
      await network.dispose();
    });
  },
);
