/** Element types of tensors, named as safetensors and PyTorch users know them. */
export type DType =
  | 'float64'
  | 'float32'
  | 'float16'
  | 'bfloat16'
  | 'float8_e4m3fn'
  | 'float8_e5m2'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint64'
  | 'uint32'
  | 'uint16'
  | 'uint8'
  | 'bool'
  | 'complex64'
  | 'complex128';

const BYTES: Readonly<Record<DType, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8_e4m3fn: 1,
  float8_e5m2: 1,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint64: 8,
  uint32: 4,
  uint16: 2,
  uint8: 1,
  bool: 1,
  complex64: 8,
  complex128: 16,
};

const FLOATING: ReadonlySet<DType> = new Set<DType>([
  'float64',
  'float32',
  'float16',
  'bfloat16',
  'float8_e4m3fn',
  'float8_e5m2',
]);

/** Size of one element, in bytes. */
export function bytesPerElement(dtype: DType): number {
  return BYTES[dtype];
}

/** Whether the elements are real floating-point numbers, the only ones a spectrum is taken of. */
export function isFloating(dtype: DType): boolean {
  return FLOATING.has(dtype);
}

/** The element type of a name; undefined for any other text. */
export function dtypeOf(name: string): DType | undefined {
  return Object.hasOwn(BYTES, name) ? (name as DType) : undefined; // the keys of BYTES are all DTypes
}
