import type { DType } from '../dtype';
import { decodeElements } from '../elements';
import { allocateFloats, numbersOf, requireCount } from './packedBits';

/**
 * A matrix of 8-bit values whose blocks have a scale each: w = (q − z)·s/divisor. One block may be the whole matrix, a
 * row, a part of one or a square, so that this is DeepSeek-V3's FP8, the 8-bit forms of compressed-tensors and
 * bitsandbytes' int8. The result is rows × columns, float32.
 */
export interface BlockScaled {
  readonly kind: 'block-scaled';
  readonly stored: 'float8_e4m3fn' | 'float8_e5m2' | 'int8';
  readonly rows: number;
  readonly columns: number;
  /** Sizes of a block; those at the edges may have less. */
  readonly blockRows: number;
  readonly blockColumns: number;
  readonly scales: DType;
  readonly divisor: number;
  /** Element type of zero points, one a scale. */
  readonly zeros?: BlockScaled['stored'];
}

/** Values that a byte can have. */
const CODES = 256;

/**
 * @param sources the values, the scales (row by row of blocks) and the zero points where there are any
 * @throws CheckpointError `malformed` when they do not fit
 */
export function decodeBlockScaled(
  decoder: BlockScaled,
  sources: readonly Uint8Array[],
  byteLength: number,
): Uint8Array {
  const { rows, columns, blockRows, blockColumns, divisor } = decoder;
  const [packed = new Uint8Array(), scaleBytes, zeroBytes = new Uint8Array()] = sources;
  requireCount(packed.length, rows * columns, 'values');
  const across = Math.ceil(columns / blockColumns);
  const blocks = Math.ceil(rows / blockRows) * across;
  const scales = numbersOf(scaleBytes, decoder.scales, blocks);
  if (decoder.zeros !== undefined) requireCount(zeroBytes.length, blocks, 'zero points');
  const table = tableOf(decoder.stored);
  const zeroTable = decoder.zeros === undefined ? undefined : tableOf(decoder.zeros);
  const { bytes, values } = allocateFloats(byteLength);
  requireCount(values.length, packed.length, 'elements');
  for (let row = 0; row < rows; row++) {
    const first = Math.floor(row / blockRows) * across;
    for (let block = 0; block < across; block++) {
      const scale = (scales[first + block] ?? 0) / divisor;
      const zero = zeroTable?.[zeroBytes[first + block] ?? 0] ?? 0;
      const end = row * columns + Math.min(columns, (block + 1) * blockColumns);
      for (let i = row * columns + block * blockColumns; i < end; i++) {
        values[i] = ((table[packed[i] ?? 0] ?? 0) - zero) * scale;
      }
    }
  }
  return bytes;
}

/** The number that each byte stands for. */
function tableOf(stored: BlockScaled['stored']): Float64Array {
  const codes = Uint8Array.from({ length: CODES }, (_, code) => code);
  return Float64Array.from(stored === 'int8' ? new Int8Array(codes.buffer) : decodeElements(codes, stored));
}
