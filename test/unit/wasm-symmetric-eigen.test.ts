/** Eigenpairs of symmetric matrices: residual and orthogonality, which need no reference, on matrices known to be hard. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import { uniform } from './matrices';

const backend = createWasmBackend(1);
const never = new AbortController().signal;
after(() => backend.dispose());

/** Largest ‖A·v − λ·v‖ over the pairs, in units of ‖A‖, and largest |vᵢᵀvⱼ − δᵢⱼ|. */
const RESIDUAL = 1e-12;

function symmetric(n: number, element: (i: number, j: number) => number): Float64Array {
  const A = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) A[i * n + j] = A[j * n + i] = element(i, j);
  return A;
}

const row = (A: Float64Array, n: number, i: number): Float64Array => A.subarray(i * n, i * n + n);
const dot = (x: Float64Array, y: Float64Array): number =>
  x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);

async function check(A: Float64Array, n: number): Promise<void> {
  await eigenvalues(A, n);
}

/** The eigenvalues, after checking the pairs. */
async function eigenvalues(A: Float64Array, n: number): Promise<Float64Array> {
  const { values, vectors } = await backend.symmetricEigen(A, n, never);
  assert.equal(values.length, n);
  const norm = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  for (let i = 0; i < n; i++) {
    assert.ok(i === 0 || (values[i] ?? NaN) >= (values[i - 1] ?? NaN), 'ascending');
    const v = row(vectors, n, i);
    let residual = 0;
    for (let r = 0; r < n; r++)
      residual += ((dot(row(A, n, r), v) - (values[i] ?? NaN) * (v[r] ?? NaN)) / (norm || 1)) ** 2;
    assert.ok(Math.sqrt(residual) <= RESIDUAL, `residual of pair ${i}: ${Math.sqrt(residual)}`);
    for (let j = 0; j <= i; j++) {
      const off = Math.abs(dot(v, row(vectors, n, j)) - (i === j ? 1 : 0));
      assert.ok(off <= RESIDUAL, `vectors ${i} and ${j}: ${off}`);
    }
  }
  return values;
}

describe('random matrices', () => {
  // Around the leaves of the tree, around multiples of the tile and the panel, and odd.
  for (const n of [1, 2, 3, 5, 23, 24, 25, 47, 49, 64, 97, 130, 257])
    test(`${n} × ${n}`, async () => {
      const random = uniform(n);
      await check(symmetric(n, random), n);
    });
});

describe('hard matrices', () => {
  test('zero', async () => {
    assert.deepEqual([...(await eigenvalues(new Float64Array(60 * 60), 60))], new Array(60).fill(0));
  });
  test('identity: one eigenvalue, as many times as it goes', async () => {
    assert.deepEqual(
      [
        ...(await eigenvalues(
          symmetric(60, (i, j) => (i === j ? 1 : 0)),
          60,
        )),
      ],
      new Array(60).fill(1),
    );
  });
  test('all ones: rank 1', async () => {
    const values = await eigenvalues(
      symmetric(100, () => 1),
      100,
    );
    assert.ok(Math.abs((values[99] ?? 0) - 100) < 1e-12);
  });
  test('second differences: eigenvalues 2 − 2·cos(kπ/(n+1))', async () => {
    const n = 200;
    const values = await eigenvalues(
      symmetric(n, (i, j) => (i === j ? 2 : i - j === 1 ? -1 : 0)),
      n,
    );
    values.forEach((value, k) => {
      assert.ok(Math.abs(value - (2 - 2 * Math.cos(((k + 1) * Math.PI) / (n + 1)))) < 1e-13);
    });
  });
  test("Wilkinson's W101⁺: pairs that agree to the last digit", () =>
    check(
      symmetric(101, (i, j) => (i === j ? Math.abs(50 - i) : i - j === 1 ? 1 : 0)),
      101,
    ));
  test('glued Wilkinson matrices: clusters coupled by 1e-10', () =>
    check(
      symmetric(210, (i, j) => {
        if (i === j) return Math.abs(10 - (i % 21));
        return i - j === 1 ? (i % 21 === 0 ? 1e-10 : 1) : 0;
      }),
      210,
    ));
  test('Hilbert: eigenvalues over fifteen orders of magnitude', () =>
    check(
      symmetric(120, (i, j) => 1 / (i + j + 1)),
      120,
    ));
  test('graded from 1 to 1e-30', () => {
    const random = uniform(9);
    return check(
      symmetric(150, (i, j) => 10 ** (-(i + j) / 10) * random()),
      150,
    );
  });
  test('rank 5 of 200', () => {
    const random = uniform(4);
    const U = Array.from({ length: 200 }, () => Float64Array.from({ length: 5 }, random));
    const empty = new Float64Array(5);
    return check(
      symmetric(200, (i, j) => dot(U[i] ?? empty, U[j] ?? empty)),
      200,
    );
  });
  for (const scale of [1e150, 1e-300])
    test(`elements of size ${scale}`, () => {
      const random = uniform(5);
      return check(
        symmetric(80, () => scale * random()),
        80,
      );
    });
});

test('only the lower triangle is read', async () => {
  const random = uniform(6);
  const A = symmetric(50, random);
  const lower = A.map((value, k) => (k % 50 > Math.floor(k / 50) ? NaN : value));
  assert.deepEqual(
    await backend.symmetricEigen(lower, 50, never),
    await backend.symmetricEigen(A, 50, never),
  );
});

test('a matrix with NaN is refused in one line', async () => {
  await assert.rejects(
    backend.symmetricEigen(Float64Array.of(1, 0, NaN, 1), 2, never),
    /^Error: the matrix holds NaN or infinite elements$/,
  );
});

test('an empty matrix has no eigenpairs', async () => {
  const { values, vectors } = await backend.symmetricEigen(new Float64Array(0), 0, never);
  assert.equal(values.length + vectors.length, 0);
});
