import { bytesPerElement, type DType } from '../../checkpoint/dtype';

/**
 * Little-endian elements as float32, as NumPy's `astype(float32)` gives them.
 *
 * @returns undefined for complex numbers, which have no such value
 */
export function toFloat32(bytes: Uint8Array, dtype: DType): Float32Array | undefined {
  const element = READERS[dtype];
  if (element === undefined) return undefined;
  const size = bytesPerElement(dtype);
  const count = Math.floor(bytes.length / size);
  if (dtype === 'uint8' || dtype === 'bool') return new Float32Array(bytes);
  const values = new Float32Array(count);
  if (dtype === 'float32') {
    new Uint8Array(values.buffer).set(bytes.subarray(0, 4 * count));
    return values;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < count; i++) values[i] = element(view, i * size);
  return values;
}

/** Little-endian elements as exact numbers; 64-bit integers beyond 2⁵³ are rounded. */
export function toNumbers(bytes: Uint8Array, dtype: DType): Float64Array | undefined {
  const element = READERS[dtype];
  if (element === undefined) return undefined;
  const size = bytesPerElement(dtype);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Float64Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => element(view, i * size));
}

type Reader = (view: DataView, at: number) => number;

const READERS: Readonly<Record<DType, Reader | undefined>> = {
  float64: (view, at) => view.getFloat64(at, true),
  float32: (view, at) => view.getFloat32(at, true),
  float16: (view, at) => smallFloat(view.getUint16(at, true), 5, 10),
  bfloat16: (view, at) => {
    SCRATCH.setUint32(0, view.getUint16(at, true) << 16);
    return SCRATCH.getFloat32(0);
  },
  // Arrays of these come from no data format read here.
  float8_e4m3fn: undefined,
  float8_e5m2: undefined,
  int64: (view, at) => Number(view.getBigInt64(at, true)),
  int32: (view, at) => view.getInt32(at, true),
  int16: (view, at) => view.getInt16(at, true),
  int8: (view, at) => view.getInt8(at),
  uint64: (view, at) => Number(view.getBigUint64(at, true)),
  uint32: (view, at) => view.getUint32(at, true),
  uint16: (view, at) => view.getUint16(at, true),
  uint8: (view, at) => view.getUint8(at),
  bool: (view, at) => view.getUint8(at),
  complex64: undefined,
  complex128: undefined,
};

const SCRATCH = new DataView(new ArrayBuffer(4));

/** An IEEE number of `exponentBits` and `fractionBits` behind a sign. */
function smallFloat(bits: number, exponentBits: number, fractionBits: number): number {
  const sign = (bits >> (exponentBits + fractionBits)) & 1 ? -1 : 1;
  const largest = 2 ** exponentBits - 1;
  const exponent = (bits >> fractionBits) & largest;
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === largest) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}
