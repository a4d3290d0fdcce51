import type { Block } from './block';

/** Numbers that an encoding makes of one vector. */
export function encodedWidth(inputs: number, frequencies: number): number {
  return inputs * (1 + 2 * frequencies);
}

/**
 * x, then sin(2ʲ·s·x) and cos(2ʲ·s·x) for j = 0 … frequencies − 1 over the last axis (Mildenhall et al., "NeRF", 2020,
 * eq. 4, with x itself before).
 *
 * @param scale s: π as the paper writes it; 1 as the authors' code has it, whose scenes are a few units wide
 */
export function fourierEncoding(frequencies: number, scale: number): Block {
  return ({ tf }, x) => {
    const parts = [x];
    for (let octave = 0; octave < frequencies; octave++) {
      const angle = tf.mul(x, scale * 2 ** octave);
      parts.push(tf.sin(angle), tf.cos(angle));
    }
    return tf.concat(parts, -1);
  };
}
