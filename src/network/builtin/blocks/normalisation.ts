import type { Tensor } from '../architecture';
import type { ArchitectureBuilder } from '../builder';
import { ONES, ZEROS } from '../starts';
import type { Block, Running } from './block';

/** Over the last axis: (x − mean)/√(variance + ε)·weight + bias (Ba et al., "Layer normalization", 2016). */
export function layerNorm(
  builder: ArchitectureBuilder,
  module: string,
  width: number,
  { epsilon = 1e-5, isHead = false }: { readonly epsilon?: number; readonly isHead?: boolean } = {},
): Block {
  const weight = builder.parameter({ name: `${module}.weight`, shape: [width], start: ONES, isHead });
  const bias = builder.parameter({ name: `${module}.bias`, shape: [width], start: ZEROS, isHead });
  return ({ tf, values }, x) => {
    const centred = tf.sub(x, tf.mean(x, -1, true));
    const variance = tf.mean(tf.square(centred), -1, true);
    const normal = tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon)));
    return tf.add(tf.mul(normal, values(weight)), values(bias));
  };
}

/** Share of a batch in the running statistics: PyTorch's `momentum`. */
const MOMENTUM = 0.1;

const EPSILON = 1e-5;

/**
 * Over all axes but the last (Ioffe & Szegedy, "Batch normalization", 2015), as torch.nn.BatchNorm2d does it. In training
 * with the batch's own mean and (biased) variance, handing out the next running statistics (variance unbiased); else, or
 * with `freezeStatistics`, with the running ones.
 */
export function batchNorm(builder: ArchitectureBuilder, module: string, channels: number): Block {
  const add = (name: string, start: typeof ONES, kind: 'trained' | 'statistic'): string =>
    builder.parameter({ name: `${module}.${name}`, shape: [channels], start, kind });
  const names = {
    weight: add('weight', ONES, 'trained'),
    bias: add('bias', ZEROS, 'trained'),
    mean: add('running_mean', ZEROS, 'statistic'),
    variance: add('running_var', ONES, 'statistic'),
  };
  return (run, x) => {
    const { tf, values, pass } = run;
    const rows = tf.reshape(x, [-1, channels]);
    const ofBatch = pass.training && pass.freezeStatistics !== true;
    const { centred, variance } = ofBatch
      ? batchMoments(run, rows, names)
      : { centred: tf.sub(rows, values(names.mean)), variance: values(names.variance) };
    const factor = tf.mul(values(names.weight), tf.rsqrt(tf.add(variance, EPSILON)));
    return tf.reshape(tf.add(tf.mul(centred, factor), values(names.bias)), x.shape);
  };
}

function batchMoments(
  { tf, values, pass }: Running,
  rows: Tensor,
  names: { readonly mean: string; readonly variance: string },
): { readonly centred: Tensor; readonly variance: Tensor } {
  const [count] = rows.shape;
  const mean = tf.mul(tf.sum(rows, 0), 1 / count);
  const centred = tf.sub(rows, mean);
  const variance = tf.mul(tf.sum(tf.square(centred), 0), 1 / count);
  const { onStatistic } = pass;
  if (onStatistic !== undefined) {
    const next = (name: string, now: Tensor, share: number): void => {
      onStatistic(name, tf.add(tf.mul(values(name), 1 - MOMENTUM), tf.mul(now, share)));
    };
    next(names.mean, mean, MOMENTUM);
    // A batch of a single value has no unbiased variance.
    next(names.variance, variance, (MOMENTUM * count) / Math.max(1, count - 1));
  }
  return { centred, variance };
}
