/**
 * Parts of arrays on the WebAssembly backend, whose own kernel copies the whole array first, or takes elements one by
 * one.
 */
import type { NamedAttrMap } from '@tensorflow/tfjs-core';
import type { Tf } from '../architecture';
import { sizeOf, type Call, type TensorInfo } from './wasmHeap';

/** A kernel for `Slice`, which copies runs of elements that follow one another. */
export function slice(tf: Tf, original: (call: Call) => TensorInfo): (call: Call) => TensorInfo {
  return (call) => {
    const { inputs, backend, attrs } = call;
    const { x } = inputs;
    if (x === undefined || !(x.dtype === 'float32' || x.dtype === 'int32') || x.shape.length === 0)
      return original(call);
    const [begin, size] = partOf(tf, x, attrs);
    const out = backend.makeOutput([...size], x.dtype);
    if (sizeOf(size) === 0) return out;
    const [source, target] = [backend.typedArrayFromHeap(x), backend.typedArrayFromHeap(out)];
    const { outer, starts, run } = runsOf(x.shape, begin, size);
    for (let i = 0; i < outer; i++) target.set(source.subarray(starts(i), starts(i) + run), i * run);
    return out;
  };
}

function partOf(tf: Tf, x: TensorInfo, attrs: NamedAttrMap): readonly [readonly number[], readonly number[]] {
  const { begin, size } = attrs;
  // What `tf.slice` takes is handed over as it is given: -1 for the rest, axes left out.
  const [first = [], sizes = []] = tf.slice_util.parseSliceParams(x, begin as number[], size as number[]);
  tf.slice_util.assertParamsValid(x, first, sizes);
  return [first, sizes];
}

/** The longest runs: all axes after the last that is cut belong to one. */
function runsOf(
  shape: readonly number[],
  begin: readonly number[],
  size: readonly number[],
): { readonly outer: number; readonly starts: (i: number) => number; readonly run: number } {
  const cut = size.findLastIndex((count, axis) => count !== shape[axis]);
  const axis = Math.max(0, cut);
  const inner = sizeOf(shape.slice(axis + 1));
  const outerSizes = size.slice(0, axis);
  const starts = (i: number): number => {
    let [rest, start, stride] = [i, (begin[axis] ?? 0) * inner, (shape[axis] ?? 1) * inner];
    for (let a = axis - 1; a >= 0; a--) {
      const count = outerSizes[a] ?? 1;
      start += ((rest % count) + (begin[a] ?? 0)) * stride;
      rest = Math.floor(rest / count);
      stride *= shape[a] ?? 1;
    }
    return start;
  };
  return { outer: sizeOf(outerSizes), starts, run: (size[axis] ?? 1) * inner };
}
