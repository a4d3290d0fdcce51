import type { Cursor } from './cursor';
import type { Hdf5File } from './file';

/** Levels of a tree of 2⁶⁴ records with nodes of a few hundred bytes. */
const MAX_DEPTH = 32;
/** Nodes are 512 to 4096 bytes as HDF5 writes them. */
const MAX_NODE_BYTES = 1024 * 1024;
/** As many as a file's tensors may be, see links and chunks. */
const MAX_RECORDS = 2_000_000;
/** Signature, version, kind and checksum of a node. */
const NODE_OVERHEAD = 10;

interface Level {
  readonly maxRecords: number;
  /** Records of a node of this level and all below it. */
  readonly total: number;
  /** Bytes of a child pointer's count of all records below; none above leaves. */
  readonly totalBytes: number;
}

/**
 * The records of a version 2 B-tree, in order (specification III.A.2).
 *
 * @param type of records: 1 huge objects, 5 links by name, 8 attributes by name, 10 and 11 chunks
 * @throws CheckpointError `malformed` for nodes met twice, other kinds of records, or more than a node holds
 */
export function* recordsOf(file: Hdf5File, address: number, type: number): Generator<Cursor> {
  const head = file
    .read(address, 22 + file.sizes.offset + file.sizes.length)
    .signature('BTHD')
    .skip(1);
  const isType = head.u8() === type;
  const nodeBytes = head.u32();
  const recordBytes = head.u16();
  const depth = head.u16();
  head.skip(2);
  const root = head.offset();
  const count = head.u16();
  if (!isType || depth > MAX_DEPTH || nodeBytes > MAX_NODE_BYTES || recordBytes === 0)
    throw file.error('malformed', 'a tree of another kind', address);
  if (root === undefined || count === 0) return;
  const levels = levelsOf(nodeBytes, recordBytes, depth, file.sizes.offset);
  const countBytes = bytesFor(levels[0]?.maxRecords ?? 0);
  const seen = new Set<number>();
  let total = 0;
  const walk = function* (node: number, records: number, level: number): Generator<Cursor> {
    if (seen.has(node)) throw file.error('malformed', 'a tree that leads back to itself', node);
    seen.add(node);
    total += records;
    if (records > (levels[level]?.maxRecords ?? 0))
      throw file.error('malformed', `${records} records in a node`, node);
    if (total > MAX_RECORDS) throw file.error('unsupported', `more than ${MAX_RECORDS} records`, node);
    const cursor = file
      .read(node, nodeBytes)
      .signature(level === 0 ? 'BTLF' : 'BTIN')
      .skip(1);
    if (cursor.u8() !== type) throw file.error('malformed', 'a tree of another kind', node);
    const own = Array.from({ length: records }, () => cursor.part(recordBytes));
    if (level === 0) {
      yield* own;
      return;
    }
    for (let i = 0; i <= records; i++) {
      const child = cursor.place('a part of a tree');
      const below = cursor.uint(countBytes);
      cursor.skip(levels[level - 1]?.totalBytes ?? 0);
      yield* walk(child, below, level - 1);
      const record = own[i];
      if (record !== undefined) yield record;
    }
  };
  yield* walk(root, count, depth);
}

function levelsOf(nodeBytes: number, recordBytes: number, depth: number, offsetBytes: number): Level[] {
  const leaf = Math.floor((nodeBytes - NODE_OVERHEAD) / recordBytes);
  const levels: Level[] = [{ maxRecords: leaf, total: leaf, totalBytes: 0 }];
  for (let level = 1; level <= depth; level++) {
    const below = levels[level - 1] ?? { maxRecords: 0, total: 0, totalBytes: 0 };
    const pointerBytes = offsetBytes + bytesFor(leaf) + below.totalBytes;
    const maxRecords = Math.floor((nodeBytes - NODE_OVERHEAD - pointerBytes) / (recordBytes + pointerBytes));
    const total = (maxRecords + 1) * below.total + maxRecords;
    levels.push({ maxRecords, total, totalBytes: bytesFor(total) });
  }
  return levels;
}

/** Bytes that hold numbers up to a limit. */
export function bytesFor(limit: number): number {
  return Math.floor(Math.log2(Math.max(1, limit)) / 8) + 1;
}
