/** Random numbers of a run: every choice is a function of the seed and of what is chosen, never of what came before. */
import { RandomStream } from '../../lowrank/randomStream';

/** What a stream is for: streams of different purposes know nothing of each other. */
export type Purpose =
  'order' | 'augmentation' | 'depths' | 'background' | 'offset' | 'mask' | 'solid' | 'validation' | 'inputs';

const PURPOSES: Readonly<Record<Purpose, number>> = {
  order: 1,
  augmentation: 2,
  depths: 3,
  background: 4,
  offset: 5,
  mask: 6,
  solid: 7,
  validation: 8,
  inputs: 9,
};

/** The step of a Weyl sequence on 32 bits: 2³² over the golden ratio. */
const WEYL = 0x9e3779b9;

/** A bijection on 32 bits that spreads every bit over all: the finaliser of MurmurHash3. */
export function scramble(x: number): number {
  let h = x;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * A seed for a purpose and numbers (epoch, place …): h ← scramble(scramble(h + WEYL) + word) from h = seed, over the words.
 * Each step is a bijection in h and in the word: of one purpose, two epochs never share a seed, nor two places of one epoch.
 *
 * @param words whole numbers from 0 to 2⁵³ − 1; of those above 2³², both halves count
 */
export function derivedSeed(seed: number, purpose: Purpose, ...words: readonly number[]): number {
  let h = mixed(seed, PURPOSES[purpose]);
  for (const word of words) {
    h = mixed(h, word);
    if (word >= 2 ** 32) h = mixed(h, Math.floor(word / 2 ** 32));
  }
  return h;
}

function mixed(h: number, word: number): number {
  return scramble(scramble(h + WEYL) + word);
}

/** The stream of `derivedSeed`. */
export function derivedStream(seed: number, purpose: Purpose, ...words: readonly number[]): RandomStream {
  return new RandomStream(derivedSeed(seed, purpose, ...words));
}

/** Uniform on [0, 1). */
export function uniform(stream: RandomStream): number {
  return stream.integer() / 2 ** 32;
}

/** Uniform on 0 … count − 1. */
export function below(stream: RandomStream, count: number): number {
  return Math.floor(uniform(stream) * count);
}
