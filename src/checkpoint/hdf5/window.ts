import type { FileBytes, MemoryBytes } from '../checkpoint';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';

/** The bytes of an HDF5 file wherever they are: a file of its own, a stretch of an archive, memory. */
export interface Hdf5Window {
  /** Of the file on disk, for messages and storages. */
  readonly path: string;
  readonly size: number;
  /** @throws CheckpointError `malformed` when the bytes are not all inside */
  read(offset: number, length: number): Uint8Array;
  /** Values that stand at a place, for whoever reads them later. */
  storage(offset: number, byteLength: number): FileBytes | MemoryBytes;
  /** The place in the file on disk, for messages. */
  outerOffset(offset: number): number | undefined;
}

/** Structures are small and lie beside one another: they are read by blocks of this size, a few of which are kept. */
const BLOCK_BYTES = 64 * 1024;
const KEPT_BLOCKS = 16;

/** A stretch of a file; by default all of it. Storages point into the file itself. */
export function fileWindow(file: RandomAccessFile, base = 0, size = file.size): Hdf5Window {
  const { path } = file;
  const blocks = new Map<number, Uint8Array>();
  const block = (index: number): Uint8Array => {
    const known = blocks.get(index);
    if (known !== undefined) return known;
    const start = index * BLOCK_BYTES;
    const bytes = file.readSync(base + start, Math.min(BLOCK_BYTES, size - start));
    const [oldest] = blocks.keys();
    if (blocks.size >= KEPT_BLOCKS && oldest !== undefined) blocks.delete(oldest);
    blocks.set(index, bytes);
    return bytes;
  };
  return {
    path,
    size,
    read(offset, length) {
      requireInside(offset, length, size, { file: path, offset: base + offset });
      const index = Math.floor(offset / BLOCK_BYTES);
      const within = offset - index * BLOCK_BYTES;
      if (length === 0 || within + length > BLOCK_BYTES) return file.readSync(base + offset, length);
      return block(index).subarray(within, within + length);
    },
    storage: (offset, byteLength) => ({ encoding: 'raw', path, offset: base + offset, byteLength }),
    outerOffset: (offset) => base + offset,
  };
}

/** Copies of values may together be this many times as large as what they are copied from: no honest file repeats any. */
const MAX_COPIES = 2;

/** Bytes in memory. Storages are copies: a view would take the whole with it to each worker thread. */
export function memoryWindow(bytes: Uint8Array, path: string): Hdf5Window {
  const known = new Map<string, MemoryBytes>();
  let left = MAX_COPIES * bytes.length;
  return {
    path,
    size: bytes.length,
    read(offset, length) {
      requireInside(offset, length, bytes.length, { file: path });
      return bytes.subarray(offset, offset + length);
    },
    storage(offset, byteLength) {
      requireInside(offset, byteLength, bytes.length, { file: path });
      const key = `${offset} ${byteLength}`;
      const stored = known.get(key);
      if (stored !== undefined) return stored;
      left -= byteLength;
      if (left < 0) throw new CheckpointError('malformed', 'values that overlap', { file: path });
      const copy = {
        encoding: 'memory',
        path,
        bytes: bytes.slice(offset, offset + byteLength),
        byteLength,
      } as const;
      known.set(key, copy);
      return copy;
    },
    outerOffset: () => undefined,
  };
}

function requireInside(
  offset: number,
  length: number,
  size: number,
  location: { readonly file: string; readonly offset?: number },
): void {
  if (offset < 0 || length < 0 || !(offset + length <= size)) {
    const reason = `HDF5: needs ${length} bytes at byte ${offset}, but the data ends at byte ${size}`;
    throw new CheckpointError('malformed', reason, { file: location.file });
  }
}
