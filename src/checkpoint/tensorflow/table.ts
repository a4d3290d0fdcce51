import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import {
  type BlockEntry,
  type BlockHandle,
  TRAILER_BYTES,
  blockEntries,
  readBlock,
  readHandle,
} from './block';
import { Cursor } from './cursor';

/** A hundred bytes a variable; the largest models have some hundred thousand, with their optimizer's. */
const MAX_TABLE_BYTES = 256 * 1024 * 1024;
/** Each takes some 500 bytes of memory. */
const MAX_ENTRIES = 500_000;
/** Of all keys together: shared beginnings could make far more of them than the file has bytes. */
const MAX_KEYS_BYTES = 64 * 1024 * 1024;

/** Two handles, filled up to 40 bytes, and the magic number. */
const FOOTER_BYTES = 48;
const MAGIC = 0xdb4775248b80fb57n;

/** One key and its value, which lies in a block of the file. */
export interface TableEntry extends BlockEntry {
  readonly block: Uint8Array;
  /** First byte of the block in the file. */
  readonly offset: number;
}

/** Whether a file ends as a table does. */
export async function endsAsTable(file: RandomAccessFile): Promise<boolean> {
  if (file.size < FOOTER_BYTES) return false;
  const end = await file.read(file.size - 8, 8);
  return new DataView(end.buffer, end.byteOffset, 8).getBigUint64(0, true) === MAGIC;
}

/**
 * The entries of a sorted table (LevelDB's table_format.md), one block in memory at a time.
 *
 * @throws CheckpointError `malformed` for anything that breaks the format, keys out of order and blocks that overlap
 * among it; `unsupported` for tables larger than any checkpoint's.
 */
export async function* tableEntries(file: RandomAccessFile): AsyncGenerator<TableEntry> {
  if (file.size > MAX_TABLE_BYTES)
    throw new CheckpointError('unsupported', `an index of ${file.size} bytes`, { file: file.path });
  const bounds = new Bounds();
  for (const handle of await dataBlocks(file)) {
    const { offset } = handle;
    const block = await readBlock(file, handle);
    try {
      for (const entry of blockEntries(block)) {
        bounds.take(entry.key);
        yield { ...entry, block, offset };
      }
    } catch (error) {
      throw error instanceof CheckpointError ? error.at({ file: file.path, offset }) : error;
    }
  }
}

/** Where the blocks lie that hold the entries, as the index block says. */
async function dataBlocks(file: RandomAccessFile): Promise<BlockHandle[]> {
  if (!(await endsAsTable(file)))
    throw malformed(file, 'no index of a TensorFlow checkpoint, or one that was cut short');
  const offset = file.size - FOOTER_BYTES;
  try {
    const cursor = new Cursor(await file.read(offset, FOOTER_BYTES - 8), 'the footer');
    // The first handle is that of blocks about blocks, which TensorFlow leaves empty.
    readHandle(cursor);
    const index = readHandle(cursor);
    if (index.offset + index.size + TRAILER_BYTES > offset) throw cursor.error('points beyond the file');
    const block = await readBlock(file, index);
    const handles: BlockHandle[] = [];
    let end = 0;
    for (const { value } of blockEntries(block)) {
      const handle = readHandle(new Cursor(block.subarray(value.begin, value.end), 'a handle'));
      // Each takes bytes of its own, so that none is read, or listed, more often than the file's size allows.
      if (handle.offset < end)
        throw malformed(file, 'blocks that overlap or are out of order', handle.offset);
      end = handle.offset + handle.size + TRAILER_BYTES;
      if (handles.push(handle) > MAX_ENTRIES)
        throw new CheckpointError('unsupported', `more than ${MAX_ENTRIES} blocks`);
    }
    return handles;
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file: file.path, offset }) : error;
  }
}

/** Keeps count of keys, which come once each and in order. */
class Bounds {
  private entries = 0;
  private keyBytes = 0;
  private last: Buffer | undefined;

  take(key: Buffer): void {
    this.entries++;
    this.keyBytes += key.length;
    if (this.entries > MAX_ENTRIES)
      throw new CheckpointError('unsupported', `more than ${MAX_ENTRIES} variables`);
    if (this.keyBytes > MAX_KEYS_BYTES)
      throw new CheckpointError('unsupported', `names of more than ${MAX_KEYS_BYTES} bytes`);
    if (this.last !== undefined && Buffer.compare(this.last, key) >= 0)
      throw new CheckpointError('malformed', 'keys that are given twice or out of order');
    this.last = key;
  }
}

function malformed(file: RandomAccessFile, reason: string, offset?: number): CheckpointError {
  return new CheckpointError('malformed', reason, {
    file: file.path,
    ...(offset !== undefined && { offset }),
  });
}
