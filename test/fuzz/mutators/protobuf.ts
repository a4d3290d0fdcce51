/** Mutators of protocol buffers: without a schema, by guessing which fields are messages. */
import type { Random } from '../random';
import type { Mutator } from '../reader';
import { interesting } from './bytes';

interface Field {
  number: number;
  wire: number;
  /** A varint's value. */
  value: bigint;
  /** What a field of bytes or of fixed width holds. */
  bytes: Buffer;
  /** The same, where it reads as a message. */
  message?: Field[];
  /** A length that is not the bytes'. */
  lie?: bigint;
}

/** Levels at which fields are still taken for messages. */
const MAX_DEPTH = 8;

function readVarint(bytes: Buffer, at: number): [bigint, number] | undefined {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) return [value, at + i + 1];
  }
  return undefined;
}

export function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

function parse(bytes: Buffer, depth = 0): Field[] | undefined {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = readVarint(bytes, at);
    if (tag === undefined || tag[0] >> 3n === 0n || tag[0] > 0xffffn) return undefined;
    at = tag[1];
    const field: Field = {
      number: Number(tag[0] >> 3n),
      wire: Number(tag[0] & 7n),
      value: 0n,
      bytes: Buffer.alloc(0),
    };
    if (field.wire === 0 || field.wire === 2) {
      const number = readVarint(bytes, at);
      if (number === undefined) return undefined;
      [field.value, at] = number;
    }
    const length = field.wire === 2 ? Number(field.value) : field.wire === 1 ? 8 : field.wire === 5 ? 4 : 0;
    if (at + length > bytes.length || field.wire === 3 || field.wire === 4 || field.wire > 5)
      return undefined;
    field.bytes = bytes.subarray(at, at + length);
    at += length;
    if (field.wire === 2 && length > 1 && depth < MAX_DEPTH) {
      const message = parse(field.bytes, depth + 1);
      if (message !== undefined) field.message = message;
    }
    fields.push(field);
  }
  return fields;
}

function print(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap((field) => {
      const tag = varint((BigInt(field.number) << 3n) | BigInt(field.wire));
      if (field.wire === 0) return [tag, varint(field.value)];
      const bytes = field.message === undefined ? field.bytes : print(field.message);
      return field.wire === 2 ? [tag, varint(field.lie ?? BigInt(bytes.length)), bytes] : [tag, bytes];
    }),
  );
}

/** Every message's list of fields, the outermost first. */
function messages(root: Field[]): Field[][] {
  const found = [root];
  for (let i = 0; i < found.length && found.length < 5000; i++)
    for (const { message } of found[i] ?? []) if (message !== undefined) found.push(message);
  return found;
}

const TEXTS = [
  '',
  '__proto__',
  '../escaped.bin',
  '/etc/passwd',
  'a\nb',
  '\u202e',
  'x'.repeat(5000),
  '-1',
  '18446744073709551615',
];

/** The same field in itself, many times. */
function nested(field: Field, random: Random): Buffer {
  let bytes = field.message === undefined ? field.bytes : print(field.message);
  const tag = varint((BigInt(field.number) << 3n) | 2n);
  const parts: Buffer[] = [];
  for (let i = random.small(2000); i > 0; i--) {
    const head = Buffer.concat([
      tag,
      varint(BigInt(bytes.length + parts.reduce((sum, part) => sum + part.length, 0))),
    ]);
    parts.push(head);
  }
  bytes = Buffer.concat([...parts.reverse(), bytes]);
  return bytes;
}

function change(field: Field, fields: Field[], at: number, all: readonly Field[][], random: Random): void {
  switch (random.below(11)) {
    case 0:
    case 1:
    case 2:
      if (field.wire === 0) field.value = interesting(random, 1000);
      else if (field.wire === 2 && random.chance(0.3)) field.lie = interesting(random, field.bytes.length);
      else if (field.message === undefined)
        field.bytes = random.chance(0.5) ? Buffer.from(random.pick(TEXTS)) : random.bytes(random.small(40));
      break;
    case 3: {
      const times = random.chance(0.95) ? 1 : Math.floor(200_000 / (8 + field.bytes.length));
      fields.splice(at, 0, ...Array<Field>(times).fill(field));
      break;
    }
    case 4:
      fields.splice(at, 1);
      break;
    case 5: {
      // As bytes: a message put into its own part would have no end.
      const { message, ...other } = random.pick(random.pick(all));
      const bytes = message === undefined ? other.bytes : print(message);
      fields.splice(random.below(fields.length + 1), 0, { ...other, bytes });
      break;
    }
    case 6:
      field.number = random.chance(0.7) ? random.between(1, 24) : random.pick([0, 100, 2047, 536_870_911]);
      break;
    case 7:
      field.wire = random.below(8);
      break;
    case 8:
      if (field.wire === 2) {
        field.bytes = nested(field, random);
        delete field.message;
      }
      break;
    case 9:
      // Packed numbers.
      if (field.wire === 2 && field.message === undefined)
        field.bytes = Buffer.concat(
          Array.from({ length: random.small(200) }, () => varint(interesting(random, 8))),
        );
      break;
    default: {
      const other = fields[random.below(fields.length)];
      if (other !== undefined) [fields[at], fields[fields.indexOf(other)]] = [other, field];
    }
  }
}

export const mutateProtobuf: Mutator = (bytes, random) => {
  const root = bytes.length > 300_000 ? undefined : parse(bytes);
  if (root === undefined || root.length === 0) return undefined;
  const all = messages(root);
  const filled = all.filter((list) => list.length > 0);
  const fields = random.pick(filled);
  const at = random.below(fields.length);
  const field = fields[at];
  if (field === undefined) return undefined;
  change(field, fields, at, filled, random);
  return print(root);
};
