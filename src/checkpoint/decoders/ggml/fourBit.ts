/** Four bits a value that choose one of sixteen unequally spaced numbers, times a scale (`ggml-quants.c`). */
import { type BlockDecoder, bitsAt, halfValues } from './half';

/** `kvalues_iq4nl`. */
const NON_LINEAR = Float64Array.of(
  ...[-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
);
/** Doubled values of E2M1 (OCP Microscaling Formats 1.0, section 5.3.3); the scales are halved instead. */
const E2M1 = Float64Array.of(...[0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]);

/** Values of `count` bytes: those of their lower bits, then those of their upper ones. */
function spread(
  numbers: Float64Array,
  d: number,
  source: Uint8Array,
  at: number,
  result: Float32Array,
  to: number,
  count: number,
): void {
  for (let i = 0; i < count; i++) {
    const codes = source[at + i] ?? 0;
    result[to + i] = d * (numbers[codes & 15] ?? 0);
    result[to + count + i] = d * (numbers[codes >> 4] ?? 0);
  }
}

const iq4nl: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0; block < blocks; block++, at += 18) {
    const d = halves[bitsAt(source, at, upper)] ?? 0;
    spread(NON_LINEAR, d, source, at + 2, result, block * 32, 16);
  }
};

/** d, the upper two bits of eight scales, their lower four bits, then 8 · 32 codes. */
const iq4xs: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0; block < blocks; block++, at += 136) {
    const d = halves[bitsAt(source, at, upper)] ?? 0;
    const upperBits = bitsAt(source, at + 2, upper);
    for (let part = 0; part < 8; part++) {
      const lower = ((source[at + 4 + (part >> 1)] ?? 0) >> (4 * (part & 1))) & 15;
      const scale = (lower | (((upperBits >> (2 * part)) & 3) << 4)) - 32;
      spread(NON_LINEAR, d * scale, source, at + 8 + part * 16, result, block * 256 + part * 32, 16);
    }
  }
};

/** One scale, a power of two (E8M0), for 32 values. */
const mxfp4: BlockDecoder = (source, blocks, result) => {
  for (let block = 0, at = 0; block < blocks; block++, at += 17) {
    const d = 2 ** ((source[at] ?? 0) - 128);
    spread(E2M1, d, source, at + 1, result, block * 32, 16);
  }
};

/** Four scales without sign (E4M3), each for 16 values. */
const nvfp4: BlockDecoder = (source, blocks, result) => {
  for (let block = 0, at = 0; block < blocks; block++, at += 36) {
    for (let part = 0; part < 4; part++) {
      const d = unsignedE4m3(source[at + part] ?? 0) / 2;
      spread(E2M1, d, source, at + 4 + part * 8, result, block * 64 + part * 16, 8);
    }
  }
};

/** ggml takes the code that stands for no number as 0. */
function unsignedE4m3(code: number): number {
  const exponent = (code >> 3) & 15;
  const mantissa = code & 7;
  if (code === 0x7f) return 0;
  return exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10);
}

export const FOUR_BIT = { IQ4_NL: iq4nl, IQ4_XS: iq4xs, MXFP4: mxfp4, NVFP4: nvfp4 } as const;
