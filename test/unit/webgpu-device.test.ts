/** The WebGPU device, on whatever adapter there is: tests run it on one that the processor plays. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import type { Device, DeviceMatrix, DeviceSpectrum } from '../../src/compute/device/device';
import { openAdapter } from '../../src/compute/webgpu/dawn';
import { openWebgpu, requestDevice, webgpuDevice } from '../../src/compute/webgpu/device';
import { GpuWork } from '../../src/compute/webgpu/gpuWork';
import { SlicedGram } from '../../src/compute/webgpu/slicedGram';
import { PORTIONS, type Portions } from '../../src/compute/webgpu/tiling';
import { generatedMatrix } from '../reference/generated';
import { auditReferences, hasSpectrum } from '../reference/references';
import { uniform } from './matrices';
import { softwareGpu } from './softwareGpu';

/** The promise: largest error, in units of σ₁. */
const PROMISED = 2e-8;

const never = new AbortController().signal;

/** A driver is named in the environment of a process from its start: this file runs itself again with one. */
switch (process.env.RANKSCOPE_TEST_WEBGPU) {
  case undefined:
    inOwnProcesses();
    break;
  case 'adapter':
    describe('spectra', spectra);
    describe('exact Gram matrices', exactGrams);
    describe('what cannot be done', refusals);
    describe('TensorFlow.js on the device', tensors);
    describe('calls', calls);
    describe('failures', failures);
    break;
  case 'lost':
    // TensorFlow.js has one device a process.
    describe('a device lost under TensorFlow.js', lostTensors);
    break;
  case 'no adapter':
    test('no graphics card is one line that says what to do', async () => {
      await assert.rejects(openWebgpu({}), /^Error: WebGPU finds no graphics card: install .*Vulkan[^\n]*$/);
    });
}

function inOwnProcesses(): void {
  const gpu = softwareGpu();
  const skip = typeof gpu === 'string' ? gpu : false;

  test('on a software adapter', { skip, timeout: 600_000 }, async (context) => {
    assert.ok(typeof gpu !== 'string');
    context.diagnostic(`on ${gpu.name}`);
    await runAgain('adapter', gpu.env);
    await runAgain('lost', gpu.env);
  });

  test('without an adapter', { skip: skip || process.platform !== 'linux', timeout: 60_000 }, async () => {
    await runAgain('no adapter', { VK_DRIVER_FILES: '/nonexistent', VK_ICD_FILENAMES: '/nonexistent' });
  });
}

/** Its tests must pass there. */
async function runAgain(part: string, env: Readonly<Record<string, string>>): Promise<void> {
  const own: NodeJS.ProcessEnv = { ...process.env, ...env, RANKSCOPE_TEST_WEBGPU: part };
  // It is no part of the runner that runs this one.
  delete own.NODE_TEST_CONTEXT;
  const child = spawn(process.execPath, ['--test-reporter=spec', __filename], { env: own });
  let output = '';
  child.stdout.on('data', (text: Buffer) => (output += text.toString()));
  child.stderr.on('data', (text: Buffer) => (output += text.toString()));
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0, output);
  assert.match(output, /pass [1-9]/, 'tests were run');
}

function matrix(rows: number, columns: number, value: (i: number, j: number) => number): DeviceMatrix {
  const values = Float32Array.from({ length: rows * columns }, (_, k) =>
    value(Math.floor(k / columns), k % columns),
  );
  return { rows, columns, values };
}

function transposed({ rows, columns, values }: DeviceMatrix): DeviceMatrix {
  return matrix(columns, rows, (i, j) => values[j * columns + i] ?? NaN);
}

function gramIn(spectrum: DeviceSpectrum): Float64Array {
  assert.ok(spectrum.kind === 'gram', spectrum.kind);
  return spectrum.gram;
}

/** Multiples of 2^-149, which all float32 numbers are. */
function integerOf(value: number): bigint {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
  const exponent = (bits >>> 23) & 0xff;
  const mantissa = BigInt((bits & 0x7fffff) + (exponent === 0 ? 0 : 0x800000));
  const magnitude = mantissa << BigInt(Math.max(exponent, 1) - 1);
  return bits >>> 31 === 1 ? -magnitude : magnitude;
}

/** x · 2^-298, rounded once: 64 leading bits with the rest sticky, which float64 rounds as the whole. */
function floatOf(x: bigint): number {
  const magnitude = x < 0n ? -x : x;
  const extra = Math.max(0, magnitude.toString(2).length - 64);
  const head = magnitude >> BigInt(extra);
  const isSticky = head << BigInt(extra) !== magnitude;
  const rounded = Number(isSticky ? head | 1n : head) * 2 ** (extra - 149) * 2 ** -149;
  return x < 0n ? -rounded : rounded;
}

/** The packed lower triangle of the Gram matrix of the smaller side, in whole numbers. */
function exactGram({ rows, columns, values }: DeviceMatrix): Float64Array {
  const isWide = rows <= columns;
  const [small, long] = isWide ? [rows, columns] : [columns, rows];
  const integers = Array.from(values, integerOf);
  const at = (i: number, k: number): bigint => integers[isWide ? i * columns + k : k * columns + i] ?? 0n;
  const gram: number[] = [];
  for (let i = 0; i < small; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0n;
      for (let k = 0; k < long; k++) sum += at(i, k) * at(j, k);
      gram.push(floatOf(sum));
    }
  return Float64Array.from(gram);
}

/** An open device for the tests of one suite. */
function opened(): { readonly device: Device } {
  const held: { device: Device } = { device: undefined as never };
  before(async () => {
    held.device = await openWebgpu({});
  });
  after(() => held.device.dispose());
  return held;
}

function spectra(): void {
  const open = opened();
  const wasm = createWasmBackend(1);
  after(() => wasm.dispose());

  test('the device says what it is', () => {
    const { kind, adapter, runtime, isSoftware, build } = open.device.facts;
    assert.equal(kind, 'webgpu');
    assert.match(adapter, /llvmpipe|swiftshader/i);
    assert.equal(runtime, `Dawn, ${process.platform === 'linux' ? 'Vulkan' : runtime.slice(6)}`);
    assert.ok(isSoftware);
    assert.match(build, /^webgpu \d+ \(Dawn, /);
    assert.equal(open.device.takesFloat64, false);
  });

  for (const reference of Object.values(auditReferences().generated)) {
    const [rows = 0, columns = 0] = reference.shape;
    if (!hasSpectrum(reference) || rows * columns > 256 * 300) continue;
    const { sigma = [] } = reference;
    test(`${reference.recipe.name}: numpy's singular values`, async () => {
      const values = generatedMatrix(reference.recipe);
      const n = Math.min(rows, columns);
      const gram = gramIn(await open.device.spectrum({ rows, columns, values }, never));
      assert.equal(gram.length, (n * (n + 1)) / 2);
      const found = await wasm.gramEigenvalues(gram, n, never);
      const largest = sigma[0] ?? 0;
      assert.ok(sigma.length > 0 && largest > 0);
      sigma.forEach((expected, i) => {
        // Singular values that Gram matrices lose are the processor's, which is told so.
        const isLost = !found.reliable && expected < 1e-6 * largest;
        const error = Math.abs((found.values[i] ?? NaN) - expected) / largest;
        assert.ok(error <= (isLost ? 1e-6 : PROMISED / 4), `σ${i + 1} is off by ${error} σ₁`);
      });
    });
  }
}

/** Whole numbers throughout: where all elements fit the fixed point, only the last rounding is left. */
function exactGrams(): void {
  const open = opened();

  const assertExact = async (given: DeviceMatrix): Promise<void> => {
    for (const each of [given, transposed(given)])
      assert.deepEqual(gramIn(await open.device.spectrum(each, never)), exactGram(each));
  };

  /** Full mantissas, magnitudes 2^0 … 2^-14 of the line's largest. */
  const spread = (seed: number) => {
    const random = uniform(seed);
    return (): number =>
      (Math.abs(random()) < 0.5 ? -1 : 1) * (1 + Math.abs(random())) * 2 ** Math.round(-7 + 6 * random());
  };

  for (const [rows, columns] of [
    [1, 1],
    [1, 200],
    [3, 5],
    [63, 65],
    [64, 64],
    [65, 100],
    [130, 131],
  ] as const)
    test(`${rows} × ${columns}, float32`, () => assertExact(matrix(rows, columns, spread(rows))));

  test('small whole numbers, as float16 holds them', async () => {
    const random = uniform(5);
    await assertExact(matrix(70, 90, () => Math.round(1000 * random())));
  });

  test('half-precision numbers too far apart for four slices', async () => {
    const random = uniform(6);
    await assertExact(matrix(50, 60, (i, j) => (i === j ? 1 : Math.round(100 * random()) * 2 ** -31)));
  });

  test('lines of very different magnitudes, subnormal numbers, the largest ones', async () => {
    const value = spread(7);
    const scales = [2 ** -149, 2 ** -140, 2 ** -126, 1e-30, 1, 1e30, 2 ** 126];
    const wide = matrix(35, 60, (i) => Math.fround(value() * (scales[i % 7] ?? 1)));
    await assertExact(wide);
  });

  test('long lines whose digits are as large as digits are', async () => {
    // 2^37 sets the unit; 0x808080 is then the digits 1, −127, −127, −128.
    await assertExact(matrix(3, 50_000, (i, j) => (j === i ? 2 ** 37 : i === 2 ? -0x808080 : 0x808080)));
  });

  test('lines of zeros stay zeros', async () => {
    const value = spread(8);
    const given = matrix(40, 50, (i) => (i % 3 === 0 ? 0 : value()));
    await assertExact(given);
    await assertExact(matrix(40, 50, () => 0));
  });

  test('what rounding to fixed point does to a Gram matrix is far below the promise', async () => {
    const random = uniform(9);
    const given = matrix(90, 100, () => random() * 2 ** Math.round(30 * random()));
    const [expected, found] = [exactGram(given), gramIn(await open.device.spectrum(given, never))];
    const norm = (i: number): number => Math.sqrt(expected[(i * (i + 3)) / 2] ?? NaN);
    for (let i = 0, at = 0; i < 90; i++)
      for (let j = 0; j <= i; j++, at++)
        assert.ok(Math.abs((found[at] ?? NaN) - (expected[at] ?? NaN)) <= 1e-11 * norm(i) * norm(j));
  });

  test('tiles, bands and tiles sent again change no bit', async () => {
    const value = spread(10);
    const given = matrix(150, 240, value);
    const adapter = await openAdapter({});
    const gpu = await requestDevice(adapter);
    const work = new GpuWork(gpu);
    const expected = exactGram(given);
    const portions: readonly Portions[] = [
      { ...PORTIONS, tile: 4 * 192 * 64 },
      { ...PORTIONS, tile: 4 * 192 * 96, resident: 0 },
      { ...PORTIONS, tile: 4 * 192 * 32, band: 1, resident: 0 },
      { ...PORTIONS, band: 1 },
    ];
    for (const portion of portions) {
      const sliced = new SlicedGram(work, true, portion);
      assert.deepEqual(gramIn(await sliced.spectrum(given, never)), expected);
      assert.deepEqual(gramIn(await sliced.spectrum(transposed(given), never)), expected);
    }
    // Blocks of 128 lines, which large matrices have on real graphics cards.
    const inLargeBlocks = new SlicedGram(work, false, { ...PORTIONS, largeBlocksFrom: 1 });
    assert.deepEqual(gramIn(await inLargeBlocks.spectrum(given, never)), expected);
    gpu.destroy();
  });
}

function refusals(): void {
  const open = opened();

  for (const [name, bad] of [
    ['NaN', NaN],
    ['infinity', -Infinity],
  ] as const)
    test(`${name} anywhere is found`, async () => {
      for (const [row, column] of [
        [0, 0],
        [39, 69],
        [17, 3],
      ] as const) {
        const given = matrix(40, 70, (i, j) => (i === row && j === column ? bad : 0.5));
        assert.deepEqual(await open.device.spectrum(given, never), { kind: 'nonFinite' });
        assert.deepEqual(await open.device.spectrum(transposed(given), never), { kind: 'nonFinite' });
      }
    });

  test('float64 elements are not for it', async () => {
    const given = { rows: 2, columns: 2, values: Float64Array.of(1, 2, 3, 4) };
    const spectrum = await open.device.spectrum(given, never);
    assert.deepEqual(spectrum, { kind: 'refused', reason: 'its elements are float64' });
  });

  test('an empty matrix has an empty Gram matrix', async () => {
    const given = { rows: 0, columns: 5, values: new Float32Array(0) };
    assert.deepEqual(await open.device.spectrum(given, never), { kind: 'gram', gram: new Float64Array(0) });
  });

  test('a longer side beyond 2^19 is refused before anything is sent', async () => {
    const given = { rows: 1, columns: 2 ** 19 + 1, values: new Float32Array(2 ** 19 + 1) };
    assert.equal((await open.device.spectrum(given, never)).kind, 'refused');
  });
}

function tensors(): void {
  const open = opened();

  test('product32', async () => {
    const random = uniform(11);
    const A = matrix(33, 70, random);
    const B = matrix(70, 41, random);
    const product = await open.device.product32(A, B, never);
    assert.equal(product.length, 33 * 41);
    product.forEach((value, at) => {
      let expected = 0;
      for (let k = 0; k < 70; k++)
        expected += (A.values[Math.floor(at / 41) * 70 + k] ?? 0) * (B.values[k * 41 + (at % 41)] ?? 0);
      assert.ok(Math.abs(value - expected) < 1e-4);
    });
  });

  test('a product with a long inner side has the same bits every time', async () => {
    const A = matrix(12, 5000, uniform(15));
    const B = matrix(5000, 12, uniform(16));
    const first = await open.device.product32(A, B, never);
    for (let again = 0; again < 3; again++) assert.deepEqual(await open.device.product32(A, B, never), first);
  });

  test('a descent comes closer to a matrix that is a sine', async () => {
    const random = uniform(12);
    const [m, n, k] = [48, 40, 3];
    const U0 = Float32Array.from({ length: m * k }, random);
    const V0 = Float32Array.from({ length: n * k }, random);
    const sineOf = (U: Float32Array, V: Float32Array, i: number, j: number): number => {
      let sum = 0;
      for (let r = 0; r < k; r++) sum += (U[i * k + r] ?? 0) * (V[j * k + r] ?? 0);
      return Math.sin(sum);
    };
    const W = matrix(m, n, (i, j) => sineOf(U0, V0, i, j));
    const [U, V] = [U0, V0].map((X) => X.map((x) => x + 0.1 * random()));
    assert.ok(U && V);
    const errorOf = (end: { U: Float32Array; V: Float32Array; amplitude: number }): number => {
      let sum = 0;
      W.values.forEach((w, at) => {
        sum += (w - end.amplitude * sineOf(end.U, end.V, Math.floor(at / n), at % n)) ** 2;
      });
      return Math.sqrt(sum);
    };
    const fractions: number[] = [];
    const descent = {
      W,
      rank: k,
      U,
      V,
      amplitude: 1,
      steps: 60,
      rate: 0.01,
      amplitudeRate: 0,
      noise: 0,
      seed: 1,
    };
    const end = await open.device.descend(descent, never, (fraction) => fractions.push(fraction));
    assert.ok(errorOf(end) < 0.5 * errorOf({ U, V, amplitude: 1 }));
    assert.ok(fractions.every((fraction) => fraction >= 0 && fraction <= 1));
  });
}

function lostTensors(): void {
  const random = uniform(17);
  const [m, n, k] = [200, 150, 8];
  const descent = {
    ...{ W: matrix(m, n, random), rank: k, amplitude: 1, steps: 100_000 },
    U: Float32Array.from({ length: m * k }, random),
    V: Float32Array.from({ length: n * k }, random),
    ...{ rate: 0.01, amplitudeRate: 0.01, noise: 0.01, seed: 1 },
  };

  test('a descent that is cancelled ends at once with its reason; one whose device is lost, in one line', async () => {
    const adapter = await openAdapter({});
    const gpu = await requestDevice(adapter);
    const device = webgpuDevice(gpu, adapter.info);
    const controller = new AbortController();
    const reason = new Error('no longer wanted');
    const cancelled = device.descend(descent, controller.signal, () => undefined);
    let begin = Infinity;
    setTimeout(() => {
      begin = performance.now();
      controller.abort(reason);
    }, 500);
    await assert.rejects(cancelled, (error) => error === reason);
    assert.ok(performance.now() - begin < 1000);
    const lost = device.descend(descent, never, () => undefined);
    setTimeout(() => {
      gpu.destroy();
    }, 300);
    await assert.rejects(lost, /^Error: the WebGPU device is lost: [^\n]+$/);
    const A = matrix(2, 2, () => 1);
    await assert.rejects(device.product32(A, A, never), /the WebGPU device is lost/);
  });
}

function calls(): void {
  const open = opened();

  test('calls overlap, and each has its own answer', async () => {
    const given = [30, 64, 90, 20, 75].map((rows) => matrix(rows, 80, uniform(rows)));
    const apart: DeviceSpectrum[] = [];
    for (const each of given) apart.push(await open.device.spectrum(each, never));
    const together = await Promise.all(given.map((each) => open.device.spectrum(each, never)));
    assert.deepEqual(together, apart);
  });

  test('a call that is cancelled ends at once with its reason, and the device goes on', async () => {
    const large = matrix(256, 4000, uniform(13));
    const controller = new AbortController();
    const others = [
      open.device.spectrum(large, controller.signal),
      open.device.spectrum(large, controller.signal),
    ];
    const waiting = open.device.spectrum(large, controller.signal);
    const reason = new Error('no longer wanted');
    setTimeout(() => {
      controller.abort(reason);
    }, 60);
    const begin = performance.now();
    for (const call of [...others, waiting]) await assert.rejects(call, (error) => error === reason);
    assert.ok(performance.now() - begin < 1000);
    await assert.rejects(open.device.spectrum(large, controller.signal), (error) => error === reason);
    const small = matrix(2, 2, (i, j) => 1 + i + j);
    assert.deepEqual(gramIn(await open.device.spectrum(small, never)), Float64Array.of(5, 8, 13));
  });
}

function failures(): void {
  const large = matrix(256, 3000, uniform(14));

  test('a device that is lost ends every call in one line', async () => {
    const adapter = await openAdapter({});
    const gpu = await requestDevice(adapter);
    const device = webgpuDevice(gpu, adapter.info);
    const running = [1, 2, 3].map(() => device.spectrum(large, never));
    setTimeout(() => {
      gpu.destroy();
    }, 60);
    for (const call of running) await assert.rejects(call, /^Error: the WebGPU device is lost: [^\n]+$/);
    await assert.rejects(device.spectrum(large, never), /the WebGPU device is lost/);
    await assert.rejects(device.product32(large, transposed(large), never), /the WebGPU device is lost/);
  });

  test('memory that is full leaves the matrix to others, and the device goes on', async () => {
    const adapter = await openAdapter({});
    const gpu = await requestDevice(adapter);
    const device = webgpuDevice(gpu, adapter.info);
    // What a driver without memory answers: the scope for such errors, opened last, holds one.
    const pushErrorScope = gpu.pushErrorScope.bind(gpu);
    const popErrorScope = gpu.popErrorScope.bind(gpu);
    const scopes: GPUErrorFilter[] = [];
    gpu.pushErrorScope = (filter) => {
      scopes.push(filter);
      pushErrorScope(filter);
    };
    gpu.popErrorScope = async () => {
      const isFull = scopes.pop() === 'out-of-memory';
      const error = await popErrorScope();
      return isFull ? new GPUOutOfMemoryError('no memory') : error;
    };
    assert.deepEqual(await device.spectrum(large, never), {
      kind: 'refused',
      reason: "the graphics card's memory is full",
    });
    Object.assign(gpu, { pushErrorScope, popErrorScope });
    const small = matrix(1, 2, () => 2);
    assert.deepEqual(gramIn(await device.spectrum(small, never)), Float64Array.of(8));
    await device.dispose();
  });

  test('an error of the driver on the side ends the calls, too', async () => {
    const adapter = await openAdapter({});
    const gpu = await requestDevice(adapter);
    const device = webgpuDevice(gpu, adapter.info);
    const running = device.spectrum(large, never);
    gpu.createBuffer({ size: 2 ** 50, usage: GPUBufferUsage.STORAGE });
    await assert.rejects(running, /^Error: WebGPU failed: [^\n]+$/);
    await device.dispose();
  });
}
