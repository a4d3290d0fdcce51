/** Tasks on real data: what they find in it, and that a small network learns it. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import { openViews } from '../../src/network/data/views/views';
import { openTask, type Task, type TaskOptions, type TrainingData } from '../../src/training/tasks';
import { emptyRays, evenPixels, writeRay } from '../../src/training/tasks/rays';
import { samplesOnRays } from '../../src/training/tasks/raySamples';
import { sharedData } from '../reference/references';
import { SmallNetwork, tensors, tf, withTensors } from './trainingTensors';

withTensors();
const signal = new AbortController().signal;
const shared = sharedData();
const skip = shared === undefined && 'no shared data here';
const inShared = (...parts: string[]): string => path.join(shared ?? '', ...parts);
const opened: Task[] = [];
after(async () => {
  await Promise.all(opened.map((task) => task.dispose()));
});

async function open(
  t: TestContext,
  data: TrainingData,
  network: TaskOptions['network'],
  more: Partial<TaskOptions> = {},
): Promise<Task> {
  const started = performance.now();
  const task = await openTask(data, { signal, network, ...more });
  opened.push(task);
  t.diagnostic(`opened in ${((performance.now() - started) / 1000).toFixed(2)} s: ${task.notes.join('; ')}`);
  return task;
}

/** Mean loss of the first and of the last ten steps. */
async function train(
  task: Task,
  network: SmallNetwork,
  steps: number,
  size: number,
  rate: number,
): Promise<[number, number]> {
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const batch = tensors(await task.batch(step, size, 1, signal));
    losses.push(network.step((run) => task.loss(tf, run, batch), rate));
    tf.dispose(batch);
  }
  const mean = (part: readonly number[]): number => part.reduce((a, b) => a + b, 0) / part.length;
  return [mean(losses.slice(0, 10)), mean(losses.slice(-10))];
}

test('MNIST (IDX, gzipped) is learned', { skip }, async (t) => {
  const folder = inShared('mnist');
  const normal = { folder, mean: 0.1307, std: 0.3081 };
  const data: TrainingData = {
    kind: 'classification',
    train: { path: [inShared('mnist', 'train-images-idx3-ubyte.gz')], ...normal },
    validation: { path: [inShared('mnist', 't10k-images-idx3-ubyte.gz')], ...normal, to: 2000 },
  };
  const task = await open(t, data, { input: [784], output: [10] });
  assert.equal(task.samples, 60_000);
  const network = new SmallNetwork([784, 32, 10]);
  const before = await task.evaluate(tf, network.run, signal);
  await train(task, network, 150, 64, 0.003);
  const { value, samples } = await task.evaluate(tf, network.run, signal);
  t.diagnostic(`${before.value} % before, ${value} % after 150 steps`);
  assert.equal(samples, 2000);
  assert.ok(before.value < 40 && value > 80, `${value} %`);
});

test('CIFAR-10 (npz) comes channels last, and fast', { skip }, async (t) => {
  const file = inShared('cifar10_lossless_subset', 'cifar10_lossless_subset.npz');
  const settings = {
    path: [file],
    folder: path.dirname(file),
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.247, 0.2435, 0.2616],
  };
  const data: TrainingData = {
    kind: 'classification',
    train: settings,
    validation: { ...settings, inputs: 'x_test' },
  };
  const options = { augment: { flip: true, crop: 4 } };
  const task = await open(t, data, { input: [32, 32, 3], output: [10] }, options);
  assert.equal(task.samples, 7728);
  const started = performance.now();
  for (let step = 0; step < 60; step++) await task.batch(step, 128, 1, signal);
  const each = (performance.now() - started) / 60;
  t.diagnostic(`${each.toFixed(1)} ms for a batch of 128`);
  assert.ok(each < 100, `${each} ms`);
  // Of the whole, each channel has about mean 0 and standard deviation 1 after normalisation.
  const [input] = await task.inputs(2000, signal);
  for (let channel = 0; channel < 3; channel++) {
    const values = Array.from(input?.values ?? []).filter((_, i) => i % 3 === channel);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, b) => a + b * b, 0) / values.length - mean ** 2;
    assert.ok(Math.abs(mean) < 0.05 && Math.abs(variance - 1) < 0.1, `${mean}, ${variance}`);
  }
});

describe('NeRF lego', { skip }, () => {
  const file = inShared('nerf_lego_200', 'lego_200.npz');

  test('what its rays meet is what the other cameras see: the visual hull', async () => {
    const {
      height,
      width,
      focal,
      centre,
      train: set,
      test: tested,
    } = await openViews(file, { downscale: 2, testViews: 3 }, signal);
    /** Opacity of a training view where it sees a point: the world turned back into the camera's axes. */
    const opacityAt = (view: number, point: readonly number[]): number => {
      const pose = set.poses[view] ?? [];
      const moved = [0, 1, 2].map((axis) => (point[axis] ?? 0) - (pose[4 * axis + 3] ?? 0));
      const [x = 0, y = 0, z = 0] = [0, 1, 2].map((axis) =>
        moved.reduce((sum, value, row) => sum + value * (pose[4 * row + axis] ?? 0), 0),
      );
      const column = Math.floor(centre[0] + (focal * x) / -z);
      const row = Math.floor(centre[1] - (focal * y) / -z);
      if (column < 0 || column >= width || row < 0 || row >= height) return 0;
      return (set.pixels[view]?.[4 * (row * width + column) + 3] ?? 0) / 65_535;
    };
    const pixels = evenPixels(height, width, 400);
    const settings = { near: 2, far: 6, samplesPerRay: 96, background: 'white' } as const;
    let [right, all, solid] = [0, 0, 0];
    for (let view = 0; view < tested.poses.length; view++) {
      const rays = emptyRays(pixels.length);
      pixels.forEach((pixel, i) => {
        writeRay(
          { height, width, focal, centre, train: set, test: tested, notes: [], identity: '' },
          tested,
          view,
          pixel,
          rays,
          i,
        );
      });
      const [points] = await samplesOnRays(rays, settings, {}, signal);
      for (let ray = 0; ray < pixels.length; ray++) {
        const alpha = rays.pixels[4 * ray + 3] ?? 0;
        if (alpha > 0.05 && alpha < 0.95) continue;
        let isSolid = false;
        for (let i = 0; i < 96 && !isSolid; i++) {
          const at = 6 * (96 * ray + i);
          const point = [...(points?.values.subarray(at, at + 3) ?? [])];
          isSolid = set.poses.every((_, other) => opacityAt(other, point) > 0.02);
        }
        all++;
        if (isSolid) solid++;
        if (isSolid === alpha > 0.5) right++;
      }
    }
    assert.ok(solid > 0.2 * all && solid < 0.8 * all, `${solid} of ${all} rays meet something`);
    assert.ok(right > 0.97 * all, `${right} of ${all} rays`);
  });

  test('a small field learns some of it', async (t) => {
    const data: TrainingData = {
      kind: 'views',
      path: file,
      downscale: 4,
      samplesPerRay: 24,
      testViews: 4,
      evaluateAtMost: 400,
    };
    const task = await open(t, data, { input: [6], output: [4] });
    assert.equal(task.samples, 100 * 50 * 50);
    // Octaves of the place, as NeRF has them.
    const network = new SmallNetwork([3 + 3 * 2 * 4, 64, 64, 4], (input) => {
      const place = tf.slice(input, [0, 0], [input.shape[0], 3]);
      const octaves = [1, 2, 4, 8].flatMap((w) => [tf.sin(tf.mul(place, w)), tf.cos(tf.mul(place, w))]);
      return tf.concat([place, ...octaves], 1);
    });
    const before = await task.evaluate(tf, network.run, signal);
    const [first, last] = await train(task, network, 80, 96, 0.005);
    const { value, samples } = await task.evaluate(tf, network.run, signal);
    t.diagnostic(
      `${before.value.toFixed(2)} dB before, ${value.toFixed(2)} dB after; loss ${first.toFixed(4)} → ${last.toFixed(4)}`,
    );
    assert.equal(samples, 400);
    assert.ok(last < 0.5 * first && value > before.value + 3);
  });
});

test('Shakespeare’s characters follow one another', { skip }, async (t) => {
  const data: TrainingData = {
    kind: 'text',
    path: inShared('tinyshakespeare', 'input.txt'),
    context: 64,
    evaluateAtMost: 200,
  };
  const task = await open(t, data, { input: [64], output: [64, 65] });
  // 1,115,394 characters of 65 kinds, a tenth for validation.
  assert.equal(task.samples, Math.floor((Math.floor(1_115_394 * 0.9) - 64) / 64));
  const network = new SmallNetwork([65, 65], (input) => tf.cast(tf.oneHot(input, 65), 'float32'));
  const run = (input: tf.Tensor): tf.Tensor => tf.reshape(network.run(input), [-1, 64, 65]);
  for (let step = 0; step < 150; step++) {
    const batch = tensors(await task.batch(step, 32, 1, signal));
    network.step(() => task.loss(tf, run, batch), 0.05);
    tf.dispose(batch);
  }
  const { value } = await task.evaluate(tf, run, signal);
  t.diagnostic(`perplexity ${value.toFixed(2)} after 150 steps`);
  // Pairs of characters alone give 11.6 to 12; no knowledge 65, frequencies alone 28.
  assert.ok(value > 11 && value < 14, `${value}`);
});

test('the Stanford bunny takes shape', { skip }, async (t) => {
  const data: TrainingData = {
    kind: 'occupancy',
    mesh: inShared('meshes', 'stanford-bunny.obj'),
    resolution: 64,
    evaluateAtMost: 60_000,
  };
  const task = await open(t, data, { input: [3], output: [1] });
  const network = new SmallNetwork([3, 64, 64, 1]);
  await train(task, network, 200, 1024, 0.005);
  const { value } = await task.evaluate(tf, network.run, signal);
  t.diagnostic(`IoU ${value.toFixed(1)} % after 200 steps`);
  assert.ok(value > 60, `${value} %`);
});
