/** Sums on the WebAssembly backend: by segments, which it lacks, and over leading axes, which it does by transposing. */
import { multiplyInto } from './batchMatMul';
import {
  allocate,
  floatInput,
  floatsOf,
  placeOf,
  release,
  sizeOf,
  type BackendWasm,
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

/** Columns of such a product: narrower arrays are seen with several rows side by side. */
const COLUMNS_AT_ONCE = 2 ** 10;

/** A kernel for `Sum` over the first axes of float32; other sums go to `original`. */
export function sum(original: (call: Call) => TensorInfo): (call: Call) => TensorInfo {
  return (call) => {
    const { inputs, backend, attrs } = call;
    const { x } = inputs;
    if (x?.dtype !== 'float32') return original(call);
    const count = leadingAxes(attrs.axis as Axes, x.shape.length);
    const columns = sizeOf(x.shape.slice(count));
    const rows = sizeOf(x.shape.slice(0, count));
    // A single column, or few rows, are no work for a product.
    if (count === 0 || columns < 2 || rows < 2) return original(call);
    const kept = attrs.keepDims === true ? x.shape.slice(0, count).map(() => 1) : [];
    const out = allocate(backend, [...kept, ...x.shape.slice(count)]);
    const totals = columnSums(backend, x, rows, columns);
    floatsOf(backend, out).set(totals);
    return out;
  };
}

/** In float64 over pieces that are summed in float32. */
function columnSums(backend: BackendWasm, x: TensorInfo, rows: number, columns: number): Float64Array {
  const side = Math.max(1, Math.min(rows, Math.floor(COLUMNS_AT_ONCE / columns)));
  const [wide, height] = [side * columns, Math.floor(rows / side)];
  const ones = allocate(backend, [Math.min(height, ROWS_AT_ONCE)]);
  const part = allocate(backend, [wide]);
  floatsOf(backend, ones).fill(1);
  const totals = new Float64Array(columns);
  const add = (values: Float32Array): void => {
    for (let from = 0; from < values.length; from += columns)
      for (let i = 0; i < columns; i++) totals[i] = (totals[i] ?? 0) + (values[from + i] ?? 0);
  };
  for (let first = 0; first < height; first += ROWS_AT_ONCE) {
    const some = Math.min(ROWS_AT_ONCE, height - first);
    const places = [
      placeOf(backend, ones),
      placeOf(backend, x) + 4 * first * wide,
      placeOf(backend, part),
    ] as const;
    multiplyInto(backend, places, [1, some, wide]);
    add(floatsOf(backend, part));
  }
  // What is left is less than one wide row.
  add(floatsOf(backend, x).subarray(height * wide));
  release(backend, ones);
  release(backend, part);
  return totals;
}

/** As TensorFlow.js hands it over: absent or null for all. */
type Axes = number | readonly number[] | null | undefined;

/** How many axes are summed over, if they are the first ones and not all; else 0. */
function leadingAxes(axis: Axes, rank: number): number {
  if (axis === null || axis === undefined) return 0;
  const axes = new Set([axis].flat().map((one) => (one < 0 ? one + rank : one)));
  const isLeading = [...axes].every((one) => one < axes.size) && axes.size < rank;
  return isLeading ? axes.size : 0;
}
