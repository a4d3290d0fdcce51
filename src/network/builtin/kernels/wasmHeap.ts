/**
 * Arrays in the memory of TensorFlow.js's WebAssembly backend. Its kernels know arrays by number, and a number can be
 * given to a part of an array too: so batches are multiplied without being copied.
 */
import type { NamedAttrMap, TensorInfo } from '@tensorflow/tfjs-core';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import type { Tf } from '../architecture';

export type { BackendWasm };
export type { TensorInfo };

/** What a kernel is given. */
export interface Call {
  readonly inputs: Readonly<Record<string, TensorInfo | undefined>>;
  readonly backend: BackendWasm;
  readonly attrs: NamedAttrMap;
}

/** A kernel of the backend that is not replaced here, for one float32 result. */
export function runKernel(
  tf: Tf,
  backend: BackendWasm,
  name: string,
  inputs: Record<string, TensorInfo>,
  attrs: NamedAttrMap,
): TensorInfo {
  const result = tf.getKernel(name, 'wasm').kernelFunc({ inputs, backend, attrs });
  if (!Array.isArray(result)) return result;
  throw new Error(`the kernel ${name} gives more than one array`);
}

/** One of a kernel's arrays. @throws Error when it is not there or no float32 */
export function floatInput({ inputs }: Call, name: string): TensorInfo {
  const info = inputs[name];
  if (info?.dtype === 'float32') return info;
  throw new Error(`"${name}" is ${info?.dtype ?? 'missing'}: float32 is needed`);
}

/** Elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** First byte of an array. */
export function placeOf(backend: BackendWasm, { dataId }: TensorInfo): number {
  return backend.getMemoryOffset(dataId);
}

/** A new array, not filled. */
export function allocate(backend: BackendWasm, shape: readonly number[]): TensorInfo {
  return backend.makeOutput([...shape], 'float32');
}

export function release(backend: BackendWasm, { dataId }: TensorInfo): void {
  backend.disposeData(dataId);
}

/** The elements; no longer valid after an allocation, which may move the memory. */
export function floatsOf(backend: BackendWasm, info: TensorInfo): Float32Array {
  const values = backend.typedArrayFromHeap(info);
  if (values instanceof Float32Array) return values;
  throw new Error(`an array of ${info.dtype}, not of float32`);
}

/** Runs with a part of the memory as an array of its own, which is no copy. */
export function withPart<T>(
  backend: BackendWasm,
  place: number,
  shape: readonly number[],
  use: (part: TensorInfo) => T,
): T {
  const part = backend.makeOutput([...shape], 'float32', place);
  try {
    return use(part);
  } finally {
    // Forgotten, not freed: the memory belongs to the whole.
    backend.wasm.tfjs.disposeData(numberOf(backend, part));
    backend.dataIdMap.delete(part.dataId);
  }
}

/** How the backend's own code calls an array. */
export function numberOf(backend: BackendWasm, { dataId }: TensorInfo): number {
  return backend.dataIdMap.get(dataId).id;
}

/** A stack of matrices rows × columns, each transposed: a new array. */
export function transposed(
  tf: Tf,
  backend: BackendWasm,
  place: number,
  [count, rows, columns]: readonly [number, number, number],
): TensorInfo {
  return withPart(backend, place, [count, rows, columns], (part) => {
    if (rows > 1 && columns > 1) return runKernel(tf, backend, 'Transpose', { x: part }, { perm: [0, 2, 1] });
    // The kernel would hand out the same memory once more.
    const copy = allocate(backend, [count, columns, rows]);
    floatsOf(backend, copy).set(floatsOf(backend, part));
    return copy;
  });
}
