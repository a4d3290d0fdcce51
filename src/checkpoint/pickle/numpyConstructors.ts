import type { Constructor } from './constructors';
import type { PickleSource } from './source';
import {
  type BytesValue,
  NumpyArrayValue,
  NumpyDtypeValue,
  type PickleValue,
  TupleValue,
  integerOf,
  itemsOf,
} from './values';

/** `_reconstruct(ndarray, (0,), b"b")`: an empty array that its state fills. */
const emptyArray: Constructor = (_args, machine) => new NumpyArrayValue(machine.source.position);

/** `scalar(dtype, bytes)` */
const scalar: Constructor = ([dtype, data], machine) => {
  if (dtype === undefined) return undefined;
  return filled(
    machine.source.position,
    new TupleValue([]),
    dtype,
    false,
    bytesOf(data ?? null, machine.placeOfText.bind(machine)),
  );
};

/** `_frombuffer(buffer, dtype, shape, order)`: protocol 5. */
const fromBuffer: Constructor = ([data, dtype, size, order], machine) => {
  if (data === undefined || dtype === undefined || size === undefined) return undefined;
  return filled(machine.source.position, size, dtype, order === 'F', data);
};

/** `dtype("f4", align, copy)` */
const dtype: Constructor = ([code]) => (typeof code === 'string' ? new NumpyDtypeValue(code) : undefined);

function filled(
  position: number,
  size: PickleValue,
  type: PickleValue,
  fortranOrder: boolean,
  data: PickleValue,
): NumpyArrayValue {
  const array = new NumpyArrayValue(position);
  array.size = size;
  array.dtype = type;
  array.fortranOrder = fortranOrder;
  array.data = data;
  return array;
}

/** Python 2 wrote bytes as text of one character a byte, which may be in memory already. */
function bytesOf(data: PickleValue, placeOfText: (text: string) => BytesValue | undefined): PickleValue {
  return typeof data === 'string' ? (placeOfText(data) ?? data) : data;
}

/** The state of an array: `(version, shape, dtype, is Fortran order, bytes or list of objects)`. */
export function setArrayState(
  array: NumpyArrayValue,
  state: PickleValue,
  source: PickleSource,
  placeOfText: (text: string) => BytesValue | undefined,
): void {
  const parts = itemsOf(state) ?? [];
  // The version was left out by the oldest NumPy.
  const [size, type, fortranOrder, data] = parts.length === 5 ? parts.slice(1) : parts;
  if (size === undefined || type === undefined || data === undefined)
    throw source.error('an array without its state');
  array.size = size;
  array.dtype = type;
  array.fortranOrder = fortranOrder === true || fortranOrder === 1;
  array.data = bytesOf(data, placeOfText);
}

/** The state of a dtype: `(version, byte order, subarray, names, fields, size, alignment, flags)`. */
export function setDtypeState(target: NumpyDtypeValue, state: PickleValue): void {
  const [version, byteOrder, subarray, names] = itemsOf(state) ?? [];
  if (integerOf(version ?? null) === undefined || typeof byteOrder !== 'string') return;
  target.byteOrder = byteOrder;
  target.structured = (subarray ?? null) !== null || (names ?? null) !== null;
}

export const NUMPY_CONSTRUCTORS: ReadonlyMap<string, Constructor> = new Map<string, Constructor>(
  ['numpy.core', 'numpy._core']
    .flatMap((core): [string, Constructor][] => [
      [`${core}.multiarray._reconstruct`, emptyArray],
      [`${core}.multiarray.scalar`, scalar],
      [`${core}.numeric._frombuffer`, fromBuffer],
    ])
    .concat([
      ['numpy.dtype', dtype],
      ['numpy.ndarray', () => undefined],
    ]),
);
