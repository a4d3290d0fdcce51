import type { GradSaveFunc, Tensor } from '@tensorflow/tfjs-core';
import type { MlpActivation } from '../../recipe';
import type { Block } from './block';

export const relu: Block = ({ tf }, x) => tf.relu(x);
export const tanh: Block = ({ tf }, x) => tf.tanh(x);
export const sigmoid: Block = ({ tf }, x) => tf.sigmoid(x);

/** x·Φ(x), exact (Hendrycks & Gimpel, "Gaussian error linear units", 2016). */
export const gelu: Block = ({ tf }, x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));

/**
 * Exponents of the Gaussian below this are cut off: the value, 4e-18, is nothing beside 1 in float32, while smaller ones
 * become subnormal numbers in the products and gradients that follow, with which processors are a hundred times slower.
 */
const LEAST_EXPONENT = -40;

/** exp(−x²/(2·a²)) (Ramasinghe & Lucey, "Beyond periodicity", 2022); its gradient is −x/a² times itself. */
export function gaussian(scale: number): Block {
  return ({ tf }, x) => {
    const bump = tf.customGrad((...given) => {
      // Declared as a mixture: the input comes first, and what keeps tensors for the gradient last.
      const [input, save] = given as [Tensor, GradSaveFunc];
      const value = tf.exp(
        tf.clipByValue(tf.mul(tf.square(input), -1 / (2 * scale ** 2)), LEAST_EXPONENT, 0),
      );
      save([input, value]);
      const gradFunc = (dy: Tensor, saved: Tensor[]): Tensor => {
        const [at, height] = saved;
        if (at === undefined || height === undefined) throw new Error('nothing was kept for the gradient');
        return tf.mul(tf.mul(dy, tf.mul(at, -1 / scale ** 2)), height);
      };
      return { value, gradFunc };
    });
    return bump(x);
  };
}

/** sin(x/a) (Sitzmann et al., "Implicit neural representations with periodic activation functions", 2020). */
export function sine(scale: number): Block {
  return ({ tf }, x) => tf.sin(tf.mul(x, 1 / scale));
}

export const ACTIVATIONS: Readonly<Record<MlpActivation, Block>> = { relu, tanh, sigmoid, gelu };
