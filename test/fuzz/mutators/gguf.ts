/** Mutators of GGUF: a header of counted, length-prefixed fields. */
import type { Random } from '../random';
import type { Mutator } from '../reader';
import { interesting, replaced, withInteger } from './bytes';

/** Bytes of the values of types 0 to 12; texts (8) and lists (9) have none of their own. */
const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const TEXT = 8;
const LIST = 9;

/** A number of the header: where it stands and how wide it is. */
interface NumberField {
  readonly at: number;
  readonly width: 4 | 8;
  readonly is: 'count' | 'length' | 'type' | 'axes' | 'size' | 'offset' | 'version';
}

interface Header {
  readonly fields: readonly NumberField[];
  readonly keys: readonly (readonly [number, number])[];
  readonly tensors: readonly (readonly [number, number])[];
}

class Walk {
  at = 4;
  readonly fields: NumberField[] = [];

  constructor(private readonly bytes: Buffer) {}

  number(width: 4 | 8, is: NumberField['is']): number {
    if (this.at + width > this.bytes.length) throw new RangeError('beyond the end');
    const value =
      width === 4 ? this.bytes.readUInt32LE(this.at) : Number(this.bytes.readBigUInt64LE(this.at));
    this.fields.push({ at: this.at, width, is });
    this.at += width;
    return value;
  }

  text(): void {
    this.at += this.number(8, 'length');
  }

  value(type: number, depth = 0): void {
    if (type === TEXT) this.text();
    else if (type === LIST && depth < 4) {
      const inner = this.number(4, 'type');
      const count = this.number(8, 'count');
      if (inner === TEXT || inner === LIST)
        for (let i = 0; i < Math.min(count, 5000); i++) this.value(inner, depth + 1);
      else this.at += count * (VALUE_BYTES[inner] ?? 0);
    } else this.at += VALUE_BYTES[type] ?? 0;
  }
}

function headerOf(bytes: Buffer): Header {
  const walk = new Walk(bytes);
  const keys: [number, number][] = [];
  const tensors: [number, number][] = [];
  try {
    walk.number(4, 'version');
    const tensorCount = walk.number(8, 'count');
    const keyCount = walk.number(8, 'count');
    for (let i = 0; i < Math.min(keyCount, 2000); i++) {
      const begin = walk.at;
      walk.text();
      walk.value(walk.number(4, 'type'));
      keys.push([begin, walk.at]);
    }
    for (let i = 0; i < Math.min(tensorCount, 2000); i++) {
      const begin = walk.at;
      walk.text();
      const axes = walk.number(4, 'axes');
      for (let axis = 0; axis < Math.min(axes, 8); axis++) walk.number(8, 'size');
      walk.number(4, 'type');
      walk.number(8, 'offset');
      tensors.push([begin, walk.at]);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return { fields: walk.fields, keys, tensors };
}

const setField: Mutator = (bytes, random) => {
  const { fields } = headerOf(bytes);
  if (fields.length === 0) return undefined;
  const { at, width, is } = random.pick(fields);
  const value =
    is === 'type' && random.chance(0.7) ? BigInt(random.below(42)) : interesting(random, bytes.length);
  return withInteger(bytes, at, width, value);
};

/** One number in the place of another: offsets that overlap, sizes that do not fit. */
const copyField: Mutator = (bytes, random) => {
  const { fields } = headerOf(bytes);
  if (fields.length === 0) return undefined;
  const to = random.pick(fields);
  const from = random.pick(fields.filter(({ is }) => is === to.is));
  const value = from.width === 8 ? bytes.readBigUInt64LE(from.at) : BigInt(bytes.readUInt32LE(from.at));
  return withInteger(
    bytes,
    to.at,
    to.width,
    value + BigInt(random.chance(0.5) ? 0 : random.between(-33, 33)),
  );
};

/** A key or a tensor twice, or not at all; the counts are right. */
const repeatRecord: Mutator = (bytes, random) => {
  const { keys, tensors } = headerOf(bytes);
  const isKey = random.chance(0.5);
  const records = isKey ? keys : tensors;
  if (records.length === 0) return undefined;
  const [begin, end] = random.pick(records);
  const times = random.chance(0.3)
    ? 0
    : random.chance(0.8)
      ? 2
      : random.small(Math.floor(200_000 / (end - begin)));
  const record = Buffer.from(bytes.subarray(begin, end));
  const copies = Array.from({ length: times }, (_, i) => {
    // Longer than a length of its own: another name.
    const copy = Buffer.from(record);
    if (random.chance(0.7) && copy.length > 12) copy.write(i.toString(36).padStart(4, '_'), 8, 'latin1');
    return copy;
  });
  const at = isKey ? 16 : 8;
  const count = bytes.readBigUInt64LE(at) + BigInt(times - 1);
  return withInteger(replaced(bytes, begin, end, Buffer.concat(copies)), at, 8, count);
};

/** A list of lists of lists …, as one more key. */
const nestLists: Mutator = (bytes, random) => {
  const { keys } = headerOf(bytes);
  const [first] = keys;
  if (first === undefined) return undefined;
  const level = Buffer.alloc(12);
  level.writeUInt32LE(LIST, 0);
  level.writeBigUInt64LE(BigInt(random.chance(0.8) ? 1 : random.small(1000)), 4);
  const depth = random.small(20_000);
  const record = Buffer.concat([
    textOf('deep.key'),
    uint32(LIST),
    ...Array<Buffer>(depth).fill(level),
    uint32(0),
    Buffer.alloc(8),
  ]);
  const longer = replaced(bytes, first[0], first[0], record);
  return withInteger(longer, 16, 8, bytes.readBigUInt64LE(16) + 1n);
};

const KEYS = [
  'general.alignment',
  'general.architecture',
  '__proto__',
  '',
  'general.quantization_version',
  'a\nb',
];

/** A key with a value of another type, or an alignment that is none. */
const addKey: Mutator = (bytes, random) => {
  const { keys } = headerOf(bytes);
  const [first] = keys;
  if (first === undefined) return undefined;
  const type = random.below(14);
  const value = Buffer.alloc(8);
  value.writeBigUInt64LE(BigInt.asUintN(64, interesting(random, bytes.length)));
  const record = Buffer.concat([
    textOf(random.pick(KEYS)),
    uint32(type),
    value.subarray(0, VALUE_BYTES[type] ?? 8),
  ]);
  const longer = replaced(bytes, first[0], first[0], record);
  return withInteger(longer, 16, 8, bytes.readBigUInt64LE(16) + 1n);
};

function textOf(text: string): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, Buffer.from(text, 'latin1')]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function guarded(
  mutator: (bytes: Buffer, random: Random, context: Parameters<Mutator>[2]) => Buffer | undefined,
): Mutator {
  return (bytes, random, context) =>
    bytes.length >= 24 && bytes.toString('latin1', 0, 4) === 'GGUF'
      ? mutator(bytes, random, context)
      : undefined;
}

export const GGUF: readonly Mutator[] = [
  setField,
  setField,
  setField,
  copyField,
  repeatRecord,
  nestLists,
  addKey,
].map(guarded);
