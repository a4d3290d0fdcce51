/** Elements of floating-point types ⇄ numbers. */
import { type DType, bytesPerElement, isFloating } from './dtype';
import { CheckpointError } from './errors';

/** A binary floating-point format narrower than float32. */
interface Format {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  /** Of the largest finite number. */
  readonly largest: number;
  /** There are infinities; otherwise the all-ones pattern alone is NaN. */
  readonly hasInfinity: boolean;
}

const FORMATS: Partial<Record<DType, Format>> = {
  float16: { exponentBits: 5, mantissaBits: 10, largest: 65504, hasInfinity: true },
  bfloat16: { exponentBits: 8, mantissaBits: 7, largest: (2 - 2 ** -7) * 2 ** 127, hasInfinity: true },
  float8_e4m3fn: { exponentBits: 4, mantissaBits: 3, largest: 448, hasInfinity: false },
  float8_e5m2: { exponentBits: 5, mantissaBits: 2, largest: 57344, hasInfinity: true },
};

/**
 * Numbers as elements of a floating-point type, little-endian: rounded to nearest, ties to even. What would round
 * beyond the type's range becomes its largest number: a weight that is a little off is better than an infinite one.
 *
 * @throws CheckpointError `unsupported` for types that are not floating-point.
 */
export function encodeElements(values: Float32Array, dtype: DType): Uint8Array {
  if (dtype === 'float32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (dtype === 'float64') return new Uint8Array(Float64Array.from(values).buffer);
  const format = FORMATS[dtype];
  if (format === undefined) throw notFloating(dtype);
  const codes = bytesPerElement(dtype) === 2 ? new Uint16Array(values.length) : new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) codes[i] = encode(values[i] ?? 0, format);
  return new Uint8Array(codes.buffer);
}

function encode(value: number, { exponentBits, mantissaBits, largest, hasInfinity }: Format): number {
  const sign = value < 0 || Object.is(value, -0) ? 1 << (exponentBits + mantissaBits) : 0;
  const ones = (1 << exponentBits) - 1;
  if (Number.isNaN(value)) return sign | (ones << mantissaBits) | ((1 << mantissaBits) - 1);
  if (!Number.isFinite(value) && hasInfinity) return sign | (ones << mantissaBits);
  const magnitude = Math.min(Math.abs(value), largest);
  const bias = (1 << (exponentBits - 1)) - 1;
  // Below the smallest normal number all share its exponent.
  const exponent = Math.max(magnitude === 0 ? -Infinity : exponentOf(magnitude), 1 - bias);
  const units = roundHalfEven(magnitude * 2 ** (mantissaBits - exponent));
  const implicit = 1 << mantissaBits;
  // A subnormal that rounds up to 2^mantissaBits is the smallest normal number; so is a carry to the next exponent.
  const code = units < implicit ? units : (exponent + bias) * implicit + (units - implicit);
  const largestCode = hasInfinity ? (ones << mantissaBits) - 1 : (ones << mantissaBits) + implicit - 2;
  return sign | Math.min(code, largestCode);
}

/** floor(log₂ x) of a positive float32 value. */
function exponentOf(x: number): number {
  FLOAT[0] = x;
  const biased = ((BITS[0] ?? 0) >>> 23) & 0xff;
  // Subnormals of float32 are far below every other type's but bfloat16's, which has the same ones.
  return biased === 0 ? -126 : biased - 127;
}

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** Exact: the arguments are float32 values scaled by powers of two. */
function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

/**
 * Elements of a floating-point type as numbers, in float64 where they are, in float32 otherwise.
 *
 * @param bytes canonical bytes, as `readTensorBytes` gives them.
 * @throws CheckpointError `unsupported` for types that are not floating-point.
 */
export function decodeElements(bytes: Uint8Array, dtype: DType): Float32Array | Float64Array {
  const { buffer, byteOffset } = bytes.byteOffset % 8 === 0 ? bytes : Uint8Array.from(bytes);
  const count = bytes.length / bytesPerElement(dtype);
  if (dtype === 'float32') return new Float32Array(buffer, byteOffset, count);
  if (dtype === 'float64') return new Float64Array(buffer, byteOffset, count);
  const format = FORMATS[dtype];
  if (format === undefined || !isFloating(dtype)) throw notFloating(dtype);
  const codes =
    bytesPerElement(dtype) === 2
      ? new Uint16Array(buffer, byteOffset, count)
      : new Uint8Array(buffer, byteOffset, count);
  return Float32Array.from(codes, (code) => decode(code, format));
}

function decode(code: number, { exponentBits, mantissaBits, hasInfinity }: Format): number {
  const ones = (1 << exponentBits) - 1;
  const sign = code >> (exponentBits + mantissaBits) === 0 ? 1 : -1;
  const exponent = (code >> mantissaBits) & ones;
  const mantissa = code & ((1 << mantissaBits) - 1);
  const bias = (1 << (exponentBits - 1)) - 1;
  if (exponent === ones && hasInfinity) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === ones && mantissa === (1 << mantissaBits) - 1) return NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (2 ** mantissaBits + mantissa) * 2 ** (exponent - bias - mantissaBits);
}

function notFloating(dtype: DType): CheckpointError {
  return new CheckpointError('unsupported', `${dtype} elements are no floating-point numbers`);
}
