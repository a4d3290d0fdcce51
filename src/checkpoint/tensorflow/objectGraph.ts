/**
 * The graph of Python objects that a TF 2 checkpoint was made of (core/protobuf/trackable_object_graph.proto): which
 * object holds which variable, and under what name.
 */
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { type ByteSpan, WireReader } from '../protobuf/wire';
import { maskedCrc32c } from './crc32c';
import { Cursor } from './cursor';

/** The key under which it lies. */
export const OBJECT_GRAPH_KEY = '_CHECKPOINTABLE_OBJECT_GRAPH';

/** Some thousand bytes a layer; it is looked through field by field. */
const MAX_GRAPH_BYTES = 256 * 1024 * 1024;
/** Some twenty a layer. */
const MAX_NODES = 1_000_000;
/** Some forty a layer. */
const MAX_EDGES = 4_000_000;
/** A varint of the text's length, and a checksum of it, before the text. */
const MAX_PREFIX_BYTES = 14;

export interface ObjectEdge {
  readonly name: string;
  readonly node: number;
}

/** A variable as an object holds it. */
export interface ObjectAttribute {
  readonly key: string;
  /** Name of the variable itself: `conv2d/kernel`. */
  readonly fullName: string;
}

export interface ObjectNode {
  readonly children: readonly ObjectEdge[];
  readonly attributes: readonly ObjectAttribute[];
  /** It keeps variables for each of others', as optimizers do; these have keys of their own. */
  readonly hasSlots: boolean;
}

/**
 * Reads the graph from where its text tensor lies in a shard.
 *
 * @throws CheckpointError `malformed` for bytes that are no such graph
 */
export async function readObjectGraph(
  file: RandomAccessFile,
  offset: number,
  size: number,
): Promise<ObjectNode[]> {
  if (size > MAX_GRAPH_BYTES) {
    throw new CheckpointError('unsupported', `a graph of objects of ${size} bytes`, {
      file: file.path,
      offset,
    });
  }
  const wire = new WireReader(file);
  const nodes: ObjectNode[] = [];
  let edges = 0;
  for (const field of wire.fields(await textSpan(file, offset, size))) {
    if (field.number !== 1) continue;
    const node = readNode(wire, wire.message(field));
    edges += node.children.length + node.attributes.length;
    if (nodes.push(node) > MAX_NODES || edges > MAX_EDGES)
      throw wire.error('unsupported', `a graph of more than ${MAX_NODES} objects`, field.whole.begin);
  }
  return nodes;
}

/** The one text of a text tensor: after its length and a checksum of the length as 32 or, when it is longer, 64 bits. */
async function textSpan(file: RandomAccessFile, offset: number, size: number): Promise<ByteSpan> {
  const prefix = await file.read(offset, Math.min(size, MAX_PREFIX_BYTES));
  try {
    const cursor = new Cursor(prefix, 'a text tensor');
    const length = cursor.varint();
    const lengthBytes = Buffer.alloc(length > 0xffffffff ? 8 : 4);
    if (lengthBytes.length === 8) lengthBytes.writeBigUInt64LE(BigInt(length));
    else lengthBytes.writeUInt32LE(length);
    const checksum = Buffer.from(cursor.take(4)).readUInt32LE();
    if (cursor.position + length !== size) throw cursor.error(`of ${size} bytes holds one text of ${length}`);
    if (checksum !== maskedCrc32c(lengthBytes)) throw cursor.error('has a wrong checksum');
    return { begin: offset + cursor.position, end: offset + size };
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file: file.path, offset }) : error;
  }
}

function readNode(wire: WireReader, message: ByteSpan): ObjectNode {
  const children: ObjectEdge[] = [];
  const attributes: ObjectAttribute[] = [];
  let hasSlots = false;
  for (const field of wire.fields(message)) {
    if (field.number === 1) children.push(readEdge(wire, wire.message(field)));
    else if (field.number === 2) attributes.push(readAttribute(wire, wire.message(field)));
    else if (field.number === 3) hasSlots = true;
  }
  return { children, attributes, hasSlots };
}

function readEdge(wire: WireReader, message: ByteSpan): ObjectEdge {
  let node = 0;
  let name = '';
  for (const field of wire.fields(message)) {
    if (field.number === 1) node = wire.integer(field);
    else if (field.number === 2) name = wire.text(field);
  }
  return { name, node };
}

function readAttribute(wire: WireReader, message: ByteSpan): ObjectAttribute {
  let fullName = '';
  let key = '';
  for (const field of wire.fields(message)) {
    if (field.number === 2) fullName = wire.text(field);
    else if (field.number === 3) key = wire.text(field);
  }
  return { key, fullName };
}
