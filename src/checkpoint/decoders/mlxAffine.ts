import type { DType } from '../dtype';
import {
  allocateFloats,
  numbersOf,
  requireCount,
  scaleRow,
  unpackBits,
  wordsFor,
  wordsOf,
} from './packedBits';

/**
 * Weights as MLX quantises them ("affine"): w = q·s + b, a scale and a bias for each row and group of columns; the q of
 * a row follow one another in its words, from the lowest bits on. The result is rows × columns, float32.
 */
export interface MlxAffine {
  readonly kind: 'mlx-affine';
  readonly bits: number;
  readonly rows: number;
  readonly columns: number;
  readonly groupSize: number;
  readonly scales: DType;
  readonly biases: DType;
}

/**
 * @param sources weight (rows × words), scales and biases (rows × groups)
 * @throws CheckpointError `malformed` when they do not fit
 */
export function decodeMlxAffine(
  decoder: MlxAffine,
  sources: readonly Uint8Array[],
  byteLength: number,
): Uint8Array {
  const { bits, rows, columns, groupSize } = decoder;
  const groups = Math.ceil(columns / groupSize);
  const perRow = wordsFor(columns, bits);
  const words = wordsOf(sources[0]);
  requireCount(words.length, rows * perRow, 'words');
  const scales = numbersOf(sources[1], decoder.scales, rows * groups);
  const biases = numbersOf(sources[2], decoder.biases, rows * groups);
  const { bytes, values } = allocateFloats(byteLength);
  requireCount(values.length, rows * columns, 'elements');
  const codes = new Uint8Array(columns);
  for (let row = 0; row < rows; row++) {
    unpackBits(words, row * perRow, bits, codes);
    scaleRow(codes, { columns, groups, groupSize }, scales, biases, row, values, row * columns);
  }
  return bytes;
}
