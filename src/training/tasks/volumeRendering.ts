/** What a camera sees of a field of colours and densities. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Tf } from '../../network/builtin/architecture';

export type Density = 'softplus' | 'relu';

/**
 * Colours of rays through samples (Mildenhall et al., "NeRF", 2020, eq. 3), over a background:
 * C = Σ T_i·(1 − exp(−σ_i·δ_i))·c_i + T_{S+1}·background, T_i = exp(−Σ_{j<i} σ_j·δ_j),
 * with c = sigmoid(raw colour), and σ = softplus(raw − 1) or relu(raw).
 *
 * @param raw [rays, samples, 4]: raw colour and raw density
 * @param lengths [rays, samples]: δ
 * @param background [rays, 3]
 * @returns [rays, 3]
 */
export function renderRays(
  tf: Tf,
  raw: Tensor,
  lengths: Tensor,
  background: Tensor,
  density: Density,
): Tensor {
  const [rays = 0, samples = 0] = raw.shape;
  const colours = tf.sigmoid(tf.slice(raw, [0, 0, 0], [rays, samples, 3]));
  const rawDensity = tf.reshape(tf.slice(raw, [0, 0, 3], [rays, samples, 1]), [rays, samples]);
  const sigma = density === 'relu' ? tf.relu(rawDensity) : tf.softplus(tf.sub(rawDensity, 1));
  const depths = tf.mul(sigma, lengths);
  const reached = tf.exp(tf.neg(tf.cumsum(depths, 1, true)));
  const weights = tf.mul(reached, tf.sub(1, tf.exp(tf.neg(depths))));
  const seen = tf.sum(tf.mul(tf.expandDims(weights, 2), colours), 1);
  const through = tf.exp(tf.neg(tf.sum(depths, 1, true)));
  return tf.add(seen, tf.mul(through, background));
}
