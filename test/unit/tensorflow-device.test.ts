/** The tensorflow device on a real TensorFlow for the processor, through its real binding: same kernels, no GPU. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { after, before, describe, test } from 'node:test';
import type { Device, DeviceMatrix } from '../../src/compute/device/device';
import { openTensorflow } from '../../src/compute/tensorflow/device';
import { generatedMatrix } from '../reference/generated';
import { auditReferences, hasSpectrum } from '../reference/references';
import { uniform, withSingularValues } from './matrices';
import { tensorflowFolder, WITHOUT_TENSORFLOW } from './tensorflowCpu';

/** The promise: largest error, in units of σ₁. */
const PROMISED = 2e-8;

const never = new AbortController().signal;

/** This file run again, as a process that opens the device and computes, to hear what it prints. */
if (process.env.RANKSCOPE_TEST_TENSORFLOW !== undefined) void compute(process.env.RANKSCOPE_TEST_TENSORFLOW);
else describe('tensorflow on the processor', { skip: WITHOUT_TENSORFLOW, timeout: 600_000 }, suite);

async function compute(folder: string): Promise<void> {
  const device = await openTensorflow({ tensorflow: folder });
  const identity = Float32Array.of(1, 0, 0, 1);
  await device.spectrum({ rows: 2, columns: 2, values: identity }, never);
  const matrix = { rows: 2, columns: 2, values: identity };
  await device.product32(matrix, matrix, never);
}

function suite(): void {
  let device: Device;
  let folder: string;

  before(async () => {
    folder = await tensorflowFolder();
    device = await openTensorflow({ tensorflow: folder });
  });
  after(() => device.dispose());

  async function valuesOf(matrix: DeviceMatrix): Promise<Float64Array> {
    const spectrum = await device.spectrum(matrix, never);
    assert.ok(spectrum.kind === 'values');
    assert.equal(spectrum.values.length, Math.min(matrix.rows, matrix.columns));
    return spectrum.values;
  }

  test('says what it is', () => {
    assert.match(device.facts.runtime, /^TensorFlow 2\.\d+\.\d+$/);
    assert.match(device.facts.build, /^tensorflow 2\.\d+\.\d+ CPU \d+$/);
    assert.deepEqual(
      { ...device.facts, runtime: '', build: '' },
      {
        kind: 'tensorflow',
        adapter: 'CPU',
        runtime: '',
        isSoftware: true,
        build: '',
      },
    );
    assert.equal(device.takesFloat64, true);
  });

  test('prints nothing', () => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [process.argv[1] ?? ''], {
      env: { ...process.env, RANKSCOPE_TEST_TENSORFLOW: folder, NODE_TEST_CONTEXT: undefined },
      encoding: 'utf8',
    });
    assert.deepEqual({ stdout, stderr, status }, { stdout: '', stderr: '', status: 0 });
  });

  describe("numpy's singular values of float32 matrices", () => {
    for (const [name, reference] of Object.entries(auditReferences().generated)) {
      if (!hasSpectrum(reference) || reference.sigma === undefined) continue;
      const { sigma } = reference;
      test(name, async () => {
        const { rows, columns } = reference.recipe;
        assertSpectrum(await valuesOf({ rows, columns, values: generatedMatrix(reference.recipe) }), sigma);
      });
    }
  });

  describe('float64', () => {
    for (const [rows, columns] of [
      [1, 1],
      [1, 7],
      [7, 1],
      [34, 40],
      [200, 101],
      [257, 259],
      [300, 1100],
      [1100, 300],
    ] as const)
      test(`${rows} × ${columns}, slowly decaying`, async () => {
        const sigma = Array.from({ length: Math.min(rows, columns) }, (_, i) => (i + 1) ** -0.5);
        const values = withSingularValues(rows, columns, sigma);
        assertSpectrum(await valuesOf({ rows, columns, values }), sigma, 1e-12);
      });

    for (const scale of [1e300, 1e-300, 1e-310])
      test(`as large as ${scale}`, async () => {
        const sigma = Array.from({ length: 50 }, (_, i) => 1 / (i + 1));
        const values = withSingularValues(50, 64, sigma).map((value) => value * scale);
        const expected = sigma.map((value) => value * scale);
        // Numbers of 1e-310 have 44 bits.
        assertSpectrum(await valuesOf({ rows: 50, columns: 64, values }), expected, 1e-11);
      });

    test('a view that does not begin where its memory begins', async () => {
      const sigma = [3, 2, 1];
      const held = new Float64Array(5 + 12);
      held.set(withSingularValues(3, 4, sigma), 5);
      assertSpectrum(await valuesOf({ rows: 3, columns: 4, values: held.subarray(5) }), sigma, 1e-14);
    });
  });

  describe('spectra that a Gram matrix would lose', () => {
    for (const floor of [0, 1e-12, 1e-9, 1e-8, 3e-8, 6e-8, 1e-7, 3e-7, 1e-6])
      for (const ones of [1, 150, 299])
        for (const [rows, columns] of [
          [300, 340],
          [340, 300],
        ] as const)
          test(`${rows} × ${columns}: ${ones} × 1 and the rest ${floor}`, async () => {
            const sigma = Array.from({ length: 300 }, (_, i) => (i < ones ? 1 : floor));
            const values = withSingularValues(rows, columns, sigma);
            assertSpectrum(await valuesOf({ rows, columns, values }), sigma, PROMISED / 2);
          });

    test('decay to 1e-14, tall', async () => {
      const sigma = Array.from({ length: 200 }, (_, i) => 10 ** ((-14 * i) / 199));
      assertSpectrum(
        await valuesOf({ rows: 900, columns: 200, values: withSingularValues(900, 200, sigma) }),
        sigma,
      );
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
      const values = await valuesOf({ rows: 120, columns: 90, values: W });
      assert.ok((values[4] ?? 0) > 0.01 * (values[0] ?? 0));
      for (const value of values.subarray(5)) assert.ok(value <= 1e-13 * (values[0] ?? 0));
    });
  });

  describe('zeros', () => {
    test('of a whole matrix are exact', async () => {
      const values = await valuesOf({ rows: 70, columns: 80, values: new Float32Array(70 * 80) });
      assert.ok(values.every((value) => value === 0));
    });

    for (const wide of [true, false])
      test(`of whole ${wide ? 'rows' : 'columns'} are exact`, async () => {
        const sigma = Array.from({ length: 80 }, (_, i) => 1 / (i + 1));
        const [rows, columns] = wide ? [100, 150] : [150, 100];
        const block = withSingularValues(80, 150, sigma);
        const values = new Float64Array(rows * columns);
        for (let i = 0; i < 80; i++)
          for (let j = 0; j < 150; j++) {
            const line = i < 40 ? i : i + 20;
            values[wide ? line * columns + j : j * columns + line] = block[i * 150 + j] ?? NaN;
          }
        const found = await valuesOf({ rows, columns, values });
        assertSpectrum(found, sigma, 1e-12);
        assert.ok(found.subarray(80).every((value) => value === 0));
      });
  });

  test('float32 numbers below the smallest normal one are not zeros', async () => {
    const unit = 2 ** -149;
    const counts = Float64Array.from({ length: 40 * 40 }, (_, k) => (k * 7) % 5);
    const expected = await valuesOf({ rows: 40, columns: 40, values: counts });
    const values = Float32Array.from(counts, (count) => count * unit);
    const found = await valuesOf({ rows: 40, columns: 40, values });
    assertSpectrum(
      found,
      [...expected].map((value) => value * unit),
    );
  });

  describe('values that are not numbers', () => {
    for (const value of [NaN, Infinity, -Infinity])
      for (const type of [Float32Array, Float64Array])
        test(`${value} in a ${type.name}`, async () => {
          const values = new type(50 * 60).fill(0.5);
          values[1234] = value;
          assert.deepEqual(await device.spectrum({ rows: 50, columns: 60, values }, never), {
            kind: 'nonFinite',
          });
        });
  });

  test('product32 is a float32 product', async () => {
    const random = uniform(5);
    const [rows, inner, columns] = [37, 129, 53];
    const A = Float32Array.from({ length: rows * inner }, random);
    const B = Float32Array.from({ length: inner * columns }, random);
    const found = await device.product32(
      { rows, columns: inner, values: A },
      { rows: inner, columns, values: B },
      never,
    );
    assert.equal(found.length, rows * columns);
    found.forEach((value, k) => {
      let exact = 0;
      let size = 0;
      for (let r = 0; r < inner; r++) {
        const term =
          (A[Math.floor(k / columns) * inner + r] ?? NaN) * (B[r * columns + (k % columns)] ?? NaN);
        exact += term;
        size += Math.abs(term);
      }
      assert.ok(Math.abs(value - exact) <= inner * 2 ** -24 * size);
    });
  });

  test('descend: a sine of a rank-two product is found again', async () => {
    const random = uniform(9);
    const [m, n, k] = [24, 20, 2];
    const U = Float32Array.from({ length: m * k }, random);
    const V = Float32Array.from({ length: n * k }, random);
    const values = Float32Array.from({ length: m * n }, (_, at) => {
      let inner = 0;
      for (let r = 0; r < k; r++)
        inner += (U[Math.floor(at / n) * k + r] ?? NaN) * (V[(at % n) * k + r] ?? NaN);
      return Math.sin(inner);
    });
    const away = (factor: Float32Array): Float32Array => factor.map((value) => value + 0.05 * random());
    let last = 0;
    const end = await device.descend(
      {
        W: { rows: m, columns: n, values },
        rank: k,
        U: away(U),
        V: away(V),
        amplitude: 1,
        steps: 300,
        rate: 0.02,
        amplitudeRate: 0,
        noise: 0,
        seed: 1,
      },
      never,
      (fraction) => (last = fraction),
    );
    assert.ok(end.steps > 0 && end.steps <= 300 && last > 0 && last <= 1);
    assert.ok(errorOf(end.U, end.V) < 0.1 * errorOf(away(U), away(V)));

    function errorOf(left: Float32Array, right: Float32Array): number {
      let sum = 0;
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          let inner = 0;
          for (let r = 0; r < k; r++) inner += (left[i * k + r] ?? NaN) * (right[j * k + r] ?? NaN);
          sum += ((values[i * n + j] ?? NaN) - Math.sin(inner)) ** 2;
        }
      return sum;
    }
  });

  test('a product larger than memory fails in one line, and the device goes on', async () => {
    const tall = { rows: 3_000_000, columns: 1, values: new Float32Array(3_000_000).fill(1) };
    const wide = { ...tall, rows: 1, columns: 3_000_000 };
    await assert.rejects(device.product32(tall, wide, never), (error: Error) => {
      assert.match(error.message, /^TensorFlow on CPU failed: out of main memory; [^\n]+$/);
      return true;
    });
    assertSpectrum(await valuesOf({ rows: 1, columns: 2, values: Float32Array.of(3, 4) }), [5]);
  });

  test('a mismatch fails in one line, with the words of TensorFlow', async () => {
    const matrix = { rows: 2, columns: 3, values: new Float32Array(6) };
    await assert.rejects(
      device.product32(matrix, matrix, never),
      /^Error: TensorFlow on CPU failed: [^\n]*incompatible[^\n]*$/,
    );
  });

  test('a cancelled call rejects with the reason', async () => {
    const reason = new Error('not any more');
    const matrix = { rows: 1, columns: 1, values: Float32Array.of(1) };
    await assert.rejects(device.spectrum(matrix, AbortSignal.abort(reason)), reason);
  });

  test('memory is freed, also of what failed', async () => {
    const sigma = Array.from({ length: 128 }, (_, i) => (i < 60 ? 1 : 0));
    const values = withSingularValues(1024, 128, sigma);
    const matrix = { rows: 1024, columns: 128, values };
    const once = async (): Promise<void> => {
      await valuesOf(matrix);
      await valuesOf({ ...matrix, values: Float32Array.from(values) });
      await assert.rejects(device.product32(matrix, matrix, never));
    };
    const tensors = tensorCounter(folder);
    for (let k = 0; k < 20; k++) await once();
    const [before, alive] = [rss(), tensors()];
    for (let k = 0; k < 100; k++) await once();
    assert.equal(tensors(), alive);
    const grown = rss() - before;
    // One matrix is 1 MB in float64: 100 calls that kept theirs would hold hundreds.
    assert.ok(grown < 40e6, `grew by ${grown / 1e6} MB`);
  });

  test('a closed device says so', async () => {
    const other = await openTensorflow({ tensorflow: folder });
    await other.dispose();
    const matrix = { rows: 1, columns: 1, values: Float32Array.of(1) };
    await assert.rejects(other.spectrum(matrix, never), /closed/);
  });
}

function assertSpectrum(actual: Float64Array, expected: readonly number[], tolerance = PROMISED): void {
  const largest = expected[0] ?? 0;
  for (let i = 0; i < actual.length; i++) {
    const error = Math.abs((actual[i] ?? NaN) - (expected[i] ?? 0));
    assert.ok(error <= tolerance * largest, `σ${i + 1} is off by ${error / largest} σ₁`);
    assert.ok((actual[i] ?? NaN) >= 0 && (i === 0 || (actual[i] ?? NaN) <= (actual[i - 1] ?? NaN)));
  }
}

/** Counts the tensors that TensorFlow holds: a process has one TensorFlow, so this is the device's. */
function tensorCounter(folder: string): () => number {
  const library = createRequire(path.join(folder, 'package.json'))(folder) as {
    backend(): { binding: { getNumOfTensors(): number } };
  };
  return () => library.backend().binding.getNumOfTensors();
}

/** Resident bytes after a collection. */
function rss(): number {
  setFlagsFromString('--expose-gc');
  // The flag makes the function appear in contexts made after it.
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage.rss();
}
