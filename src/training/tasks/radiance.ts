/** A radiance field from posed pictures (NeRF): rays through pixels, rendered and compared; PSNR on test views. */
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import { CheckpointError } from '../../checkpoint/errors';
import type { Tf } from '../../network/builtin/architecture';
import { Pauses } from '../../network/data/pauses';
import { openViews, type Views } from '../../network/data/views/views';
import { evenIndices } from './evaluation';
import { EpochOrder, Permutation } from './permutation';
import { derivedStream } from './randomness';
import { emptyRays, evenPixels, type Rays, writeRay } from './rays';
import { samplesOnRays } from './raySamples';
import type { ViewsData } from './recipe';
import { requireNetwork, type TaskOptions } from './settings';
import type { Batch, Run, Task, TaskEvaluation } from './task';
import { renderRays } from './volumeRendering';

type Settings = Required<Pick<ViewsData, 'near' | 'far' | 'samplesPerRay' | 'background' | 'density'>> & {
  readonly evaluateAtMost: number;
};

const DEFAULTS: Settings = {
  near: 2,
  far: 6,
  samplesPerRay: 64,
  background: 'white',
  density: 'softplus',
  evaluateAtMost: 10_000,
};
const DEFAULT_TEST_VIEWS = 25;
/** Points through the network at once, in evaluations. */
const EVALUATION_POINTS = 16_384;
/** Errors below are those of the pictures' own rounding: no PSNR is told above 100 dB. */
const LEAST_ERROR = 1e-10;

/** @throws CheckpointError with one line that names the file; the signal's reason */
export async function openRadiance(data: ViewsData, options: TaskOptions): Promise<Task> {
  requireNetwork(options.network, { input: [6], output: [4] }, 'a radiance field', data.path);
  const { near, far, samplesPerRay, background, density, evaluateAtMost } = { ...DEFAULTS, ...data };
  if (!(near >= 0 && far > near)) {
    const reason = `"near" ${near} and "far" ${far}: 0 ≤ near < far is needed`;
    throw new CheckpointError('malformed', reason, { file: data.path });
  }
  const { downscale = 1, testViews = DEFAULT_TEST_VIEWS } = data;
  const views = await openViews(data.path, { downscale, testViews }, options.signal);
  const settings = { near, far, samplesPerRay, background, density, evaluateAtMost };
  return new Radiance(views, settings, { downscale, testViews });
}

class Radiance implements Task {
  readonly metric = { name: 'psnr', higherIsBetter: true } as const;
  readonly samples: number;
  readonly identity: string;
  readonly notes: readonly string[];
  private readonly pixelsOfView: number;
  private order: EpochOrder;

  constructor(
    private readonly views: Views,
    private readonly settings: Settings,
    options: { readonly downscale: number; readonly testViews: number },
  ) {
    this.pixelsOfView = views.height * views.width;
    this.samples = views.train.poses.length * this.pixelsOfView;
    this.order = new EpochOrder(this.samples, 0);
    this.notes = views.notes;
    this.identity = createHash('sha256')
      .update(JSON.stringify(['views', views.identity, settings, options]))
      .digest('hex');
  }

  /**
   * [points, rays × samples × 6; their lengths, rays × samples; colours, rays × 3; backgrounds, rays × 3]. A point is
   * where it is and the unit direction from which it is seen.
   */
  async batch(step: number, size: number, seed: number, signal: AbortSignal): Promise<Batch> {
    if (this.order.seed !== seed) this.order = new EpochOrder(this.samples, seed);
    const { order } = this;
    const rays = await this.raysAt(size, (i) => order.sampleAt(step * size + i), signal);
    const colours =
      this.settings.background === 'alpha' ? derivedStream(seed, 'background', step) : undefined;
    return samplesOnRays(
      rays,
      this.settings,
      { depths: derivedStream(seed, 'depths', step), colours },
      signal,
    );
  }

  loss(tf: Tf, run: Run, batch: readonly Tensor[]): Scalar {
    const [, , colours] = batch;
    if (colours === undefined) throw new Error('a batch without its colours');
    return tf.mean(tf.squaredDifference(this.render(tf, run, batch), colours));
  }

  async evaluate(
    tf: Tf,
    run: Run,
    signal: AbortSignal,
    onFraction?: (fraction: number) => void,
  ): Promise<TaskEvaluation> {
    const { height, width, test } = this.views;
    const count = test.poses.length;
    const pixels = evenPixels(height, width, Math.floor(this.settings.evaluateAtMost / count));
    let [psnr, loss] = [0, 0];
    for (let view = 0; view < count; view++) {
      const error = await this.errorOfView(tf, run, view, pixels, signal, (fraction) =>
        onFraction?.((view + fraction) / count),
      );
      psnr -= (10 * Math.log10(Math.max(error, LEAST_ERROR))) / count;
      loss += error / count;
    }
    return { value: psnr, loss, samples: count * pixels.length };
  }

  async inputs(most: number, signal: AbortSignal): Promise<Batch> {
    const { samplesPerRay } = this.settings;
    const order = new Permutation(this.samples, derivedStream(0, 'inputs'));
    const count = Math.min(this.samples, Math.max(1, Math.ceil(most / samplesPerRay)));
    const rays = await this.raysAt(count, (i) => order.at(i), signal);
    const [points] = await samplesOnRays(rays, this.settings, { depths: derivedStream(1, 'inputs') }, signal);
    if (points === undefined) return [];
    const taken = evenIndices(count * samplesPerRay, most);
    const values = new Float32Array(6 * taken.length);
    taken.forEach((point, i) => {
      values.set(points.values.subarray(6 * point, 6 * point + 6), 6 * i);
    });
    return [{ values, shape: [taken.length, 6] }];
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }

  private render(tf: Tf, run: Run, [points, lengths, , background]: readonly Tensor[]): Tensor {
    if (points === undefined || lengths === undefined || background === undefined)
      throw new Error('a batch without its points');
    const raw = run(tf.reshape(points, [-1, 6]));
    return renderRays(tf, tf.reshape(raw, [...lengths.shape, 4]), lengths, background, this.settings.density);
  }

  /** Mean squared error over pixels of one test view. */
  private async errorOfView(
    tf: Tf,
    run: Run,
    view: number,
    pixels: Uint32Array,
    signal: AbortSignal,
    onFraction: (fraction: number) => void,
  ): Promise<number> {
    const step = Math.max(1, Math.floor(EVALUATION_POINTS / this.settings.samplesPerRay));
    let sum = 0;
    for (let from = 0; from < pixels.length; from += step) {
      const part = pixels.subarray(from, from + step);
      const rays = emptyRays(part.length);
      part.forEach((pixel, i) => {
        writeRay(this.views, this.views.test, view, pixel, rays, i);
      });
      const batch = await samplesOnRays(rays, this.settings, {}, signal);
      sum += await this.squaredError(tf, run, batch);
      await setImmediate();
      signal.throwIfAborted();
      onFraction((from + part.length) / pixels.length);
    }
    return sum / (3 * pixels.length);
  }

  private async squaredError(tf: Tf, run: Run, batch: Batch): Promise<number> {
    const rendered = tf.tidy(() =>
      this.render(
        tf,
        run,
        batch.map(({ values, shape }) => tf.tensor(values, [...shape], 'float32')),
      ),
    );
    try {
      const seen = await rendered.data();
      const { values: colours = [] } = batch[2] ?? {};
      let sum = 0;
      for (const [i, colour] of colours.entries()) sum += ((seen[i] ?? 0) - colour) ** 2;
      return sum;
    } finally {
      rendered.dispose();
    }
  }

  private async raysAt(count: number, sampleAt: (i: number) => number, signal: AbortSignal): Promise<Rays> {
    const rays = emptyRays(count);
    const pauses = new Pauses(signal);
    const { train } = this.views;
    for (let i = 0; i < count; i++) {
      if (i % 256 === 0 && pauses.isDue) await pauses.pause();
      const sample = sampleAt(i);
      const view = Math.floor(sample / this.pixelsOfView);
      writeRay(this.views, train, view, sample - view * this.pixelsOfView, rays, i);
    }
    return rays;
  }
}
