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
const SCALES = 256;

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
  const products = allProducts();
  if (!decoder.transposed) {
    decodeRows(packed, scales, 0, products, values);
    return bytes;
  }
  const band = new Float32Array(ROWS_AT_ONCE * columns);
  for (let row = 0; row < rows; row += ROWS_AT_ONCE) {
    const height = Math.min(ROWS_AT_ONCE, rows - row);
    const part = band.subarray(0, height * columns);
    decodeRows(packed, scales, row * columns, products, part);
    for (let column = 0; column < columns; column++) {
      for (let r = 0; r < height; r++) values[column * rows + row + r] = part[r * columns + column] ?? 0;
    }
  }
  return bytes;
}

/** @param first element at which the result begins, a multiple of 32 */
function decodeRows(
  packed: Uint8Array,
  scales: Uint8Array,
  first: number,
  products: Float32Array,
  values: Float32Array,
): void {
  for (let at = 0, block = first / MXFP4_BLOCK; at < values.length; block++) {
    const base = (scales[block] ?? 0) * E2M1.length;
    const end = at + MXFP4_BLOCK;
    for (let byte = (first + at) / 2; at < end; at += 2, byte++) {
      const pair = packed[byte] ?? 0;
      values[at] = products[base + (pair & 15)] ?? 0;
      values[at + 1] = products[base + (pair >>> 4)] ?? 0;
    }
  }
}

/** Every value times every power of two. */
function allProducts(): Float32Array {
  return Float32Array.from({ length: SCALES * E2M1.length }, (_, i) => {
    const code = Math.floor(i / E2M1.length);
    return (E2M1[i % E2M1.length] ?? 0) * (code === NOT_A_NUMBER ? NaN : 2 ** (code - BIAS));
  });
}
