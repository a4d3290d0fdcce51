/** The worker pool: order, memory, failure. Requests are real ones, so that workers are really busy. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { chooseBuild, compileKernels } from '../../src/compute/wasm/kernels';
import { WorkerPool } from '../../src/compute/wasm/pool';
import { tensorFile, uniform, whole } from './matrices';

const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-pool-'));
const module = compileKernels(chooseBuild());
const random = uniform(1);
const slow = tensorFile(
  path.join(folder, 'slow'),
  Float32Array.from({ length: 1200 ** 2 }, random),
  'float32',
  [1200, 1200],
);
const quick = tensorFile(
  path.join(folder, 'quick'),
  Float32Array.from({ length: 64 }, random),
  'float32',
  [8, 8],
);
const never = new AbortController().signal;
const SMALL = { bytes: 1 << 20, storedBytes: 1 << 20 };
const MB = 1 << 20;

after(() => {
  rmSync(folder, { recursive: true });
});

async function withPool(size: number, use: (pool: WorkerPool) => Promise<void>): Promise<void> {
  const pool = new WorkerPool(size, module);
  try {
    await use(pool);
  } finally {
    await pool.dispose();
  }
}

const request = (tensor: typeof slow) => ({ tensor, matrices: [whole(tensor.shape)] });

test('a request that does not fit in memory beside the running one waits; a smaller one passes it', () =>
  withPool(3, async (pool) => {
    const order: string[] = [];
    const note = (name: string) => () => order.push(name);
    // 4 × 100 MB (the largest tensor) and a fixed share: two of 300 MB do not fit, 300 MB and 10 MB do.
    const large = { bytes: 300 * MB, storedBytes: 100 * MB };
    await Promise.all([
      pool.run('singularValues', request(slow), large, never).then(note('first large')),
      pool.run('singularValues', request(quick), large, never).then(note('second large')),
      pool
        .run('singularValues', request(quick), { bytes: 10 * MB, storedBytes: 4 * MB }, never)
        .then(note('small')),
    ]);
    assert.deepEqual(order, ['small', 'first large', 'second large']);
  }));

test('a request larger than everything still runs, alone', () =>
  withPool(2, async (pool) => {
    const result = await pool.run('singularValues', request(quick), { bytes: 1e12, storedBytes: 1 }, never);
    assert.equal(result.kind, 'spectra');
  }));

test('aborting a waiting request leaves the running one alone', () =>
  withPool(1, async (pool) => {
    const running = pool.run('singularValues', request(slow), SMALL, never);
    const stop = new AbortController();
    const waiting = pool.run('digest', quick, SMALL, stop.signal);
    stop.abort(new Error('not any more'));
    await assert.rejects(waiting, /not any more/);
    assert.equal((await running).kind, 'spectra');
  }));

test('aborting the running request frees its worker for the next within a second', () =>
  withPool(1, async (pool) => {
    const stop = new AbortController();
    const running = pool.run('singularValues', request(slow), SMALL, stop.signal);
    const next = pool.run('digest', quick, SMALL, never);
    await new Promise((resolve) => setTimeout(resolve, 150));
    const start = performance.now();
    stop.abort(new Error('stop'));
    await assert.rejects(running, /stop/);
    assert.match(await next, /^[0-9a-f]{64}$/);
    assert.ok(performance.now() - start < 1000);
  }));

test('a failing request rejects in one line and its worker goes on', () =>
  withPool(1, async (pool) => {
    const missing = { ...quick, storage: { ...quick.storage, path: path.join(folder, 'missing') } };
    await assert.rejects(pool.run('digest', missing, SMALL, never), (error: Error) => {
      assert.match(error.message, /missing/);
      assert.ok(!error.message.includes('\n'));
      return true;
    });
    assert.match(await pool.run('digest', quick, SMALL, never), /^[0-9a-f]{64}$/);
  }));

test('closing rejects what runs and what waits', async () => {
  const pool = new WorkerPool(1, module);
  const running = assert.rejects(pool.run('singularValues', request(slow), SMALL, never), /closed/);
  const waiting = assert.rejects(pool.run('digest', quick, SMALL, never), /closed/);
  await pool.dispose();
  await Promise.all([running, waiting]);
});
