import type { DType } from '../dtype';

/** `tensorflow.DataType` (core/framework/types.proto): names, and the types that are read. */
const TYPES: ReadonlyMap<number, readonly [name: string, dtype?: DType]> = new Map<
  number,
  readonly [string, DType?]
>([
  [1, ['float32', 'float32']],
  [2, ['float64', 'float64']],
  [3, ['int32', 'int32']],
  [4, ['uint8', 'uint8']],
  [5, ['int16', 'int16']],
  [6, ['int8', 'int8']],
  [7, ['string']],
  [8, ['complex64', 'complex64']],
  [9, ['int64', 'int64']],
  [10, ['bool', 'bool']],
  [11, ['qint8']],
  [12, ['quint8']],
  [13, ['qint32']],
  [14, ['bfloat16', 'bfloat16']],
  [15, ['qint16']],
  [16, ['quint16']],
  [17, ['uint16', 'uint16']],
  [18, ['complex128', 'complex128']],
  [19, ['float16', 'float16']],
  [20, ['resource']],
  [21, ['variant']],
  [22, ['uint32', 'uint32']],
  [23, ['uint64', 'uint64']],
  [24, ['float8_e5m2', 'float8_e5m2']],
  [25, ['float8_e4m3fn', 'float8_e4m3fn']],
  [29, ['int4']],
  [30, ['uint4']],
]);

/** Types of references to variables are those of the variables, plus this. */
const REFERENCE = 100;

export const STRING = 7;

export function tensorflowType(number: number): { readonly name: string; readonly dtype?: DType } {
  const [name, dtype] = TYPES.get(number > REFERENCE ? number - REFERENCE : number) ?? [`type ${number}`];
  return { name, ...(dtype !== undefined && { dtype }) };
}

/** Why elements of a type without numbers of its own cannot be given. */
export function reasonUnread(name: string): string {
  if (name === 'string') return 'it holds text, not numbers';
  if (name === 'resource' || name === 'variant')
    return `it holds an object of TensorFlow (${name}), not numbers`;
  if (name.startsWith('q')) return `its ${name} values need a scale that is not in the file`;
  return `elements of ${name} are not read`;
}
