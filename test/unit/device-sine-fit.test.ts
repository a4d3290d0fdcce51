/** Descents on TensorFlow.js, as graphics cards make them, and the fits that they are part of. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import type { FitResult, FitTarget, SineFit, SineFitOptions } from '../../src/compute';
import type { DeviceDescent } from '../../src/compute/device/device';
import { deviceSineFit, type DeviceFitParts } from '../../src/compute/device/deviceFit';
import { tfDescent } from '../../src/compute/device/tfDescent';
import { sineGradient } from '../../src/compute/device/tfObjective';
import { FileDescriptors } from '../../src/checkpoint/tensorData';
import { gramScale } from '../../src/compute/sineSchedule';
import { createWasmBackend } from '../../src/compute/wasm/backend';
import { DenseMatrix } from '../../src/compute/wasm/denseMatrix';
import { chooseBuild, compileKernels, KernelInstance } from '../../src/compute/wasm/kernels';
import { SineDescent } from '../../src/compute/wasm/sineDescent';
import { TensorElements } from '../../src/compute/wasm/tensorElements';
import { generatedMatrix } from '../reference/generated';
import { sineReferences } from '../reference/sineReferences';
import { ROOT } from '../reference/references';
import { errorOf, gramOf, MatrixFiles, transpose } from './fitTargets';
import { uniform } from './matrices';

const references = sineReferences();
const files = new MatrixFiles();
const wasm = createWasmBackend(1);
const never = new AbortController().signal;
const OPTIONS: SineFitOptions = { rank: 4, omega: 1, steps: 300, seed: 1 };

before(async () => {
  // Without it, TensorFlow.js advertises its native package on stderr.
  tf.enableProdMode();
  setWasmPaths(`${path.join(ROOT, 'node_modules/@tensorflow/tfjs-backend-wasm/dist')}${path.sep}`);
  await start('wasm');
});
after(async () => {
  await wasm.dispose();
  files.dispose();
});

async function start(name: string): Promise<void> {
  assert.ok(await tf.setBackend(name), `TensorFlow.js has no backend ${name} here`);
}

function random(rows: number, columns: number, seed = 1): Float32Array {
  return Float32Array.from({ length: rows * columns }, uniform(seed));
}

const parts: DeviceFitParts = {
  wasm,
  descend: (descent, signal, onFraction) => tfDescent(tf, descent, signal, onFraction),
};

function fitOf<T>(result: FitResult<T>): T {
  assert.ok(result.kind === 'fit', result.kind);
  return result.fit;
}

const onDevice = async (target: FitTarget, options: SineFitOptions): Promise<SineFit> =>
  fitOf(await deviceSineFit(target, options, parts, never));

/** From random factors of phases about 1. */
function descentOf(rows: number, columns: number, rank: number, steps: number): DeviceDescent {
  const scaled = (values: Float32Array): Float32Array => values.map((x) => 1.7 * x * rank ** -0.25);
  return {
    W: { rows, columns, values: random(rows, columns) },
    rank,
    U: scaled(random(rows, rank, 2)),
    V: scaled(random(columns, rank, 3)),
    amplitude: 0.6,
    steps,
    rate: 0.6,
    amplitudeRate: 0.05,
    noise: 0.2,
    seed: 1,
  };
}

const ignore = (): void => undefined;

for (const name of ['wasm', 'cpu'])
  describe(`on TensorFlow.js's ${name} backend the objective's gradient is torch's`, () => {
    before(() => start(name));
    after(() => start('wasm'));
    for (const { W, U, V, inputs, amplitude, ...expected } of references.gradients)
      for (const height of [W.rows, Math.ceil(W.rows / 3)])
        test(`${W.name}, k = ${U.columns}, ${height} rows at a time${inputs === undefined ? '' : ', in the norm of inputs'}`, () => {
          const { columns } = W;
          const sliced = (values: Float32Array, width: number): tf.Tensor2D[] =>
            Array.from({ length: Math.ceil(W.rows / height) }, (_, i) => {
              const block = values.slice(i * height * width, (i + 1) * height * width);
              return tf.tensor2d(block, [block.length / width, width]);
            });
          const G = inputs === undefined ? undefined : gramOf(generatedMatrix(inputs), columns);
          const factor = G === undefined ? 1 : gramScale(G, columns);
          tf.tidy(() => {
            const found = sineGradient(
              tf,
              {
                W: sliced(generatedMatrix(W), columns),
                G:
                  G === undefined
                    ? undefined
                    : tf.tensor2d(
                        Float32Array.from(G, (x) => x * factor),
                        [columns, columns],
                      ),
              },
              {
                U: sliced(generatedMatrix(U), U.columns),
                V: tf.tensor2d(generatedMatrix(V), [columns, U.columns]),
                amplitude: tf.scalar(amplitude),
              },
              true,
            );
            const close = (actual: tf.Tensor | undefined, values: readonly number[], size: number): void => {
              assert.equal(actual?.size, values.length);
              actual.dataSync().forEach((x, i) => {
                assert.ok(Math.abs(x - (values[i] ?? NaN)) <= 4e-6 * size, `${x} for ${values[i]}`);
              });
            };
            const { objective, slope, gradU, gradV } = expected;
            close(found.objective, [objective], objective);
            close(found.slope, [slope], objective);
            close(tf.concat([...found.U]).mul(amplitude), gradU, Math.max(...gradU.map(Math.abs)));
            close(found.V.mul(amplitude), gradV, Math.max(...gradV.map(Math.abs)));
          });
        });
  });

describe('a fit with its descents on TensorFlow.js', () => {
  const ratios: number[] = [];
  for (const { recipe, rank, svdError } of references.fits)
    test(`${recipe.name}, k = ${rank}: never above truncated SVD's error`, async () => {
      const W = generatedMatrix(recipe);
      const target = files.target(W, recipe.rows, recipe.columns);
      const options = { ...OPTIONS, rank, omega: 30 };
      const fit = await onDevice(target, options);
      const plain = errorOf(W, fit, rank, (x) => Math.sin(30 * x) / fit.gain);
      assert.ok(Math.abs(plain - fit.relativeError) < 1e-6, `${plain} for ${fit.relativeError}`);
      assert.ok(Math.abs(fit.svdRelativeError - svdError) < 3e-7);
      assert.ok(fit.relativeError <= svdError + 1e-4, `${fit.relativeError} against ${svdError}`);
      const embedded = fitOf(await wasm.sineFit(target, options, never));
      assert.ok(fit.relativeError <= 1.04 * embedded.relativeError + 1e-7);
      if (embedded.steps > 0) ratios.push(fit.relativeError / embedded.relativeError);
      else assert.deepEqual(fit, embedded);
    });

  test('is as good as the embedded one: within 2 % in the geometric mean', () => {
    const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
    assert.ok(ratios.length >= 4 && Math.abs(mean - 1) < 0.02, `${mean} of ${ratios.join(', ')}`);
  });

  test("with the embedded backend's own descents it is the embedded fit, to the bit", async () => {
    const instance = new KernelInstance(compileKernels(chooseBuild()));
    const embedded: DeviceFitParts = {
      wasm,
      descend: (descent) => {
        instance.reset();
        const { W, rank, inputGram } = descent;
        const { tensor, matrix } = files.target(W.values, W.rows, W.columns);
        const opened = new FileDescriptors();
        const held = new DenseMatrix(matrix, false, new TensorElements(tensor, instance, opened), instance);
        opened.closeAll();
        const run = new SineDescent(held, rank, inputGram, instance);
        const { point, steps } = run.run(descent, descent, ignore);
        return Promise.resolve({ ...point, steps });
      },
    };
    const inputGram = gramOf(random(80, 90, 5), 90);
    const [wide, slow] = [
      files.target(random(48, 90), 48, 90),
      references.fits.find(({ recipe }) => recipe.name === 'decaying')?.recipe,
    ];
    assert.ok(slow !== undefined);
    const decaying = files.target(generatedMatrix(slow), slow.rows, slow.columns);
    for (const target of [wide, { ...wide, inputGram }, decaying])
      for (const options of [OPTIONS, { ...OPTIONS, gain: 1.7, omega: 30 }])
        assert.deepEqual(
          fitOf(await deviceSineFit(target, options, embedded, never)),
          fitOf(await wasm.sineFit(target, options, never)),
        );
  });

  test('in the norm of inputs, either way round', async () => {
    const options = { ...OPTIONS, steps: 150 };
    for (const [rows, columns, samples, transposed] of [
      [40, 64, 200, false],
      [64, 40, 200, true],
    ] as const) {
      const inputGram = gramOf(
        random(samples, columns, 5).map((x, i) => x / (1 + (i % columns))),
        columns,
      );
      const W = random(rows, columns);
      const stored = transposed
        ? files.target(transpose(W, rows, columns), columns, rows)
        : files.target(W, rows, columns);
      const target: FitTarget = { ...stored, transposed, inputGram };
      const fit = await onDevice(target, options);
      const embedded = fitOf(await wasm.sineFit(target, options, never));
      assert.equal(fit.svdRelativeError, embedded.svdRelativeError);
      assert.ok(fit.relativeError <= fit.svdRelativeError + 1e-6);
      const ratio = fit.relativeError / embedded.relativeError;
      assert.ok(Math.abs(ratio - 1) < 0.05, `${fit.relativeError} beside ${embedded.relativeError}`);
    }
  });

  test('a wide matrix, and one stored in × out, give factors of W, out × in', async () => {
    const [rows, columns] = [48, 90];
    const W = random(rows, columns);
    const turned = files.target(transpose(W, rows, columns), columns, rows);
    for (const target of [files.target(W, rows, columns), { ...turned, transposed: true }]) {
      const fit = await onDevice(target, { ...OPTIONS, steps: 150 });
      assert.equal(fit.U.length, rows * 4);
      assert.ok(Math.abs(errorOf(W, fit, 4, (x) => Math.sin(x) / fit.gain) - fit.relativeError) < 1e-6);
      assert.ok(fit.relativeError < 0.99 * fit.svdRelativeError);
    }
  });

  test('a fixed gain is kept', async () => {
    const W = random(60, 50);
    const fit = await onDevice(files.target(W, 60, 50), { ...OPTIONS, gain: 1.7 });
    assert.equal(fit.gain, 1.7);
    assert.ok(Math.abs(errorOf(W, fit, 4, (x) => Math.sin(x) / 1.7) - fit.relativeError) < 1e-6);
    assert.ok(fit.relativeError < fit.svdRelativeError);
  });

  test('the same request gives the same bits; another seed another fit', async () => {
    const target = files.target(random(60, 50), 60, 50);
    const fit = (seed: number): Promise<SineFit> => onDevice(target, { ...OPTIONS, steps: 80, seed });
    const [first, again, other] = [await fit(1), await fit(1), await fit(2)];
    assert.deepEqual(first, again);
    assert.notDeepEqual(first.U, other.U);
  });

  for (const [rows, columns, rank] of [
    [1, 1, 1],
    [1, 300, 1],
    [300, 1, 1],
    [20, 20, 20],
  ] as const)
    test(`${rows} × ${columns} at k = ${rank}`, async () => {
      const W = random(rows, columns);
      const fit = await onDevice(files.target(W, rows, columns), { ...OPTIONS, rank, steps: 60 });
      assert.ok(fit.relativeError <= fit.svdRelativeError + 1e-6, `${fit.relativeError}`);
      assert.ok(Math.abs(errorOf(W, fit, rank, (x) => Math.sin(x) / fit.gain) - fit.relativeError) < 1e-6);
    });

  test('zeros, values that are not numbers and impossible ranks end as they do without a device', async () => {
    const zeros = files.target(new Float32Array(12 * 20), 12, 20);
    for (const options of [OPTIONS, { ...OPTIONS, gain: 2 }])
      assert.equal((await onDevice(zeros, options)).relativeError, 0);
    const W = random(9, 8);
    W.set([NaN, Infinity], 20);
    assert.deepEqual(await deviceSineFit(files.target(W, 9, 8), OPTIONS, parts, never), {
      kind: 'nonFinite',
      nonFinite: { nan: 1, infinite: 1, firstIndex: 20 },
    });
    await assert.rejects(
      deviceSineFit(zeros, { ...OPTIONS, rank: 13 }, parts, never),
      /^Error: rank 13 of a 12 × 20 matrix: choose 1 … 12$/,
    );
  });

  test('progress rises to the end', async () => {
    const fractions: number[] = [];
    const target = files.target(random(60, 50), 60, 50);
    await deviceSineFit(target, OPTIONS, parts, never, (fraction) => fractions.push(fraction));
    assert.ok(fractions.length > 3);
    assert.ok(
      fractions.every((fraction, i) => fraction >= (fractions[i - 1] ?? 0) && fraction <= 1),
      fractions.join(', '),
    );
  });
});

describe('a descent', () => {
  test('in blocks of rows is the same one, but for rounding', async () => {
    // Few steps: rounding grows with every one.
    const descent = { ...descentOf(50, 40, 4, 12), noise: 0 };
    const whole = await tfDescent(tf, descent, never, ignore);
    const inBlocks = await tfDescent(tf, descent, never, ignore, 16 * 40);
    for (const factor of ['U', 'V'] as const)
      inBlocks[factor].forEach((x, i) => {
        assert.ok(Math.abs(x - (whole[factor][i] ?? NaN)) < 1e-3, `${x} for ${whole[factor][i]}`);
      });
    assert.ok(Math.abs(inBlocks.amplitude - whole.amplitude) < 1e-4);
    assert.notEqual(whole.amplitude, descent.amplitude);
  });

  test('without steps ends where it begins; a rate of 0 keeps the amplitude', async () => {
    const descent = descentOf(20, 10, 3, 0);
    const { U, V, amplitude } = descent;
    assert.deepEqual(await tfDescent(tf, descent, never, ignore), { U, V, amplitude, steps: 0 });
    const kept = await tfDescent(tf, { ...descent, steps: 5, amplitudeRate: 0 }, never, ignore);
    assert.equal(kept.amplitude, amplitude);
  });

  test('ends early where nothing more is gained', async () => {
    const { steps } = await tfDescent(tf, { ...descentOf(20, 10, 10, 4000), noise: 0 }, never, ignore);
    assert.ok(steps >= 2800 && steps < 4000 && steps % 25 === 0, `${steps}`);
  });

  test('takes float64 elements too', async () => {
    const descent = descentOf(20, 10, 3, 20);
    const W = { ...descent.W, values: Float64Array.from(descent.W.values) };
    assert.deepEqual(
      await tfDescent(tf, { ...descent, W }, never, ignore),
      await tfDescent(tf, descent, never, ignore),
    );
  });

  test('holds no more after many steps than after few, and nothing when it is over', async () => {
    const inputGram = gramOf(random(50, 30, 4), 30);
    const before = tf.memory();
    const held: { tensors: number; bytes: number }[] = [];
    await tfDescent(tf, { ...descentOf(40, 30, 4, 400), inputGram }, never, () => {
      held.push({ tensors: tf.memory().numTensors, bytes: tf.memory().numBytes });
    });
    assert.ok(held.length >= 3);
    for (const each of held) assert.deepEqual(each, held[0]);
    assert.equal(tf.memory().numTensors, before.numTensors);
    assert.equal(tf.memory().numBytes, before.numBytes);
  });

  test('is cancelled within a second, whatever it still has to do, and holds nothing then', async () => {
    const { numTensors } = tf.memory();
    const controller = new AbortController();
    const reason = new Error('enough');
    let cancelledAt = NaN;
    const timer = setTimeout(() => {
      cancelledAt = performance.now();
      controller.abort(reason);
    }, 300);
    await assert.rejects(
      tfDescent(tf, descentOf(400, 300, 30, 1_000_000), controller.signal, ignore),
      reason,
    );
    clearTimeout(timer);
    assert.ok(performance.now() - cancelledAt < 1000);
    assert.equal(tf.memory().numTensors, numTensors);
    await assert.rejects(tfDescent(tf, descentOf(4, 3, 1, 1), controller.signal, ignore), reason);
  });

  test('that fails on the device holds nothing afterwards', async () => {
    const { numTensors } = tf.memory();
    let products = 0;
    const failing: typeof tf = {
      ...tf,
      matMul: (...call: Parameters<typeof tf.matMul>) => {
        if (++products > 20) throw new Error('out of memory');
        return tf.matMul(...call);
      },
    };
    await assert.rejects(
      tfDescent(failing, descentOf(20, 10, 3, 100), never, ignore),
      /^Error: out of memory$/,
    );
    assert.equal(tf.memory().numTensors, numTensors);
  });
});
