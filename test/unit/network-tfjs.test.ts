/** TF.js layers models: weights, Gram matrices and accuracy as PyTorch computes them in float64. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import type { LayerGram, RunnableNetwork } from '../../src/network/network';
import { openNetwork } from '../../src/network/open';
import type { DataRecipe } from '../../src/network/recipe';
import { parseRecipe, readRecipe } from '../../src/network/readRecipe';
import { loadTensorFlow } from '../../src/network/tfjs';
import { patchRows, type ConvolutionGeometry } from '../../src/network/tfjs/patches';
import { temporaryFolder } from '../fixtures/handmade';
import { NETWORK_FIXTURES, networkReferences } from '../reference/networkReferences';
import { ROOT, sharedData } from '../reference/references';

const backend = createWasmBackend(2);
after(() => backend.dispose());
const never = new AbortController().signal;
const references = networkReferences();
const RESIDUAL = path.join(NETWORK_FIXTURES, 'residual');

function open(model: string, validation: DataRecipe, batchSize = 7): Promise<RunnableNetwork> {
  const recipe = {
    schema: 'rankscope/recipe@1',
    network: { kind: 'tfjs', model },
    data: { validation, batchSize },
  };
  return openNetwork(parseRecipe(JSON.stringify(recipe), path.resolve('x.rankscope.json')), {
    backend,
    signal: never,
    trusted: false,
  });
}

async function grams(network: RunnableNetwork, layers?: readonly number[]): Promise<Map<string, LayerGram>> {
  const found = new Map<string, LayerGram>();
  const keep = (gram: LayerGram): Promise<void> => {
    found.set(network.layers[gram.layer]?.name ?? '', gram);
    return Promise.resolve();
  };
  await network.inputGrams(layers ?? network.layers.map((_, i) => i), keep, never);
  return found;
}

/** Largest difference relative to the largest expected value. */
function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assert.equal(actual.length, expected.length);
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs((actual[i] ?? NaN) - (expected[i] ?? NaN)));
    size = Math.max(size, Math.abs(expected[i] ?? NaN));
  }
  return difference / size;
}

const data = { path: path.join(RESIDUAL, 'data.npz') };
const model = path.join(RESIDUAL, 'model.json');
const indexOf = (network: RunnableNetwork, name: string): number => {
  const index = network.layers.findIndex((layer) => layer.name === name);
  assert.ok(index >= 0, name);
  return index;
};
const zeros = (network: RunnableNetwork, layer: number) => ({
  layer,
  weight: new Float64Array(network.layers[layer]?.parameters ?? 0),
});

describe('a TF.js model with a branch, dilation, uneven padding and a model inside', () => {
  const { residual } = references;

  test('shows its layers as the file names their weights, in the order in which they run', async () => {
    const network = await open(model, data);
    assert.deepEqual(
      network.layers.map(({ name, kind, shape, bias, positions }) => [name, kind, ...shape, bias, positions]),
      [
        ['stem/kernel', 'conv', 4, 18, 4, 64],
        ['down/kernel', 'conv', 6, 36, 6, 16],
        ['branch/kernel', 'conv', 6, 54, 6, 16],
        ['wide/kernel', 'conv', 3, 24, 3, 4],
        ['hidden/kernel', 'linear', 5, 12, 5, 1],
        ['out/kernel', 'linear', 3, 5, 3, 1],
      ],
    );
    assert.equal(network.facts.host, 'tfjs');
    assert.match(network.facts.runtime, /^TensorFlow\.js \d.*WebAssembly/);
    assert.equal(network.facts.metric, 'accuracy');
    assert.equal(network.facts.parameters, 810);
    await network.dispose();
  });

  test('gives weights out × in, the channels of a window outermost', async () => {
    const network = await open(model, data);
    for (const [layer, { name }] of network.layers.entries()) {
      assert.deepEqual([...(await network.weight(layer, never))], residual.weights[name], name);
    }
    await network.dispose();
  });

  test('gives the Gram matrices of all layers, whatever the batch', async () => {
    for (const batchSize of [1, 7, 64]) {
      const network = await open(model, data, batchSize);
      const found = await grams(network);
      assert.equal(found.size, 6);
      for (const [name, { gram, vectors }] of found) {
        const expected = residual.grams[name];
        assert.ok(expected);
        assert.equal(vectors, expected.vectors, name);
        assert.ok(relativeError(gram, expected.gram) < 2e-6, name);
      }
      await network.dispose();
    }
  });

  test('has the accuracy of PyTorch', async () => {
    const network = await open(model, data);
    const { value, samples, metric } = await network.evaluate(undefined, never);
    assert.deepEqual([metric, samples], ['accuracy', 24]);
    assert.ok(Math.abs(value - residual.accuracy) < 1e-9);
    await network.dispose();
  });

  test('evaluates from any layer on as it does from the start', async () => {
    const network = await open(model, data);
    // What is kept from earlier evaluations must not show: each change beside a network that was just opened.
    for (const layer of [0, 1, 2, 3, 4, 5, 3, 1, 5]) {
      const fresh = await open(model, data);
      const change = zeros(network, layer);
      assert.deepEqual(
        await network.evaluate(change, never),
        await fresh.evaluate(change, never),
        `${layer}`,
      );
      await fresh.dispose();
    }
    assert.ok(Math.abs((await network.evaluate(undefined, never)).value - residual.accuracy) < 1e-9);
    await network.dispose();
  });

  test('keeps what is committed until it is reset; its Gram matrices stay the original ones', async () => {
    const network = await open(model, data);
    const original = (await network.evaluate(undefined, never)).value;
    const out = indexOf(network, 'out/kernel');
    const down = indexOf(network, 'down/kernel');
    // Without inputs, the bias of the last layer decides: one class for all.
    await network.evaluate(zeros(network, out), never);
    await network.commit(zeros(network, out));
    const constant = (await network.evaluate(undefined, never)).value;
    assert.notEqual(constant, original);
    await network.commit(zeros(network, down));
    assert.equal((await network.evaluate(undefined, never)).value, constant);
    assert.deepEqual([...(await network.weight(down, never))], residual.weights['down/kernel']);
    const found = await grams(network);
    assert.ok(
      relativeError(found.get('out/kernel')?.gram ?? [], residual.grams['out/kernel']?.gram ?? []) < 2e-6,
    );
    assert.equal((await network.evaluate(undefined, never)).value, constant);
    await network.reset();
    assert.equal((await network.evaluate(undefined, never)).value, original);
    await network.dispose();
  });

  test('leaves no tensor behind', async () => {
    const tf = await loadTensorFlow();
    const before = tf.memory();
    const network = await open(model, data);
    const opened = tf.memory();
    await grams(network, [1, 3]);
    for (const layer of [0, 2, 5]) await network.evaluate(zeros(network, layer), never);
    await network.commit(zeros(network, 1));
    await network.reset();
    assert.deepEqual([tf.memory().numTensors, tf.memory().numBytes], [opened.numTensors, opened.numBytes]);
    await network.dispose();
    assert.deepEqual([tf.memory().numTensors, tf.memory().numBytes], [before.numTensors, before.numBytes]);
  });

  test('stops when it is cancelled, and goes on as before', async () => {
    const network = await open(model, data, 1);
    const { value } = await network.evaluate(undefined, never);
    const stop = new AbortController();
    const running = network.evaluate(zeros(network, 5), stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(running, /enough/);
    await assert.rejects(
      network.inputGrams([0], () => Promise.resolve(), stop.signal),
      /enough/,
    );
    assert.equal((await network.evaluate(undefined, never)).value, value);
    await network.dispose();
  });

  test('runs without labels, and says so when accuracy is asked for', async () => {
    const { write } = temporaryFolder();
    const npy = npyOf([2, 8, 8, 2], new Float32Array(256).fill(0.5));
    const network = await open(model, { path: write('x.npy', npy) });
    assert.equal(network.facts.metric, undefined);
    assert.equal((await grams(network)).size, 6);
    await assert.rejects(network.evaluate(undefined, never), /no labels: name them in the recipe/);
    await network.dispose();
  });

  test('tells when its activations are no numbers', async () => {
    const { write } = temporaryFolder();
    const values = new Float32Array(256).fill(1);
    values[70] = NaN;
    write('y.npy', npyOf([2], Int32Array.from([0, 1])));
    const file = write('x.npy', npyOf([2, 8, 8, 2], values));
    const network = await open(model, { path: file, labels: path.join(path.dirname(file), 'y.npy') });
    await assert.rejects(
      grams(network),
      /the inputs of "stem\/kernel" are NaN or infinite on the Gram data: check/,
    );
    await assert.rejects(network.evaluate(undefined, never), /output for validation sample 0 is NaN/);
    await network.dispose();
  });

  test('refuses data and labels that are not its own', async () => {
    const { write } = temporaryFolder();
    const small = write('x.npy', npyOf([2, 4, 4, 2], new Float32Array(64)));
    await assert.rejects(
      open(model, { path: small }),
      /samples are 4 × 4 × 2, but the network takes 8 × 8 × 2/,
    );
    const file = write('z.npy', npyOf([2, 8, 8, 2], new Float32Array(256)));
    const labels = write('y.npy', npyOf([2], Int32Array.from([0, 7])));
    await assert.rejects(
      open(model, { path: file, labels }),
      /tells 3 classes apart, but the labels go up to 7/,
    );
  });
});

/** A `.npy` of float32 or int32. */
function npyOf(shape: readonly number[], values: Float32Array | Int32Array): Buffer {
  const descr = values instanceof Float32Array ? '<f4' : '<i4';
  const header =
    `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`.padEnd(117) + '\n';
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
  return Buffer.concat([start, Buffer.from(header), Buffer.from(values.buffer)]);
}

interface WindowCase extends ConvolutionGeometry {
  readonly name: string;
  readonly sizes: readonly number[];
  /** Output sizes, and zeros before the first element of each axis, worked out by hand from Keras's rules. */
  readonly outputs: readonly number[];
  readonly before: readonly number[];
}

const WINDOWS: readonly WindowCase[] = [
  {
    name: 'one axis, padded on both sides',
    ...{ sizes: [7], kernel: [3], strides: [2], dilations: [1], padding: 'same' },
    ...{ outputs: [4], before: [1] },
  },
  {
    name: 'one axis, padded in the past',
    ...{ sizes: [6], kernel: [3], strides: [1], dilations: [2], padding: 'causal' },
    ...{ outputs: [6], before: [4] },
  },
  {
    name: 'two axes, stride and dilation',
    ...{ sizes: [5, 6], kernel: [3, 2], strides: [2, 1], dilations: [1, 2], padding: 'same' },
    ...{ outputs: [3, 6], before: [1, 1] },
  },
  {
    name: 'two axes, no padding',
    ...{ sizes: [5, 6], kernel: [2, 3], strides: [1, 2], dilations: [2, 1], padding: 'valid' },
    ...{ outputs: [3, 2], before: [0, 0] },
  },
  {
    name: 'three axes, padded at the end',
    ...{ sizes: [3, 4, 5], kernel: [2, 3, 2], strides: [1, 2, 2], dilations: [1, 1, 2], padding: 'same' },
    ...{ outputs: [3, 2, 3], before: [0, 0, 1] },
  },
];

/** All index tuples of a shape, the last axis fastest. */
function* indices(shape: readonly number[]): Generator<readonly number[]> {
  const [size, ...rest] = shape;
  if (size === undefined) yield [];
  else for (let i = 0; i < size; i++) for (const inner of indices(rest)) yield [i, ...inner];
}

describe('windows of a convolution', () => {
  const [batch, channels] = [2, 3];

  for (const { name, sizes, outputs, before, ...geometry } of WINDOWS) {
    test(`hold what the kernel meets: ${name}`, () => {
      const shape = [batch, ...sizes, channels];
      const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i + 1);
      const at = (place: readonly number[]): number => {
        const isInside = place.every((index, axis) => index >= 0 && index < (shape[axis] ?? 0));
        const offset = place.reduce((sum, index, axis) => sum * (shape[axis] ?? 0) + index, 0);
        return isInside ? (values[offset] ?? NaN) : 0;
      };
      const expected: number[] = [];
      for (const [sample = 0, ...output] of indices([batch, ...outputs])) {
        for (const [channel = 0, ...tap] of indices([channels, ...geometry.kernel])) {
          const place = output.map(
            (o, axis) =>
              o * (geometry.strides[axis] ?? 0) +
              (tap[axis] ?? 0) * (geometry.dilations[axis] ?? 0) -
              (before[axis] ?? 0),
          );
          expected.push(at([sample, ...place, channel]));
        }
      }
      const rows = [...patchRows(values, shape, geometry)].flatMap((part) => [...part]);
      assert.deepEqual(rows, expected);
    });
  }
});

describe('a model.json that is wrong', () => {
  type Model = Record<string, unknown> & {
    modelTopology: unknown;
    weightsManifest: { paths: string[]; weights: { name: string; shape: number[]; dtype: string }[] }[];
  };

  /** The fixture's model with something changed, in a folder of its own. */
  function changed(change: (model: Model) => unknown): string {
    const { folder } = temporaryFolder();
    for (const name of ['weights1.bin', 'weights2.bin'])
      copyFileSync(path.join(RESIDUAL, name), path.join(folder, name));
    // The project's own fixture, of this shape.
    const original = JSON.parse(readFileSync(model, 'utf8')) as Model;
    const file = path.join(folder, 'model.json');
    writeFileSync(file, JSON.stringify(change(original)));
    return file;
  }
  const refuses = (change: (model: Model) => unknown, reason: RegExp) =>
    assert.rejects(open(changed(change), data), (error: unknown) => {
      assert.ok(error instanceof Error);
      assert.match(error.message, reason);
      assert.ok(!error.message.includes('\n'), error.message);
      return true;
    });
  const edited = (from: string, to: string) => (original: Model) =>
    JSON.parse(JSON.stringify(original).replace(from, to)) as Model;

  test('reads no file outside its folder', async () => {
    for (const outside of ['../weights1.bin', '/etc/hostname', 'a/../../b', '']) {
      await refuses((original) => {
        for (const group of original.weightsManifest) group.paths = [outside];
        return original;
      }, /leaves the model's folder/);
    }
  });

  test('gets no more memory than its weights are', async () => {
    const started = process.memoryUsage().rss;
    await refuses(edited('"units":5', '"units":2000000000'), /layers need more weights than the file has/);
    await refuses(edited('"filters":4', '"filters":400000'), /layers need more weights than the file has/);
    assert.ok(process.memoryUsage().rss - started < 100 * 1024 * 1024);
  });

  test('has as many bytes as its weights need', async () => {
    await refuses((original) => {
      for (const group of original.weightsManifest) group.paths = ['weights1.bin'];
      return original;
    }, /the weight files are 1619 bytes shorter than the weights need/);
    await refuses((original) => {
      for (const group of original.weightsManifest) group.weights.pop();
      return original;
    }, /weights2\.bin: 1619 bytes, but model\.json needs \d+ more/);
  });

  test('is told apart from graph models, and says how to get another', async () => {
    await refuses(
      () => ({ format: 'graph-model', modelTopology: { node: [] } }),
      /a TensorFlow\.js graph model.*tfjs_layers_model/,
    );
    await refuses(() => ({ hello: 1 }), /no TensorFlow\.js layers model/);
    await refuses(() => [], /no TensorFlow\.js model/);
  });

  test('has layers that TensorFlow.js does not know', async () => {
    await refuses(
      edited('"class_name":"ReLU"', '"class_name":"MyLayer"'),
      /has no layer "MyLayer": export the model to ONNX/,
    );
  });

  test('masks, which is not followed', async () => {
    await refuses(
      edited('"class_name":"Dropout","config":{', '"class_name":"Masking","config":{"mask_value":0,'),
      /"drop" masks its inputs/,
    );
  });

  test('is cut off', async () => {
    const { write } = temporaryFolder();
    const text = readFileSync(model, 'utf8');
    await assert.rejects(open(write('model.json', text.slice(0, 500)), data), /not valid JSON/);
  });
});

test('the sample that comes with the project runs from its recipe, as PyTorch runs it', async () => {
  const recipe = await readRecipe(path.join(ROOT, 'media/sample/glyphs.rankscope.json'));
  const network = await openNetwork(recipe, { backend, signal: never, trusted: false });
  const { images, right } = references.sample;
  const { value, samples } = await network.evaluate(undefined, never);
  assert.equal(samples, images);
  assert.ok(Math.abs(value - (100 * right) / images) < 1e-9);
  await network.dispose();
});

const shared = sharedData();

describe('a real TF.js model', { skip: shared === undefined && 'no shared data beside the project' }, () => {
  test('on images it has not seen: Gram matrices and accuracy of PyTorch', async () => {
    const { images, right, grams: expected } = references.shared.tfjs;
    const folder = shared ?? '';
    const network = await open(
      path.join(folder, 'tfjs_mnist_modeljson/model.json'),
      { path: path.join(folder, 'mnist/t10k-images-idx3-ubyte.gz'), to: images },
      64,
    );
    const { value } = await network.evaluate(undefined, never);
    assert.ok(Math.abs(value - (100 * right) / images) < 1e-9);
    for (const [name, { gram, vectors }] of await grams(network)) {
      const facts = expected[name];
      assert.ok(facts);
      const n = Math.sqrt(gram.length);
      let [trace, weighted] = [0, 0];
      gram.forEach((entry, at) => {
        const [i, j] = [Math.floor(at / n), at % n];
        if (i === j) trace += entry;
        weighted += (i + 1) * (j + 1) * entry;
      });
      assert.equal(vectors, facts.vectors, name);
      assert.ok(relativeError([trace], [facts.trace]) < 1e-6, name);
      assert.ok(relativeError([weighted], [facts.weighted]) < 1e-5, name);
    }
    await network.dispose();
  });
});
