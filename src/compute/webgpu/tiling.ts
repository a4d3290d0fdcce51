import { blockSide, ELEMENTS_PER_THREAD, WORDS_PER_STEP, type ThreadTile } from './shaders';

/** What of an adapter decides how a matrix is cut; bytes. */
export interface Limits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxComputeWorkgroupsPerDimension: number;
}

/** A stretch of the long side, in elements. */
export interface Tile {
  readonly from: number;
  readonly length: number;
}

/** Whole block rows of the lower triangle, as rows. */
export interface Band {
  readonly from: number;
  readonly to: number;
}

export interface Tiling {
  /** Lines: the smaller side. Their elements are along the longer one. */
  readonly lines: number;
  readonly long: number;
  /** Lines are the rows of the matrix; else its columns. */
  readonly isWide: boolean;
  readonly side: ThreadTile;
  readonly paddedLines: number;
  readonly tiles: readonly Tile[];
  readonly bands: readonly Band[];
  /** All tiles stay on the device; else they are sent again for every pass. */
  readonly isResident: boolean;
}

/** Elements of the long side over which five sums of products of bytes (≤ 2¹⁴) stay within int32, with room. */
export const LONGEST_TILE = 24_576;

/** Products of two lines of 39-bit numbers stay within 96 bits up to here. */
export const LONGEST = 2 ** 19;

/** How much is on the device, and in a block, at a time. */
export interface Portions {
  /** Bytes of a tile: large enough to keep a GPU busy, small enough that the next is sent meanwhile. */
  readonly tile: number;
  /** Bytes of a band's 96-bit sums. */
  readonly band: number;
  /** Bytes of the tiles that stay on the device; larger matrices are sent twice. */
  readonly resident: number;
  /** Lines, no bytes: from so many on there are enough large blocks to fill a GPU, and they read less. */
  readonly largeBlocksFrom: number;
}

export const PORTIONS: Portions = {
  tile: 64 << 20,
  band: 384 << 20,
  resident: 512 << 20,
  largeBlocksFrom: 1536,
};

/** Bytes of the slices of one element, at most. */
const SLICE_BYTES = 5;

/** Bytes of one 96-bit sum. */
export const SUM_BYTES = 12;

/** Entries of the packed lower triangle above a row. */
export function entriesBefore(row: number): number {
  return (row * (row + 1)) / 2;
}

/** Words of a tile, padded as the product needs it. */
export function wordsOf(length: number): number {
  return Math.ceil(length / (4 * WORDS_PER_STEP)) * WORDS_PER_STEP;
}

/** How a matrix is worked through, or why it cannot be, completing "… on the processor: ". */
export function tilingOf(
  rows: number,
  columns: number,
  limits: Limits,
  isSoftware: boolean,
  portions = PORTIONS,
): Tiling | string {
  const [lines, long] = [Math.min(rows, columns), Math.max(rows, columns)];
  if (long > LONGEST) return `its longer side, ${long}, is beyond ${LONGEST}`;
  const buffer = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  const side: ThreadTile = lines >= portions.largeBlocksFrom && !isSoftware ? 8 : 4;
  const block = blockSide(side);
  const paddedLines = Math.ceil(lines / block) * block;
  const step = 4 * WORDS_PER_STEP;
  const fitting = Math.floor(Math.min(buffer / SLICE_BYTES, portions.tile / 4) / paddedLines / step) * step;
  const length = Math.min(
    LONGEST_TILE,
    fitting,
    limits.maxComputeWorkgroupsPerDimension * ELEMENTS_PER_THREAD,
  );
  // A band holds at least one row of blocks.
  const blockRowBytes = SUM_BYTES * block * paddedLines;
  const hasRoom = length >= step && blockRowBytes <= buffer;
  if (!hasRoom || paddedLines > limits.maxComputeWorkgroupsPerDimension)
    return `its smaller side, ${lines}, is beyond what the graphics card takes`;
  const tiles: Tile[] = [];
  for (let from = 0; from < long; from += length) tiles.push({ from, length: Math.min(length, long - from) });
  return {
    lines,
    long,
    isWide: rows <= columns,
    side,
    paddedLines,
    tiles,
    bands: bandsOf(lines, block, Math.min(buffer, Math.max(portions.band, blockRowBytes))),
    isResident: 4 * lines * long <= portions.resident,
  };
}

/** Rows of blocks, together as long as their sums fit. */
function bandsOf(lines: number, block: number, bytes: number): Band[] {
  const bands: Band[] = [];
  for (let from = 0; from < lines;) {
    let to = Math.min(lines, from + block);
    const fits = (end: number): boolean => SUM_BYTES * (entriesBefore(end) - entriesBefore(from)) <= bytes;
    while (to < lines && fits(Math.min(lines, to + block))) to = Math.min(lines, to + block);
    bands.push({ from, to });
    from = to;
  }
  return bands;
}
