import type { Cursor } from './cursor';
import type { Hdf5File } from './file';

/** Kinds of header messages (specification IV.A.2) that are read. */
export const MESSAGE = {
  dataspace: 0x01,
  linkInfo: 0x02,
  datatype: 0x03,
  oldFillValue: 0x04,
  fillValue: 0x05,
  link: 0x06,
  externalFiles: 0x07,
  layout: 0x08,
  filters: 0x0b,
  attribute: 0x0c,
  continuation: 0x10,
  symbolTable: 0x11,
  attributeInfo: 0x15,
} as const;

/** Bytes of one object's header; attributes in it are at most 64 KiB each. */
const MAX_HEADER_BYTES = 64 * 1024 * 1024;
/** Blocks that continue one header; each attribute that is added may begin another. */
const MAX_BLOCKS = 65_536;
/** Flag of a message whose content is kept elsewhere. */
const SHARED = 0x02;

const PREFIX_BYTES = 16;

/** A message of an object's header, its body at the cursor. */
export interface Message {
  readonly type: number;
  readonly body: Cursor;
}

interface Block {
  readonly address: number;
  readonly length: number;
}

/**
 * The messages of the object at an address, in order, continuations followed (specification IV.A.1).
 *
 * @throws CheckpointError `malformed` for blocks that lead back to themselves, among others
 */
export function readObjectHeader(file: Hdf5File, address: number): Message[] {
  return resolved(file, storedMessages(file, address));
}

interface StoredMessage extends Message {
  readonly isShared: boolean;
}

function storedMessages(file: Hdf5File, address: number): StoredMessage[] {
  const version = file.read(address, 4).u32();
  // "OHDR"; version 1 begins with its number.
  return version === 0x5244484f ? version2(file, address) : version1(file, address);
}

function version1(file: Hdf5File, address: number): StoredMessage[] {
  const prefix = file.read(address, PREFIX_BYTES);
  const version = prefix.u8();
  if (version !== 1) throw file.error('malformed', 'no object header', address);
  const count = prefix.skip(1).u16();
  const length = prefix.skip(4).u32();
  const messages: StoredMessage[] = [];
  collect(file, { address: address + PREFIX_BYTES, length }, (block, onContinuation) => {
    while (messages.length < count && block.remaining >= 8) {
      const type = block.u16();
      const size = block.u16();
      const flags = block.u8();
      const body = block.skip(3).part(size);
      messages.push({ type, body, isShared: (flags & SHARED) !== 0 });
      if (type === MESSAGE.continuation) onContinuation(body);
    }
  });
  return messages;
}

function version2(file: Hdf5File, address: number): StoredMessage[] {
  const prefix = file.read(address, 6);
  const flags = prefix.signature('OHDR').skip(1).u8();
  let start = address + 6;
  if ((flags & 0x20) !== 0) start += 16; // times
  if ((flags & 0x10) !== 0) start += 4; // when attributes are kept apart
  const width = 2 ** (flags & 3);
  const length = file.read(start, width).uint(width);
  const headBytes = (flags & 4) === 0 ? 4 : 6;
  const messages: StoredMessage[] = [];
  collect(file, { address: start + width, length }, (block, onContinuation, isFirst) => {
    // Later blocks begin with a signature, and all end with a checksum, which the first one's length leaves out.
    const end = isFirst ? 0 : 4;
    if (!isFirst) block.signature('OCHK');
    while (block.remaining - end >= headBytes) {
      const type = block.u8();
      const size = block.u16();
      const messageFlags = block.u8();
      const body = block.skip(headBytes - 4).part(size);
      messages.push({ type, body, isShared: (messageFlags & SHARED) !== 0 });
      if (type === MESSAGE.continuation) onContinuation(body);
    }
  });
  return messages;
}

type OnBlock = (block: Cursor, onContinuation: (body: Cursor) => void, isFirst: boolean) => void;

/** Hands over the blocks of a header one after the other. */
function collect(file: Hdf5File, first: Block, onBlock: OnBlock): void {
  const blocks: Block[] = [first];
  const seen = new Set<number>();
  let bytes = 0;
  for (let i = 0; i < blocks.length; i++) {
    const { address, length } = blocks[i] ?? first;
    bytes += length;
    if (seen.has(address))
      throw file.error('malformed', 'an object header that continues in itself', address);
    if (bytes > MAX_HEADER_BYTES || blocks.length > MAX_BLOCKS)
      throw file.error('unsupported', `an object header of ${bytes} bytes`, address);
    seen.add(address);
    const block = file.read(address, length);
    const onContinuation = (body: Cursor): void => {
      blocks.push({ address: body.place('a continued header'), length: body.length() });
    };
    onBlock(block, onContinuation, i === 0);
  }
}

/** Puts what is kept in another object (a named datatype) in the place of its reference. */
function resolved(file: Hdf5File, messages: readonly StoredMessage[]): Message[] {
  return messages.map((message) =>
    message.isShared && message.type !== MESSAGE.attribute
      ? { type: message.type, body: sharedBody(file, message.type, message.body) }
      : message,
  );
}

/**
 * The body that a shared message refers to (specification IV.A.2, "Shared Message").
 *
 * @throws CheckpointError `unsupported` where it is in the file's table of shared messages
 */
export function sharedBody(file: Hdf5File, type: number, reference: Cursor): Cursor {
  const version = reference.u8();
  const kind = reference.u8();
  if (version === 3 && kind !== 2)
    throw file.error('unsupported', 'a message in the table of shared messages', reference.address);
  if (version === 1) reference.skip(6);
  const address = reference.place('a shared message');
  const found = storedMessages(file, address).find((message) => message.type === type && !message.isShared);
  if (found === undefined) throw file.error('malformed', 'a shared message that is not there', address);
  return found.body;
}
