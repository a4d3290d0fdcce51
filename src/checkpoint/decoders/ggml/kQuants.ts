/** The K forms: 256 values a block, in parts whose scales are themselves quantised (`ggml-quants.c`). */
import { type BlockDecoder, bitsAt, halfValues } from './half';

const VALUES = 256;

/** 16 bytes of scale and offset, four bits each; 64 bytes of two-bit codes; d and the offsets' scale. */
const q2k: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0; block < blocks; block++, at += 84) {
    const d = halves[bitsAt(source, at + 80, upper)] ?? 0;
    const dMin = halves[bitsAt(source, at + 82, upper)] ?? 0;
    for (let part = 0; part < 16; part++) {
      const scales = source[at + part] ?? 0;
      const scale = d * (scales & 15);
      const offset = dMin * (scales >> 4);
      const from = at + 16 + codesOf(part);
      const shift = part & 6;
      const to = block * VALUES + part * 16;
      for (let i = 0; i < 16; i++) {
        result[to + i] = scale * (((source[from + i] ?? 0) >> shift) & 3) - offset;
      }
    }
  }
};

/** Two-bit codes: four parts share 16 bytes; pairs of parts lie side by side, in two halves of 32 bytes. */
function codesOf(part: number): number {
  return (part >> 3) * 32 + (part & 1) * 16;
}

/** 32 bytes of third bits (a set bit means that 4 is not taken off), 64 of two-bit codes, 12 of scales, d. */
const q3k: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0; block < blocks; block++, at += 110) {
    const d = halves[bitsAt(source, at + 108, upper)] ?? 0;
    for (let part = 0; part < 16; part++) {
      const scale = d * (sixBitScale(source, at + 96, part) - 32);
      const from = at + 32 + codesOf(part);
      const third = at + (part & 1) * 16;
      const shift = part & 6;
      const bit = part >> 1;
      const to = block * VALUES + part * 16;
      for (let i = 0; i < 16; i++) {
        const code = ((source[from + i] ?? 0) >> shift) & 3;
        result[to + i] = scale * ((code | ((((source[third + i] ?? 0) >> bit) & 1) << 2)) - 4);
      }
    }
  }
};

/** Scale of one of sixteen parts: 8 bytes of lower four bits, 4 of upper two. */
function sixBitScale(source: Uint8Array, at: number, part: number): number {
  const lower = ((source[at + (part & 7)] ?? 0) >> (4 * (part >> 3))) & 15;
  const upper = ((source[at + 8 + (part & 3)] ?? 0) >> (2 * (part >> 2))) & 3;
  return lower | (upper << 4);
}

/** d, the offsets' scale, 12 bytes of scales and offsets, then 128 bytes of four-bit codes. */
const q4k: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0; block < blocks; block++, at += 144) {
    const d = halves[bitsAt(source, at, upper)] ?? 0;
    const dMin = halves[bitsAt(source, at + 2, upper)] ?? 0;
    for (let part = 0; part < 8; part += 2) {
      const scale = d * scaleOf(source, at + 4, part);
      const offset = dMin * offsetOf(source, at + 4, part);
      const nextScale = d * scaleOf(source, at + 4, part + 1);
      const nextOffset = dMin * offsetOf(source, at + 4, part + 1);
      const from = at + 16 + part * 16;
      const to = block * VALUES + part * 32;
      for (let i = 0; i < 32; i++) {
        const codes = source[from + i] ?? 0;
        result[to + i] = scale * (codes & 15) - offset;
        result[to + 32 + i] = nextScale * (codes >> 4) - nextOffset;
      }
    }
  }
};

/** As Q4_K, with 32 bytes of fifth bits before the codes. */
const q5k: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0; block < blocks; block++, at += 176) {
    const d = halves[bitsAt(source, at, upper)] ?? 0;
    const dMin = halves[bitsAt(source, at + 2, upper)] ?? 0;
    for (let part = 0; part < 8; part += 2) {
      const scale = d * scaleOf(source, at + 4, part);
      const offset = dMin * offsetOf(source, at + 4, part);
      const nextScale = d * scaleOf(source, at + 4, part + 1);
      const nextOffset = dMin * offsetOf(source, at + 4, part + 1);
      const from = at + 48 + part * 16;
      const to = block * VALUES + part * 32;
      for (let i = 0; i < 32; i++) {
        const codes = source[from + i] ?? 0;
        const fifth = (source[at + 16 + i] ?? 0) >> part;
        result[to + i] = scale * ((codes & 15) | ((fifth & 1) << 4)) - offset;
        result[to + 32 + i] = nextScale * ((codes >> 4) | ((fifth & 2) << 3)) - nextOffset;
      }
    }
  }
};

/** Scale of one of eight parts, six bits: four in a byte of their own, the others spread over what was left. */
function scaleOf(source: Uint8Array, at: number, part: number): number {
  if (part < 4) return (source[at + part] ?? 0) & 63;
  return ((source[at + 4 + part] ?? 0) & 15) | (((source[at + part - 4] ?? 0) >> 6) << 4);
}

function offsetOf(source: Uint8Array, at: number, part: number): number {
  if (part < 4) return (source[at + 4 + part] ?? 0) & 63;
  return ((source[at + 4 + part] ?? 0) >> 4) | (((source[at + part] ?? 0) >> 6) << 4);
}

/** 128 bytes of lower four bits, 64 of upper two, 16 scales of eight bits, d; in two halves of 128 values. */
const q6k: BlockDecoder = (source, blocks, result, upper) => {
  const halves = halfValues();
  for (let block = 0, at = 0; block < blocks; block++, at += 210) {
    const d = halves[bitsAt(source, at + 208, upper)] ?? 0;
    for (let part = 0; part < 16; part++) {
      const scale = d * (((source[at + 192 + part] ?? 0) << 24) >> 24);
      const half = part >> 3;
      // Parts 0 to 3 of a half are the lower bits of its 64 bytes, 4 to 7 the upper ones.
      const lower = at + half * 64 + (part & 3) * 16;
      const lowerShift = part & 4;
      const upperBits = at + 128 + half * 32 + (part & 1) * 16;
      const upperShift = part & 6;
      const to = block * VALUES + part * 16;
      for (let i = 0; i < 16; i++) {
        const code = ((source[lower + i] ?? 0) >> lowerShift) & 15;
        result[to + i] = scale * ((code | ((((source[upperBits + i] ?? 0) >> upperShift) & 3) << 4)) - 32);
      }
    }
  }
};

/** A float32 scale, 256 bytes, and sums of them that are only of use to a running model. */
const q8k: BlockDecoder = (source, blocks, result, upper) => {
  const view = new DataView(source.buffer, source.byteOffset, source.length);
  for (let block = 0, at = 0; block < blocks; block++, at += 292) {
    const d = view.getFloat32(at, upper === 1);
    const to = block * VALUES;
    for (let i = 0; i < VALUES; i++) result[to + i] = d * (((source[at + 4 + i] ?? 0) << 24) >> 24);
  }
};

export const K_QUANTS = { Q2_K: q2k, Q3_K: q3k, Q4_K: q4k, Q5_K: q5k, Q6_K: q6k, Q8_K: q8k } as const;
