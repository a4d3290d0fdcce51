/** Truncated SVD and sine-low-rank fits of the wasm backend, against numpy and torch (test/reference/make_sine.py). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createWasmBackend, type FitResult, type FitTarget, type SineFitOptions } from '../../src/compute';
import { DenseMatrix } from '../../src/compute/wasm/denseMatrix';
import { chooseBuild, compileKernels, KernelInstance } from '../../src/compute/wasm/kernels';
import { SineDescent } from '../../src/compute/wasm/sineDescent';
import { TensorElements } from '../../src/compute/wasm/tensorElements';
import { FileDescriptors } from '../../src/checkpoint/tensorData';
import { generatedMatrix } from '../reference/generated';
import { sineReferences } from '../reference/sineReferences';
import { errorOf, gramOf, MatrixFiles, transpose } from './fitTargets';
import { uniform } from './matrices';

const references = sineReferences();
const files = new MatrixFiles();
const backend = createWasmBackend(1);
const never = new AbortController().signal;
after(async () => {
  await backend.dispose();
  files.dispose();
});

/** Rounding of factors to float32, as a share of ‖W‖. */
const ROUNDING = 3e-7;

function fitOf<T>(result: FitResult<T>): T {
  assert.ok(result.kind === 'fit', result.kind);
  return result.fit;
}

const OPTIONS: SineFitOptions = { rank: 4, omega: 1, steps: 300, seed: 1 };

function random(rows: number, columns: number, seed = 1): Float32Array {
  return Float32Array.from({ length: rows * columns }, uniform(seed));
}

describe('truncated SVD has the error that numpy finds', () => {
  for (const { recipe, inputs, errors } of references.truncatedSvd) {
    const { name, rows, columns } = recipe;
    const W = generatedMatrix(recipe);
    const inputGram = inputs === undefined ? {} : { inputGram: gramOf(generatedMatrix(inputs), columns) };
    const norm = inputs === undefined ? '' : `, in the norm of ${inputs.rows} inputs`;
    for (const [rank, expected] of Object.entries(errors))
      test(`${name} at rank ${rank}${norm}, either way round`, async () => {
        const k = Number(rank);
        const asIs: FitTarget = { ...files.target(W, rows, columns), ...inputGram };
        const turned = {
          ...files.target(transpose(W, rows, columns), columns, rows),
          ...inputGram,
          transposed: true,
        };
        for (const target of [asIs, turned]) {
          const fit = fitOf(await backend.truncatedSvd(target, k, never));
          assert.deepEqual([fit.U.length, fit.V.length], [rows * k, columns * k]);
          assert.ok(
            Math.abs(fit.relativeError - expected) < ROUNDING,
            `${fit.relativeError} for ${expected}`,
          );
          if (inputs === undefined)
            assert.ok(Math.abs(errorOf(W, fit, k, (x) => x) - fit.relativeError) < 1e-9);
        }
      });
  }
});

describe("the objective's gradient is torch's", () => {
  for (const build of new Set([chooseBuild(), 'simd'] as const))
    for (const { W, U, V, inputs, amplitude, objective, slope, gradU, gradV } of references.gradients)
      test(`${build}: ${W.name}, k = ${U.columns}${inputs === undefined ? '' : ', in the norm of inputs'}`, () => {
        const { columns } = W;
        const instance = new KernelInstance(compileKernels(build));
        const target = files.target(generatedMatrix(W), W.rows, columns);
        const opened = new FileDescriptors();
        const elements = new TensorElements(target.tensor, instance, opened);
        const matrix = new DenseMatrix(target.matrix, false, elements, instance);
        opened.closeAll();
        assert.equal(matrix.scale, 1, 'the objective is in the units of the file');
        const G = inputs === undefined ? undefined : gramOf(generatedMatrix(inputs), columns);
        const point = { rank: U.columns, amplitude, U: generatedMatrix(U), V: generatedMatrix(V) };
        const found = new SineDescent(matrix, U.columns, G, instance).gradient(point);
        const close = (actual: number, expected: number, size: number): void => {
          assert.ok(Math.abs(actual - expected) <= 2e-6 * size, `${actual} for ${expected}`);
        };
        close(found.objective, objective, objective);
        close(found.slope, slope, objective);
        for (const [actual, expected] of [
          [found.U, gradU],
          [found.V, gradV],
        ] as const) {
          assert.equal(actual.length, expected.length);
          const size = Math.max(...expected.map(Math.abs));
          expected.forEach((value, i) => {
            close(actual[i] ?? NaN, value, size);
          });
        }
      });
});

describe('a sine-low-rank fit', () => {
  for (const { recipe, rank, svdError } of references.fits)
    test(`${recipe.name}, k = ${rank}: the error is that of its factors, and never above truncated SVD's`, async () => {
      const W = generatedMatrix(recipe);
      const target = files.target(W, recipe.rows, recipe.columns);
      const fit = fitOf(await backend.sineFit(target, { ...OPTIONS, rank, omega: 30 }, never));
      const plain = errorOf(W, fit, rank, (x) => Math.sin(30 * x) / fit.gain);
      // Scaling by √ω rounds the factors once more.
      assert.ok(Math.abs(plain - fit.relativeError) < 1e-6, `${plain} for ${fit.relativeError}`);
      assert.ok(Math.abs(fit.svdRelativeError - svdError) < ROUNDING);
      assert.ok(fit.relativeError <= svdError + 1e-6, `${fit.relativeError} against ${svdError}`);
    });

  test('Kaiming uniform 192 × 192, k = 48: at most 0.46 where truncated SVD leaves 0.61', async () => {
    const reference = references.fits.find(({ recipe }) => recipe.name === 'Kaiming uniform');
    assert.ok(reference !== undefined);
    const { recipe, rank } = reference;
    // PyTorch's bound for 192 inputs.
    const W = generatedMatrix(recipe).map((x) => x / Math.sqrt(192));
    const fit = fitOf(
      await backend.sineFit(files.target(W, 192, 192), { ...OPTIONS, rank, steps: 600 }, never),
    );
    assert.ok(fit.relativeError <= 0.46, `${fit.relativeError}`);
  });

  test('in the norm of inputs it is not above truncated SVD in that norm', async () => {
    for (const [rows, columns, samples] of [
      [40, 64, 200],
      [64, 40, 20],
    ] as const) {
      const inputGram = gramOf(
        random(samples, columns, 5).map((x, i) => x / (1 + (i % columns))),
        columns,
      );
      const target = { ...files.target(random(rows, columns), rows, columns), inputGram };
      const svd = fitOf(await backend.truncatedSvd(target, 4, never));
      const fit = fitOf(await backend.sineFit(target, OPTIONS, never));
      assert.equal(fit.svdRelativeError, svd.relativeError);
      assert.ok(fit.relativeError <= svd.relativeError + 1e-6);
    }
  });

  test('inputs that weigh the same in every direction change nothing', async () => {
    const [rows, columns] = [50, 30];
    const target = files.target(random(rows, columns), rows, columns);
    const inputGram = Float64Array.from({ length: columns ** 2 }, (_, i) =>
      i % (columns + 1) === 0 ? 7 : 0,
    );
    const plain = fitOf(await backend.truncatedSvd(target, 5, never));
    const weighted = fitOf(await backend.truncatedSvd({ ...target, inputGram }, 5, never));
    assert.ok(Math.abs(plain.relativeError - weighted.relativeError) < 1e-9);
  });

  test('the same request gives the same bits; another seed another fit', async () => {
    const target = files.target(random(60, 50), 60, 50);
    const fit = async (seed: number) => fitOf(await backend.sineFit(target, { ...OPTIONS, seed }, never));
    const [first, again, other] = [await fit(1), await fit(1), await fit(2)];
    assert.deepEqual(first, again);
    assert.notDeepEqual(first.U, other.U);
  });

  test('ω scales the factors and nothing else', async () => {
    const target = files.target(random(60, 50), 60, 50);
    const one = fitOf(await backend.sineFit(target, OPTIONS, never));
    const hundred = fitOf(await backend.sineFit(target, { ...OPTIONS, omega: 100 }, never));
    assert.deepEqual(
      hundred.U,
      one.U.map((x) => x * 0.1),
    );
    assert.deepEqual([hundred.gain, hundred.relativeError], [one.gain, one.relativeError]);
  });

  test('a fixed gain is kept', async () => {
    const W = random(60, 50);
    const fit = fitOf(await backend.sineFit(files.target(W, 60, 50), { ...OPTIONS, gain: 1.7 }, never));
    assert.equal(fit.gain, 1.7);
    assert.ok(Math.abs(errorOf(W, fit, 4, (x) => Math.sin(x) / 1.7) - fit.relativeError) < 1e-6);
    assert.ok(fit.relativeError < fit.svdRelativeError);
  });

  test('a matrix stored in × out gives factors of W, out × in', async () => {
    const [rows, columns] = [48, 90];
    const W = random(rows, columns);
    const target = { ...files.target(transpose(W, rows, columns), columns, rows), transposed: true };
    const fit = fitOf(await backend.sineFit(target, OPTIONS, never));
    assert.ok(Math.abs(errorOf(W, fit, 4, (x) => Math.sin(x) / fit.gain) - fit.relativeError) < 1e-6);
  });

  test('one group of a tensor is fitted like the same matrix alone', async () => {
    const [rows, columns] = [33, 50];
    const whole = files.target(random(3 * rows, columns), 3 * rows, columns);
    const group = { ...whole, matrix: { offset: rows * columns, rows, columns, rowStride: columns } };
    const alone = files.target(
      random(3 * rows, columns).slice(rows * columns, 2 * rows * columns),
      rows,
      columns,
    );
    assert.deepEqual(
      await backend.sineFit(group, OPTIONS, never),
      await backend.sineFit(alone, OPTIONS, never),
    );
  });
});

describe('matrices at the edge', () => {
  for (const [rows, columns, rank] of [
    [1, 1, 1],
    [1, 300, 1],
    [300, 1, 1],
    [2, 3, 2],
    [7, 1000, 3],
    [1000, 9, 9],
    [70, 70, 70],
  ] as const)
    test(`${rows} × ${columns} at k = ${rank}`, async () => {
      const W = random(rows, columns);
      const options = { ...OPTIONS, rank, steps: 100 };
      const fit = fitOf(await backend.sineFit(files.target(W, rows, columns), options, never));
      assert.ok(fit.relativeError <= fit.svdRelativeError + 1e-6, `${fit.relativeError}`);
      assert.ok(Math.abs(errorOf(W, fit, rank, (x) => Math.sin(x) / fit.gain) - fit.relativeError) < 1e-6);
    });

  test('zeros: factors of zeros, error 0', async () => {
    const target = files.target(new Float32Array(12 * 20), 12, 20);
    const svd = fitOf(await backend.truncatedSvd(target, 3, never));
    const sine = fitOf(await backend.sineFit(target, { ...OPTIONS, rank: 3 }, never));
    for (const { U, V, relativeError } of [svd, sine]) {
      assert.ok([...U, ...V].every((x) => x === 0));
      assert.equal(relativeError, 0);
    }
    assert.ok(Number.isFinite(sine.gain) && sine.gain > 0);
  });

  for (const size of [1e-30, 1e30])
    test(`float64 values of size ${size}`, async () => {
      const W = Float64Array.from(random(50, 40), (x) => x * size);
      const fit = fitOf(await backend.sineFit(files.target(W, 50, 40), OPTIONS, never));
      assert.ok(fit.relativeError < 0.95 * fit.svdRelativeError);
      assert.ok(Math.abs(errorOf(W, fit, 4, (x) => Math.sin(x) / fit.gain) - fit.relativeError) < 1e-6);
    });

  for (const size of [1e-200, 1e200])
    test(`float64 values of size ${size} do not fit float32 factors`, async () => {
      const W = Float64Array.from(random(50, 40), (x) => x * size);
      const result = await backend.sineFit(files.target(W, 50, 40), OPTIONS, never);
      assert.deepEqual(result, {
        kind: 'tooLarge',
        reason: 'its values are beyond what float32 factors can hold',
      });
    });

  test('one value far above all others', async () => {
    const W = random(50, 40).map((x, i) => (i === 777 ? 1e6 : x));
    const fit = fitOf(await backend.sineFit(files.target(W, 50, 40), OPTIONS, never));
    assert.ok(fit.relativeError <= fit.svdRelativeError + 1e-6);
  });

  test('values that are not numbers are counted, not fitted', async () => {
    const W = random(9, 8);
    W.set([NaN, Infinity], 20);
    const target = files.target(W, 9, 8);
    const expected = { kind: 'nonFinite', nonFinite: { nan: 1, infinite: 1, firstIndex: 20 } };
    assert.deepEqual(await backend.sineFit(target, OPTIONS, never), expected);
    assert.deepEqual(await backend.truncatedSvd(target, 4, never), expected);
  });
});

describe('what cannot be asked for', () => {
  const target = files.target(random(9, 8), 9, 8);
  for (const rank of [0, -1, 1.5, 9, NaN])
    test(`rank ${rank} of 9 × 8`, async () => {
      const message = new RegExp(`^Error: rank ${rank} of a 9 × 8 matrix: choose 1 … 8$`);
      await assert.rejects(backend.truncatedSvd(target, rank, never), message);
      await assert.rejects(backend.sineFit(target, { ...OPTIONS, rank }, never), message);
    });
  for (const value of [0, -2, NaN, Infinity])
    test(`a frequency or a gain of ${value}`, async () => {
      await assert.rejects(backend.sineFit(target, { ...OPTIONS, omega: value }, never), /^Error: omega /);
      await assert.rejects(backend.sineFit(target, { ...OPTIONS, gain: value }, never), /^Error: gain /);
    });
  for (const steps of [-1, 0.5, NaN, Infinity])
    test(`${steps} steps`, async () => {
      await assert.rejects(
        backend.sineFit(target, { ...OPTIONS, steps }, never),
        /^Error: steps .* not a number of steps$/,
      );
    });
  test('a Gram matrix of another size, or with values that are not finite', async () => {
    const fit = (inputGram: Float64Array) => backend.truncatedSvd({ ...target, inputGram }, 2, never);
    await assert.rejects(fit(new Float64Array(49)), /does not fit 8 inputs$/);
    await assert.rejects(fit(new Float64Array(64).fill(NaN)), /not finite$/);
  });
});

test('progress rises to the end, and a fit can be cancelled at once', async () => {
  const target = files.target(random(700, 600), 700, 600);
  const controller = new AbortController();
  const fractions: number[] = [];
  const reason = new Error('enough');
  const fit = backend.sineFit(
    target,
    { ...OPTIONS, rank: 60, steps: 1_000_000 },
    controller.signal,
    (fraction) => {
      fractions.push(fraction);
      if (fractions.length === 5) controller.abort(reason);
    },
  );
  await assert.rejects(fit, reason);
  assert.ok(
    fractions.every((fraction, i) => fraction >= 0 && fraction <= 1 && fraction >= (fractions[i - 1] ?? 0)),
  );
});
