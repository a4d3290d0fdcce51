/** Softmax cross-entropy: the loss in tensors, and the same in float64 for evaluations. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Tf } from '../../network/builtin/architecture';

/**
 * −Σ q·log softmax(x) of each row, q = (1 − ε)·onehot(target) + ε/C (Szegedy et al., "Rethinking the Inception
 * architecture", 2016, §7).
 *
 * @param logits […, C]
 * @param targets int32, […]
 * @param smoothing ε
 * @returns one number a row, flat
 */
export function crossEntropy(tf: Tf, logits: Tensor, targets: Tensor, smoothing = 0): Tensor {
  const classes = logits.shape.at(-1) ?? 1;
  const rows = tf.logSoftmax(tf.reshape(logits, [-1, classes]));
  const target = tf.cast(tf.oneHot(tf.reshape(targets, [-1]), classes), 'float32');
  const exact = tf.neg(tf.sum(tf.mul(rows, target), -1));
  if (smoothing === 0) return exact;
  return tf.sub(tf.mul(exact, 1 - smoothing), tf.mul(tf.mean(rows, -1), smoothing));
}

/** Sums over rows of logits. */
export interface RowSums {
  rows: number;
  /** Rows whose largest logit is the target's. */
  right: number;
  /** Σ −log softmax(x)[target]. */
  loss: number;
}

/** Adds rows to the sums. @param weights absent: each row counts once; else those of weight 0 do not */
export function addRows(
  sums: RowSums,
  logits: ArrayLike<number>,
  targets: Int32Array,
  weights?: ArrayLike<number>,
): void {
  const classes = logits.length / Math.max(1, targets.length);
  targets.forEach((target, row) => {
    if (weights?.[row] === 0) return;
    const start = row * classes;
    let best = 0;
    let largest = -Infinity;
    for (let c = 0; c < classes; c++) {
      const value = logits[start + c] ?? 0;
      if (value > largest) [best, largest] = [c, value];
    }
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp((logits[start + c] ?? 0) - largest);
    sums.rows++;
    sums.loss += Math.log(sum) + largest - (logits[start + target] ?? 0);
    if (best === target && largest > -Infinity) sums.right++;
  });
}

/** Larger exponents are beyond doubles, and no language model's. */
const MAX_EXPONENT = 700;

/** e^loss. @param loss mean cross-entropy of a token, in nats */
export function perplexity(loss: number): number {
  return Math.exp(Math.min(loss, MAX_EXPONENT));
}
