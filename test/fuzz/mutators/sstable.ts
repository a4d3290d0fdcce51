/** Mutators of TensorFlow's `.index`: a sorted table of checked blocks, whose values are protocol buffers. */
import type { Random } from '../random';
import type { Mutator } from '../reader';
import { interesting } from './bytes';
import { mutateProtobuf, varint } from './protobuf';

const FOOTER_BYTES = 48;
const MAGIC = 0xdb4775248b80fb57n;
const TRAILER_BYTES = 5;

interface Entry {
  key: Buffer;
  value: Buffer;
}

function readVarint(bytes: Buffer, at: number): [number, number] {
  let value = 0;
  for (let i = 0; i < 8; i++) {
    const byte = bytes[at + i] ?? 0;
    value += (byte & 0x7f) * 128 ** i;
    if (byte < 0x80) return [value, at + i + 1];
  }
  return [value, at + 8];
}

/** Entries of an uncompressed block. */
function readBlock(bytes: Buffer, offset: number, size: number): Entry[] {
  const entries: Entry[] = [];
  const restarts =
    offset + size >= 4 && offset + size <= bytes.length ? bytes.readUInt32LE(offset + size - 4) : 0;
  const end = offset + size - 4 - 4 * restarts;
  let key = Buffer.alloc(0);
  for (let at = offset; at < end && entries.length < 10_000;) {
    const [shared, afterShared] = readVarint(bytes, at);
    const [own, afterOwn] = readVarint(bytes, afterShared);
    const [valueLength, start] = readVarint(bytes, afterOwn);
    key = Buffer.concat([key.subarray(0, shared), bytes.subarray(start, start + own)]);
    entries.push({ key, value: bytes.subarray(start + own, start + own + valueLength) });
    at = start + own + valueLength;
  }
  return entries;
}

function readTable(bytes: Buffer): Entry[] | undefined {
  if (bytes.length < FOOTER_BYTES || bytes.readBigUInt64LE(bytes.length - 8) !== MAGIC) return undefined;
  let at = bytes.length - FOOTER_BYTES;
  for (let i = 0; i < 2; i++) [, at] = readVarint(bytes, at);
  const [offset, afterOffset] = readVarint(bytes, at);
  const [size] = readVarint(bytes, afterOffset);
  const entries: Entry[] = [];
  for (const { value } of readBlock(bytes, offset, size)) {
    const [begin, afterBegin] = readVarint(value, 0);
    entries.push(...readBlock(bytes, begin, readVarint(value, afterBegin)[0]));
  }
  return entries.length === 0 ? undefined : entries;
}

/** Numbers of one entry or of the blocks that are not what they should be. */
type Lie = (value: bigint) => bigint;

function writeTable(entries: readonly Entry[], lie: Lie = (value) => value): Buffer {
  const number = (value: number): Buffer => varint(lie(BigInt(value)));
  const blockOf = (list: readonly Entry[]): Buffer => {
    let before = Buffer.alloc(0);
    const parts = list.map(({ key, value }) => {
      let shared = 0;
      while (shared < Math.min(key.length, before.length) && key[shared] === before[shared]) shared++;
      before = Buffer.from(key);
      return Buffer.concat([
        number(shared),
        number(key.length - shared),
        number(value.length),
        key.subarray(shared),
        value,
      ]);
    });
    const restarts = Buffer.alloc(8);
    restarts.writeUInt32LE(Number(BigInt.asUintN(32, lie(1n))), 4);
    return Buffer.concat([...parts, restarts]);
  };
  const parts: Buffer[] = [];
  let offset = 0;
  const place = (block: Buffer): Buffer => {
    const handle = Buffer.concat([number(offset), number(block.length)]);
    const typed = Buffer.concat([block, Buffer.from([0])]);
    parts.push(typed, maskedChecksum(typed));
    offset += block.length + TRAILER_BYTES;
    return handle;
  };
  const data = place(blockOf(entries));
  const meta = place(blockOf([]));
  const index = place(
    blockOf([
      { key: Buffer.concat([entries.at(-1)?.key ?? Buffer.alloc(0), Buffer.from([0])]), value: data },
    ]),
  );
  const footer = Buffer.alloc(FOOTER_BYTES);
  Buffer.concat([meta, index]).copy(footer);
  footer.writeBigUInt64LE(MAGIC, FOOTER_BYTES - 8);
  return Buffer.concat([...parts, footer]);
}

const KEYS = [
  '',
  '__proto__',
  '../x',
  'a\nb',
  'x'.repeat(3000),
  '_CHECKPOINTABLE_OBJECT_GRAPH',
  'layer/.ATTRIBUTES/VARIABLE_VALUE',
];

const changeEntry: Mutator = (bytes, random, context) => {
  const entries = readTable(bytes);
  if (entries === undefined) return undefined;
  const entry = random.pick(entries);
  const at = entries.indexOf(entry);
  switch (random.below(7)) {
    case 0:
      entry.key = random.chance(0.5) ? Buffer.from(random.pick(KEYS)) : random.pick(entries).key;
      break;
    case 1:
      entries.splice(at, 1);
      break;
    case 2:
      entries.splice(at, 0, ...Array<Entry>(random.chance(0.8) ? 1 : random.small(3000)).fill(entry));
      break;
    case 3:
      entry.value = random.pick(entries).value;
      break;
    default:
      entry.value = mutateProtobuf(entry.value, random, context) ?? entry.value;
  }
  return writeTable(entries);
};

/** A shared prefix longer than the key before, an offset beyond the end, blocks within blocks. */
const lieInTable: Mutator = (bytes, random) => {
  const entries = readTable(bytes);
  if (entries === undefined) return undefined;
  let left = random.below(3 * entries.length + 8);
  return writeTable(entries, (value) => (left-- === 0 ? interesting(random, bytes.length) : value));
};

/** Blocks that are said to be compressed: Snappy begins with a length. */
const compressed: Mutator = (bytes, random) => {
  const table = writeTableOf(bytes, random);
  if (table === undefined) return undefined;
  return table;
};

function writeTableOf(bytes: Buffer, random: Random): Buffer | undefined {
  const entries = readTable(bytes);
  if (entries === undefined) return undefined;
  const table = writeTable(entries);
  const [first] = blockEnds(table);
  if (first === undefined) return undefined;
  const result = Buffer.from(table);
  result[first] = random.pick([1, 1, 1, 2, 255]);
  const length = random.pick([0n, BigInt(first), 0xffffffffn, 1n << 31n, 1n << 20n]);
  varint(length).copy(result, 0);
  maskedChecksum(result.subarray(0, first + 1)).copy(result, first + 1);
  return result;
}

function blockEnds(table: Buffer): number[] {
  let at = table.length - FOOTER_BYTES;
  const [metaOffset] = readVarint(table, at);
  at = metaOffset - TRAILER_BYTES;
  return at > 0 ? [at] : [];
}

export const SSTABLE: readonly Mutator[] = [
  changeEntry,
  changeEntry,
  changeEntry,
  lieInTable,
  lieInTable,
  compressed,
];

/** CRC-32C turned and moved, as the table's format has it. */
function maskedChecksum(bytes: Buffer): Buffer {
  let crc = ~0;
  for (const byte of bytes) crc = (CRC[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  crc = ~crc >>> 0;
  const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  const result = Buffer.alloc(4);
  result.writeUInt32LE(masked);
  return result;
}

const CRC = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});
