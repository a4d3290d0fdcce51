import { allocateFloats, requireCount } from './packedBits';

/**
 * Weights in MXFP4 (OCP Microscaling Formats (MX) Specification 1.0, sections 5.2 and 5.3.3): blocks of 32 4-bit
 * floating-point values (E2M1) with one power of two (E8M0) each. Two values a byte, the first in the lower half. The
 * result is rows × columns, or its transpose, float32.
 */
export interface Mxfp4 {
  readonly kind: 'mxfp4';
  readonly rows: number;
  /** A multiple of 32. */
  readonly columns: number;
  /** Columns × rows is wanted. */
  readonly transposed: boolean;
}

export const MXFP4_BLOCK = 32;

/** The sixteen values of E2M1: a sign, two bits of exponent, one of mantissa. */
const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6] as const;
/** E8M0: 2^(code − 127), and no number for the last code. */
const BIAS = 127;
const NOT_A_NUMBER = 255;

/** Rows that are turned into columns at once: one line of the processor's cache. */
const ROWS_AT_ONCE = 16;

/**
 * @param sources the values (rows × columns/2 bytes) and the scales (rows × columns/32)
 * @throws CheckpointError `malformed` when they do not fit
 */
export function decodeMxfp4(decoder: Mxfp4, sources: readonly Uint8Array[], byteLength: number): Uint8Array {
  const { rows, columns } = decoder;
  const [packed = new Uint8Array(), scales = new Uint8Array()] = sources;
  requireCount(packed.length, (rows * columns) / 2, 'bytes');
  requireCount(scales.length, (rows * columns) / MXFP4_BLOCK, 'scales');
  const { bytes, values } = allocateFloats(byteLength);
  requireCount(values.length, rows * columns, 'elements');
  if (!decoder.transposed) {
    decodeRows(packed, scales, 0, values);
    return bytes;
  }
  const band = new Float32Array(ROWS_AT_ONCE * columns);
  for (let row = 0; row < rows; row += ROWS_AT_ONCE) {
    const height = Math.min(ROWS_AT_ONCE, rows - row);
    const part = band.subarray(0, height * columns);
    decodeRows(packed, scales, row * columns, part);
    for (let column = 0; column < columns; column++) {
      for (let r = 0; r < height; r++) values[column * rows + row + r] = part[r * columns + column] ?? 0;
    }
  }
  return bytes;
}

/** @param first element at which the result begins, a multiple of 32 */
function decodeRows(packed: Uint8Array, scales: Uint8Array, first: number, values: Float32Array): void {
  const scaled = new Float32Array(E2M1.length);
  for (let at = 0, block = first / MXFP4_BLOCK; at < values.length; block++) {
    const code = scales[block] ?? 0;
    const scale = code === NOT_A_NUMBER ? NaN : 2 ** (code - BIAS);
    E2M1.forEach((value, i) => {
      scaled[i] = value * scale;
    });
    const end = at + MXFP4_BLOCK;
    for (let byte = (first + at) / 2; at < end; at += 2, byte++) {
      const pair = packed[byte] ?? 0;
      values[at] = scaled[pair & 15] ?? 0;
      values[at + 1] = scaled[pair >>> 4] ?? 0;
    }
  }
}
