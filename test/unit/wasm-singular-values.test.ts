/** Singular values of the wasm backend, on matrices whose singular values are known by construction. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import type { Tensor } from '../../src/checkpoint/checkpoint';
import type { MatrixView } from '../../src/checkpoint/matrixView';
import { createWasmBackend, type ComputeBackend } from '../../src/compute';
import { tensorFile, uniform, whole, withSingularValues } from './matrices';

/** The promise: largest error, in units of σ₁. */
const PROMISED = 2e-8;

const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-wasm-'));
const backends: Record<string, ComputeBackend> = {};
for (const [build, value] of [
  ['fastest build', ''],
  ['plain SIMD build', 'simd'],
] as const) {
  process.env.RANKSCOPE_KERNELS = value;
  backends[build] = createWasmBackend(1);
}
const backend = createWasmBackend(1);
const never = new AbortController().signal;

after(async () => {
  await Promise.all([backend, ...Object.values(backends)].map((each) => each.dispose()));
  rmSync(folder, { recursive: true });
});

let files = 0;
const fresh = (): string => path.join(folder, `${files++}.bin`);

async function spectrum(
  tensor: Tensor,
  view?: MatrixView,
  on: ComputeBackend = backend,
): Promise<Float64Array> {
  const result = await on.singularValues({ tensor, matrices: [view ?? whole(tensor.shape)] }, never);
  assert.ok(result.kind === 'spectra');
  const [values] = result.singularValues;
  assert.ok(values);
  return values;
}

function assertSpectrum(actual: Float64Array, expected: readonly number[], tolerance = PROMISED): void {
  const largest = expected[0] ?? 0;
  for (let i = 0; i < actual.length; i++) {
    const error = Math.abs((actual[i] ?? NaN) - (expected[i] ?? 0));
    assert.ok(error <= tolerance * largest, `σ${i + 1} is off by ${error / largest} σ₁`);
    assert.ok((actual[i] ?? NaN) >= 0 && (i === 0 || (actual[i] ?? NaN) <= (actual[i - 1] ?? NaN)));
  }
}

const powers = (count: number, exponent: number): number[] =>
  Array.from({ length: count }, (_, i) => (i + 1) ** -exponent);

for (const [build, on] of Object.entries(backends)) {
  describe(`${build} (${on.build})`, () => {
    for (const [rows, columns] of [
      [1, 1],
      [1, 7],
      [7, 1],
      [2, 2],
      [3, 5],
      [5, 3],
      [31, 33],
      [33, 33],
      [34, 40],
      [65, 130],
      [200, 101],
      [257, 259],
      [300, 1100],
      [1100, 300],
    ] as const)
      test(`${rows} × ${columns}, slowly decaying`, async () => {
        const sigma = powers(Math.min(rows, columns), 0.5);
        const values = withSingularValues(rows, columns, sigma);
        const tensor = tensorFile(fresh(), values, 'float64', [rows, columns]);
        assertSpectrum(await spectrum(tensor, undefined, on), sigma, 1e-12);
      });
  });
}

describe('spectra that a Gram matrix would lose', () => {
  for (const floor of [0, 1e-12, 1e-9, 1e-8, 3e-8, 6e-8, 1e-7, 3e-7, 1e-6])
    for (const ones of [1, 150])
      test(`${ones} × 1 and the rest ${floor}`, async () => {
        const sigma = Array.from({ length: 300 }, (_, i) => (i < ones ? 1 : floor));
        const tensor = tensorFile(fresh(), withSingularValues(300, 340, sigma), 'float64', [300, 340]);
        assertSpectrum(await spectrum(tensor), sigma);
      });

  test('decay to 1e-14, tall', async () => {
    const sigma = Array.from({ length: 200 }, (_, i) => 10 ** ((-14 * i) / 199));
    const tensor = tensorFile(fresh(), withSingularValues(900, 200, sigma), 'float64', [900, 200]);
    assertSpectrum(await spectrum(tensor), sigma, 1e-13);
  });

  test('integers of exact rank 5', async () => {
    const random = uniform(3);
    const integer = (): number => Math.round(3 * random());
    const U = Array.from({ length: 120 * 5 }, integer);
    const V = Array.from({ length: 5 * 90 }, integer);
    const W = Float32Array.from({ length: 120 * 90 }, (_, k) => {
      let sum = 0;
      for (let r = 0; r < 5; r++) sum += (U[Math.floor(k / 90) * 5 + r] ?? 0) * (V[r * 90 + (k % 90)] ?? 0);
      return sum;
    });
    const values = await spectrum(tensorFile(fresh(), W, 'float32', [120, 90]));
    assert.ok((values[4] ?? 0) > 0.01 * (values[0] ?? 0));
    for (const value of values.subarray(5)) assert.ok(value <= 1e-13 * (values[0] ?? 0));
  });

  test('rows of zeros beside a full-rank block are exact zeros', async () => {
    const sigma = powers(80, 1);
    const block = withSingularValues(80, 150, sigma);
    const W = new Float64Array(100 * 150);
    W.set(block.subarray(0, 40 * 150), 0);
    W.set(block.subarray(40 * 150), 60 * 150);
    const values = await spectrum(tensorFile(fresh(), W, 'float64', [100, 150]));
    assertSpectrum(values, sigma, 1e-12);
    for (const value of values.subarray(80)) assert.equal(value, 0);
  });

  test('zeros only', async () => {
    const values = await spectrum(tensorFile(fresh(), new Float32Array(70 * 80), 'float32', [70, 80]));
    assert.deepEqual(
      [...values],
      Array.from({ length: 70 }, () => 0),
    );
  });
});

describe('element types', () => {
  const shape = [60, 70];
  const integers = Float32Array.from({ length: 60 * 70 }, (_, k) => ((k * 2654435761) % 16) - 8);
  const expected = async (): Promise<number[]> => [
    ...(await spectrum(tensorFile(fresh(), Float64Array.from(integers), 'float64', shape))),
  ];
  const binary = new Uint32Array(integers.buffer);

  test('bfloat16', async () => {
    const halves = Uint16Array.from(binary, (bits) => bits >>> 16);
    assertSpectrum(await spectrum(tensorFile(fresh(), halves, 'bfloat16', shape)), await expected(), 1e-12);
  });

  /** Small integers in a binary format with `e` exponent bits of bias b and `m` mantissa bits, built by its definition. */
  const encode = (value: number, e: number, m: number, bias: number): number => {
    if (value === 0) return 0;
    const exponent = Math.floor(Math.log2(Math.abs(value)));
    const mantissa = (Math.abs(value) / 2 ** exponent - 1) * 2 ** m;
    assert.equal(mantissa, Math.round(mantissa), 'exact in this format');
    return ((value < 0 ? 1 : 0) << (e + m)) | ((exponent + bias) << m) | mantissa;
  };

  test('float16', async () => {
    const halves = Uint16Array.from(integers, (value) => encode(value, 5, 10, 15));
    assertSpectrum(await spectrum(tensorFile(fresh(), halves, 'float16', shape)), await expected(), 1e-12);
  });

  test('float8_e4m3fn', async () => {
    const bytes = Uint8Array.from(integers, (value) => encode(value, 4, 3, 7));
    assertSpectrum(
      await spectrum(tensorFile(fresh(), bytes, 'float8_e4m3fn', shape)),
      await expected(),
      1e-12,
    );
  });

  test('float8_e5m2, whose two mantissa bits hold 0 … 4 and their doubles', async () => {
    const coarse = integers.map(
      (value) => Math.sign(value) * 2 ** Math.floor(Math.log2(Math.abs(value) || 1)),
    );
    const bytes = Uint8Array.from(coarse, (value) => encode(value, 5, 2, 15));
    const reference = await spectrum(tensorFile(fresh(), Float64Array.from(coarse), 'float64', shape));
    assertSpectrum(await spectrum(tensorFile(fresh(), bytes, 'float8_e5m2', shape)), [...reference], 1e-12);
  });

  test('subnormal float16 and float8 numbers', async () => {
    // Multiples of the smallest subnormal: 2^-24, 2^-9 and 2^-16.
    const counts = Uint8Array.from({ length: 40 * 40 }, (_, k) => (k * 7) % 4);
    const reference = await spectrum(tensorFile(fresh(), Float64Array.from(counts), 'float64', [40, 40]));
    for (const [dtype, unit, bits] of [
      ['float16', 2 ** -24, Uint16Array.from(counts)],
      ['float8_e4m3fn', 2 ** -9, counts],
      ['float8_e5m2', 2 ** -16, counts],
    ] as const) {
      const values = await spectrum(tensorFile(fresh(), bits, dtype, [40, 40]));
      assertSpectrum(
        values,
        [...reference].map((value) => value * unit),
        1e-12,
      );
    }
  });

  for (const scale of [1e300, 1e-300])
    test(`float64 as large as ${scale}`, async () => {
      const sigma = powers(50, 1);
      const values = withSingularValues(50, 64, sigma).map((value) => value * scale);
      assertSpectrum(
        await spectrum(tensorFile(fresh(), values, 'float64', [50, 64])),
        sigma.map((value) => value * scale),
        1e-12,
      );
    });
});

describe('values that are not numbers', () => {
  for (const [name, size] of [
    ['a small matrix', [10, 12]],
    ['a matrix for the Gram path', [80, 90]],
    ['a matrix larger than a block', [2100, 2100]],
  ] as const)
    test(`are counted in ${name}`, async () => {
      const [rows, columns] = size;
      const W = new Float32Array(rows * columns).fill(0.5);
      W[columns + 3] = NaN;
      W[rows * columns - 1] = -Infinity;
      W[rows * columns - 2] = Infinity;
      const tensor = tensorFile(fresh(), W, 'float32', [rows, columns]);
      const result = await backend.singularValues({ tensor, matrices: [whole(tensor.shape)] }, never);
      assert.deepEqual(result, {
        kind: 'nonFinite',
        nonFinite: { nan: 1, infinite: 2, firstIndex: columns + 3 },
      });
    });

  test('are counted in float64', async () => {
    const W = new Float64Array(100).fill(1e308);
    W[42] = Infinity;
    const tensor = tensorFile(fresh(), W, 'float64', [10, 10]);
    const result = await backend.singularValues({ tensor, matrices: [whole(tensor.shape)] }, never);
    assert.deepEqual(result, { kind: 'nonFinite', nonFinite: { nan: 0, infinite: 1, firstIndex: 42 } });
  });
});

describe('tensors larger than a block', () => {
  for (const [rows, columns] of [
    [9000, 260],
    [260, 9000],
    [600, 4000],
  ] as const)
    test(`${rows} × ${columns} float64 streams through`, async () => {
      const sigma = powers(Math.min(rows, columns), 0.7);
      const values = withSingularValues(rows, columns, sigma);
      assertSpectrum(await spectrum(tensorFile(fresh(), values, 'float64', [rows, columns])), sigma, 1e-12);
    });

  test('and so does the accurate path', async () => {
    const sigma = Array.from({ length: 100 }, (_, i) => 10 ** (-i / 9));
    const values = withSingularValues(100, 24_000, sigma);
    assertSpectrum(await spectrum(tensorFile(fresh(), values, 'float64', [100, 24_000])), sigma, 1e-13);
  });
});

describe('views', () => {
  test('of rows, of columns and of groups see only their elements', async () => {
    const sigma = powers(40, 0.8);
    const block = withSingularValues(40, 50, sigma);
    // The block stands at rows 7 …, columns 11 … of a larger matrix of other numbers.
    const columns = 90;
    const W = new Float64Array(60 * columns).fill(123);
    for (let i = 0; i < 40; i++) W.set(block.subarray(i * 50, i * 50 + 50), (i + 7) * columns + 11);
    const tensor = tensorFile(fresh(), W, 'float64', [60, columns]);
    const view = { offset: 7 * columns + 11, rows: 40, columns: 50, rowStride: columns };
    assertSpectrum(await spectrum(tensor, view), sigma, 1e-12);
  });

  test('a view of columns of a tensor larger than a block', async () => {
    const sigma = powers(60, 0.8);
    const rows = 8000;
    const block = withSingularValues(rows, 60, sigma);
    const columns = 400;
    const W = new Float64Array(rows * columns).fill(9);
    for (let i = 0; i < rows; i++) W.set(block.subarray(i * 60, i * 60 + 60), i * columns + 200);
    const tensor = tensorFile(fresh(), W, 'float64', [rows, columns]);
    assertSpectrum(
      await spectrum(tensor, { offset: 200, rows, columns: 60, rowStride: columns }),
      sigma,
      1e-12,
    );
  });

  test('a stack of queries, keys and values: the whole and its parts', async () => {
    const parts = [1, 2, 3].map((seed) => withSingularValues(70, 50, powers(50, seed / 4), seed));
    const W = new Float64Array(210 * 50);
    parts.forEach((part, i) => {
      W.set(part, i * 70 * 50);
    });
    const tensor = tensorFile(fresh(), W, 'float64', [210, 50]);
    const views = [0, 1, 2].map((i) => ({ offset: i * 70 * 50, rows: 70, columns: 50, rowStride: 50 }));
    const together = await backend.singularValues(
      { tensor, matrices: [whole(tensor.shape), ...views] },
      never,
    );
    assert.ok(together.kind === 'spectra');
    const [ofWhole, ...ofParts] = together.singularValues;
    ofParts.forEach((values, i) => {
      assertSpectrum(values, powers(50, (i + 1) / 4), 1e-12);
    });
    assert.ok(ofWhole);
    assertSpectrum(ofWhole, [...(await spectrum(tensor))], 1e-12);
  });

  test('a stack with a part of low rank takes the accurate path for that part only', async () => {
    const low = Array.from({ length: 40 }, (_, i) => (i < 3 ? 1 : 0));
    const W = new Float64Array(120 * 40);
    [low, powers(40, 0.2), low].forEach((sigma, i) => {
      W.set(withSingularValues(40, 40, sigma, i + 1), i * 40 * 40);
    });
    const tensor = tensorFile(fresh(), W, 'float64', [120, 40]);
    const views = [0, 1, 2].map((i) => ({ offset: i * 1600, rows: 40, columns: 40, rowStride: 40 }));
    const result = await backend.singularValues({ tensor, matrices: [whole(tensor.shape), ...views] }, never);
    assert.ok(result.kind === 'spectra');
    assertSpectrum(result.singularValues[1] ?? new Float64Array(), low, 1e-13);
    assertSpectrum(result.singularValues[2] ?? new Float64Array(), powers(40, 0.2), 1e-12);
    assertSpectrum(result.singularValues[3] ?? new Float64Array(), low, 1e-13);
  });

  test('an empty view has no singular values', async () => {
    const tensor = tensorFile(fresh(), new Float64Array(4), 'float64', [2, 2]);
    assert.equal((await spectrum(tensor, { offset: 0, rows: 0, columns: 2, rowStride: 2 })).length, 0);
  });
});

test('a file that became shorter is an error that names it', async () => {
  const tensor = tensorFile(fresh(), new Float64Array(100), 'float64', [10, 10]);
  const lying = { ...tensor, storage: { ...tensor.storage, offset: 400 } };
  await assert.rejects(
    backend.singularValues({ tensor: lying, matrices: [whole(tensor.shape)] }, never),
    /\.bin, tensor "layer\.weight", byte \d+: the file became shorter while it was read/,
  );
});
