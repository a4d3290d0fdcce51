/** Mutators of ZIP archives. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { crc32 } from '../../../src/checkpoint/write/crc32';
import type { Random } from '../random';
import type { Mutator } from '../reader';
import { interesting, replaced, withInteger } from './bytes';

const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END = 0x06054b50;

/** Bytes of all copies of an entry. */
const MAX_COPIES = 2 ** 21;

/** Offsets and widths of the fields of the three records. */
const CENTRAL_FIELDS = [4, 6, 8, 10, 12, 14, 28, 30, 32, 34, 36].map((at) => [at, 2] as const);
const CENTRAL_WIDE = [16, 20, 24, 38, 42].map((at) => [at, 4] as const);
const LOCAL_FIELDS = [
  ...[4, 6, 8, 26, 28].map((at) => [at, 2] as const),
  ...[14, 18, 22].map((at) => [at, 4] as const),
];
const END_FIELDS = [...[4, 6, 8, 10, 20].map((at) => [at, 2] as const), [12, 4] as const, [16, 4] as const];

export interface Entry {
  name: Buffer;
  data: Buffer;
  isDeflated: boolean;
}

interface Place {
  readonly central: number;
  readonly local: number;
}

function endRecord(bytes: Buffer): number {
  for (let at = bytes.length - 22; at >= Math.max(0, bytes.length - 70_000); at--)
    if (bytes.readUInt32LE(at) === END) return at;
  return -1;
}

function placesOf(bytes: Buffer): Place[] {
  const end = endRecord(bytes);
  const found: Place[] = [];
  for (
    let at = end < 0 ? bytes.length : bytes.readUInt32LE(end + 16);
    at + 46 <= bytes.length && found.length < 1000;
  ) {
    if (bytes.readUInt32LE(at) !== CENTRAL) break;
    found.push({ central: at, local: bytes.readUInt32LE(at + 42) });
    at += 46 + bytes.readUInt16LE(at + 28) + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  return found;
}

/** Entries of an archive; undefined where it is broken already. */
export function readZip(bytes: Buffer): Entry[] | undefined {
  const entries: Entry[] = [];
  for (const { central, local } of placesOf(bytes)) {
    if (local + 30 > bytes.length || bytes.readUInt32LE(local) !== LOCAL) return undefined;
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const name = bytes.subarray(central + 46, central + 46 + bytes.readUInt16LE(central + 28));
    const stored = bytes.subarray(start, start + bytes.readUInt32LE(central + 20));
    const isDeflated = bytes.readUInt16LE(central + 10) === 8;
    try {
      entries.push({
        name,
        isDeflated,
        data: isDeflated ? inflateRawSync(stored, { maxOutputLength: 1 << 22 }) : stored,
      });
    } catch {
      return undefined;
    }
  }
  return entries.length === 0 ? undefined : entries;
}

/** An honest archive with right checksums. */
export function writeZip(entries: readonly Entry[]): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, isDeflated } of entries) {
    const stored = isDeflated ? deflateRawSync(data, { level: 1 }) : data;
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(isDeflated ? 8 : 0, 4);
    shared.writeUInt32LE(crc32(data), 10);
    shared.writeUInt32LE(stored.length, 14);
    shared.writeUInt32LE(data.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([uint32(LOCAL), shared, name, stored]);
    locals.push(local);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([uint32(CENTRAL), Buffer.from([20, 0]), shared, rest, name]));
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, central, end]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function setField(
  bytes: Buffer,
  random: Random,
  record: number,
  fields: readonly (readonly [number, number])[],
): Buffer {
  const [at, width] = random.pick(fields);
  return withInteger(bytes, record + at, width, interesting(random, bytes.length));
}

const setZipField: Mutator = (bytes, random) => {
  const places = placesOf(bytes);
  if (places.length === 0) return undefined;
  const place = random.pick(places);
  switch (random.below(4)) {
    case 0:
      return setField(bytes, random, place.local, LOCAL_FIELDS);
    case 1:
      return setField(bytes, random, endRecord(bytes), END_FIELDS);
    case 2:
      // Two entries of one place, or data inside another's.
      return withInteger(
        bytes,
        place.central + 42,
        4,
        BigInt(random.pick(places).local + (random.chance(0.7) ? 0 : random.below(100))),
      );
    default:
      return setField(bytes, random, place.central, [...CENTRAL_FIELDS, ...CENTRAL_WIDE, ...CENTRAL_WIDE]);
  }
};

/** The 64-bit form of a size or a place, with any number in it. */
const widenField: Mutator = (bytes, random) => {
  const places = placesOf(bytes);
  if (places.length === 0) return undefined;
  const { central } = random.pick(places);
  const nameLength = bytes.readUInt16LE(central + 28);
  const extra = Buffer.alloc(12);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(random.chance(0.9) ? 8 : random.below(30), 2);
  extra.writeBigUInt64LE(BigInt.asUintN(64, interesting(random, bytes.length)), 4);
  const full = withInteger(bytes, central + random.pick([20, 24, 42]), 4, 0xffffffffn);
  const at = central + 46 + nameLength;
  const longer = replaced(full, at, at, extra);
  const withLength = withInteger(longer, central + 30, 2, BigInt(bytes.readUInt16LE(central + 30) + 12));
  const end = endRecord(withLength);
  return end < 0
    ? withLength
    : withInteger(withLength, end + 12, 4, BigInt(withLength.readUInt32LE(end + 12) + 12));
};

const duplicateEntry: Mutator = (bytes, random) => {
  const entries = readZip(bytes);
  if (entries === undefined) return undefined;
  const entry = random.pick(entries);
  const times = random.chance(0.9)
    ? 1
    : Math.min(random.small(3000), Math.ceil(MAX_COPIES / entry.data.length));
  for (let i = 0; i < times; i++)
    entries.push({
      ...entry,
      name: random.chance(0.5) ? entry.name : Buffer.concat([entry.name, Buffer.from(String(i))]),
    });
  return writeZip(entries);
};

const NAMES = [
  '../up',
  '/etc/passwd',
  'a/../../b',
  'C:\\x',
  '__proto__',
  '',
  'a\0b',
  'x/data.pkl',
  'version',
  'byteorder',
];

const renameEntry: Mutator = (bytes, random) => {
  const entries = readZip(bytes);
  if (entries === undefined) return undefined;
  const entry = random.pick(entries);
  entry.name = random.chance(0.5) ? Buffer.from(random.pick(NAMES)) : random.pick(entries).name;
  return writeZip(entries);
};

const dropEntry: Mutator = (bytes, random) => {
  const entries = readZip(bytes);
  entries?.splice(random.below(entries.length), 1);
  return entries === undefined ? undefined : writeZip(entries);
};

/** Much data out of little: honest about its size, or not. */
const bomb: Mutator = (bytes, random) => {
  const entries = readZip(bytes);
  if (entries === undefined) return undefined;
  const entry = random.pick(entries);
  entry.isDeflated = true;
  entry.data = Buffer.alloc(2 ** random.between(12, 23), random.pick([0, 0x28, 0x5d, 0x4e]));
  const made = writeZip(entries);
  const places = placesOf(made);
  if (random.chance(0.5) || places.length === 0) return made;
  return withInteger(made, random.pick(places).central + 24, 4, interesting(random, made.length));
};

const deflateEntry: Mutator = (bytes, random) => {
  const entries = readZip(bytes);
  if (entries === undefined) return undefined;
  const entry = random.pick(entries);
  entry.isDeflated = !entry.isDeflated;
  return writeZip(entries);
};

export const ZIP: readonly Mutator[] = [
  ...[
    setZipField,
    setZipField,
    setZipField,
    widenField,
    duplicateEntry,
    renameEntry,
    dropEntry,
    bomb,
    deflateEntry,
  ],
];

/** What seeds hold, unpacked once: always the same buffers, by which mutators may remember what they know. */
const unpacked = new WeakMap<Buffer, readonly Buffer[]>();

function contentsOf(archive: Buffer): readonly Buffer[] {
  const contents = unpacked.get(archive) ?? readZip(archive)?.map(({ data }) => data) ?? [];
  unpacked.set(archive, contents);
  return contents;
}

/** Mutators of the files in an archive, which is put together again around what they make. */
export function insideZip(mutatorsOf: (name: string) => readonly Mutator[]): Mutator {
  return (bytes, random, context) => {
    const entries = readZip(bytes);
    if (entries === undefined) return undefined;
    const known = entries.filter(({ name }) => mutatorsOf(name.toString()).length > 0);
    if (known.length === 0) return undefined;
    const entry = random.pick(known);
    const mutator = random.pick(mutatorsOf(entry.name.toString()));
    const others = context.others.flatMap(contentsOf);
    const data = mutator(entry.data, random, { others: others.length > 0 ? others : [entry.data] });
    if (data === undefined) return undefined;
    entry.data = data;
    return writeZip(entries);
  };
}
