import { allocateFloats, numbersOf, requireCount } from './packedBits';
import { CheckpointError } from '../errors';

/**
 * Weights of bitsandbytes' 4-bit forms (nf4, fp4): a table of sixteen values, times the largest magnitude of each block
 * of elements in row-major order. Two elements a byte, the first in the upper half. The magnitudes may themselves be
 * indices into a table of 256, in blocks with a scale each, plus an offset. The result is float32.
 */
export interface Bitsandbytes4 {
  readonly kind: 'bitsandbytes-4bit';
  readonly elements: number;
  readonly blockSize: number;
  /** Where the magnitudes of blocks are quantised once more. */
  readonly nested?: { readonly blockSize: number; readonly offset: number };
}

const TABLE = 16;
const NESTED_TABLE = 256;

/**
 * @param sources bytes of the weight, quant_map, absmax (float32; uint8 where nested), and where nested nested_quant_map
 * and nested_absmax, float32
 * @throws CheckpointError `malformed` when they do not fit
 */
export function decodeBitsandbytes4(
  { elements, blockSize, nested }: Bitsandbytes4,
  sources: readonly Uint8Array[],
  byteLength: number,
): Uint8Array {
  const [packed = new Uint8Array(), tableBytes, absmaxBytes, nestedTable, nestedAbsmax] = sources;
  requireCount(packed.length, Math.ceil(elements / 2), 'bytes');
  const table = numbersOf(tableBytes, 'float32', TABLE);
  const blocks = Math.ceil(elements / blockSize);
  const magnitudes =
    nested === undefined
      ? numbersOf(absmaxBytes, 'float32', blocks)
      : nestedMagnitudes(absmaxBytes, nestedTable, nestedAbsmax, nested, blocks);
  const { bytes, values } = allocateFloats(byteLength);
  requireCount(values.length, elements, 'elements');
  const scaled = new Float32Array(TABLE);
  for (let block = 0; block < blocks; block++) {
    const magnitude = magnitudes[block] ?? 0;
    for (let code = 0; code < TABLE; code++) scaled[code] = (table[code] ?? 0) * magnitude;
    const end = Math.min(elements, (block + 1) * blockSize);
    // Blocks are of even length, so each begins with a whole byte.
    let i = block * blockSize;
    for (; i + 1 < end; i += 2) {
      const pair = packed[i >>> 1] ?? 0;
      values[i] = scaled[pair >>> 4] ?? 0;
      values[i + 1] = scaled[pair & 15] ?? 0;
    }
    if (i < end) values[i] = scaled[(packed[i >>> 1] ?? 0) >>> 4] ?? 0;
  }
  return bytes;
}

function nestedMagnitudes(
  codes: Uint8Array = new Uint8Array(),
  tableBytes: Uint8Array | undefined,
  scaleBytes: Uint8Array | undefined,
  { blockSize, offset }: NonNullable<Bitsandbytes4['nested']>,
  blocks: number,
): Float32Array {
  requireCount(codes.length, blocks, 'quantised magnitudes');
  if (!Number.isFinite(offset)) throw new CheckpointError('malformed', `an offset of ${offset}`);
  const table = numbersOf(tableBytes, 'float32', NESTED_TABLE);
  const scales = numbersOf(scaleBytes, 'float32', Math.ceil(blocks / blockSize));
  // Rounded after each step, as bitsandbytes computes in float32.
  return Float32Array.from(codes, (code, i) =>
    Math.fround(
      Math.fround((table[code] ?? 0) * (scales[Math.floor(i / blockSize)] ?? 0)) + Math.fround(offset),
    ),
  );
}
