import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Block } from './block';

/** The largest of every 2 × 2 pixels of NHWC pictures. */
export const maxPool: Block = ({ tf }, x) =>
  // Pictures in batches have four axes.
  tf.maxPool(x as Tensor4D, 2, 2, 'valid');

/** The mean over all pixels of NHWC pictures: [batch, channels]. */
export const meanOverPixels: Block = ({ tf }, x) => tf.mean(x, [1, 2]);
