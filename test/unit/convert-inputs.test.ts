/** A conversion whose errors are those of the layers' outputs, on the inputs that a network gives them. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { decodeElements } from '../../src/checkpoint/elements';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { writeSafetensors } from '../../src/checkpoint/write/safetensors';
import { createWasmBackend } from '../../src/compute';
import type { ConvertedLayer, LayerConversion, RankChoice } from '../../src/engine/conversionDocument';
import { convert, type ConvertOptions } from '../../src/engine/convert';
import { temporaryFolder } from '../fixtures/handmade';
import { plainNetwork, plainParameters, type PlainNetworkOptions } from './plainNetwork';

const scratch = temporaryFolder();
const backend = createWasmBackend(2);
after(() => backend.dispose());
const { signal } = new AbortController();

/** The plain network's weights as a checkpoint; `spoil` changes some. */
async function model(name: string, spoil: (layer: string, value: number) => number = (_, value) => value) {
  const { layers } = plainNetwork();
  const file = path.join(scratch.folder, `${name}.safetensors`);
  const weights = layers.map(({ name: layer, kind, shape: [m, n], groups }, i) => {
    const values = Float32Array.from(plainParameters().weights[i] ?? [], (value) => spoil(layer, value));
    const shape = kind === 'conv' ? [groups * m, n / 9, 3, 3] : [m, n];
    return { name: layer, dtype: 'float32', shape, data: new Uint8Array(values.buffer) } as const;
  });
  await writeSafetensors(file, weights);
  return file;
}

const GROUPS = [{ pattern: /conv3/, groups: 2 }];

function run(file: string, ranks: RankChoice, options: Partial<ConvertOptions> = {}) {
  return convert({
    path: file,
    out: path.join(scratch.folder, `out-${path.basename(file)}-${JSON.stringify(ranks).length}`),
    to: 'svd',
    ranks,
    groups: GROUPS,
    backend,
    signal,
    cache: null,
    ...options,
  });
}

const withInputs = (options?: PlainNetworkOptions): Pick<ConvertOptions, 'inputs'> => ({
  inputs: () => Promise.resolve(plainNetwork(options)),
});

const converted = (layers: readonly LayerConversion[]): ConvertedLayer[] =>
  layers.filter((layer) => layer.outcome === 'converted');

async function weightOf(file: string, name: string): Promise<Float64Array> {
  const { tensors } = await openCheckpoint(file);
  const tensor = tensors.find((one) => one.name === name);
  assert.ok(tensor);
  return Float64Array.from(decodeElements(await readTensorBytes(tensor), tensor.dtype));
}

/** ‖(W − Ŵ)·X‖ ÷ ‖W·X‖ over all input vectors, from the sums of their products and nothing else. */
async function outputErrors(file: string, made: string): Promise<Map<string, number>> {
  const network = plainNetwork();
  const errors = new Map<string, number>();
  const grams = new Map<number, Float64Array>();
  await network.inputGrams(
    network.layers.map((_, i) => i),
    ({ layer, gram }) => {
      grams.set(layer, gram);
      return Promise.resolve();
    },
    signal,
  );
  for (const [i, { name, shape, groups }] of network.layers.entries()) {
    const [m, n] = shape;
    const gram = grams.get(i) ?? new Float64Array(0);
    const [before, after] = [await weightOf(file, name), await weightOf(made, name)];
    const energy = (rows: Float64Array): number => {
      let sum = 0;
      for (let g = 0; g < groups; g++)
        for (let r = g * m; r < (g + 1) * m; r++)
          for (let a = 0; a < n; a++)
            for (let b = 0; b < n; b++)
              sum += (rows[r * n + a] ?? NaN) * (gram[(g * n + a) * n + b] ?? NaN) * (rows[r * n + b] ?? NaN);
      return sum;
    };
    const difference = before.map((value, at) => value - (after[at] ?? NaN));
    errors.set(name, Math.sqrt(energy(difference) / energy(before)));
  }
  return errors;
}

describe('a conversion with the inputs of a network', () => {
  const ranks: RankChoice = { kind: 'rank', rank: 2 };

  for (const to of ['svd', 'sine'])
    it(`${to}: errors are those of the outputs, and lower than without`, async () => {
      const file = await model(`errors-${to}`);
      const plain = await run(file, ranks, { to, steps: 60 });
      const plainErrors = await outputErrors(file, plain.document.files.factors);
      const out = path.join(scratch.folder, `weighted-${to}`);
      const { document } = await run(file, ranks, { to, steps: 60, out, ...withInputs() });
      const errors = await outputErrors(file, document.files.factors);
      const layers = converted(document.layers);
      assert.deepEqual(
        layers.map(({ name }) => name),
        ['conv1.weight', 'conv3.weight', 'fc1.weight', 'fc2.weight'].slice(0, layers.length),
      );
      assert.ok(layers.length >= 3);
      for (const { name, weighted, relativeError, svdRelativeError } of layers) {
        assert.equal(weighted, true);
        const [found, unweighted] = [errors.get(name) ?? NaN, plainErrors.get(name) ?? NaN];
        assert.ok(Math.abs(found - relativeError) < 1e-5, `${name}: ${relativeError} is ${found}`);
        assert.ok(relativeError <= svdRelativeError + 1e-6, `${name}: worse than truncated SVD`);
        if (to === 'svd') assert.ok(found <= unweighted + 1e-6, `${name}: ${found} above ${unweighted}`);
      }
      assert.ok(layers.some(({ name }) => (errors.get(name) ?? 1) < 0.9 * (plainErrors.get(name) ?? 0)));
      assert.deepEqual(document.inputs, { host: 'plain', runtime: 'loops', samples: 60 });
      assert.equal(document.notes, undefined);
    });

  it('an error target is one of the outputs', async () => {
    const file = await model('target');
    const error: RankChoice = { kind: 'error', relativeError: 0.3 };
    const { document } = await run(file, error, withInputs());
    const errors = await outputErrors(file, document.files.factors);
    const layers = converted(document.layers);
    assert.ok(layers.length > 0);
    for (const { name, k } of layers) {
      assert.ok((errors.get(name) ?? NaN) <= 0.3 + 1e-6, name);
      const other = await run(file, error, { out: path.join(scratch.folder, 'target-plain') });
      const plain = converted(other.document.layers).find((layer) => layer.name === name);
      assert.ok(plain === undefined || k <= plain.k, `${name}: more directions than for the weights`);
    }
  });

  it('layers that the network has not, or has with other weights, are measured by their weights, and named', async () => {
    const file = await model('other', (layer, value) => (layer === 'fc1.weight' ? 2 * value : value));
    const { document } = await run(file, ranks, withInputs());
    const [fc1] = converted(document.layers).filter(({ name }) => name === 'fc1.weight');
    assert.ok(fc1 !== undefined && fc1.weighted === undefined);
    assert.match(document.notes?.join() ?? '', /^fc1\.weight is not in the network that was run/);
  });

  it('groups that the file does not tell are told by the network', async () => {
    const file = await model('groups');
    const { document } = await run(file, ranks, { groups: [], ...withInputs() });
    assert.match(document.notes?.join() ?? '', /conv3\.weight has 2 groups in the network.*--groups/);
  });

  it('a network of other weights altogether is refused in one line, and let go', async () => {
    const file = await model('none', (_, value) => 2 * value);
    const network = plainNetwork();
    const out = path.join(scratch.folder, 'refused');
    await assert.rejects(
      run(file, ranks, { out, inputs: () => Promise.resolve(network) }),
      /none\.safetensors: the network has no layer of these names and weights: its first is conv1\.weight$/,
    );
    assert.ok(network.isDisposed());
    assert.ok(!readdirSync(scratch.folder).includes('refused'));
  });

  it('inputs that are not finite name the layer that gets them', async () => {
    const file = await model('nan');
    await assert.rejects(
      run(file, ranks, withInputs({ poison: NaN })),
      /nan\.safetensors, tensor "conv1\.weight": .*NaN or infinite/,
    );
  });
});
