import type { OnnxTensor } from '../../checkpoint/onnx';
import { type Tensor, elementCount } from '../../checkpoint/checkpoint';
import { type View, transposedView, wholeView } from '../../checkpoint/onnx/view';
import { readTensorBytes } from '../../checkpoint/tensorData';
import type { GraphIndex } from './graph';
import { float16ToNumber, numberToFloat16 } from './float16';

/** Types of weights that are read and written back. */
const WEIGHT_TYPES: ReadonlySet<string> = new Set(['float32', 'float16', 'float64']);

/** Stored values behind an operand: followed through nodes that only copy, convert or transpose. */
export interface StoredWeight {
  /** The initializer (or Constant output) that can be replaced. */
  readonly name: string;
  readonly stored: OnnxTensor;
  readonly tensor: Tensor;
  /** As the operator sees it. */
  readonly shape: readonly number[];
  /** Elements between neighbours along each axis of `shape`, in the stored order. */
  readonly strides: readonly number[];
}

export type WeightSearch =
  | { readonly kind: 'weight'; readonly weight: StoredWeight }
  /** Depends on the network's input. */
  | { readonly kind: 'dynamic' }
  /** Constant, but not stored as a matrix of floating-point numbers; `reason` completes "is not measured: …". */
  | { readonly kind: 'other'; readonly reason: string };

/** Longest chain of copies that is followed. */
const MAX_STEPS = 16;

/** The stored weight behind an operand of a node. */
export function findWeight(graph: GraphIndex, operand: string): WeightSearch {
  if (graph.isDynamic(operand)) return { kind: 'dynamic' };
  /** Permutations met on the way from the operand to what is stored. */
  const permutations: (readonly number[] | undefined)[] = [];
  let name = operand;
  for (let step = 0; step < MAX_STEPS; step++) {
    const stored = graph.stored(name);
    if (stored !== undefined) return storedWeight(name, stored, permutations);
    const node = graph.nodes[graph.producer(name) ?? -1];
    if (node === undefined) return { kind: 'other', reason: 'its weight is not in the model' };
    if (node.operator.includes('DequantizeLinear'))
      return { kind: 'other', reason: 'its weight is quantised' };
    if (node.operator === 'Transpose') permutations.unshift(node.attributes.get('perm')?.integers);
    else if (node.operator !== 'Identity' && node.operator !== 'Cast')
      return { kind: 'other', reason: `its weight is computed by ${node.operator}` };
    name = node.inputs[0] ?? '';
  }
  return { kind: 'other', reason: 'its weight is behind a long chain of copies' };
}

function storedWeight(
  name: string,
  stored: OnnxTensor,
  permutations: readonly (readonly number[] | undefined)[],
): WeightSearch {
  const { tensor } = stored;
  if (tensor === undefined) return { kind: 'other', reason: stored.reason ?? 'its values cannot be read' };
  if (!WEIGHT_TYPES.has(tensor.dtype))
    return { kind: 'other', reason: `its weight is stored as ${tensor.dtype}` };
  let view: View | undefined = wholeView(stored.shape);
  for (const given of permutations) view = view && transposedView(view, given);
  if (view === undefined)
    return { kind: 'other', reason: 'its weight is transposed in a way that does not fit its shape' };
  return { kind: 'weight', weight: { name, stored, tensor, ...view } };
}

/** A weight as groups × m × n, laid over the stored values. */
export interface WeightView {
  readonly name: string;
  readonly tensor: Tensor;
  /** Sizes and strides (in stored elements) whose row-major order is groups × m × n. */
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** W out × in of a matrix operand. */
export function matrixView({ name, tensor, shape, strides }: StoredWeight, isInByOut: boolean): WeightView {
  const turn = (values: readonly number[]): readonly number[] => (isInByOut ? [...values].reverse() : values);
  return { name, tensor, shape: turn(shape), strides: turn(strides) };
}

/** groups × (O/groups) × (I/groups·k…): an O × I/groups × k… kernel already lies so. */
export function kernelView({ name, tensor, shape, strides }: StoredWeight): WeightView {
  return { name, tensor, shape, strides };
}

export function isSameView(a: WeightView, b: WeightView): boolean {
  return a.name === b.name && String(a.shape) === String(b.shape) && String(a.strides) === String(b.strides);
}

/** Stored index of every element of the view, in the view's row-major order. */
function forEachElement(
  { shape, strides }: WeightView,
  visit: (index: number, stored: number) => void,
): void {
  const last = shape.length - 1;
  const index = new Array<number>(shape.length).fill(0);
  const total = elementCount(shape);
  let stored = 0;
  for (let i = 0; i < total; i++) {
    visit(i, stored);
    for (let axis = last; axis >= 0; axis--) {
      const next = (index[axis] ?? 0) + 1;
      const isWithin = next < (shape[axis] ?? 1);
      stored += (isWithin ? 1 : 1 - next) * (strides[axis] ?? 0);
      index[axis] = isWithin ? next : 0;
      if (isWithin) break;
    }
  }
}

/** groups × m × n in float64. @throws CheckpointError naming tensor and byte. */
export async function readWeight(view: WeightView): Promise<Float64Array> {
  const values = decode(await readTensorBytes(view.tensor), view.tensor.dtype);
  const weight = new Float64Array(values.length);
  forEachElement(view, (i, stored) => {
    weight[i] = values[stored] ?? 0;
  });
  return weight;
}

/** The stored bytes that hold these values: the inverse of `readWeight`, rounded to the stored type. */
export function encodeWeight(view: WeightView, weight: Float64Array): Uint8Array {
  const values = new Float64Array(weight.length);
  forEachElement(view, (i, stored) => {
    values[stored] = weight[i] ?? 0;
  });
  const { dtype } = view.tensor;
  if (dtype === 'float64') return new Uint8Array(values.buffer);
  if (dtype === 'float16') return new Uint8Array(Uint16Array.from(values, numberToFloat16).buffer);
  return new Uint8Array(Float32Array.from(values).buffer);
}

function decode(bytes: Uint8Array, dtype: string): Float32Array | Float64Array {
  const { buffer, byteOffset, byteLength } = bytes;
  if (dtype === 'float64') return new Float64Array(buffer, byteOffset, byteLength / 8);
  if (dtype === 'float16')
    return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), float16ToNumber);
  return new Float32Array(buffer, byteOffset, byteLength / 4);
}
