import { inflateSync } from 'node:zlib';
import { CheckpointError } from '../errors';
import { allocateResult } from './allocate';
import type { Chunks } from './chunkGrid';

const CHECKSUM_BYTES = 4;

/**
 * @param sources uint8, one for each of `starts`
 * @throws CheckpointError `malformed` when a box does not inflate to its size, or its checksum differs
 */
export function decodeChunks(chunks: Chunks, sources: readonly Uint8Array[], byteLength: number): Uint8Array {
  const { shape, chunk, elementBytes } = chunks;
  if (product(shape) * elementBytes !== byteLength || chunk.length !== shape.length)
    throw new CheckpointError(
      'malformed',
      `chunks of a shape of ${shape.join(' × ')} for ${byteLength} bytes`,
    );
  const bytes = allocateResult(byteLength);
  fillWith(bytes, chunks.fill);
  const chunkBytes = product(chunk) * elementBytes;
  sources.forEach((source, i) => {
    const box = unfiltered(chunks, source, chunks.masks?.[i] ?? 0, chunkBytes);
    place(chunks, box, chunks.starts[i] ?? [], bytes);
  });
  return bytes;
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((all, size) => all * size, 1);
}

function fillWith(bytes: Uint8Array, fill: readonly number[]): void {
  if (fill.every((byte) => byte === 0)) {
    bytes.fill(0);
    return;
  }
  bytes.set(fill.slice(0, bytes.length));
  for (let done = fill.length; done < bytes.length; done *= 2) bytes.copyWithin(done, 0, done);
}

function unfiltered({ filters }: Chunks, source: Uint8Array, mask: number, chunkBytes: number): Uint8Array {
  let bytes = source;
  for (let i = filters.length - 1; i >= 0; i--) {
    const filter = filters[i];
    if (filter === undefined || (mask & (1 << i)) !== 0) continue;
    if (filter.kind === 'deflate') bytes = inflate(bytes, chunkBytes + CHECKSUM_BYTES * filters.length);
    else if (filter.kind === 'shuffle') bytes = unshuffle(bytes, filter.elementBytes);
    else bytes = checked(bytes);
  }
  if (bytes.length !== chunkBytes)
    throw new CheckpointError('malformed', `a chunk of ${bytes.length} bytes instead of ${chunkBytes}`);
  return bytes;
}

function inflate(bytes: Uint8Array, mostBytes: number): Uint8Array {
  try {
    return inflateSync(bytes, { maxOutputLength: Math.max(1, mostBytes) });
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new CheckpointError('malformed', `a chunk that does not inflate (${detail})`, {}, { cause: error });
  }
}

/** Puts together elements whose first bytes stand before all second bytes, and so on; a rest at the end is as it was. */
function unshuffle(bytes: Uint8Array, elementBytes: number): Uint8Array {
  const elements = Math.floor(bytes.length / elementBytes);
  if (elementBytes <= 1 || elements <= 1) return bytes;
  const result = Uint8Array.from(bytes);
  for (let b = 0; b < elementBytes; b++) {
    for (let i = 0; i < elements; i++) result[i * elementBytes + b] = bytes[b * elements + i] ?? 0;
  }
  return result;
}

function checked(bytes: Uint8Array): Uint8Array {
  const end = bytes.length - CHECKSUM_BYTES;
  if (end < 0) throw new CheckpointError('malformed', 'a chunk without its checksum');
  const data = bytes.subarray(0, end);
  const stored = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(end, true);
  const sum = fletcher32(data);
  // HDF5 before 1.6.3 kept the bytes of each half the other way round on little-endian machines.
  const swapped = (((sum & 0x00ff00ff) << 8) | ((sum >>> 8) & 0x00ff00ff)) >>> 0;
  if (stored !== sum && stored !== swapped)
    throw new CheckpointError('malformed', 'a chunk whose checksum differs: the file is damaged');
  return data;
}

/** Fletcher's checksum of pairs of bytes, the first of a pair the higher. */
function fletcher32(bytes: Uint8Array): number {
  let [low, high] = [0, 0];
  for (let i = 0; i < bytes.length; i += 2) {
    low = folded(low + 256 * (bytes[i] ?? 0) + (bytes[i + 1] ?? 0));
    high = folded(high + low);
  }
  return high * 0x10000 + low;
}

/** Ones' complement addition: what does not fit in 16 bits comes back at the low end. */
function folded(sum: number): number {
  return (sum & 0xffff) + (sum >>> 16);
}

/** Copies what is inside the array of a box, row by row. */
function place(
  { shape, chunk, elementBytes }: Chunks,
  box: Uint8Array,
  start: readonly number[],
  target: Uint8Array,
): void {
  const rank = shape.length;
  const inside = shape.map((size, axis) => Math.min(chunk[axis] ?? 0, size - (start[axis] ?? 0)));
  if (start.length !== rank || start.some((from) => from < 0) || inside.some((size) => size <= 0))
    throw new CheckpointError('malformed', 'a chunk outside its array');
  const rowBytes = (inside.at(-1) ?? 1) * elementBytes;
  const rows = product(inside.slice(0, -1));
  const at = new Array<number>(Math.max(0, rank - 1)).fill(0);
  for (let row = 0; row < rows; row++) {
    let [from, to] = [0, 0];
    for (let axis = 0; axis < rank; axis++) {
      const index = at[axis] ?? 0;
      from = from * (chunk[axis] ?? 1) + index;
      to = to * (shape[axis] ?? 1) + (start[axis] ?? 0) + index;
    }
    target.set(box.subarray(from * elementBytes, from * elementBytes + rowBytes), to * elementBytes);
    for (let axis = rank - 2; axis >= 0; axis--) {
      at[axis] = (at[axis] ?? 0) + 1;
      if ((at[axis] ?? 0) < (inside[axis] ?? 0)) break;
      at[axis] = 0;
    }
  }
}
