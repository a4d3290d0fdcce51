/**
 * Copies on the WebAssembly backend that need be none: gradients keep what they need by `Identity`, which copied it whole.
 * Arrays are never changed in place, and the backend counts who holds them.
 */
import type { Call, TensorInfo } from './wasmHeap';

/** A kernel for `Identity`: the same memory once more. */
export function identity(original: (call: Call) => TensorInfo): (call: Call) => TensorInfo {
  return (call) => {
    const { x } = call.inputs;
    // Strings are kept elsewhere.
    return x === undefined || x.dtype === 'string' ? original(call) : shared(call, x);
  };
}

/** A kernel for `Cast`: the same memory once more where the type is the same. */
export function cast(original: (call: Call) => TensorInfo): (call: Call) => TensorInfo {
  return (call) => {
    const { x } = call.inputs;
    return x?.dtype === 'float32' && call.attrs.dtype === 'float32' ? shared(call, x) : original(call);
  };
}

function shared({ backend }: Call, { dataId, shape, dtype }: TensorInfo): TensorInfo {
  backend.incRef(dataId);
  return { dataId, shape, dtype };
}
