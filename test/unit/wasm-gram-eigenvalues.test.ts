/** Singular values from a Gram matrix that was summed elsewhere, as a graphics card hands it over. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute/wasm/backend';
import { withSingularValues } from './matrices';

const backend = createWasmBackend(1);
const never = new AbortController().signal;
after(() => backend.dispose());

/** Lower triangle of A·Aᵀ, row by row, of n × columns. */
function packedGram(A: Float64Array, n: number): Float64Array {
  const columns = A.length / n;
  const packed: number[] = [];
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let c = 0; c < columns; c++) sum += (A[i * columns + c] ?? NaN) * (A[j * columns + c] ?? NaN);
      packed.push(sum);
    }
  return Float64Array.from(packed);
}

const decaying = (count: number): number[] => Array.from({ length: count }, (_, i) => (i + 1) ** -0.5);

function assertClose(values: Float64Array, expected: readonly number[]): void {
  assert.equal(values.length, expected.length);
  values.forEach((value, i) => {
    assert.ok(Math.abs(value - (expected[i] ?? NaN)) <= 1e-12 * (expected[0] ?? 0), `σ${i + 1} is ${value}`);
    assert.ok(value <= (values[i - 1] ?? Infinity));
  });
}

describe('singular values from a Gram matrix', () => {
  for (const [n, columns] of [
    [1, 1],
    [2, 5],
    [7, 9],
    [33, 40],
    [130, 131],
  ] as const)
    test(`of ${n} rows`, async () => {
      const sigma = decaying(n);
      const gram = packedGram(withSingularValues(n, columns, sigma), n);
      const { values, reliable } = await backend.gramEigenvalues(gram, n, never);
      assertClose(values, sigma);
      assert.ok(reliable);
    });

  test('rows of zeros are exact zeros, and no reason for doubt', async () => {
    const [rows, columns] = [20, 30];
    const A = new Float64Array(2 * rows * columns);
    const block = withSingularValues(rows, columns, decaying(rows));
    for (let i = 0; i < rows; i++)
      A.set(block.subarray(i * columns, (i + 1) * columns), (2 * i + 1) * columns);
    const { values, reliable } = await backend.gramEigenvalues(packedGram(A, 2 * rows), 2 * rows, never);
    assertClose(values.subarray(0, rows), decaying(rows));
    assert.ok(values.subarray(rows).every((value) => value === 0));
    assert.ok(reliable);
  });

  for (const [what, floor, expected] of [
    ['values that a Gram matrix keeps are relied on', 1e-3, true],
    ['values that a Gram matrix loses are not', 1e-9, false],
  ] as const)
    test(what, async () => {
      const sigma = Array.from({ length: 60 }, (_, i) => (i === 0 ? 1 : floor));
      const gram = packedGram(withSingularValues(60, 60, sigma), 60);
      const { reliable } = await backend.gramEigenvalues(gram, 60, never);
      assert.equal(reliable, expected);
    });

  test('zeros only, and no rows at all', async () => {
    const zeros = await backend.gramEigenvalues(new Float64Array(10), 4, never);
    assert.deepEqual(zeros, { values: new Float64Array(4), reliable: true });
    const none = await backend.gramEigenvalues(new Float64Array(0), 0, never);
    assert.deepEqual(none, { values: new Float64Array(0), reliable: true });
  });

  test('a view of a larger array is left to its owner', async () => {
    const whole = Float64Array.from([99, 4, 0, 9, 99]);
    const { values } = await backend.gramEigenvalues(whole.subarray(1, 4), 2, never);
    assert.deepEqual([...values], [3, 2]);
    assert.equal(whole.length, 5);
  });

  test('what is no Gram matrix is refused', async () => {
    await assert.rejects(backend.gramEigenvalues(new Float64Array(5), 2, never), /no lower triangle of 2/);
    await assert.rejects(backend.gramEigenvalues(Float64Array.from([NaN]), 1, never), /NaN or infinite/);
    const controller = new AbortController();
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(backend.gramEigenvalues(new Float64Array(1), 1, controller.signal), reason);
  });
});
