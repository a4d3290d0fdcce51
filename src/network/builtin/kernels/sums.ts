/** Sums on the WebAssembly backend: by segments, which it lacks, and over leading axes, which it does by transposing. */
import { multiplyInto } from './batchMatMul';
import {
  allocate,
  floatInput,
  floatsOf,
  placeOf,
  release,
  sizeOf,
  type Call,
  type TensorInfo,
} from './wasmHeap';

/** `UnsortedSegmentSum`: rows of x added up by their number, the gradient of a table that is looked up. */
export function unsortedSegmentSum(call: Call): TensorInfo {
  const { inputs, backend, attrs } = call;
  const x = floatInput(call, 'x');
  const { segmentIds } = inputs;
  if (segmentIds === undefined) throw new Error('"segmentIds" is missing');
  const segments = attrs.numSegments as number;
  const inner = x.shape.slice(segmentIds.shape.length);
  const width = sizeOf(inner);
  const out = allocate(backend, [segments, ...inner]);
  const [values, sums] = [floatsOf(backend, x), floatsOf(backend, out)];
  const ids = backend.typedArrayFromHeap(segmentIds);
  sums.fill(0);
  for (let row = 0; row < ids.length; row++) {
    const segment = ids[row] ?? -1;
    // TensorFlow leaves numbers out that are no segment's.
    if (segment < 0 || segment >= segments) continue;
    const [to, from] = [segment * width, row * width];
    for (let i = 0; i < width; i++) sums[to + i] = (sums[to + i] ?? 0) + (values[from + i] ?? 0);
  }
  return out;
}

/** Rows summed in one product with a row of ones: few enough that float32 loses nothing to speak of. */
const ROWS_AT_ONCE = 2 ** 11;

/** A kernel for `Sum` over the first axes of float32; other sums go to `original`. */
export function sum(original: (call: Call) => TensorInfo): (call: Call) => TensorInfo {
  return (call) => {
    const { inputs, backend, attrs } = call;
    const { x } = inputs;
    if (x?.dtype !== 'float32') return original(call);
    const count = leadingAxes(attrs.axis as number | readonly number[], x.shape.length);
    const columns = sizeOf(x.shape.slice(count));
    const rows = sizeOf(x.shape.slice(0, count));
    // Few columns, or few rows, are no work for a product.
    if (count === 0 || columns < 2 || rows < 2) return original(call);
    const kept = attrs.keepDims === true ? x.shape.slice(0, count).map(() => 1) : [];
    const shape = [...kept, ...x.shape.slice(count)];
    const ones = allocate(backend, [Math.min(rows, ROWS_AT_ONCE)]);
    floatsOf(backend, ones).fill(1);
    const out = allocate(backend, shape);
    const part = allocate(backend, [columns]);
    const totals = new Float64Array(columns);
    for (let first = 0; first < rows; first += ROWS_AT_ONCE) {
      const some = Math.min(ROWS_AT_ONCE, rows - first);
      const from = placeOf(backend, x) + 4 * first * columns;
      multiplyInto(backend, [placeOf(backend, ones), from, placeOf(backend, part)], [1, some, columns]);
      floatsOf(backend, part).forEach((value, i) => {
        totals[i] = (totals[i] ?? 0) + value;
      });
    }
    floatsOf(backend, out).set(totals);
    release(backend, ones);
    release(backend, part);
    return out;
  };
}

/** How many axes are summed over, if they are the first ones; else 0. */
function leadingAxes(axis: number | readonly number[], rank: number): number {
  const axes = [axis].flat().map((one) => (one < 0 ? one + rank : one));
  const isLeading = axes.every((one) => one < axes.length) && axes.length < rank;
  return isLeading ? axes.length : 0;
}
