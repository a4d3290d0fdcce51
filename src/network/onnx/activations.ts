import type { InferenceSession, Tensor } from 'onnxruntime-common';
import { printable } from '../../checkpoint/errors';
import { float16ToNumber } from './float16';
import { oneLine } from './runtime';

/** Codes of `TensorProto.DataType` by the names that ONNX Runtime gives. */
const CODES: Readonly<Partial<Record<Tensor.Type, number>>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
};

export function elementTypeOf(tensor: Tensor): number | undefined {
  return CODES[tensor.type];
}

/**
 * Runs a session. @throws Error with ONNX Runtime's reason in one line.
 * @throws the signal's reason when it was aborted before the run, which itself cannot be stopped.
 */
export async function run(
  session: InferenceSession,
  feeds: Readonly<Record<string, Tensor>>,
  signal: AbortSignal,
): Promise<Readonly<Record<string, Tensor>>> {
  signal.throwIfAborted();
  let results: InferenceSession.ReturnType;
  try {
    results = await session.run(feeds);
  } catch (error) {
    throw new Error(`ONNX Runtime: ${oneLine(error)}`, { cause: error });
  }
  const tensors: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(results)) {
    // Sequences and maps have no element type; tensors always do.
    if (!('dims' in value)) throw new Error(`the value "${printable(name)}" is no tensor`);
    tensors[name] = value;
  }
  return tensors;
}

/** Values of a tensor as float32; undefined for those that are no numbers. */
export function floatValues({ data, type }: Tensor): Float32Array | undefined {
  if (data instanceof Float32Array) return data;
  if (type === 'float16' && data instanceof Uint16Array) return Float32Array.from(data, float16ToNumber);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float32Array.from(data, Number);
  // Node 24 gives half-precision values as an array of their own, which older libraries' types do not know.
  return Array.isArray(data) ? undefined : Float32Array.from(data as ArrayLike<number>);
}
