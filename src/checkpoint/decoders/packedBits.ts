/** Whole numbers of a few bits each, and the scales of groups of them: what several forms of packed weights share. */
import type { DType } from '../dtype';
import { decodeElements } from '../elements';
import { CheckpointError } from '../errors';
import { allocateResult } from './allocate';

/** Bits of the words that numbers are packed into. */
export const WORD_BITS = 32;

/** Words across a row or down a column are moved in squares of so many, two lines of the processor's cache. */
const TILE = 32;

/**
 * Takes a stream of numbers apart: number i is the bits i·bits … i·bits + bits − 1, from the lowest bit of the first word
 * on; where `bits` does not divide 32 some lie across two words.
 *
 * @param first word at which the stream begins
 * @param codes filled from its beginning to its end
 */
export function unpackBits(words: Uint32Array, first: number, bits: number, codes: Uint8Array): void {
  const mask = 2 ** bits - 1;
  const count = codes.length;
  if (WORD_BITS % bits === 0) {
    for (let i = 0, word = first; i < count; word++) {
      let rest = words[word] ?? 0;
      const end = Math.min(count, i + WORD_BITS / bits);
      for (; i < end; i++, rest >>>= bits) codes[i] = rest & mask;
    }
    return;
  }
  for (let i = 0, bit = 0; i < count; i++, bit += bits) {
    const word = first + (bit >>> 5);
    const shift = bit & 31;
    const low = (words[word] ?? 0) >>> shift;
    codes[i] =
      (shift + bits > WORD_BITS ? low | ((words[word + 1] ?? 0) << (WORD_BITS - shift)) : low) & mask;
  }
}

/** Words that `count` numbers of so many bits need. */
export function wordsFor(count: number, bits: number): number {
  return Math.ceil((count * bits) / WORD_BITS);
}

/** Bytes as little-endian words. */
export function wordsOf(bytes: Uint8Array | undefined): Uint32Array {
  const source = bytes ?? new Uint8Array();
  const { buffer, byteOffset } = source.byteOffset % 4 === 0 ? source : Uint8Array.from(source);
  return new Uint32Array(buffer, byteOffset, Math.floor(source.length / 4));
}

type Numbers = Uint32Array | Float32Array | Float64Array;

/** The columns of a row-major rows × columns matrix one after the other. */
export function transposed<T extends Numbers>(matrix: T, rows: number, columns: number): T {
  const result = matrix.slice() as T; // a typed array's slice is of its own kind
  for (let r0 = 0; r0 < rows; r0 += TILE) {
    const r1 = Math.min(rows, r0 + TILE);
    for (let c0 = 0; c0 < columns; c0 += TILE) {
      const c1 = Math.min(columns, c0 + TILE);
      for (let c = c0; c < c1; c++) {
        for (let r = r0; r < r1; r++) result[c * rows + r] = matrix[r * columns + c] ?? 0;
      }
    }
  }
  return result;
}

/** Elements of a source as numbers. @throws CheckpointError `malformed` when they are not as many as stated */
export function numbersOf(
  bytes: Uint8Array | undefined,
  dtype: DType,
  count: number,
): Float32Array | Float64Array {
  const values = decodeElements(bytes ?? new Uint8Array(), dtype);
  requireCount(values.length, count, 'scales');
  return values;
}

/** @throws CheckpointError `malformed` */
export function requireCount(found: number, expected: number, what: string): void {
  if (found !== expected)
    throw new CheckpointError('malformed', `${found} ${what} of a packed weight instead of ${expected}`);
}

/** Room for float32 elements, and the bytes that they are. */
export function allocateFloats(byteLength: number): {
  readonly bytes: Uint8Array;
  readonly values: Float32Array;
} {
  const bytes = allocateResult(byteLength);
  return { bytes, values: new Float32Array(bytes.buffer, bytes.byteOffset, byteLength / 4) };
}

/** The group that each column of a weight belongs to. */
export interface ColumnGroups {
  readonly columns: number;
  readonly groups: number;
  /** Columns of a group that follow one another; the last group may have fewer. */
  readonly groupSize: number;
  /** The group of each column, where they do not follow one another. */
  readonly groupOf?: Int32Array;
}

/** The groups of columns as a file gives them. @throws CheckpointError `malformed` for one that is not there */
export function groupIndices(bytes: Uint8Array | undefined, columns: number, groups: number): Int32Array {
  const words = wordsOf(bytes);
  requireCount(words.length, columns, 'group indices');
  const indices = new Int32Array(words.buffer, words.byteOffset, columns);
  const odd = indices.find((group) => group < 0 || group >= groups);
  if (odd !== undefined) throw new CheckpointError('malformed', `group ${odd} of ${groups}`);
  return indices;
}

/**
 * One row: code·scale + offset, the pair of its column's group, rounded to float32 once.
 *
 * @param row place of the row's pairs among the scales and offsets, rows × groups
 * @param at first element of the result
 */
export function scaleRow(
  codes: Uint8Array,
  { columns, groups, groupSize, groupOf }: ColumnGroups,
  scales: Float32Array | Float64Array,
  offsets: Float32Array | Float64Array,
  row: number,
  values: Float32Array,
  at: number,
): void {
  const first = row * groups;
  if (groupOf !== undefined) {
    for (let i = 0; i < columns; i++) {
      const pair = first + (groupOf[i] ?? 0);
      values[at + i] = (codes[i] ?? 0) * (scales[pair] ?? 0) + (offsets[pair] ?? 0);
    }
    return;
  }
  for (let begin = 0, pair = first; begin < columns; begin += groupSize, pair++) {
    const scale = scales[pair] ?? 0;
    const offset = offsets[pair] ?? 0;
    const end = Math.min(columns, begin + groupSize);
    for (let i = begin; i < end; i++) values[at + i] = (codes[i] ?? 0) * scale + offset;
  }
}
