import type { DType } from './dtype';

const TYPES: ReadonlyMap<string, DType> = new Map<string, DType>([
  ['f8', 'float64'],
  ['f4', 'float32'],
  ['f2', 'float16'],
  ['i8', 'int64'],
  ['i4', 'int32'],
  ['i2', 'int16'],
  ['i1', 'int8'],
  ['u8', 'uint64'],
  ['u4', 'uint32'],
  ['u2', 'uint16'],
  ['u1', 'uint8'],
  ['b1', 'bool'],
  ['c8', 'complex64'],
  ['c16', 'complex128'],
]);

/**
 * NumPy's array-protocol type text (`<f4`, `|b1`, `>i8`) as an element type and byte order.
 * Undefined for text, dates, objects, records and numbers that have no counterpart here.
 */
export function numpyDtype(text: string): { readonly dtype: DType; readonly byteOrder?: 'big' } | undefined {
  const match = /^([<>|=]*)([a-z]\d+)$/.exec(text);
  const dtype = TYPES.get(match?.[2] ?? '');
  if (match === null || dtype === undefined) return undefined;
  // '=' is the writer's own order; every machine that NumPy writes it on today is little-endian.
  return match[1]?.includes('>') === true ? { dtype, byteOrder: 'big' } : { dtype };
}
