import { CheckpointError } from '../errors';
import { allocateResult } from './allocate';

/**
 * Integers that stand for equally spaced numbers, x = q·scale + offset, float32: one pair for all, or one for each of the
 * slices along an axis. TensorFlow.js (`quantization` of a weights manifest) and TensorFlow Lite keep weights so.
 */
export interface Affine {
  readonly kind: 'affine';
  readonly stored: 'uint8' | 'int8' | 'uint16' | 'int16' | 'int32';
  readonly scales: readonly number[];
  /** As many as scales. */
  readonly offsets: readonly number[];
  /** Elements after one another that share a pair; pairs repeat from the first one when they are used up. */
  readonly run: number;
}

/** @throws CheckpointError `malformed` when the integers are not as many as the result's elements */
export function decodeAffine(
  { stored, scales, offsets, run }: Affine,
  [source]: readonly Uint8Array[],
  byteLength: number,
): Uint8Array {
  const values = integersOf(source ?? new Uint8Array(), stored);
  if (values.length * 4 !== byteLength)
    throw new CheckpointError(
      'malformed',
      `${values.length} quantised values for ${byteLength / 4} elements`,
    );
  const bytes = allocateResult(byteLength);
  const result = new Float32Array(bytes.buffer, bytes.byteOffset, values.length);
  let pair = 0;
  for (let begin = 0; begin < values.length; begin += run) {
    const scale = scales[pair] ?? NaN;
    const offset = offsets[pair] ?? NaN;
    const end = Math.min(values.length, begin + run);
    for (let i = begin; i < end; i++) result[i] = (values[i] ?? 0) * scale + offset;
    pair = (pair + 1) % scales.length;
  }
  return bytes;
}

function integersOf(
  bytes: Uint8Array,
  stored: Affine['stored'],
): Uint8Array | Int8Array | Uint16Array | Int16Array | Int32Array {
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
  switch (stored) {
    case 'uint8':
      return bytes;
    case 'int8':
      return new Int8Array(buffer, byteOffset, bytes.length);
    case 'uint16':
      return new Uint16Array(buffer, byteOffset, Math.floor(bytes.length / 2));
    case 'int16':
      return new Int16Array(buffer, byteOffset, Math.floor(bytes.length / 2));
    case 'int32':
      return new Int32Array(buffer, byteOffset, Math.floor(bytes.length / 4));
  }
}
