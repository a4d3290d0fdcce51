import { RandomStream } from '../../../lowrank/randomStream';
import type { ArchitectureBuilder } from '../builder';
import { seedOf } from '../starts';
import type { Block } from './block';

/**
 * In training, sets a share of the elements to 0 and scales the others up (Srivastava et al., "Dropout", 2014). The mask
 * is a function of the pass' seed and the place in the network alone: the backends' own random numbers differ.
 */
export function dropout(builder: ArchitectureBuilder, rate: number): Block {
  if (!(rate >= 0 && rate < 1)) throw new Error(`dropout is ${rate}: a number from 0 to below 1 is needed`);
  const place = builder.dropout();
  if (rate === 0) return (_, x) => x;
  const least = Math.round(rate * 2 ** 32);
  const kept = 1 / (1 - rate);
  return ({ tf, pass }, x) => {
    if (!pass.training) return x;
    const random = new RandomStream(seedOf(pass.seed, `dropout ${place}`));
    const mask = new Float32Array(x.size);
    for (let i = 0; i < mask.length; i++) mask[i] = random.integer() < least ? 0 : kept;
    return tf.mul(x, tf.tensor(mask, x.shape));
  };
}
