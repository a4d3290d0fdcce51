import { extensibleArray, fixedArray } from './chunkArrays';
import { countOf, gridOf, type ChunkedData, type ListedChunk } from './chunkData';
import type { Hdf5File } from './file';
import { leavesOf } from './tree1';
import { recordsOf } from './tree2';

/** A chunk that is in the file. */
export interface StoredChunk {
  /** Its first element along each axis. */
  readonly start: readonly number[];
  readonly address: number;
  readonly byteLength: number;
  /** Bit i: the i-th filter was left out. */
  readonly mask: number;
}

/**
 * The chunks of a dataset that are in the file (specification VII and III.A.1).
 *
 * @throws CheckpointError `malformed`; `unsupported` for arrays of more than MAX_CHUNKS
 */
export function* storedChunks(file: Hdf5File, data: ChunkedData): Generator<StoredChunk> {
  const { index } = data.layout;
  const { address } = index;
  if (address === undefined) return;
  const { chunkBytes } = data;
  switch (index.kind) {
    case 'tree1':
      yield* treeChunks(file, data, address);
      return;
    case 'tree2':
      yield* tree2Chunks(file, data, address);
      return;
    case 'single':
      yield {
        start: data.space.shape.map(() => 0),
        address,
        byteLength: index.stored ?? chunkBytes,
        mask: index.mask,
      };
      return;
    case 'implicit':
      yield* numbered(data, every(countOf(data), address, chunkBytes));
      return;
    case 'fixed':
      yield* numbered(data, fixedArray(file, address, data));
      return;
    case 'extensible':
      yield* numbered(data, extensibleArray(file, address, data));
      return;
  }
}

function* treeChunks(file: Hdf5File, { space }: ChunkedData, root: number): Generator<StoredChunk> {
  const rank = space.shape.length;
  for (const { key, address } of leavesOf(file, root, 1, 8 + 8 * (rank + 1))) {
    const byteLength = key.u32();
    const mask = key.u32();
    yield { start: Array.from({ length: rank }, () => key.uint(8)), address, byteLength, mask };
  }
}

function* tree2Chunks(file: Hdf5File, data: ChunkedData, root: number): Generator<StoredChunk> {
  const { chunk } = data.layout;
  const rank = chunk.length;
  for (const record of recordsOf(file, root, data.isFiltered ? 11 : 10)) {
    const address = record.place('a chunk');
    const sizeBytes = record.remaining - 4 - 8 * rank;
    const byteLength = data.isFiltered ? record.uint(sizeBytes) : data.chunkBytes;
    const mask = data.isFiltered ? record.u32() : 0;
    yield { start: chunk.map((size) => record.uint(8) * size), address, byteLength, mask };
  }
}

function* every(count: number, address: number, byteLength: number): Generator<ListedChunk> {
  for (let number = 0; number < count; number++)
    yield { number, address: address + number * byteLength, byteLength, mask: 0 };
}

/**
 * Chunks by their number: row-major over all that there may come to be, but for one unlimited axis, which is the slowest
 * wherever it stands.
 */
function* numbered(data: ChunkedData, chunks: Iterable<ListedChunk>): Generator<StoredChunk> {
  const { layout, space } = data;
  const grid = gridOf(layout.chunk, space);
  const unlimited = space.limits.indexOf(undefined);
  const axes = grid.map((_, axis) => axis).filter((axis) => axis !== unlimited);
  if (unlimited !== -1) axes.unshift(unlimited);
  for (const { number, ...stored } of chunks) {
    const start = grid.map(() => 0);
    let rest = number;
    for (const axis of [...axes].reverse()) {
      const size = axis === axes[0] ? Infinity : (grid[axis] ?? 1);
      const place = size === Infinity ? rest : rest % size;
      rest = size === Infinity ? 0 : Math.floor(rest / size);
      start[axis] = place * (layout.chunk[axis] ?? 1);
    }
    yield { start, ...stored };
  }
}
