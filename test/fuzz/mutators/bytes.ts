/** Mutators that know nothing of a format. */
import type { Random } from '../random';
import type { Mutator } from '../reader';

/** Integers at which sizes, counts and offsets go wrong. */
export const INTERESTING: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 7n, 8n, 16n, 64n, 100n, 127n, 128n, 255n, 256n, 1000n, 4096n],
  ...[15n, 16n, 24n, 31n, 32n, 33n, 40n, 52n, 53n, 61n, 62n, 63n, 64n].flatMap((power) => [
    2n ** power - 1n,
    2n ** power,
    2n ** power + 1n,
  ]),
  -1n,
  -2n,
];

const WIDTHS: readonly (1 | 2 | 4 | 8)[] = [1, 2, 4, 8];
/** Bytes of one block that is moved about. */
const MAX_BLOCK = 4096;

/** A place in the bytes: beginnings and ends hold what formats are made of, so half of all places lie there. */
export function somewhere(length: number, random: Random): number {
  const from = Math.min(length - 1, random.small(length) - 1);
  switch (random.below(4)) {
    case 0:
      return Math.max(0, from);
    case 1:
      return Math.max(0, length - 1 - from);
    default:
      return random.below(length);
  }
}

/** An interesting number, now and then one that is near a size of the bytes themselves. */
export function interesting(random: Random, length: number): bigint {
  if (random.chance(0.25)) return BigInt(length + random.between(-16, 16));
  if (random.chance(0.15)) return BigInt(random.below(length));
  return random.pick(INTERESTING);
}

/** The integer with its lowest bits in `width` bytes, where they lie inside. */
export function withInteger(bytes: Buffer, at: number, width: number, value: bigint, isBig = false): Buffer {
  const result = Buffer.from(bytes);
  for (let i = 0; i < width; i++) {
    const place = at + (isBig ? width - 1 - i : i);
    if (place >= 0 && place < result.length) result[place] = Number((value >> BigInt(8 * i)) & 0xffn);
  }
  return result;
}

/** The bytes with those from `begin` to `end` replaced. */
export function replaced(bytes: Buffer, begin: number, end: number, by: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, begin), by, bytes.subarray(end)]);
}

const flipBit: Mutator = (bytes, random) => {
  const at = somewhere(bytes.length, random);
  return withInteger(bytes, at, 1, BigInt((bytes[at] ?? 0) ^ (1 << random.below(8))));
};

const setByte: Mutator = (bytes, random) =>
  withInteger(
    bytes,
    somewhere(bytes.length, random),
    1,
    BigInt(random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)])),
  );

const setInteger: Mutator = (bytes, random) => {
  const width = random.pick(WIDTHS);
  const at = somewhere(bytes.length, random);
  const aligned = random.chance(0.7) ? at - (at % width) : at;
  return withInteger(bytes, aligned, width, interesting(random, bytes.length), random.chance(0.15));
};

const addToInteger: Mutator = (bytes, random) => {
  const width = random.pick(WIDTHS);
  const at = somewhere(bytes.length, random);
  let value = 0n;
  for (let i = width - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return withInteger(bytes, at, width, value + BigInt(random.between(-16, 16)));
};

const truncate: Mutator = (bytes, random) =>
  bytes.subarray(
    0,
    random.chance(0.5) ? bytes.length - random.small(bytes.length) : random.below(bytes.length),
  );

/** A run of bytes: where it begins and where it ends. */
function block(bytes: Buffer, random: Random): [number, number] {
  const begin = somewhere(bytes.length, random);
  return [begin, Math.min(bytes.length, begin + random.small(MAX_BLOCK))];
}

const deleteBlock: Mutator = (bytes, random) => {
  const [begin, end] = block(bytes, random);
  return replaced(bytes, begin, end, Buffer.alloc(0));
};

const duplicateBlock: Mutator = (bytes, random) => {
  const [begin, end] = block(bytes, random);
  const times = random.chance(0.9) ? 1 : random.small(64);
  return replaced(bytes, end, end, Buffer.concat(Array<Buffer>(times).fill(bytes.subarray(begin, end))));
};

const moveBlock: Mutator = (bytes, random) => {
  const [begin, end] = block(bytes, random);
  const taken = Buffer.from(bytes.subarray(begin, end));
  const rest = replaced(bytes, begin, end, Buffer.alloc(0));
  const at = somewhere(rest.length, random);
  return replaced(rest, at, at, taken);
};

const copyOver: Mutator = (bytes, random) => {
  const [begin, end] = block(bytes, random);
  const at = somewhere(bytes.length, random);
  const taken = bytes.subarray(begin, end);
  return replaced(bytes, at, Math.min(bytes.length, at + taken.length), taken).subarray(0, bytes.length);
};

const insertBlock: Mutator = (bytes, random) => {
  const length = random.small(MAX_BLOCK);
  const at = somewhere(bytes.length, random);
  const inserted = random.chance(0.5)
    ? Buffer.alloc(length, random.pick([0, 0xff, 0x20]))
    : random.bytes(Math.min(64, length));
  return replaced(bytes, at, at, inserted);
};

const fillBlock: Mutator = (bytes, random) => {
  const [begin, end] = block(bytes, random);
  return Buffer.from(bytes).fill(random.pick([0, 0xff, 0x20, 0x41]), begin, end);
};

const splice: Mutator = (bytes, random, { others }) => {
  const other = random.pick(others);
  const from = random.below(other.length);
  if (random.chance(0.5))
    return Buffer.concat([bytes.subarray(0, somewhere(bytes.length, random)), other.subarray(from)]);
  const taken = other.subarray(from, from + random.small(MAX_BLOCK));
  const at = somewhere(bytes.length, random);
  return replaced(bytes, at, Math.min(bytes.length, at + taken.length), taken);
};

const pad: Mutator = (bytes, random) => Buffer.concat([bytes, Buffer.alloc(random.small(65_536))]);

/** Decimal numbers that stand in text, as in JSON, `.npy` headers and the oldest pickles. */
export const setTextNumber: Mutator = (bytes, random) => {
  const start = somewhere(bytes.length, random);
  for (let i = 0; i < bytes.length; i++) {
    const at = (start + i) % bytes.length;
    if (!isDigit(bytes[at])) continue;
    let end = at;
    while (isDigit(bytes[end])) end++;
    const text = random.chance(0.1)
      ? '9'.repeat(random.small(5000))
      : String(interesting(random, bytes.length));
    return replaced(bytes, at, end, Buffer.from(text));
  }
  return undefined;
};

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Apply to every file that is not empty; those that hit most often more than once. */
export const ANY_BYTES: readonly Mutator[] = [
  ...[
    flipBit,
    setByte,
    setInteger,
    setInteger,
    setInteger,
    addToInteger,
    addToInteger,
    truncate,
    deleteBlock,
  ],
  ...[duplicateBlock, moveBlock, copyOver, insertBlock, fillBlock, splice, pad, setTextNumber],
].map(
  (mutator): Mutator =>
    (bytes, random, context) =>
      bytes.length === 0 ? random.bytes(random.small(64)) : mutator(bytes, random, context),
);
