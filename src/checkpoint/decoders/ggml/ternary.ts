/** −d, 0 or d: the ternary forms, 256 values a block (`ggml-quants.c`). */
import { type BlockDecoder, bitsAt, halfValues } from './half';

/** Five digits to base 3 a byte, as a fraction of 256: times 3ⁿ, the next digit stands above the byte. */
const tq10: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0; block < blocks; block++, at += 54) {
    const d = halves[bitsAt(source, at + 52, upper)] ?? 0;
    const to = block * 256;
    digits(source, at, 32, 5, d, result, to);
    digits(source, at + 32, 16, 5, d, result, to + 160);
    digits(source, at + 48, 4, 4, d, result, to + 240);
  }
};

/** The first digit of `count` bytes, then the second of all … */
function digits(
  source: Uint8Array,
  at: number,
  count: number,
  places: number,
  d: number,
  result: Float32Array,
  to: number,
): void {
  for (let place = 0, power = 1; place < places; place++, power *= 3) {
    for (let i = 0; i < count; i++) {
      const fraction = ((source[at + i] ?? 0) * power) & 255;
      result[to + place * count + i] = d * (((fraction * 3) >> 8) - 1);
    }
  }
}

/** Two bits a value. */
const tq20: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0; block < blocks; block++, at += 66) {
    const d = halves[bitsAt(source, at + 64, upper)] ?? 0;
    for (let part = 0; part < 8; part++) {
      const from = at + (part >> 2) * 32;
      const shift = 2 * (part & 3);
      const to = block * 256 + part * 32;
      for (let i = 0; i < 32; i++) result[to + i] = d * ((((source[from + i] ?? 0) >> shift) & 3) - 1);
    }
  }
};

export const TERNARY = { TQ1_0: tq10, TQ2_0: tq20 } as const;
