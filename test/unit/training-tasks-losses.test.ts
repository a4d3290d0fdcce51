/** Losses, their gradients and evaluations, against PyTorch in float64. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import { addRows, crossEntropy, perplexity, type RowSums } from '../../src/training/tasks/crossEntropy';
import { emptyRays, evenPixels, writeRay } from '../../src/training/tasks/rays';
import { samplesOnRays } from '../../src/training/tasks/raySamples';
import { renderRays } from '../../src/training/tasks/volumeRendering';
import { openTask } from '../../src/training/tasks';
import type { Views } from '../../src/network/data/views/views';
import { trainingReferences } from '../reference/trainingReferences';
import { tensorflowFolder, WITHOUT_TENSORFLOW } from './tensorflowCpu';
import { lossAndGradient, tf, withTensors } from './trainingTensors';
import { temporaryFolder } from '../fixtures/handmade';

const { write } = temporaryFolder();
const references = trainingReferences();
const signal = new AbortController().signal;

function close(found: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 2e-6): void {
  assert.equal(found.length, wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    const [a = NaN, b = NaN] = [found[i], wanted[i]];
    assert.ok(Math.abs(a - b) <= tolerance * (1 + Math.abs(b)), `${i}: ${a} instead of ${b}`);
  }
}

/** Losses on the backend that is there by then. */
function losses(backend: string): void {
  const isThere = (): void => {
    assert.equal(tf.getBackend(), backend);
  };
  beforeEach(isThere);
  afterEach(isThere);

  describe('cross-entropy', () => {
    test('with and without smoothed labels', () => {
      const { logits, targets, classes, cases } = references.crossEntropy;
      for (const { smoothing, loss, gradient } of cases) {
        const found = lossAndGradient(
          (run) => {
            const labels = tf.tensor1d([...targets], 'int32');
            return tf.mean(crossEntropy(tf, run(labels), labels, smoothing));
          },
          logits,
          [targets.length, classes],
        );
        close([found.loss], [loss]);
        close(found.gradient, gradient);
      }
    });

    test('of characters that were covered', async () => {
      const { logits, shape, targets, weights, loss, gradient } = references.masked;
      // Two characters and three special tokens.
      const text = write('two.txt', 'ab'.repeat(50));
      const network = { input: [3], output: [3, 5] };
      const task = await openTask(
        { kind: 'text', path: text, context: 3, task: 'masked' },
        { signal, network },
      );
      const found = lossAndGradient(
        (run) => {
          const wanted = tf.tensor2d([...targets], [2, 3], 'int32');
          return task.loss(tf, run, [wanted, wanted, tf.tensor2d([...weights], [2, 3])]);
        },
        logits,
        shape,
      );
      close([found.loss], [loss]);
      close(found.gradient, gradient);
    });
  });

  describe('occupancy', () => {
    test('is binary cross-entropy of logits, far from ½ too', async () => {
      const { logits, inside, loss, gradient } = references.occupancy;
      const network = { input: [3], output: [1] };
      const task = await openTask({ kind: 'occupancy', solid: 'torus', resolution: 8 }, { signal, network });
      const found = lossAndGradient(
        (run) => {
          const points = tf.zeros([inside.length, 3]);
          return task.loss(tf, run, [points, tf.tensor2d([...inside], [inside.length, 1])]);
        },
        logits,
        [logits.length, 1],
      );
      close([found.loss], [loss]);
      close(found.gradient, gradient);
    });
  });

  describe('volume rendering', () => {
    const { rays, samples, raw, lengths, background, target, cases } = references.rendering;
    const shape = [rays, samples, 4];
    const parts = (): { lengths: tf.Tensor; background: tf.Tensor; target: tf.Tensor } => ({
      lengths: tf.tensor2d([...lengths], [rays, samples]),
      background: tf.tensor2d([...background], [rays, 3]),
      target: tf.tensor2d([...target], [rays, 3]),
    });

    for (const { density, colours, loss, gradient } of cases) {
      test(`${density}: colours, error and gradient`, () => {
        const seen = tf.tidy(() => {
          const { lengths: delta, background: behind } = parts();
          return renderRays(tf, tf.tensor([...raw], shape), delta, behind, density).dataSync();
        });
        close(seen, colours);
        const found = lossAndGradient(
          (run) => {
            const { lengths: delta, background: behind, target: wanted } = parts();
            const rendered = renderRays(tf, run(delta), delta, behind, density);
            return tf.mean(tf.squaredDifference(rendered, wanted));
          },
          raw,
          shape,
        );
        close([found.loss], [loss]);
        close(found.gradient, gradient);
      });
    }

    test('what is empty shows what is behind, what is full its own colour', () => {
      const rendered = (value: number): number[] =>
        tf.tidy(() => {
          const one = tf.tensor([[[-2, 0, 2, value]]]);
          return [...renderRays(tf, one, tf.ones([1, 1]), tf.tensor2d([[0.1, 0.2, 0.3]]), 'relu').dataSync()];
        });
      close(rendered(-1), [0.1, 0.2, 0.3]);
      close(rendered(100), [1 / (1 + Math.exp(2)), 0.5, 1 / (1 + Math.exp(-2))]);
    });
  });
}

describe('on WebAssembly', () => {
  withTensors();
  losses('wasm');
});

describe('on TensorFlow', { skip: WITHOUT_TENSORFLOW }, () => {
  before(async () => {
    // The package adds its backend to the one engine that all copies of TensorFlow.js share.
    createRequire(__filename)(await tensorflowFolder());
    assert.ok(await tf.setBackend('tensorflow'));
  });
  losses('tensorflow');
});

describe('cross-entropy in float64', () => {
  test('knows what is right, and leaves out what has no weight', () => {
    const { logits, targets, cases, classes } = references.crossEntropy;
    const sums: RowSums = { rows: 0, right: 0, loss: 0 };
    addRows(sums, logits, Int32Array.from(targets));
    close([sums.loss / sums.rows], [cases[0]?.loss ?? NaN], 1e-12);
    const best = targets.filter((target, row) => {
      const mine = logits.slice(row * classes, (row + 1) * classes);
      return Math.max(...mine) === mine[target];
    });
    assert.equal(sums.right, best.length);
    const masked: RowSums = { rows: 0, right: 0, loss: 0 };
    const { masked: wanted } = references;
    addRows(masked, wanted.logits, Int32Array.from(wanted.targets), wanted.weights);
    assert.equal(masked.rows, 3);
    close([masked.loss / masked.rows], [wanted.loss], 1e-12);
    close([perplexity(Math.log(65))], [65], 1e-12);
    assert.ok(Number.isFinite(perplexity(1e6)));
  });

  test('a network of nothing but NaN is never right', () => {
    const sums: RowSums = { rows: 0, right: 0, loss: 0 };
    addRows(sums, new Float32Array(6).fill(NaN), Int32Array.of(0, 1));
    assert.deepEqual([sums.right, sums.rows], [0, 2]);
    assert.ok(Number.isNaN(sums.loss));
  });
});

describe('rays', () => {
  const { height, width, focal, pixels, pose, directions } = references.rays;
  const set = {
    poses: [Float64Array.from(pose)],
    pixels: [new Uint16Array(4 * height * width).fill(65_535)],
  };
  const centre: [number, number] = [width / 2, height / 2];
  const views: Views = { height, width, focal, centre, train: set, test: set, notes: [], identity: '' };

  test('go through the centres of pixels, along the camera’s −z', () => {
    const rays = emptyRays(pixels.length);
    pixels.forEach((pixel, i) => {
      writeRay(views, set, 0, pixel, rays, i);
    });
    close(rays.directions, directions, 1e-12);
    for (let i = 0; i < pixels.length; i++)
      assert.deepEqual([...rays.origins.subarray(3 * i, 3 * i + 3)], [0.5, -3, 2]);
  });

  test('are sampled once in every piece, up to where they end', async () => {
    const rays = emptyRays(1);
    writeRay(views, set, 0, 23, rays, 0);
    const settings = { near: 2, far: 6, samplesPerRay: 8, background: 'white' } as const;
    const [points, lengths] = await samplesOnRays(rays, settings, {}, signal);
    const depths = Array.from({ length: 8 }, (_, i) => 2.25 + 0.5 * i);
    close(lengths?.values ?? [], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]);
    depths.forEach((depth, i) => {
      const place = points?.values.subarray(6 * i, 6 * i + 3) ?? [];
      const direction = [...rays.directions];
      close(
        place,
        [0.5, -3, 2].map((origin, axis) => origin + depth * (direction[axis] ?? 0)),
      );
      close(points?.values.subarray(6 * i + 3, 6 * i + 6) ?? [], direction);
    });
  });

  test('pixels looked at lie evenly over a picture, none twice, no more than asked for', () => {
    for (const [h, w, most] of [
      [200, 200, 400],
      [200, 200, 1000],
      [30, 70, 100],
      [5, 5, 1000],
      [7, 3, 1],
      [100, 2, 50],
    ] as const) {
      const found = evenPixels(h, w, most);
      assert.ok(found.length >= 1 && found.length <= most && found.length >= Math.min(h * w, most) / 2);
      assert.equal(new Set(found).size, found.length);
      const rows = Array.from(found, (pixel) => Math.floor(pixel / w));
      const mean = rows.reduce((a, b) => a + b, 0) / rows.length;
      assert.ok(Math.abs(mean - (h - 1) / 2) < 1 + h / 20, `${h} × ${w}, ${most}: mean row ${mean}`);
    }
  });
});
