/** Gram accumulation and A·B, against the sums written out in plain float64. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import { uniform } from './matrices';

const backend = createWasmBackend(2);
const never = new AbortController().signal;
after(() => backend.dispose());

const randomRows = (samples: number, n: number, seed: number): Float32Array => {
  const random = uniform(seed);
  return Float32Array.from({ length: samples * n }, random);
};

function plainGram(rows: Float32Array, n: number): Float64Array {
  const G = new Float64Array(n * n);
  for (let s = 0; s < rows.length; s += n)
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++)
        G[i * n + j] = (G[i * n + j] ?? 0) + (rows[s + i] ?? 0) * (rows[s + j] ?? 0);
  return G;
}

function plainProduct(A: Float64Array, B: Float64Array, rows: number, inner: number, columns: number) {
  const C = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < inner; k++)
      for (let j = 0; j < columns; j++)
        C[i * columns + j] = (C[i * columns + j] ?? 0) + (A[i * inner + k] ?? 0) * (B[k * columns + j] ?? 0);
  return C;
}

function assertClose(actual: Float64Array, expected: Float64Array, terms: number): void {
  assert.equal(actual.length, expected.length);
  // Elements are at most 1 in size: rounding of a sum of `terms` products is far under this.
  const tolerance = terms * 2e-16 * 4;
  actual.forEach((value, i) => {
    assert.ok(Math.abs(value - (expected[i] ?? NaN)) <= tolerance, `element ${i}: ${value}, ${expected[i]}`);
  });
}

describe('Gram accumulation', () => {
  // Around the tiles of four, the slabs of 256 summands, and 1,500 inputs that take two bands.
  for (const [samples, n] of [
    [1, 1],
    [3, 5],
    [256, 4],
    [257, 27],
    [700, 66],
    [9, 1500],
  ] as const)
    test(`${samples} rows of ${n}, added to what was there`, async () => {
      const first = randomRows(samples, n, 1);
      const second = randomRows(samples, n, 2);
      const before = plainGram(first, n);
      const expected = plainGram(second, n).map((value, i) => value + (before[i] ?? 0));
      let gram = await backend.accumulateGram(
        { gram: new Float64Array(n * n), n, rows: first.slice() },
        never,
      );
      gram = await backend.accumulateGram({ gram, n, rows: second.slice() }, never);
      assertClose(gram, expected, 2 * samples);
      for (let i = 0; i < n; i++)
        for (let j = 0; j < i; j++)
          assert.equal(gram[i * n + j], gram[j * n + i], 'symmetric to the last bit');
    });

  test('buffers are handed over; of a view, only its part is copied', async () => {
    const whole = randomRows(10, 8, 3);
    const view = whole.subarray(16, 48);
    const gram = await backend.accumulateGram({ gram: new Float64Array(64), n: 8, rows: view }, never);
    assertClose(gram, plainGram(whole.slice(16, 48), 8), 4);
    assert.equal(whole.length, 80);
    const own = randomRows(4, 8, 4);
    await backend.accumulateGram({ gram, n: 8, rows: own }, never);
    assert.equal(own.length, 0);
    assert.equal(gram.length, 0);
  });

  test('a Gram matrix that was handed over before fails, and the backend goes on', async () => {
    const gram = new Float64Array(4);
    const rows = (): Float32Array => Float32Array.of(1, 2);
    const both = await Promise.allSettled([
      backend.accumulateGram({ gram, n: 2, rows: rows() }, never),
      backend.accumulateGram({ gram, n: 2, rows: rows() }, never),
    ]);
    assert.deepEqual(
      both.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
    const again = await backend.accumulateGram({ gram: new Float64Array(4), n: 2, rows: rows() }, never);
    assert.deepEqual([...again], [1, 2, 2, 4]);
  });

  test('NaN and infinity reach the diagonal', async () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const rows = randomRows(300, 6, 5);
      rows[280 * 6 + 4] = bad;
      const gram = await backend.accumulateGram({ gram: new Float64Array(36), n: 6, rows }, never);
      for (let i = 0; i < 6; i++) assert.equal(Number.isFinite(gram[i * 7]), i !== 4);
    }
  });

  test('no rows add nothing; sizes that do not fit are refused', async () => {
    const gram = Float64Array.of(1, 2, 2, 5);
    const same = await backend.accumulateGram({ gram, n: 2, rows: new Float32Array(0) }, never);
    assert.deepEqual([...same], [1, 2, 2, 5]);
    await assert.rejects(backend.accumulateGram({ gram: same, n: 2, rows: new Float32Array(3) }, never));
    await assert.rejects(backend.accumulateGram({ gram: same, n: 3, rows: new Float32Array(3) }, never));
  });
});

describe('products', () => {
  // One by one, tiles, slabs of 256, and 900 × 2,300 that takes more than one band of rows.
  for (const [rows, inner, columns] of [
    [1, 1, 1],
    [3, 5, 2],
    [65, 300, 9],
    [4, 256, 70],
    [900, 3, 2300],
  ] as const)
    test(`${rows} × ${inner} by ${inner} × ${columns}`, async () => {
      const random = uniform(rows + inner);
      const A = Float64Array.from({ length: rows * inner }, random);
      const B = Float64Array.from({ length: inner * columns }, random);
      const C = await backend.product({ A, B, rows, inner, columns }, never);
      assertClose(C, plainProduct(A, B, rows, inner, columns), inner);
      assert.equal(A.length, rows * inner, 'the factors stay the caller’s');
    });

  test('an empty inner side gives zeros; views and wrong sizes are told apart', async () => {
    const none = new Float64Array(0);
    assert.deepEqual(
      [...(await backend.product({ A: none, B: none, rows: 1, inner: 0, columns: 2 }, never))],
      [0, 0],
    );
    const view = Float64Array.of(9, 2, 3, 9).subarray(1, 3);
    const C = await backend.product({ A: view, B: view, rows: 1, inner: 2, columns: 1 }, never);
    assert.deepEqual([...C], [13]);
    await assert.rejects(backend.product({ A: view, B: view, rows: 2, inner: 2, columns: 1 }, never));
  });
});

test('an aborted accumulation ends at once', async () => {
  const controller = new AbortController();
  const n = 1000;
  const running = backend.accumulateGram(
    { gram: new Float64Array(n * n), n, rows: new Float32Array(20_000 * n) },
    controller.signal,
  );
  setTimeout(() => {
    controller.abort(new Error('cancelled'));
  }, 30);
  await assert.rejects(running, /^Error: cancelled$/);
});
