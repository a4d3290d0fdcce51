/** One block of a table of keys and values (LevelDB's table_format.md; TensorFlow's core/lib/io keeps to it). */
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { maskedCrc32c } from './crc32c';
import { Cursor } from './cursor';
import { unsnappy } from './snappy';

/** TensorFlow ends a block at 256 KiB, and only a single large value makes one longer. */
const MAX_BLOCK_BYTES = 64 * 1024 * 1024;
/** Keys are names of variables; the longest in use have some hundred characters. */
export const MAX_KEY_BYTES = 64 * 1024;
/** After each block: how it is compressed, and a checksum. */
export const TRAILER_BYTES = 5;

/** Where a block's bytes lie, without its trailer. */
export interface BlockHandle {
  readonly offset: number;
  readonly size: number;
}

export interface BlockEntry {
  readonly key: Buffer;
  /** Bytes [begin, end) of the block. */
  readonly value: { readonly begin: number; readonly end: number };
}

/** Reads a handle at a cursor: two varints. */
export function readHandle(cursor: Cursor): BlockHandle {
  return { offset: cursor.varint(), size: cursor.varint() };
}

/** A block's bytes, checked and decompressed. @throws CheckpointError naming the file and the block's first byte */
export async function readBlock(file: RandomAccessFile, { offset, size }: BlockHandle): Promise<Uint8Array> {
  const location = { file: file.path, offset };
  if (size > MAX_BLOCK_BYTES) throw new CheckpointError('malformed', `a block of ${size} bytes`, location);
  const stored = await file.read(offset, size + TRAILER_BYTES);
  const trailer = new DataView(stored.buffer, stored.byteOffset + size, TRAILER_BYTES);
  if (trailer.getUint32(1, true) !== maskedCrc32c(stored.subarray(0, size + 1)))
    throw new CheckpointError('malformed', 'a block whose checksum is wrong: the file is damaged', location);
  const contents = stored.subarray(0, size);
  const compression = trailer.getUint8(0);
  if (compression === 0) return contents;
  if (compression !== 1)
    throw new CheckpointError(
      'unsupported',
      `a block compressed in an unknown way (${compression})`,
      location,
    );
  try {
    return unsnappy(contents, MAX_BLOCK_BYTES);
  } catch (error) {
    throw error instanceof CheckpointError ? error.at(location) : error;
  }
}

/**
 * The entries of a block in order. A key is given by how many bytes it shares with the one before, none at the restart
 * points listed at the block's end.
 *
 * @throws CheckpointError `malformed` for lengths that do not fit and restart points that are none
 */
export function* blockEntries(block: Uint8Array): Generator<BlockEntry> {
  const restarts = new Restarts(block);
  const cursor = new Cursor(block, 'a block', restarts.begin);
  let key: Buffer = Buffer.alloc(0);
  while (cursor.left > 0) {
    const isRestart = restarts.passes(cursor.position);
    const shared = cursor.varint();
    const own = cursor.varint();
    const length = cursor.varint();
    if (shared > key.length || (isRestart && shared > 0))
      throw cursor.error(`has a key that shares ${shared} bytes of one of ${isRestart ? 0 : key.length}`);
    if (shared + own > MAX_KEY_BYTES) throw cursor.error(`has a key of ${shared + own} bytes`);
    key = Buffer.concat([key.subarray(0, shared), cursor.take(own)]);
    const begin = cursor.position;
    cursor.take(length);
    yield { key, value: { begin, end: begin + length } };
  }
  restarts.requireAllPassed();
}

/** The places at a block's end where keys begin anew: positions, then their number, 32 bits each. */
class Restarts {
  /** First byte after the entries. */
  readonly begin: number;
  private readonly view: DataView;
  private readonly count: number;
  private next = 0;

  constructor(block: Uint8Array) {
    this.view = new DataView(block.buffer, block.byteOffset, block.length);
    this.count = block.length < 4 ? 0 : this.view.getUint32(block.length - 4, true);
    this.begin = block.length - 4 - 4 * this.count;
    if (this.count === 0 || this.begin < 0)
      throw new CheckpointError(
        'malformed',
        `a block of ${block.length} bytes with ${this.count} restart points`,
      );
  }

  /** Whether an entry's first byte is a restart point. Positions are asked in order. */
  passes(position: number): boolean {
    if (this.next >= this.count || position < this.at(this.next)) return false;
    if (position > this.at(this.next)) throw this.misplaced();
    this.next++;
    return true;
  }

  requireAllPassed(): void {
    // A block without entries has one all the same.
    const isEmpty = this.begin === 0 && this.count === 1 && this.at(0) === 0;
    if (this.next < this.count && !isEmpty) throw this.misplaced();
  }

  private at(index: number): number {
    return this.view.getUint32(this.begin + 4 * index, true);
  }

  private misplaced(): CheckpointError {
    return new CheckpointError(
      'malformed',
      `a restart point at ${this.at(this.next)} of a block, where no entry begins`,
    );
  }
}
