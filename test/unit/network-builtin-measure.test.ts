/** Built-in networks as networks that are measured: against the linear layers' own host, and a published ResNet-20. */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import type { LayerGram, RunnableNetwork } from '../../src/network/network';
import { openNetwork } from '../../src/network/open';
import { parseRecipe } from '../../src/network/readRecipe';
import { RandomStream } from '../../src/lowrank/randomStream';
import { temporaryFolder } from '../fixtures/handmade';
import { safetensorsBytes } from '../reference/generated';
import { sharedData } from '../reference/references';

const backend = createWasmBackend(2);
after(() => backend.dispose());
const never = new AbortController().signal;
const { folder, write } = temporaryFolder();

function open(network: object, data: object): Promise<RunnableNetwork> {
  const recipe = { schema: 'rankscope/recipe@1', network, data };
  const file = path.join(folder, 'x.rankscope.json');
  return openNetwork(parseRecipe(JSON.stringify(recipe), file), { backend, signal: never, trusted: false });
}

/** A `.npy` of float32 or int32. */
function npy(shape: readonly number[], values: Float32Array | Int32Array): Buffer {
  const descr = values instanceof Float32Array ? '<f4' : '<i4';
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0]);
  return Buffer.concat([start, Buffer.from(`${header.padEnd(117)}\n`), Buffer.from(values.buffer)]);
}

const WIDTHS = [6, 5, 4, 3] as const;
const SAMPLES = 50;
const random = new RandomStream(11);
const numbers = (count: number) => Float32Array.from({ length: count }, () => random.symmetric(1.5));
const layers = [0, 1, 2].map((i) => ({
  name: `layers.${i}`,
  shape: [WIDTHS[i + 1] ?? 0, WIDTHS[i] ?? 0],
}));
const checkpoint = write(
  'net.safetensors',
  safetensorsBytes(
    layers.flatMap(({ name, shape: [m = 0, n = 0] }) => [
      { name: `${name}.weight`, shape: [m, n], values: numbers(m * n) },
      { name: `${name}.bias`, shape: [m], values: numbers(m) },
    ]),
  ),
);
write('x.npy', npy([SAMPLES, WIDTHS[0]], numbers(SAMPLES * WIDTHS[0])));
write(
  'y.npy',
  npy(
    [SAMPLES],
    Int32Array.from({ length: SAMPLES }, () => random.integer() % 3),
  ),
);
const data = { validation: { path: 'x.npy', labels: 'y.npy' }, batchSize: 16 };

async function gramsOf(network: RunnableNetwork): Promise<LayerGram[]> {
  const grams: LayerGram[] = [];
  await network.inputGrams(
    network.layers.map((_, i) => i),
    (gram) => {
      grams.push(gram);
      return Promise.resolve();
    },
    never,
  );
  return grams;
}

describe('a built-in network', () => {
  test('is measured as its linear layers by themselves are', async () => {
    const mine = await open({ kind: 'perceptron', widths: WIDTHS, checkpoint }, data);
    const theirs = await open({ kind: 'mlp', checkpoint }, data);
    try {
      assert.deepEqual(mine.layers, theirs.layers);
      assert.equal(mine.facts.parameters, theirs.facts.parameters);
      const [a, b] = [await gramsOf(mine), await gramsOf(theirs)];
      a.forEach(({ gram, vectors }, i) => {
        assert.equal(vectors, b[i]?.vectors);
        gram.forEach((value, at) => {
          assert.ok(Math.abs(value - (b[i]?.gram[at] ?? NaN)) <= 1e-5 * Math.abs(value) + 1e-5);
        });
      });
      const before = await mine.evaluate(undefined, never);
      assert.deepEqual(before, await theirs.evaluate(undefined, never));
      const weight = (await mine.weight(1, never)).map((value, i) => (i % 3 === 0 ? 0 : value));
      const changed = await mine.evaluate({ layer: 1, weight }, never);
      assert.deepEqual(changed, await theirs.evaluate({ layer: 1, weight }, never));
      assert.notEqual(changed.value, before.value);
      await mine.commit({ layer: 1, weight });
      assert.deepEqual(await mine.evaluate(undefined, never), changed);
      // The Gram matrices, and the weight, stay those of the original.
      assert.deepEqual(await gramsOf(mine), a);
      await mine.reset();
      assert.deepEqual(await mine.evaluate(undefined, never), before);
    } finally {
      await mine.dispose();
      await theirs.dispose();
    }
  });

  test('without classes is refused in one line', async () => {
    await assert.rejects(
      open({ kind: 'gpt', vocabulary: 5, context: 4, width: 8, heads: 2, blocks: 1, checkpoint }, data),
      /net\.safetensors: a network of kind gpt has no classes/,
    );
  });

  const shared = sharedData();
  const skip = shared === undefined ? 'the shared data is not here' : false;
  test('a published ResNet-20 is as right as its authors say', { skip }, async () => {
    assert.ok(shared !== undefined);
    const cifar = path.join(shared, 'cifar10_lossless_subset/cifar10_lossless_subset.npz');
    const file = path.join(folder, 'resnet20.th');
    copyFileSync(path.join(shared, 'resnet_cifar10/resnet20-12fca82f.th'), file);
    const normal = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
    const validation = { path: cifar, inputs: 'x_test', labels: 'y_test', ...normal };
    const network = await open({ kind: 'resnet', depth: 20, checkpoint: file }, { validation });
    try {
      assert.equal(network.layers.length, 20);
      // As PyTorch has it: 854 of 932.
      const { value, samples } = await network.evaluate(undefined, never);
      assert.deepEqual([Math.round((value * samples) / 100), samples], [854, 932]);
    } finally {
      await network.dispose();
    }
  });
});
