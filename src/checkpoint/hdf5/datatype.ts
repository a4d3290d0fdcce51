import type { DType } from '../dtype';
import type { Cursor } from './cursor';

/** What elements are, as far as they can be given. */
export type ElementType = { readonly size: number } & (
  | { readonly kind: 'number'; readonly dtype: DType; readonly isBig: boolean }
  | { readonly kind: 'text'; readonly padding: 'zero' | 'space' }
  /** Text of any length, in the global heap. */
  | { readonly kind: 'long-text' }
  /** Bytes without a meaning of their own. */
  | { readonly kind: 'opaque' }
  /** `what` is part of a sentence: "elements that are … are not read". */
  | { readonly kind: 'other'; readonly what: string }
);

/** Bits of the fields of a floating-point number: exponent and mantissa; the bias of the exponent. */
interface FloatFields {
  readonly bits: number;
  readonly exponent: number;
  readonly mantissa: number;
  readonly bias: number;
}

const FLOATS: readonly (readonly [FloatFields, DType])[] = [
  [{ bits: 64, exponent: 11, mantissa: 52, bias: 1023 }, 'float64'],
  [{ bits: 32, exponent: 8, mantissa: 23, bias: 127 }, 'float32'],
  [{ bits: 16, exponent: 5, mantissa: 10, bias: 15 }, 'float16'],
  [{ bits: 16, exponent: 8, mantissa: 7, bias: 127 }, 'bfloat16'],
  [{ bits: 8, exponent: 5, mantissa: 2, bias: 15 }, 'float8_e5m2'],
];

const SIGNED: ReadonlyMap<number, DType> = new Map<number, DType>([
  [1, 'int8'],
  [2, 'int16'],
  [4, 'int32'],
  [8, 'int64'],
]);
const UNSIGNED: ReadonlyMap<number, DType> = new Map<number, DType>([
  [1, 'uint8'],
  [2, 'uint16'],
  [4, 'uint32'],
  [8, 'uint64'],
]);

/** Names of the classes of types that are not read, by their numbers. */
const OTHERS: ReadonlyMap<number, string> = new Map([
  [2, 'times'],
  [4, 'fields of bits'],
  [6, 'records'],
  [7, 'references'],
  [8, 'named values'],
  [9, 'lists of varying length'],
  [10, 'arrays'],
  [11, 'complex numbers'],
]);

const CLASS = { fixed: 0, float: 1, text: 3, opaque: 5, named: 8, varying: 9 } as const;

/** Kind of a variable-length type that is text. */
const VARYING_TEXT = 1;
/** Mantissas whose highest bit is not stored, as in IEEE 754. */
const IMPLIED_BIT = 2;

/** A datatype message (specification IV.A.2.d). What is not read comes back as `other`, never as an error. */
export function parseDatatype(body: Cursor): ElementType {
  const kind = body.u8() & 0x0f;
  const [low = 0, middle = 0] = body.take(3);
  const size = body.u32();
  if (size === 0) throw body.error('elements of no size');
  switch (kind) {
    case CLASS.fixed:
      return fixedPoint(body, size, low);
    case CLASS.float:
      return floatingPoint(body, size, low, middle);
    case CLASS.text:
      return { kind: 'text', size, padding: (low & 0x0f) === 2 ? 'space' : 'zero' };
    case CLASS.opaque:
      return { kind: 'opaque', size };
    case CLASS.named:
      return namedValues(body, size, low + 256 * middle);
    case CLASS.varying:
      if ((low & 0x0f) === VARYING_TEXT) return { kind: 'long-text', size };
      break;
  }
  return { kind: 'other', size, what: OTHERS.get(kind) ?? `of the unknown class ${kind}` };
}

function fixedPoint(body: Cursor, size: number, flags: number): ElementType {
  const offset = body.u16();
  const precision = body.u16();
  const dtype = ((flags & 8) === 0 ? UNSIGNED : SIGNED).get(size);
  if (dtype === undefined || offset !== 0 || precision !== 8 * size)
    return { kind: 'other', size, what: `integers of ${precision} bits in ${size} bytes` };
  return { kind: 'number', size, dtype, isBig: (flags & 1) !== 0 };
}

function floatingPoint(body: Cursor, size: number, flags: number, sign: number): ElementType {
  const offset = body.u16();
  const bits = body.u16();
  const [exponentAt = 0, exponent = 0, mantissaAt = 0, mantissa = 0] = body.take(4);
  const bias = body.u32();
  const isPlain =
    offset === 0 &&
    bits === 8 * size &&
    sign === bits - 1 &&
    mantissaAt === 0 &&
    exponentAt === mantissa &&
    ((flags >> 4) & 3) === IMPLIED_BIT;
  // Both bits of the byte order: VAX.
  const isVax = (flags & 0x41) === 0x41;
  const found = FLOATS.find(
    ([fields]) =>
      fields.bits === bits &&
      fields.exponent === exponent &&
      fields.mantissa === mantissa &&
      fields.bias === bias,
  );
  if (found === undefined || !isPlain || isVax) {
    const what = `floating-point numbers of ${bits} bits, ${exponent} of them the exponent's`;
    return { kind: 'other', size, what };
  }
  return { kind: 'number', size, dtype: found[1], isBig: (flags & 1) !== 0 };
}

/** h5py's truth values: one byte, FALSE 0 and TRUE 1 (specification: enumerations, whose base type follows). */
function namedValues(body: Cursor, size: number, members: number): ElementType {
  const other: ElementType = { kind: 'other', size, what: 'named values' };
  if (size !== 1 || members !== 2) return other;
  body.skip(12); // the base type: one byte, whichever its sign
  const rest = Buffer.from(body.take(body.remaining)).toString('latin1').replace(/\0+/g, '\0');
  return rest.startsWith('FALSE\0TRUE\0\x01') ? { kind: 'number', size, dtype: 'bool', isBig: false } : other;
}
