import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020';
import schema from '../../media/schema/conversion.schema.json';
import { decodeElements, encodeElements } from '../../src/checkpoint/elements';
import { CheckpointError } from '../../src/checkpoint/errors';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { writeSafetensors, type TensorToWrite } from '../../src/checkpoint/write/safetensors';
import { createWasmBackend } from '../../src/compute';
import { audit } from '../../src/engine/audit';
import { openCache } from '../../src/engine/cache';
import type { ConvertedLayer, LayerConversion } from '../../src/engine/conversionDocument';
import { convert, type ConvertOptions } from '../../src/engine/convert';
import { densify } from '../../src/engine/densify';
import { temporaryFolder, torchZip, torchTensor, pickle, float32 as floats } from '../fixtures/handmade';

const scratch = temporaryFolder();
const backend = createWasmBackend(2);
after(() => backend.dispose());

let folders = 0;

/** A new folder for one test. */
function folder(): string {
  const made = path.join(scratch.folder, `case${folders++}`);
  mkdirSync(made);
  return made;
}

/** Low rank with a little noise: something to factor. */
function matrix(rows: number, columns: number, seed: number): Float32Array {
  let state = seed;
  const noise = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const [u, v] = [Array.from({ length: 2 * rows }, noise), Array.from({ length: 2 * columns }, noise)];
  return Float32Array.from({ length: rows * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    return (u[2 * i] ?? 0) * (v[2 * j] ?? 0) + (u[2 * i + 1] ?? 0) * (v[2 * j + 1] ?? 0) + 0.2 * noise();
  });
}

function weight(
  name: string,
  shape: readonly number[],
  seed = 1,
  dtype: 'float32' | 'bfloat16' = 'float32',
): TensorToWrite {
  const [rows = 1, ...rest] = shape;
  const columns = rest.reduce((product, size) => product * size, 1);
  return { name, dtype, shape, data: encodeElements(matrix(rows, columns, seed), dtype) };
}

const MODEL: readonly TensorToWrite[] = [
  weight('embed.weight', [40, 12], 1),
  weight('fc1.weight', [24, 12], 2),
  weight('fc1.bias', [24], 3),
  weight('fc2.weight', [12, 24], 4, 'bfloat16'),
  weight('conv.weight', [16, 6, 3, 3], 5),
  weight('tiny.weight', [2, 2], 6),
  weight('norm.weight', [12], 7),
];

async function model(tensors: readonly TensorToWrite[] = MODEL, name = 'model.safetensors'): Promise<string> {
  const file = path.join(folder(), name);
  await writeSafetensors(file, tensors);
  return file;
}

function run(file: string, options: Partial<ConvertOptions> = {}) {
  const { signal } = new AbortController();
  return convert({
    path: file,
    to: 'svd',
    ranks: { kind: 'rank', rank: 3 },
    backend,
    signal,
    cache: null,
    ...options,
  });
}

const converted = (layers: readonly LayerConversion[]): ConvertedLayer[] =>
  layers.filter((layer) => layer.outcome === 'converted');

describe('a conversion', () => {
  it('takes linear and convolution layers, and says why the others stay', async () => {
    const { document } = await run(await model());
    assert.deepEqual(
      document.layers.map((layer) => [
        layer.name,
        layer.outcome === 'dense' ? layer.reason.split(':')[0] : layer.k,
      ]),
      [
        ['embed.weight', 'embedding'],
        ['fc1.weight', 3],
        ['fc2.weight', 3],
        ['conv.weight', 3],
        ['tiny.weight', 'small'],
      ],
    );
    const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schema);
    assert.ok(validate(JSON.parse(JSON.stringify(document))), JSON.stringify(validate.errors));
  });

  it('counts what it saves over the whole model', async () => {
    const file = await model();
    const { summary, layers } = (await run(file)).document;
    const all = MODEL.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const saved = 24 * 12 - 3 * 36 + (12 * 24 - 3 * 36) + (16 * 54 - 3 * 70);
    assert.equal(summary.parametersBefore, all);
    assert.equal(summary.parametersAfter, all - saved);
    assert.equal(summary.compressionRate, (all - saved) / all);
    // bfloat16 before, float32 after.
    const bytes = 4 * all - 2 * 12 * 24;
    assert.equal(summary.bytesBefore, bytes);
    assert.equal(summary.bytesAfter, bytes - 4 * (24 * 12 - 108) - (2 * 288 - 4 * 108) - 4 * (864 - 210));
    assert.deepEqual(
      converted(layers).map(({ after }) => after.parameters),
      [108, 108, 210],
    );
  });

  it('writes factors whose product has the error that it says', async () => {
    const file = await model();
    for (const to of ['svd', 'sine']) {
      const { document } = await run(file, { to, steps: 60 });
      const opened = await openCheckpoint(document.files.factors);
      const original = await openCheckpoint(file);
      for (const { name, relativeError, svdRelativeError, spectra } of converted(document.layers)) {
        const [before, made] = await Promise.all(
          [original, opened].map(async ({ tensors }) => {
            const tensor = tensors.find((one) => one.name === name);
            assert.ok(tensor);
            return decodeElements(await readTensorBytes(tensor), tensor.dtype);
          }),
        );
        let [difference, norm] = [0, 0];
        before?.forEach((value, i) => {
          difference += (value - (made?.[i] ?? NaN)) ** 2;
          norm += value ** 2;
        });
        assert.ok(Math.abs(Math.sqrt(difference / norm) - relativeError) < 2e-6, `${to} ${name}`);
        assert.ok(relativeError <= svdRelativeError + 1e-6, `${to} ${name}: worse than truncated SVD`);
        // Eckart–Young: what the first k singular values leave.
        const energies = (spectra?.original ?? []).map((value) => value ** 2);
        const left = energies.slice(3).reduce((a, b) => a + b, 0) / energies.reduce((a, b) => a + b, 0);
        assert.ok(Math.abs(Math.sqrt(left) - svdRelativeError) < 1e-5, `${to} ${name}`);
        assert.deepEqual(spectra?.lowRank, spectra?.original.slice(0, 3));
        assert.equal(
          spectra?.converted.length,
          to === 'svd' ? 3 : Math.min(before?.length ?? 0, spectra?.original.length ?? 0),
        );
      }
      // All else as it was, under its own name.
      for (const tensor of original.tensors) {
        if (converted(document.layers).some(({ name }) => name === tensor.name)) continue;
        const other = opened.tensors.find(({ name }) => name === tensor.name);
        assert.ok(other);
        assert.deepEqual([other.dtype, other.shape], [tensor.dtype, tensor.shape]);
        assert.ok(
          Buffer.from(await readTensorBytes(tensor)).equals(await readTensorBytes(other)),
          tensor.name,
        );
      }
    }
  });

  it('puts factors, document and loader beside the checkpoint, which stays as it was', async () => {
    const file = await model();
    const before = readFileSync(file);
    const { document } = await run(file, { materialize: true });
    const names = [
      'model.svd-k3.safetensors',
      'model.svd-k3.json',
      'sine_lowrank.py',
      'model.svd-k3.dense.safetensors',
    ];
    assert.deepEqual(readdirSync(path.dirname(file)).sort(), ['model.safetensors', ...names].sort());
    assert.deepEqual(
      Object.values(document.files).map((one) => path.basename(one)),
      names,
    );
    assert.deepEqual(
      JSON.parse(readFileSync(document.files.document, 'utf8')),
      JSON.parse(JSON.stringify(document)),
    );
    assert.ok(readFileSync(file).equals(before));
    const loader = path.join(process.cwd(), 'media/python/sine_lowrank.py');
    assert.ok(readFileSync(document.files.loader ?? '').equals(readFileSync(loader)));
  });

  it('writes the dense model that the factors make', async () => {
    const { document } = await run(await model(), { materialize: true });
    const [factors, dense] = [
      await openCheckpoint(document.files.factors),
      await openCheckpoint(document.files.materialized ?? ''),
    ];
    for (const tensor of dense.tensors) {
      const made = factors.tensors.find(({ name }) => name === tensor.name);
      assert.ok(made);
      const values = decodeElements(await readTensorBytes(made), made.dtype);
      const expected = encodeElements(Float32Array.from(values), tensor.dtype);
      assert.ok(Buffer.from(expected).equals(await readTensorBytes(tensor)), tensor.name);
    }
  });

  it('takes only layers whose name is asked for, embeddings too', async () => {
    const { document } = await run(await model(), { layers: /embed|fc1/ });
    assert.deepEqual(
      converted(document.layers).map(({ name }) => name),
      ['embed.weight', 'fc1.weight'],
    );
    await assert.rejects(run(await model(), { layers: /nothing/ }), /nothing to convert: not selected/);
  });

  it('gives the same factors again for the same seed', async () => {
    const file = await model([weight('fc.weight', [24, 20], 9)]);
    const bytes = async (seed: number): Promise<Buffer> => {
      const { document } = await run(file, { to: 'sine', steps: 40, seed, out: folder() });
      return readFileSync(document.files.factors);
    };
    assert.ok((await bytes(1)).equals(await bytes(1)));
  });

  it('meets an error target with the smallest rank of truncated SVD, or a smaller one with sine', async () => {
    const file = await model([weight('fc.weight', [40, 40], 9)]);
    const target = 0.25;
    const ranks = { kind: 'error', relativeError: target } as const;
    const [svd, sine] = [await run(file, { ranks }), await run(file, { ranks, to: 'sine', steps: 60 })];
    const [a, b] = [svd, sine].map(({ document }) => converted(document.layers)[0]);
    assert.ok(a && b);
    assert.ok(a.relativeError <= target && b.relativeError <= target * (1 + 1e-5) && b.k <= a.k);
    const energies = (a.spectra?.original ?? []).map((value) => value ** 2);
    const total = energies.reduce((x, y) => x + y, 0);
    const left = energies.slice(a.k - 1).reduce((x, y) => x + y, 0);
    assert.ok(Math.sqrt(left / total) > target, 'a smaller rank would do');
    assert.match(svd.document.files.factors, /model\.svd-e0\.25\.safetensors$/);
  });

  it('hits a compression rate of the whole model from below', async () => {
    const file = await model([
      weight('a.weight', [40, 30], 1),
      weight('b.weight', [30, 40], 2),
      weight('c.bias', [30], 3),
    ]);
    const { document } = await run(file, { ranks: { kind: 'compression', rate: 0.4 } });
    const { compressionRate, parametersBefore } = document.summary;
    assert.ok(compressionRate <= 0.4 && compressionRate > 0.4 - 70 / parametersBefore);
  });

  it('leaves layers that are not finite, or zero, as they are', async () => {
    const bad = matrix(24, 12, 1);
    bad[5] = NaN;
    const zero = new Float32Array(24 * 12);
    const tensors = [bad, zero].map((values, i) => ({
      name: `l${i}.weight`,
      dtype: 'float32' as const,
      shape: [24, 12],
      data: encodeElements(values, 'float32'),
    }));
    const { document } = await run(await model([...tensors, weight('fc.weight', [24, 12], 3)]));
    assert.deepEqual(
      document.layers.map((layer) => (layer.outcome === 'dense' ? layer.reason.split(':')[0] : 'converted')),
      ['not finite', 'zero', 'converted'],
    );
    await assert.rejects(run(await model(tensors)), /nothing to convert: (not finite|zero)/);
  });

  it('converts a tied weight once and keeps its names', async () => {
    const values = matrix(12, 10, 3);
    const tied = torchTensor([12, 10], [10, 1], { elements: 120 });
    const object = pickle.dict([pickle.text('a.weight'), tied], [pickle.text('b.weight'), tied]);
    const file = path.join(folder(), 'tied.pt');
    writeFileSync(file, torchZip(object, { 0: floats(...values) }));
    const { document } = await run(file, { materialize: true });
    assert.deepEqual(
      document.layers.map((layer) => (layer.outcome === 'dense' ? layer.reason : layer.k)),
      [3, 'tied: the same weight as a.weight'],
    );
    for (const written of [document.files.factors, document.files.materialized ?? '']) {
      const { tensors } = await openCheckpoint(written);
      const [a, b] = ['a.weight', 'b.weight'].map((name) => tensors.find((tensor) => tensor.name === name));
      assert.ok(a && b, written);
      assert.deepEqual(await readTensorBytes(a), await readTensorBytes(b));
    }
    assert.equal(document.summary.parametersAfter, 3 * 22);
  });

  it('leaves out what is not the model, and says so', async () => {
    const one = torchTensor([12, 10], [10, 1], { elements: 240 });
    const two = torchTensor([12, 10], [10, 1], { elements: 240, offset: 120 });
    const object = pickle.dict(
      [pickle.text('model'), pickle.dict([pickle.text('fc.weight'), one])],
      [pickle.text('optimizer'), pickle.dict([pickle.text('exp_avg'), two])],
    );
    const file = path.join(folder(), 'run.pt');
    writeFileSync(file, torchZip(object, { 0: floats(...matrix(24, 10, 3)) }));
    const { document } = await run(file);
    const { tensors } = await openCheckpoint(document.files.factors);
    assert.ok(!tensors.some(({ name }) => name.startsWith('optimizer')));
    assert.match(
      document.notes?.join() ?? '',
      /1 tensor of optimizer and training state left out of the factor file/,
    );
  });

  it('converts every group of a convolution, and every expert of a stack', async () => {
    const file = await model([
      weight('conv.weight', [24, 6, 3, 3], 1),
      weight('moe.experts.down_proj', [3, 20, 24], 2),
    ]);
    const { document } = await run(file, {
      groups: [{ pattern: /conv/, groups: 4 }],
      ranks: { kind: 'rank', rank: 2 },
      materialize: true,
      to: 'sine',
      steps: 30,
    });
    const [conv, ...experts] = converted(document.layers);
    assert.deepEqual([conv?.groups, conv?.shape, conv?.gains?.length], [4, [6, 54], 4]);
    assert.deepEqual(
      experts.map(({ name }) => name),
      [0, 1, 2].map((i) => `moe.experts.down_proj[${i}]`),
    );
    const [factors, dense] = [
      await openCheckpoint(document.files.factors),
      await openCheckpoint(document.files.materialized ?? ''),
    ];
    for (const tensor of dense.tensors) {
      const made = factors.tensors.find(({ name }) => name === tensor.name);
      assert.ok(made);
      assert.deepEqual(made.shape, tensor.shape);
      assert.ok(Buffer.from(await readTensorBytes(made)).equals(await readTensorBytes(tensor)), tensor.name);
    }
    const again = await audit({
      path: document.files.factors,
      backend,
      signal: AbortSignal.timeout(60_000),
      cache: null,
    });
    assert.deepEqual(
      again.layers.filter(({ factorOf }) => factorOf === undefined).map(({ name, groups }) => [name, groups]),
      [['conv.weight', 4], ...experts.map(({ name }) => [name, undefined])],
    );
  });
});

describe('a file of factors', () => {
  it('is made dense again, every weight in the type that it had', async () => {
    const file = await model();
    const { document } = await run(file, { materialize: true });
    const { path: dense, weights } = await densify({
      path: document.files.factors,
      out: folder(),
      signal: AbortSignal.timeout(60_000),
    });
    assert.equal(weights, 3);
    assert.equal(path.basename(dense), 'model.svd-k3.dense.safetensors');
    const [a, b] = [await openCheckpoint(document.files.materialized ?? ''), await openCheckpoint(dense)];
    assert.equal(b.factored, undefined);
    for (const tensor of a.tensors) {
      const other = b.tensors.find(({ name }) => name === tensor.name);
      assert.ok(other);
      assert.deepEqual([other.dtype, other.shape], [tensor.dtype, tensor.shape]);
      assert.ok(Buffer.from(await readTensorBytes(tensor)).equals(await readTensorBytes(other)), tensor.name);
    }
    await assert.rejects(densify({ path: file, signal: AbortSignal.timeout(60_000) }), /keeps no factors/);
  });

  it('is converted again from the weights that it stands for; what is not keeps its factors', async () => {
    const file = await model();
    const first = (await run(file)).document;
    const second = (await run(first.files.factors, { ranks: { kind: 'rank', rank: 2 }, layers: /fc1/ }))
      .document;
    assert.equal(path.basename(second.files.factors), 'model.svd-k3.svd-k2.safetensors');
    assert.deepEqual(
      converted(second.layers).map(({ name }) => name),
      ['fc1.weight'],
    );
    const [before, after] = [
      await openCheckpoint(first.files.factors),
      await openCheckpoint(second.files.factors),
    ];
    assert.deepEqual([...(after.factored?.keys() ?? [])].sort(), ['conv.weight', 'fc1.weight', 'fc2.weight']);
    assert.deepEqual(after.factored?.get('fc2.weight'), { dtype: 'bfloat16', factorization: 'svd' });
    for (const name of ['conv.weight', 'fc2.weight', 'embed.weight']) {
      const [a, b] = [before, after].map(({ tensors }) => tensors.find((tensor) => tensor.name === name));
      assert.ok(a && b);
      assert.deepEqual(await readTensorBytes(a), await readTensorBytes(b), name);
    }
  });
});

describe('a conversion that is stopped', () => {
  it('leaves nothing behind, and the next one goes on with the layers already fitted', async () => {
    const tensors = Array.from({ length: 6 }, (_, i) => weight(`fc${i}.weight`, [32, 30], i + 1));
    const file = await model(tensors);
    const cache = openCache(folder());
    const stop = new AbortController();
    const done: string[] = [];
    const options = { to: 'sine', steps: 30, cache } as const;
    const stopped = run(file, {
      ...options,
      signal: stop.signal,
      onLayer: (layer) => {
        done.push(layer.name);
        if (done.length === 3) stop.abort(new Error('enough'));
      },
    });
    await assert.rejects(stopped, /enough/);
    assert.deepEqual(readdirSync(path.dirname(file)), ['model.safetensors']);
    const { reusedLayers, document } = await run(file, options);
    assert.ok(reusedLayers >= 3 && reusedLayers < 6, `${reusedLayers} reused`);
    assert.equal(document.summary.converted, 6);
    // Fits that were kept are the fits that would be made.
    const fresh = await run(file, { ...options, cache: null, out: folder() });
    assert.ok(readFileSync(fresh.document.files.factors).equals(readFileSync(document.files.factors)));
    assert.equal((await run(file, options)).reusedLayers, 6);
    // Another rank, seed or factorization is another fit.
    assert.equal((await run(file, { ...options, seed: 1 })).reusedLayers, 0);
  });

  it('keeps an earlier result when the later one fails', async () => {
    const file = await model();
    const { document } = await run(file);
    const before = readFileSync(document.files.factors);
    await assert.rejects(run(file, { signal: AbortSignal.abort(new Error('no')) }), /no/);
    assert.ok(readFileSync(document.files.factors).equals(before));
  });
});

describe('what is there already', () => {
  it('is written over when a conversion wrote it, refused in one line when not', async () => {
    const file = await model();
    const { document } = await run(file, { materialize: true });
    await run(file, { materialize: true });
    for (const target of [
      document.files.factors,
      document.files.document,
      document.files.loader ?? '',
      document.files.materialized ?? '',
    ]) {
      const own = folder();
      const copy = path.join(own, 'model.safetensors');
      copyFileSync(file, copy);
      const stranger = path.join(own, path.basename(target));
      writeFileSync(stranger, 'somebody else’s');
      await assert.rejects(run(copy, { materialize: true }), (error) => {
        assert.ok(error instanceof CheckpointError);
        assert.match(error.message, /is there already and was not written by a conversion/);
        assert.ok(error.message.startsWith(stranger));
        return true;
      });
      assert.equal(readFileSync(stranger, 'utf8'), 'somebody else’s');
      assert.deepEqual(readdirSync(own).sort(), ['model.safetensors', path.basename(stranger)].sort());
    }
  });

  it('is never the checkpoint itself, by whatever name', async () => {
    const file = await model();
    linkSync(file, path.join(path.dirname(file), 'model.svd-k3.safetensors'));
    const before = readFileSync(file);
    await assert.rejects(run(file), /is the checkpoint itself/);
    assert.ok(readFileSync(file).equals(before));
  });

  it('a folder that is not there is made, unless it cannot be', async () => {
    const file = await model();
    const out = path.join(folder(), 'new');
    await run(file, { out });
    assert.ok(statSync(out).isDirectory());
    const under = path.join(file, 'below');
    await assert.rejects(run(file, { out: under }), (error) => {
      assert.ok(error instanceof CheckpointError);
      assert.equal(error.kind, 'io');
      assert.ok(error.message.startsWith(under));
      return true;
    });
    // Nothing to convert: nothing is made either.
    const none = path.join(folder(), 'none');
    await assert.rejects(
      run(file, { out: none, ranks: { kind: 'compression', rate: 0.001 } }),
      /cannot be met/,
    );
    assert.ok(!existsSync(none));
  });
});
