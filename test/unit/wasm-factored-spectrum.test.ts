/** Singular values of products of two factors, taken of the factors, against numpy's of the product. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { elementCount, type ActivatedProduct, type Tensor } from '../../src/checkpoint/checkpoint';
import type { DType } from '../../src/checkpoint/dtype';
import { encodeElements } from '../../src/checkpoint/elements';
import type { MatrixView } from '../../src/checkpoint/matrixView';
import { createWasmBackend } from '../../src/compute';
import { factoredRequest } from '../../src/compute/factoredProduct';
import { ROOT } from '../reference/references';
import { tensorFile, uniform, whole } from './matrices';

/** The promise: largest error, in units of σ₁. */
const PROMISED = 2e-8;

interface Case {
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
  readonly dtype: DType;
  readonly scale: number;
  readonly how: 'plain' | 'balanced' | 'decaying' | 'cancelling' | 'deficient';
  readonly step?: number;
  readonly seed: number;
  readonly singularValues: readonly number[];
}

/** Written by make_adapters.py beside it, in this shape. */
const cases = JSON.parse(
  readFileSync(path.join(ROOT, 'test/reference/adapters.json'), 'utf8'),
) as readonly Case[];

const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-factors-'));
const backend = createWasmBackend(1);
const never = new AbortController().signal;

after(async () => {
  await backend.dispose();
  rmSync(folder, { recursive: true });
});

let files = 0;
const fresh = (): string => path.join(folder, `${files++}.bin`);

/** The stream of make_adapters.py. */
function stream(seed: number, count: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.fround(((state >>> 0) / 2 ** 31 - 1) / 4);
  });
}

/** U and V of make_adapters.py, before they are rounded. */
function factorsOf({ rows, columns, rank, how, step = 0, seed }: Case): { U: Float64Array; V: Float64Array } {
  const values = stream(seed, rank * (rows + columns));
  const [U, V] = [values.slice(0, rank * rows), values.slice(rank * rows)];
  const each = (A: Float64Array, change: (row: Float64Array) => void): void => {
    for (let at = 0; at < A.length; at += rank) change(A.subarray(at, at + rank));
  };
  const power = (j: number): number => 2 ** (-step * j);
  if (how === 'balanced' || how === 'decaying') {
    each(U, (row) => {
      row.forEach((x, j) => (row[j] = x * power(j)));
    });
    each(V, (row) => {
      row.forEach((x, j) => (row[j] = how === 'balanced' ? x / power(j) : x * power(j)));
    });
  } else if (how === 'cancelling') {
    for (let j = 0; j + 1 < rank; j += 2) {
      each(U, (row) => (row[j + 1] = row[j] ?? 0));
      each(V, (row) => (row[j + 1] = -(row[j] ?? 0) + 2 ** -step * (row[j + 1] ?? 0)));
    }
  } else if (how === 'deficient') each(U, (row) => row.fill(row[0] ?? 0, 1));
  return { U, V };
}

function stored(values: Float64Array, dtype: DType, shape: readonly number[]): Tensor {
  if (dtype === 'float64') return tensorFile(fresh(), values, dtype, shape);
  return tensorFile(fresh(), encodeElements(Float32Array.from(values), dtype), dtype, shape);
}

/** As adapters keep A: k × n, seen as n × k. */
function turned(values: Float64Array, dtype: DType, [n = 0, k = 0]: readonly number[]): Tensor {
  const rows = Float64Array.from(
    { length: n * k },
    (_, at) => values[(at % n) * k + Math.floor(at / n)] ?? 0,
  );
  return { ...stored(rows, dtype, [k, n]), shape: [n, k], layout: { offset: 0, strides: [1, n] } };
}

function productOf(product: ActivatedProduct, shape: readonly number[]): Tensor {
  const storage = {
    encoding: 'product',
    path: folder,
    product,
    byteLength: 4 * elementCount(shape),
  } as const;
  return { name: 'W', shape, dtype: 'float32', storage, role: 'model' };
}

async function spectra(tensor: Tensor, matrices: readonly MatrixView[]): Promise<readonly Float64Array[]> {
  assert.ok(factoredRequest({ tensor, matrices }), 'taken of the factors');
  const result = await backend.singularValues({ tensor, matrices }, never);
  assert.ok(result.kind === 'spectra', JSON.stringify(result));
  return result.singularValues;
}

function assertSpectrum(actual: Float64Array | undefined, expected: ArrayLike<number>): void {
  assert.ok(actual);
  const largest = expected[0] ?? 0;
  for (let i = 0; i < actual.length; i++) {
    const error = Math.abs((actual[i] ?? NaN) - (expected[i] ?? 0));
    assert.ok(error <= PROMISED * largest, `σ${i + 1} is ${actual[i]}, off by ${error / largest} σ₁`);
    assert.ok((actual[i] ?? NaN) >= 0 && (i === 0 || (actual[i] ?? NaN) <= (actual[i - 1] ?? NaN)));
  }
}

describe('singular values of a product, taken of its factors', () => {
  for (const one of cases) {
    const { rows, columns, rank, dtype, scale, how, singularValues } = one;
    test(`${how}, ${rows} × ${columns} of rank ${rank}, ${dtype}, scaled by ${scale}`, async () => {
      const { U, V } = factorsOf(one);
      const shared = { activation: 'identity', omega: scale, gains: [1] } as const;
      const left = stored(U, dtype, [rows, rank]);
      for (const right of [stored(V, dtype, [columns, rank]), turned(V, dtype, [columns, rank])]) {
        const W = productOf({ ...shared, U: left, V: right, transposed: false }, [rows, columns]);
        const [values] = await spectra(W, [whole([rows, columns])]);
        assert.equal(values?.length, Math.min(rows, columns));
        assertSpectrum(values, singularValues);
        const T = productOf({ ...shared, U: left, V: right, transposed: true }, [columns, rows]);
        assertSpectrum((await spectra(T, [whole([columns, rows])]))[0], singularValues);
      }
    });
  }

  test('of blocks of rows and columns, and of groups, are those of the matrices themselves', async () => {
    const [groups, m, n, k] = [3, 40, 30, 4];
    const random = uniform(5);
    const values = (count: number): Float32Array => Float32Array.from({ length: count }, random);
    const U = tensorFile(fresh(), values(groups * m * k), 'float32', [groups, m, k]);
    const V = tensorFile(fresh(), values(groups * n * k), 'float32', [groups, n, k]);
    const gains = [1, 2, 0.5];
    const product = { activation: 'identity', omega: 1, gains, U, V, transposed: false } as const;
    const W = productOf(product, [groups * m, n]);
    const views: MatrixView[] = [
      { offset: 0, rows: m, columns: n, rowStride: n },
      { offset: m * n, rows: m, columns: n, rowStride: n },
      { offset: 2 * m * n + 8 * n, rows: 16, columns: n, rowStride: n },
      { offset: 2 * m * n + 7, rows: m, columns: 11, rowStride: n },
    ];
    const found = await spectra(W, views);
    // Multiplied out in float64 here.
    const dense = new Float64Array(groups * m * n);
    const all = Float32Array.from({ length: groups * (m + n) * k }, uniform(5));
    for (let g = 0; g < groups; g++)
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++)
          for (let t = 0; t < k; t++)
            dense[(g * m + i) * n + j] =
              (dense[(g * m + i) * n + j] ?? 0) +
              ((all[(g * m + i) * k + t] ?? 0) * (all[groups * m * k + (g * n + j) * k + t] ?? 0)) /
                (gains[g] ?? 1);
    const plain = tensorFile(fresh(), dense, 'float64', [groups * m, n]);
    const direct = await backend.singularValues({ tensor: plain, matrices: views }, never);
    assert.ok(direct.kind === 'spectra');
    direct.singularValues.forEach((expected, i) => {
      assertSpectrum(found[i], expected);
    });
  });

  test('that are not finite are counted in the factors', async () => {
    const U = tensorFile(fresh(), Float32Array.of(1, 2, NaN, 4), 'float32', [4, 1]);
    const V = tensorFile(fresh(), Float32Array.of(1, Infinity, 3), 'float32', [3, 1]);
    const product = { activation: 'identity', omega: 1, gains: [1], U, V, transposed: false } as const;
    const request = { tensor: productOf(product, [4, 3]), matrices: [whole([4, 3])] };
    assert.deepEqual(await backend.singularValues(request, never), {
      kind: 'nonFinite',
      nonFinite: { nan: 1, infinite: 1, firstIndex: 2 },
    });
  });

  test('beyond the range of float64 are refused in words', async () => {
    const U = tensorFile(fresh(), Float64Array.of(1e200, 1), 'float64', [2, 1]);
    const V = tensorFile(fresh(), Float64Array.of(1e200, 1), 'float64', [2, 1]);
    const product = { activation: 'identity', omega: 1, gains: [1], U, V, transposed: false } as const;
    const tensor = productOf(product, [2, 2]);
    const result = await backend.singularValues({ tensor, matrices: [whole([2, 2])] }, never);
    assert.equal(result.kind, 'tooLarge');
    const tiny = productOf({ ...product, omega: 1e-300 }, [2, 2]);
    const [values] = await spectra(tiny, [whole([2, 2])]);
    assert.ok(Math.abs((values?.[0] ?? NaN) / 1e100 - 1) < 1e-12);
  });

  test('of a product too large to be multiplied out, whose digest is quick too', async () => {
    const [m, n] = [200_000, 8_192];
    const ones = (count: number): Float32Array => new Float32Array(count).fill(1);
    const U = tensorFile(fresh(), ones(m), 'float32', [m, 1]);
    const V = tensorFile(fresh(), ones(n), 'float32', [n, 1]);
    const product = { activation: 'identity', omega: 0.5, gains: [1], U, V, transposed: false } as const;
    const W = productOf(product, [m, n]);
    const [values] = await spectra(W, [whole([m, n])]);
    assert.ok(Math.abs((values?.[0] ?? NaN) / (0.5 * Math.sqrt(m * n)) - 1) < 1e-13);
    const other = productOf({ ...product, omega: 0.25 }, [m, n]);
    assert.notEqual(await backend.digest(W, never), await backend.digest(other, never));
  });

  test('of a sine, or of factors that are no narrower, are those of the matrix', () => {
    const U = tensorFile(fresh(), new Float32Array(600 * 400), 'float32', [600, 400]);
    const V = tensorFile(fresh(), new Float32Array(500 * 400), 'float32', [500, 400]);
    const product = { activation: 'identity', omega: 1, gains: [1], U, V, transposed: false } as const;
    const matrices = [whole([600, 500])];
    assert.equal(factoredRequest({ tensor: productOf(product, [600, 500]), matrices }), undefined);
    const sine = productOf({ ...product, activation: 'sine' }, [600, 500]);
    assert.equal(factoredRequest({ tensor: sine, matrices }), undefined);
  });
});
