/** The audit job: what it computes once, what it remembers, how it ends. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWasmBackend, type ComputeBackend } from '../../src/compute';
import { audit, type AuditOptions } from '../../src/engine/audit';
import { clearCache, openCache } from '../../src/engine/cache';
import type { AuditDocument } from '../../src/engine/document';
import type { Progress } from '../../src/engine/progress';
import { safetensorsBytes } from '../reference/generated';
import { uniform } from './matrices';

const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-engine-'));
const cacheFolder = path.join(folder, 'cache');
const wasm = createWasmBackend(2);
after(async () => {
  await wasm.dispose();
  rmSync(folder, { recursive: true });
});

/** The real backend, counting what it is asked for. */
function counting(backend: ComputeBackend): ComputeBackend & { computed: number; hashed: number } {
  return {
    ...backend,
    computed: 0,
    hashed: 0,
    singularValues(...call) {
      this.computed++;
      return backend.singularValues(...call);
    },
    digest(...call) {
      this.hashed++;
      return backend.digest(...call);
    },
  };
}

function model(name: string, shapes: Readonly<Record<string, readonly [number, number]>>, seed = 1): string {
  const random = uniform(seed);
  const file = path.join(folder, name);
  writeFileSync(
    file,
    safetensorsBytes(
      Object.entries(shapes).map(([tensor, shape]) => ({
        name: tensor,
        shape,
        values: Float32Array.from({ length: shape[0] * shape[1] }, random),
      })),
    ),
  );
  return file;
}

const SHAPES = {
  'a.weight': [50, 60],
  'b.weight': [80, 40],
  'c.weight': [10, 300],
  'c.bias': [1, 10],
} as const;

function run(file: string, options: Partial<AuditOptions> = {}): Promise<AuditDocument> {
  return audit({
    path: file,
    backend: wasm,
    cache: null,
    signal: new AbortController().signal,
    spectra: true,
    ...options,
  });
}

const timeless = (document: AuditDocument): AuditDocument => ({ ...document, startedAt: '', seconds: 0 });

beforeEach(() => clearCache(cacheFolder));

describe('determinism', () => {
  test('one worker or three, the document is the same to the last bit', async () => {
    const file = model('deterministic.safetensors', SHAPES);
    const one = createWasmBackend(1);
    const three = createWasmBackend(3);
    try {
      assert.deepEqual(
        timeless(await run(file, { backend: three })),
        timeless(await run(file, { backend: one })),
      );
    } finally {
      await Promise.all([one.dispose(), three.dispose()]);
    }
  });

  test('layers stand in file order whatever order they finish in', async () => {
    const file = model('order.safetensors', { 'small.weight': [2, 3], 'large.weight': [200, 200] });
    const document = await run(file);
    assert.deepEqual(
      document.layers.map(({ name }) => name),
      ['small.weight', 'large.weight'],
    );
  });
});

describe('the cache', () => {
  test('computes a tensor once, in whatever file it stands', async () => {
    const backend = counting(wasm);
    const cache = openCache(cacheFolder);
    const first = await run(model('first.safetensors', SHAPES), { backend, cache });
    assert.equal(backend.computed, 3);
    const again = await run(path.join(folder, 'first.safetensors'), {
      backend,
      cache: openCache(cacheFolder),
    });
    assert.equal(backend.computed, 3);
    assert.deepEqual(timeless(again), timeless(first));
    const renamed = { 'x.weight': SHAPES['a.weight'], 'y.weight': SHAPES['b.weight'] } as const;
    await run(model('second.safetensors', renamed), { backend, cache });
    assert.equal(backend.computed, 3, 'the same bytes under other names');
    await run(model('third.safetensors', renamed, 2), { backend, cache });
    assert.equal(backend.computed, 5, 'other bytes');
  });

  test('does not take one shape for another of the same bytes', async () => {
    const backend = counting(wasm);
    const cache = openCache(cacheFolder);
    await run(model('wide.safetensors', { 'a.weight': [20, 30] }), { backend, cache });
    const tall = await run(model('tall.safetensors', { 'a.weight': [30, 20] }), { backend, cache });
    assert.equal(backend.computed, 2);
    assert.deepEqual(timeless(tall), timeless(await run(path.join(folder, 'tall.safetensors'))));
  });

  test('reads a file that has not changed only once', async () => {
    const backend = counting(wasm);
    const file = model('settled.safetensors', SHAPES);
    // Files changed a moment ago are hashed again, because they may change once more within the clock's grain.
    await run(file, { backend, cache: openCache(cacheFolder) });
    await run(file, { backend, cache: openCache(cacheFolder) });
    assert.equal(backend.hashed, 6);
    await sleep(2100);
    await run(file, { backend, cache: openCache(cacheFolder) });
    assert.equal(backend.hashed, 9);
    await run(file, { backend, cache: openCache(cacheFolder) });
    assert.equal(backend.hashed, 9);
    // A change that keeps size and modification time still shows.
    const bytes = readFileSync(file);
    const { mtime, atime } = statSync(file);
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    utimesSync(file, atime, mtime);
    await run(file, { backend, cache: openCache(cacheFolder) });
    assert.equal(backend.hashed, 12);
  });

  test('recomputes entries that were damaged', async () => {
    const file = model('damaged.safetensors', { 'a.weight': [30, 40] });
    const good = await run(file, { cache: openCache(cacheFolder) });
    const spectra = path.join(cacheFolder, 'v1', 'spectra');
    const [entry] = readdirSync(spectra, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
    assert.ok(entry);
    const stored = path.join(entry.parentPath, entry.name);
    const bytes = readFileSync(stored);
    for (const damage of [bytes.subarray(0, 50), Buffer.alloc(0), Buffer.from(bytes).fill(7, 20, 24)]) {
      writeFileSync(stored, damage);
      const backend = counting(wasm);
      const again = await run(file, { backend, cache: openCache(cacheFolder) });
      assert.equal(backend.computed, 1);
      assert.deepEqual(timeless(again), timeless(good));
    }
  });

  test('that cannot be written costs time, not the result', async () => {
    const blocked = path.join(folder, 'blocked');
    writeFileSync(blocked, 'a file where the cache folder would be');
    const document = await run(model('unwritable.safetensors', SHAPES), { cache: openCache(blocked) });
    assert.equal(document.layers.length, 3);
    assert.equal(readFileSync(blocked, 'utf8'), 'a file where the cache folder would be');
  });
});

describe('cancelling', () => {
  // Seconds of work: cancelled long before its end.
  const large = model('large.safetensors', { 'a.weight': [900, 900], 'b.weight': [1800, 1800] });

  test('rejects at once with the reason, and keeps what was finished', async () => {
    const stop = new AbortController();
    const cache = openCache(cacheFolder);
    const reason = new Error('enough');
    let finishedAt = 0;
    const job = run(large, {
      cache,
      signal: stop.signal,
      onLayer: () => {
        finishedAt = performance.now();
        stop.abort(reason);
      },
    });
    await assert.rejects(job, reason);
    assert.ok(performance.now() - finishedAt < 1000, 'within a second');
    const backend = counting(wasm);
    await run(large, { backend, cache: openCache(cacheFolder), layers: /^a/ });
    assert.equal(backend.computed, 0, 'the finished layer came from the cache');
  });

  test('before it begins computes nothing', async () => {
    const backend = counting(wasm);
    await assert.rejects(run(large, { backend, signal: AbortSignal.abort(new Error('no')) }), /^Error: no$/);
    assert.equal(backend.computed, 0);
  });

  test('leaves the backend able to work', async () => {
    const stop = new AbortController();
    const job = run(large, { signal: stop.signal });
    setTimeout(() => {
      stop.abort(new Error('stop'));
    }, 100);
    await assert.rejects(job, /stop/);
    assert.equal((await run(model('after.safetensors', SHAPES))).layers.length, 3);
  });
});

describe('what a listener sees', () => {
  test('the file first, every layer once, progress up to 1', async () => {
    const events: string[] = [];
    const progress: Progress[] = [];
    const document = await run(model('events.safetensors', SHAPES), {
      onOpened: (facts, names) => events.push(`opened ${facts.tensors} ${names.join(' ')}`),
      onLayer: (layer, index) => events.push(`${index} ${layer.name}`),
      onProgress: (report) => progress.push(report),
    });
    assert.equal(events[0], 'opened 4 a.weight b.weight c.weight');
    assert.deepEqual(events.slice(1).sort(), ['0 a.weight', '1 b.weight', '2 c.weight']);
    assert.ok(progress.every(({ fraction }, i) => fraction >= (progress[i - 1]?.fraction ?? 0)));
    assert.deepEqual(
      { ...progress.at(-1), label: '', secondsLeft: 0 },
      {
        done: 3,
        total: 3,
        fraction: 1,
        label: '',
        secondsLeft: 0,
      },
    );
    assert.equal(document.skipped.length, 1);
  });

  test('layers that were not selected are listed with that reason', async () => {
    const document = await run(model('filter.safetensors', SHAPES), { layers: /^[ab]\./ });
    assert.deepEqual(
      document.skipped.map(({ name, reason }) => `${name}: ${reason.split(':')[0] ?? ''}`),
      ['c.weight: not selected', 'c.bias: bias'],
    );
  });

  test('a layer with NaN is skipped with counts, the others go on', async () => {
    const file = path.join(folder, 'nan.safetensors');
    const values = new Float32Array(100).fill(1);
    values[17] = NaN;
    writeFileSync(
      file,
      safetensorsBytes([
        { name: 'bad.weight', shape: [10, 10], values },
        { name: 'good.weight', shape: [10, 10], values: new Float32Array(100).fill(1) },
      ]),
    );
    const document = await run(file);
    assert.deepEqual(
      document.skipped.map(({ reason }) => reason),
      ['not finite: 1 NaN and 0 infinite values, the first at element 17'],
    );
    assert.equal(document.layers[0]?.rank, 1);
  });
});

test('a layer too large for the backend is skipped with the reason, and nothing is read of it', async () => {
  const file = path.join(folder, 'huge.safetensors');
  const side = 30_000;
  const header = Buffer.from(
    JSON.stringify({ 'w.weight': { dtype: 'F8_E5M2', shape: [side, side], data_offsets: [0, side * side] } }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(file, Buffer.concat([length, header]));
  // A sparse file: the size is there, the bytes are not.
  const { truncateSync } = await import('node:fs');
  truncateSync(file, 8 + header.length + side * side);
  const document = await run(file);
  assert.match(document.skipped[0]?.reason ?? '', /^too large: its smaller side, 30000, needs more than/);
});

test('the sha256 of the file is there when asked', async () => {
  const file = model('hashed.safetensors', { 'a.weight': [2, 2] });
  const { createHash } = await import('node:crypto');
  const expected = createHash('sha256').update(readFileSync(file)).digest('hex');
  assert.equal((await run(file, { sha256: true })).checkpoint.sha256, expected);
  assert.equal((await run(file)).checkpoint.sha256, undefined);
});

test('tied layers are computed once and counted once', async () => {
  const backend = counting(wasm);
  const fixture = path.join(__dirname, '../../../test/fixtures/zip_tied_parameters.pt');
  const document = await run(fixture, { backend });
  const tied = document.layers.filter(({ tiedTo }) => tiedTo !== undefined);
  assert.ok(tied.length > 0);
  assert.equal(backend.computed, document.layers.length - tied.length);
  const separate = document.layers.reduce((sum, { parameters }) => sum + parameters, 0);
  assert.ok(document.summary.analysedParameters < separate);
});
