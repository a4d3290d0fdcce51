/** Mutators of HDF5: blocks that begin with four letters, found by those, and addresses between them. */
import type { Random } from '../random';
import type { Mutator } from '../reader';
import { interesting, withInteger } from './bytes';

const SIGNATURES = [
  ...['TREE', 'SNOD', 'HEAP', 'GCOL', 'OHDR', 'OCHK', 'FRHP', 'FHDB', 'FHIB', 'BTHD', 'BTIN', 'BTLF', 'FADB'],
  ...['FAHD', 'EAHD', 'EAIB', 'EASB', 'EADB', 'FSHD', 'FSSE', 'SMTB', 'SMLI', '\x89HDF'],
];
/** Longest block whose checksum is looked for. */
const MAX_BLOCK = 4096;

interface Block {
  readonly at: number;
  readonly signature: string;
}

const blocksOf = remembered((bytes): readonly Block[] => {
  const text = bytes.toString('latin1');
  const found: Block[] = [];
  for (const signature of SIGNATURES)
    for (
      let at = text.indexOf(signature);
      at >= 0 && found.length < 2000;
      at = text.indexOf(signature, at + 4)
    )
      found.push({ at, signature });
  return found;
});

/** Where addresses stand: 64-bit numbers that are the place of a block, or of an old object header (version 1, aligned). */
const addressesOf = remembered((bytes): readonly number[] => {
  const starts = new Set(blocksOf(bytes).map(({ at }) => at));
  const found: number[] = [];
  for (let at = 0; at + 8 <= bytes.length && found.length < 5000; at++) {
    if (bytes.readUInt32LE(at + 4) !== 0) continue;
    const value = bytes.readUInt32LE(at);
    if (value > 0 && value < bytes.length && (starts.has(value) || isOldHeader(bytes, value))) found.push(at);
  }
  return found;
});

function isOldHeader(bytes: Buffer, at: number): boolean {
  return (
    at % 8 === 0 &&
    bytes[at] === 1 &&
    bytes[at + 1] === 0 &&
    bytes.readUInt32LE(Math.min(at + 4, bytes.length - 4)) === 1
  );
}

/** Seeds are asked again and again, and never change. */
function remembered<T>(make: (bytes: Buffer) => T): (bytes: Buffer) => T {
  const known = new WeakMap<Buffer, T>();
  return (bytes) => {
    const found = known.get(bytes) ?? make(bytes);
    known.set(bytes, found);
    return found;
  };
}

/** A pointer to another block: cycles, two owners of one block, a block of another kind. */
const redirect: Mutator = (bytes, random) => {
  const addresses = addressesOf(bytes);
  if (addresses.length === 0) return undefined;
  const at = random.pick(addresses);
  const target = random.chance(0.5)
    ? bytes.readUInt32LE(random.pick(addresses))
    : random.pick(blocksOf(bytes)).at;
  const value = random.chance(0.8) ? BigInt(target) : interesting(random, bytes.length);
  return withInteger(bytes, at, 8, value);
};

/** A block in the place of another: a node that is its own child. */
const copyBlock: Mutator = (bytes, random) => {
  const blocks = blocksOf(bytes);
  if (blocks.length === 0) return undefined;
  const from = random.pick(blocks);
  const alike = blocks.filter(({ signature }) => signature === from.signature);
  const to = random.pick(random.chance(0.7) ? alike : blocks);
  const result = Buffer.from(bytes);
  bytes.copy(result, to.at, from.at, Math.min(bytes.length, from.at + random.small(2048)));
  return result;
};

/** Versions, flags, counts and sizes are near the beginning of their block. */
const setInBlock: Mutator = (bytes, random) => {
  const blocks = blocksOf(bytes);
  if (blocks.length === 0) return undefined;
  const at = random.pick(blocks).at + 4 + random.small(120) - 1;
  const width = random.pick([1, 1, 2, 4, 8]);
  const value = random.chance(0.5) ? BigInt(random.below(32)) : interesting(random, bytes.length);
  return withInteger(bytes, at, width, value);
};

/** Messages of object headers: a type, a size and flags in front of each; old ones eight bytes, new ones four. */
const setMessage: Mutator = (bytes, random) => {
  const start = headerPlace(bytes, random);
  if (start === undefined) return undefined;
  const isOld = bytes[start] === 1;
  let at = start + (isOld ? 16 : 7);
  for (let i = random.below(12); i > 0 && at + 8 < bytes.length; i--)
    at += isOld ? 8 + bytes.readUInt16LE(at + 2) : 4 + bytes.readUInt16LE(at + 1);
  if (at + 24 > bytes.length) return undefined;
  switch (random.below(3)) {
    case 0:
      return withInteger(bytes, at, isOld ? 2 : 1, BigInt(random.below(24)));
    case 1:
      return withInteger(
        bytes,
        at + (isOld ? 2 : 1),
        2,
        random.chance(0.5) ? BigInt(random.below(64)) : interesting(random, 65_536),
      );
    default:
      return withInteger(
        bytes,
        at + (isOld ? 8 : 4) + random.below(48),
        random.pick([1, 1, 2, 4, 8]),
        random.chance(0.4) ? BigInt(random.below(16)) : interesting(random, bytes.length),
      );
  }
};

function headerPlace(bytes: Buffer, random: Random): number | undefined {
  const newer = blocksOf(bytes)
    .filter(({ signature }) => signature === 'OHDR')
    .map(({ at }) => at);
  const older = addressesOf(bytes)
    .map((at) => bytes.readUInt32LE(at))
    .filter((at) => isOldHeader(bytes, at));
  const all = [...newer, ...older];
  return all.length === 0 ? undefined : random.pick(all);
}

export const HDF5: readonly Mutator[] = [
  redirect,
  redirect,
  copyBlock,
  setInBlock,
  setInBlock,
  setMessage,
  setMessage,
];

/** Lengths of the blocks of a sound file that end with a checksum of themselves, by place. */
const checkedBlocks = remembered((bytes): ReadonlyMap<number, number> => {
  const found = new Map<number, number>();
  for (const { at, signature } of blocksOf(bytes)) {
    if (['TREE', 'SNOD', 'HEAP', 'GCOL'].includes(signature)) continue;
    for (let length = 8; length < MAX_BLOCK && at + length + 4 <= bytes.length; length++) {
      if (lookup3(bytes, at, at + length) !== bytes.readUInt32LE(at + length)) continue;
      found.set(at, length);
      break;
    }
  }
  return found;
});

/** Checksums of the blocks that some seed has at the same place, and of object headers that tell their own length. */
export const repairHdf5: Mutator = (bytes, _random, { others }) => {
  const lengths = new Map<number, number>();
  const text = bytes.toString('latin1');
  for (const other of others)
    for (const [at, length] of checkedBlocks(other))
      if (text.startsWith(other.toString('latin1', at, at + 4), at)) lengths.set(at, length);
  const result = Buffer.from(bytes);
  for (let at = text.indexOf('OHDR'); at >= 0; at = text.indexOf('OHDR', at + 4)) {
    const flags = bytes[at + 5] ?? 0;
    const width = 1 << (flags & 3);
    const sizeAt = at + 6 + ((flags & 0x20) === 0 ? 0 : 16) + ((flags & 0x10) === 0 ? 0 : 4);
    if (sizeAt + width > bytes.length || width > 4) continue;
    lengths.set(at, sizeAt + width + bytes.readUIntLE(sizeAt, width) - at);
  }
  for (const [at, length] of lengths)
    if (at + length + 4 <= result.length) result.writeUInt32LE(lookup3(result, at, at + length), at + length);
  return result;
};

/** Jenkins' hash of a range, started at 0. */
export function lookup3(bytes: Buffer, begin: number, end: number): number {
  const length = end - begin;
  const turn = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
  let a = (0xdeadbeef + length) | 0;
  let b = a;
  let c = a;
  const word = (at: number): number => {
    let value = 0;
    for (let i = 0; i < 4; i++) if (at + i < end) value |= (bytes[at + i] ?? 0) << (8 * i);
    return value;
  };
  let at = begin;
  for (; end - at > 12; at += 12) {
    a = (a + word(at)) | 0;
    b = (b + word(at + 4)) | 0;
    c = (c + word(at + 8)) | 0;
    a = ((a - c) ^ turn(c, 4)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ turn(a, 6)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ turn(b, 8)) | 0;
    b = (b + a) | 0;
    a = ((a - c) ^ turn(c, 16)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ turn(a, 19)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ turn(b, 4)) | 0;
    b = (b + a) | 0;
  }
  if (at === end) return c >>> 0;
  a = (a + word(at)) | 0;
  b = (b + word(at + 4)) | 0;
  c = (c + word(at + 8)) | 0;
  c = ((c ^ b) - turn(b, 14)) | 0;
  a = ((a ^ c) - turn(c, 11)) | 0;
  b = ((b ^ a) - turn(a, 25)) | 0;
  c = ((c ^ b) - turn(b, 16)) | 0;
  a = ((a ^ c) - turn(c, 4)) | 0;
  b = ((b ^ a) - turn(a, 14)) | 0;
  c = ((c ^ b) - turn(b, 24)) | 0;
  return c >>> 0;
}
