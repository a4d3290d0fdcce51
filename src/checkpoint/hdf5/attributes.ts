import type { Cursor } from './cursor';
import { textOf } from './cursor';
import { parseDataspace } from './dataspace';
import { parseDatatype } from './datatype';
import type { Hdf5File } from './file';
import { FractalHeap } from './fractalHeap';
import { GlobalHeap } from './heaps';
import { cursorOver } from './links';
import { MESSAGE, type Message, sharedBody } from './objectHeader';
import { recordsOf } from './tree2';

/** Texts of one attribute: names of layers or weights, of which models have tens of thousands. */
const MAX_TEXTS = 1_000_000;

/**
 * The attributes of an object that are text and wanted, by name: one text or a list of them (Keras keeps its configuration
 * and the names of layers so). Attributes of other kinds are not looked at.
 *
 * @throws CheckpointError `malformed`, `unsupported`
 */
export function textAttributes(
  file: Hdf5File,
  messages: readonly Message[],
  isWanted: (name: string) => boolean,
): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  const heap = new GlobalHeap(file);
  const visit = (body: Cursor): void => {
    const attribute = parseAttribute(file, body);
    if (!isWanted(attribute.name)) return;
    const texts = textsOf(heap, attribute);
    if (texts !== undefined) found.set(attribute.name, texts);
  };
  for (const { type, body } of messages) {
    if (type === MESSAGE.attribute) visit(body.part(body.remaining));
    else if (type === MESSAGE.attributeInfo) visitDense(file, body, visit);
  }
  return found;
}

/** Attributes kept apart from their object (specification IV.A.2.v). */
function visitDense(file: Hdf5File, body: Cursor, visit: (body: Cursor) => void): void {
  const flags = body.skip(1).u8();
  if ((flags & 1) !== 0) body.skip(2);
  const heapAddress = body.offset();
  const tree = body.offset();
  if (heapAddress === undefined || tree === undefined) return;
  const heap = FractalHeap.read(file, heapAddress);
  for (const record of recordsOf(file, tree, 8)) {
    const id = record.take(8);
    // An attribute in the table of shared messages is in another heap.
    if ((record.u8() & 2) === 0) visit(cursorOver(file, heap.object(id), heapAddress));
  }
}

interface Attribute {
  readonly name: string;
  readonly datatype: Cursor;
  readonly dataspace: Cursor;
  readonly data: Cursor;
}

/** An attribute message (specification IV.A.2.m), versions 1 to 3. */
function parseAttribute(file: Hdf5File, body: Cursor): Attribute {
  const version = body.u8();
  if (version < 1 || version > 3) throw body.error(`an attribute of version ${version}`);
  const flags = body.u8();
  const [nameBytes, typeBytes, spaceBytes] = [body.u16(), body.u16(), body.u16()];
  if (version === 3) body.skip(1);
  // Version 1 pads each part to eight bytes.
  const part = (count: number): Cursor => {
    const taken = body.part(count);
    if (version === 1) body.skip(Math.min(body.remaining, (8 - (count % 8)) % 8));
    return taken;
  };
  const name = part(nameBytes).terminated();
  const [type, space] = [part(typeBytes), part(spaceBytes)];
  const isShared = (bit: number): boolean => version > 1 && (flags & bit) !== 0;
  return {
    name,
    datatype: isShared(1) ? sharedBody(file, MESSAGE.datatype, type) : type,
    dataspace: isShared(2) ? sharedBody(file, MESSAGE.dataspace, space) : space,
    data: body.part(body.remaining),
  };
}

function textsOf(heap: GlobalHeap, attribute: Attribute): readonly string[] | undefined {
  const type = parseDatatype(attribute.datatype);
  const { shape } = parseDataspace(attribute.dataspace);
  if (shape === undefined || (type.kind !== 'text' && type.kind !== 'long-text')) return undefined;
  const count = shape.reduce((product, size) => product * size, 1);
  const { data, name } = attribute;
  if (!(count <= MAX_TEXTS)) throw data.error(`${count} texts in the attribute "${name}"`);
  return Array.from({ length: count }, () => {
    if (type.kind === 'text') return trimmed(data.take(type.size), type.padding);
    const length = data.u32();
    const address = data.offset();
    const index = data.u32();
    if (address === undefined || length === 0) return '';
    return textOf(heap.read(address, index).subarray(0, length));
  });
}

/** Text of a fixed length, without what fills it up. */
function trimmed(bytes: Uint8Array, padding: 'zero' | 'space'): string {
  const zero = bytes.indexOf(0);
  const text = textOf(zero === -1 ? bytes : bytes.subarray(0, zero));
  return padding === 'space' ? text.trimEnd() : text;
}
