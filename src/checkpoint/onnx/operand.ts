/** From an operand of a node to the stored values behind it. */
import type { OnnxNode } from './model';
import { type Scope, MAX_CHAIN } from './scope';
import type { OnnxTensor } from './tensor';
import { type View, reshapedView, transposedView, wholeView } from './view';

/** The numbers of a small constant, such as a shape; undefined for anything else. */
export type Numbers = (tensor: OnnxTensor | undefined) => readonly number[] | undefined;

/** A node and the graph it stands in. */
interface Step {
  readonly node: OnnxNode;
  readonly scope: Scope;
}

export interface StoredOperand {
  readonly tensor: OnnxTensor;
  /** As the operator sees the values; undefined behind nodes of which that is not known. */
  readonly view: View | undefined;
}

/** Nodes that hand their first input on, value by value. Quantising and dequantising change values, not places. */
const COPIES: ReadonlySet<string> = new Set([
  'Identity',
  'Cast',
  'CastLike',
  'QuantizeLinear',
  'DequantizeLinear',
]);
const MOVES: ReadonlySet<string> = new Set(['Transpose', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']);

/** The stored values behind a name; undefined for those that are computed from others, or given. */
export function storedOperand(scope: Scope, name: string, numbers: Numbers): StoredOperand | undefined {
  const moves: Step[] = [];
  let found = scope.define(name);
  for (let step = 0; step < MAX_CHAIN && found.kind === 'computed'; step++) {
    const { node, scope: inner } = found;
    if (MOVES.has(node.operator)) moves.unshift({ node, scope: inner });
    else if (!COPIES.has(node.operator)) return undefined;
    found = inner.define(node.inputs[0] ?? '');
  }
  if (found.kind !== 'stored') return undefined;
  const { tensor } = found;
  let view: View | undefined = wholeView(tensor.shape);
  for (const move of moves) view = view && moved(view, move, numbers);
  return { tensor, view };
}

function moved(view: View, { node, scope }: Step, numbers: Numbers): View | undefined {
  const second = (): readonly number[] | undefined => numbers(scope.constant(node.inputs[1] ?? ''));
  switch (node.operator) {
    case 'Transpose':
      return transposedView(view, node.attributes.get('perm')?.integers);
    case 'Reshape': {
      const sizes = second();
      return sizes && reshapedView(view, sizes);
    }
    case 'Flatten': {
      const axis = node.attributes.get('axis')?.integer ?? 1;
      const rows = view.shape.slice(0, axis).reduce((product, size) => product * size, 1);
      return reshapedView(view, [rows, -1]);
    }
    default: {
      // An attribute before operator set 13, an input since.
      const axes = node.attributes.get('axes')?.integers ?? second();
      return axes && withAxes(view, axes, node.operator === 'Unsqueeze');
    }
  }
}

/** Axes of size 1 put in, or taken out. */
function withAxes(view: View, axes: readonly number[], isPutIn: boolean): View | undefined {
  const count = view.shape.length + (isPutIn ? axes.length : 0);
  const at = new Set(axes.map((axis) => (axis < 0 ? axis + count : axis)));
  const shape: number[] = [];
  const strides: number[] = [];
  let next = 0;
  for (let axis = 0; axis < count; axis++) {
    const isNew = isPutIn && at.has(axis);
    const size = isNew ? 1 : (view.shape[next] ?? 0);
    const stride = isNew ? 1 : (view.strides[next] ?? 0);
    if (!isNew) next++;
    if (!isPutIn && at.has(axis)) {
      if (size !== 1) return undefined;
      continue;
    }
    shape.push(size);
    strides.push(stride);
  }
  return next === view.shape.length ? { shape, strides } : undefined;
}
