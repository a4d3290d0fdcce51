import { MAX_CHUNKS, countOf, parseEntry, type ChunkedData, type ListedChunk } from './chunkData';
import type { Cursor } from './cursor';
import type { Hdf5File } from './file';

/** Signature, version and client of a block. */
const BLOCK_HEAD_BYTES = 6;
const CHECKSUM_BYTES = 4;

/** Entries of one block, kept in pages where there are many. */
interface Block {
  /** First entry. */
  readonly address: number;
  readonly entries: number;
  readonly entryBytes: number;
  readonly pageEntries: number;
  /** Number of the first entry. */
  readonly first: number;
  /** A bit for each page that has been written, highest first; absent: all have been. */
  readonly written?: Uint8Array;
  /** The bit of the first page. */
  readonly firstBit?: number;
}

/** The chunks of a dataset that may not grow without end (specification VII.C, "Fixed Array Index"). */
export function* fixedArray(file: Hdf5File, address: number, data: ChunkedData): Generator<ListedChunk> {
  const { offset, length } = file.sizes;
  const head = file
    .read(address, 8 + length + offset)
    .signature('FAHD')
    .skip(2);
  const entryBytes = head.u8();
  const pageEntries = pageSize(head);
  const entries = head.length();
  const block = head.offset();
  if (entries > MAX_CHUNKS) throw file.error('unsupported', `${entries} chunks`, address);
  if (entries > countOf(data)) throw file.error('malformed', 'more chunks than there is room for', address);
  if (block === undefined) return;
  const start = block + BLOCK_HEAD_BYTES + offset;
  const pages = entries > pageEntries ? Math.ceil(entries / pageEntries) : 0;
  file.read(block, BLOCK_HEAD_BYTES).signature('FADB');
  const bitmap = file.read(start, Math.ceil(pages / 8)).bytes;
  const first = start + bitmap.length + (pages > 0 ? CHECKSUM_BYTES : 0);
  const written = pages > 0 ? { written: bitmap } : {};
  yield* entriesOf(file, data, { address: first, entries, entryBytes, pageEntries, first: 0, ...written });
}

function pageSize(head: Cursor): number {
  const bits = head.u8();
  if (bits > 32) throw head.error(`pages of 2^${bits} chunks`);
  return 2 ** bits;
}

function* entriesOf(file: Hdf5File, data: ChunkedData, block: Block): Generator<ListedChunk> {
  const { entries, entryBytes, pageEntries, first, written, firstBit = 0 } = block;
  const pages = entries > pageEntries ? Math.ceil(entries / pageEntries) : 1;
  const checksum = entries > pageEntries ? CHECKSUM_BYTES : 0;
  for (let page = 0; page < pages; page++) {
    const bit = firstBit + page;
    const isWritten = ((written?.[bit >> 3] ?? 0xff) & (0x80 >> (bit & 7))) !== 0;
    if (!isWritten) continue;
    const before = page * pageEntries;
    const count = Math.min(pageEntries, entries - before);
    const cursor = file.read(block.address + before * entryBytes + page * checksum, count * entryBytes);
    for (let i = 0; i < count; i++) {
      const entry = parseEntry(cursor, entryBytes, data);
      if (entry !== undefined) yield { number: first + before + i, ...entry };
    }
  }
}

interface ArrayHead {
  readonly entryBytes: number;
  /** Bytes of a place in the array. */
  readonly placeBytes: number;
  readonly inIndex: number;
  readonly perBlock: number;
  readonly minPointers: number;
  readonly pageEntries: number;
  readonly highest: number;
  readonly levels: number;
}

/** The chunks of a dataset that may grow along one axis (specification VII.D, "Extensible Array Index"). */
export function* extensibleArray(file: Hdf5File, address: number, data: ChunkedData): Generator<ListedChunk> {
  const { offset, length } = file.sizes;
  const cursor = file
    .read(address, 12 + 6 * length + offset)
    .signature('EAHD')
    .skip(2);
  const head = parseHead(cursor, length);
  const index = cursor.offset();
  if (head.highest > MAX_CHUNKS) throw file.error('unsupported', `${head.highest} chunks`, address);
  if (index === undefined) return;
  const { entryBytes, inIndex, perBlock, minPointers } = head;
  file.read(index, BLOCK_HEAD_BYTES).signature('EAIB');
  let place = index + BLOCK_HEAD_BYTES + offset;
  yield* entriesOf(file, data, {
    address: place,
    entries: inIndex,
    entryBytes,
    pageEntries: inIndex,
    first: 0,
  });
  place += inIndex * entryBytes;
  // Level u has 2^⌊u/2⌋ blocks of 2^⌈u/2⌉·perBlock entries; the first levels' blocks are listed in the index itself.
  const direct = 2 * Math.log2(minPointers);
  let first = inIndex;
  for (let level = 0; level < head.levels && first < head.highest; level++) {
    const blocks = 2 ** Math.floor(level / 2);
    const entries = 2 ** Math.ceil(level / 2) * perBlock;
    const listed = level < direct ? place : undefined;
    place += level < direct ? blocks * offset : offset;
    yield* levelOf(file, data, head, { listed, at: place - offset, blocks, entries, first });
    first += blocks * entries;
  }
}

function parseHead(cursor: Cursor, lengthBytes: number): ArrayHead {
  const entryBytes = cursor.u8();
  const bits = cursor.u8();
  const [inIndex, perBlock, minPointers] = [cursor.u8(), cursor.u8(), cursor.u8()];
  const pageEntries = pageSize(cursor);
  cursor.skip(4 * lengthBytes);
  const highest = cursor.length();
  cursor.skip(lengthBytes);
  const isPower = (value: number): boolean => value > 0 && Number.isInteger(Math.log2(value));
  if (bits > 64 || !isPower(perBlock) || !isPower(minPointers))
    throw cursor.error('an array of impossible sizes');
  const levels = 1 + bits - Math.log2(perBlock);
  return {
    entryBytes,
    placeBytes: Math.ceil(bits / 8),
    inIndex,
    perBlock,
    minPointers,
    pageEntries,
    highest,
    levels,
  };
}

interface Level {
  /** Where its blocks are listed, if in the index. */
  readonly listed: number | undefined;
  /** Otherwise where the address of the block that lists them stands. */
  readonly at: number;
  readonly blocks: number;
  readonly entries: number;
  readonly first: number;
}

function* levelOf(file: Hdf5File, data: ChunkedData, head: ArrayHead, level: Level): Generator<ListedChunk> {
  const { offset } = file.sizes;
  const { placeBytes, pageEntries, entryBytes, highest } = head;
  const { blocks, entries } = level;
  const pages = entries > pageEntries ? entries / pageEntries : 0;
  const bitmapBytes = Math.ceil(pages / 8);
  let { listed } = level;
  let pagesWritten: { readonly written?: Uint8Array } = {};
  if (listed === undefined) {
    const secondary = file.read(level.at, offset).offset();
    if (secondary === undefined) return;
    file.read(secondary, BLOCK_HEAD_BYTES).signature('EASB');
    const bitmap = secondary + BLOCK_HEAD_BYTES + offset + placeBytes;
    // Bits follow one another, though there is room for whole bytes for each block.
    if (pages > 0) pagesWritten = { written: file.read(bitmap, blocks * bitmapBytes).bytes };
    listed = bitmap + blocks * bitmapBytes;
  }
  for (let i = 0; i < blocks; i++) {
    const first = level.first + i * entries;
    if (first >= highest) return;
    const block = file.read(listed + i * offset, offset).offset();
    if (block === undefined) continue;
    file.read(block, BLOCK_HEAD_BYTES).signature('EADB');
    const address = block + BLOCK_HEAD_BYTES + offset + placeBytes + (pages > 0 ? CHECKSUM_BYTES : 0);
    yield* entriesOf(file, data, {
      address,
      entries,
      entryBytes,
      pageEntries,
      first,
      firstBit: i * pages,
      ...pagesWritten,
    });
  }
}
