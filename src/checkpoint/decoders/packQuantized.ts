import type { DType } from '../dtype';
import {
  allocateFloats,
  groupIndices,
  numbersOf,
  requireCount,
  scaleRow,
  transposed,
  unpackBits,
  wordsFor,
  wordsOf,
} from './packedBits';

/**
 * Weights of compressed-tensors' `pack-quantized` form: w = (q − z)·s with a scale for each row and group of columns.
 * Signed q are stored with 2^(bits−1) added to them, those of a row one after the other in its words. Zero points are
 * packed the same way down the columns, or int8 as they are. The result is rows × columns, float32.
 */
export interface PackQuantized {
  readonly kind: 'pack-quantized';
  readonly bits: number;
  readonly rows: number;
  readonly columns: number;
  readonly groups: number;
  readonly groupSize: number;
  readonly scales: DType;
  /** How the second source keeps zero points; they are all 0 where there is none. */
  readonly zeros: 'none' | 'packed' | 'int8';
  /** The last source is the group of each column. */
  readonly indexed: boolean;
}

/**
 * @param sources weight_packed (rows × words), weight_scale (rows × groups), then weight_zero_point and weight_g_idx
 * where the weight has them
 * @throws CheckpointError `malformed` when they do not fit, or a group is none of the weight's
 */
export function decodePackQuantized(
  decoder: PackQuantized,
  sources: readonly Uint8Array[],
  byteLength: number,
): Uint8Array {
  const { bits, rows, columns, groups, groupSize, indexed } = decoder;
  const perRow = wordsFor(columns, bits);
  const words = wordsOf(sources[0]);
  requireCount(words.length, rows * perRow, 'words');
  const scales = numbersOf(sources[1], decoder.scales, rows * groups);
  const bias = 2 ** (bits - 1);
  const zeros = zeroPoints(decoder, sources[2]);
  const offsets = Float64Array.from(scales, (scale, i) => -((zeros?.[i] ?? 0) + bias) * scale);
  const groupOf = indexed ? groupIndices(sources.at(-1), columns, groups) : undefined;
  const { bytes, values } = allocateFloats(byteLength);
  requireCount(values.length, rows * columns, 'elements');
  const codes = new Uint8Array(columns);
  const grouped = { columns, groups, groupSize, ...(groupOf !== undefined && { groupOf }) };
  for (let row = 0; row < rows; row++) {
    unpackBits(words, row * perRow, bits, codes);
    scaleRow(codes, grouped, scales, offsets, row, values, row * columns);
  }
  return bytes;
}

/** rows × groups, signed */
function zeroPoints(
  { zeros, bits, rows, groups }: PackQuantized,
  bytes: Uint8Array | undefined,
): Int8Array | undefined {
  if (zeros === 'none') return undefined;
  const result = new Int8Array(rows * groups);
  if (zeros === 'int8') {
    requireCount(bytes?.length ?? 0, result.length, 'zero points');
    result.set(new Int8Array(Uint8Array.from(bytes ?? []).buffer));
    return result;
  }
  const perGroup = wordsFor(rows, bits);
  const packed = wordsOf(bytes);
  requireCount(packed.length, perGroup * groups, 'words of zero points');
  const words = transposed(packed, perGroup, groups);
  const codes = new Uint8Array(rows);
  for (let group = 0; group < groups; group++) {
    unpackBits(words, group * perGroup, bits, codes);
    codes.forEach((code, row) => {
      result[row * groups + group] = code - 2 ** (bits - 1);
    });
  }
  return result;
}
