/** Equally spaced values, 32 a block: `d·q` (…_0) and `d·q + m` (…_1), d and m float16 (`ggml-quants.c`). */
import { type BlockDecoder, bitsAt, halfValues } from './half';

/** Values of a block; a code's partner in the upper bits of the same byte lies half a block further. */
const VALUES = 32;
const HALF = 16;

const q40: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 18, to += VALUES) {
    const d = halves[bitsAt(source, at, upper)] ?? 0;
    for (let i = 0; i < HALF; i++) {
      const codes = source[at + 2 + i] ?? 0;
      result[to + i] = d * ((codes & 15) - 8);
      result[to + HALF + i] = d * ((codes >> 4) - 8);
    }
  }
};

const q41: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 20, to += VALUES) {
    const d = halves[bitsAt(source, at, upper)] ?? 0;
    const m = halves[bitsAt(source, at + 2, upper)] ?? 0;
    for (let i = 0; i < HALF; i++) {
      const codes = source[at + 4 + i] ?? 0;
      result[to + i] = d * (codes & 15) + m;
      result[to + HALF + i] = d * (codes >> 4) + m;
    }
  }
};

/** The 32 fifth bits of a block, the first value's lowest. */
function fifthBits(source: Uint8Array, at: number, upper: 0 | 1): number {
  const [first, second] = [bitsAt(source, at, upper), bitsAt(source, at + 2, upper)];
  return upper === 1 ? first | (second << 16) : second | (first << 16);
}

const q50: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 22, to += VALUES) {
    const d = halves[bitsAt(source, at, upper)] ?? 0;
    const fifth = fifthBits(source, at + 2, upper);
    for (let i = 0; i < HALF; i++) {
      const codes = source[at + 6 + i] ?? 0;
      result[to + i] = d * (((codes & 15) | (((fifth >>> i) & 1) << 4)) - 16);
      result[to + HALF + i] = d * (((codes >> 4) | (((fifth >>> (i + HALF)) & 1) << 4)) - 16);
    }
  }
};

const q51: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 24, to += VALUES) {
    const d = halves[bitsAt(source, at, upper)] ?? 0;
    const m = halves[bitsAt(source, at + 2, upper)] ?? 0;
    const fifth = fifthBits(source, at + 4, upper);
    for (let i = 0; i < HALF; i++) {
      const codes = source[at + 8 + i] ?? 0;
      result[to + i] = d * ((codes & 15) | (((fifth >>> i) & 1) << 4)) + m;
      result[to + HALF + i] = d * ((codes >> 4) | (((fifth >>> (i + HALF)) & 1) << 4)) + m;
    }
  }
};

const q80: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 34, to += VALUES) {
    const d = halves[bitsAt(source, at, upper)] ?? 0;
    for (let i = 0; i < VALUES; i++) result[to + i] = d * (((source[at + 2 + i] ?? 0) << 24) >> 24);
  }
};

export const ROUND = { Q4_0: q40, Q4_1: q41, Q5_0: q50, Q5_1: q51, Q8_0: q80 } as const;
