/** The messages of a checkpoint's index (TensorFlow's core/protobuf/tensor_bundle.proto). */
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { MAX_AXES } from '../layout';
import { type ByteSpan, WireReader, memorySource } from '../protobuf/wire';
import { tableEntries } from './table';

/** Of the bundle format; readers of version 1 read all files so far. */
const VERSION = 1;
/** TensorFlow numbers shards with five digits; the largest published models have about two hundred. */
const MAX_SHARDS = 4096;
/** Servers of parameters among which a variable is partitioned are some hundred at most. */
const MAX_SLICES = 4096;

export interface BundleHeader {
  readonly shards: number;
  readonly isBigEndian: boolean;
}

/** What part of an axis a slice is; without a length all of it. */
export interface SliceExtent {
  readonly start: number;
  readonly length: number | undefined;
}

export interface BundleEntry {
  /** As the table has it: UTF-8 for variables, bytes for slices of them. */
  readonly key: Buffer;
  /** Number of `tensorflow.DataType`. */
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly shard: number;
  /** First byte in the shard. */
  readonly offset: number;
  readonly size: number;
  /** Masked CRC-32C of its bytes. */
  readonly checksum: number;
  /** The parts that it is kept in under keys of their own; empty for what is kept in one. */
  readonly slices: readonly (readonly SliceExtent[])[];
}

export interface Bundle {
  readonly header: BundleHeader;
  readonly entries: readonly BundleEntry[];
}

/**
 * The index of a checkpoint, all of it: a hundred bytes a variable.
 *
 * @throws CheckpointError naming the file, the variable and the first byte of its block
 */
export async function readBundle(file: RandomAccessFile): Promise<Bundle> {
  let header: BundleHeader | undefined;
  const entries: BundleEntry[] = [];
  let wire: WireReader | undefined;
  let block: Uint8Array | undefined;
  for await (const entry of tableEntries(file)) {
    if (entry.block !== block || wire === undefined) {
      block = entry.block;
      wire = new WireReader(memorySource(block, file.path));
    }
    try {
      // The header's key is empty, so that it comes first.
      if (header === undefined) header = readHeader(wire, entry.key, entry.value);
      else entries.push(readEntry(wire, entry.key, entry.value));
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      // Bytes of a block that may be compressed are no bytes of the file.
      const tensor = entry.key.toString('utf8');
      const location = { file: file.path, offset: entry.offset, ...(tensor !== '' && { tensor }) };
      throw new CheckpointError(error.kind, error.reason, location, { cause: error });
    }
  }
  if (header === undefined)
    throw new CheckpointError('malformed', 'an index without a header', { file: file.path });
  return { header, entries };
}

function readHeader(wire: WireReader, key: Buffer, message: ByteSpan): BundleHeader {
  if (key.length > 0) throw new CheckpointError('malformed', 'an index without a header');
  let shards = 0;
  let endianness = 0;
  let version = 0;
  for (const field of wire.fields(message)) {
    if (field.number === 1) shards = wire.integer(field);
    else if (field.number === 2) endianness = wire.integer(field);
    else if (field.number === 3) {
      for (const inner of wire.fields(wire.message(field)))
        if (inner.number === 2) version = wire.integer(inner);
    }
  }
  if (version > VERSION)
    throw new CheckpointError('unsupported', `an index that only readers of version ${version} may read`);
  if (shards < 1 || shards > MAX_SHARDS)
    throw new CheckpointError('malformed', `an index of ${shards} shards`);
  if (endianness !== 0 && endianness !== 1)
    throw new CheckpointError('malformed', `an unknown byte order (${endianness})`);
  return { shards, isBigEndian: endianness === 1 };
}

function readEntry(wire: WireReader, key: Buffer, message: ByteSpan): BundleEntry {
  let [dtype, shard, offset, size, checksum] = [0, 0, 0, 0, 0];
  let shape: number[] = [];
  const slices: SliceExtent[][] = [];
  for (const field of wire.fields(message)) {
    if (field.number === 1) dtype = wire.integer(field);
    else if (field.number === 2) shape = readShape(wire, wire.message(field));
    else if (field.number === 3) shard = wire.integer(field);
    else if (field.number === 4) offset = wire.integer(field);
    else if (field.number === 5) size = wire.integer(field);
    else if (field.number === 6) checksum = wire.fixed32(field);
    else if (field.number === 7) {
      if (slices.push(readSlice(wire, wire.message(field))) > MAX_SLICES)
        throw new CheckpointError('unsupported', `more than ${MAX_SLICES} slices`);
    }
  }
  return { key, dtype, shape, shard, offset, size, checksum, slices };
}

/** `tensorflow.TensorShapeProto`; its sizes are checked where the element type is known. */
function readShape(wire: WireReader, message: ByteSpan): number[] {
  const shape: number[] = [];
  for (const field of wire.fields(message)) {
    if (field.number === 3 && wire.integer(field) !== 0)
      throw new CheckpointError('malformed', 'a shape that is not known');
    if (field.number !== 2) continue;
    let size = 0;
    for (const inner of wire.fields(wire.message(field))) if (inner.number === 1) size = wire.integer(inner);
    if (shape.push(size) > MAX_AXES) throw new CheckpointError('malformed', `more than ${MAX_AXES} axes`);
  }
  return shape;
}

/** `tensorflow.TensorSliceProto`. */
function readSlice(wire: WireReader, message: ByteSpan): SliceExtent[] {
  const extents: SliceExtent[] = [];
  for (const field of wire.fields(message)) {
    if (field.number !== 1) continue;
    let start = 0;
    let length: number | undefined;
    for (const inner of wire.fields(wire.message(field))) {
      if (inner.number === 1) start = wire.integer(inner);
      else if (inner.number === 2) length = wire.integer(inner);
    }
    if (extents.push({ start, length }) > MAX_AXES)
      throw new CheckpointError('malformed', `more than ${MAX_AXES} axes`);
  }
  return extents;
}
