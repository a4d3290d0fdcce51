import type { Cursor } from './cursor';
import type { Dataspace } from './dataspace';
import type { DataLayout } from './layout';

/** Each takes some 500 bytes of memory; a weight of ten gigabytes in chunks of 64 KiB has as many. */
export const MAX_CHUNKS = 160_000;

/** What the ways of listing chunks need to know of a dataset. */
export interface ChunkedData {
  readonly layout: Extract<DataLayout, { kind: 'chunked' }>;
  readonly space: Dataspace & { readonly shape: readonly number[] };
  readonly chunkBytes: number;
  readonly isFiltered: boolean;
}

/** A chunk as arrays list it, by number. */
export interface ListedChunk {
  readonly number: number;
  readonly address: number;
  readonly byteLength: number;
  readonly mask: number;
}

/** Chunks that the dataset may come to have, unlimited axes as they are now. */
export function countOf({ layout, space }: ChunkedData): number {
  return gridOf(layout.chunk, space).reduce((product, size) => product * size, 1);
}

/** Chunks along each axis. */
export function gridOf(chunk: readonly number[], { shape, limits }: ChunkedData['space']): number[] {
  return shape.map((size, axis) => Math.ceil((limits[axis] ?? size) / (chunk[axis] ?? 1)));
}

/** An entry of an array of chunks; undefined for one that is not in the file. */
export function parseEntry(
  cursor: Cursor,
  entryBytes: number,
  data: ChunkedData,
): Omit<ListedChunk, 'number'> | undefined {
  const entry = cursor.part(entryBytes);
  const address = entry.offset();
  if (address === undefined) return undefined;
  if (!data.isFiltered) return { address, byteLength: data.chunkBytes, mask: 0 };
  const byteLength = entry.uint(entry.remaining - 4);
  return { address, byteLength, mask: entry.u32() };
}
