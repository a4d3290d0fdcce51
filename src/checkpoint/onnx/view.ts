/** Stored values as an operator sees them, behind nodes that only move axes about. */
import { elementCount } from '../checkpoint';
import { isRowMajor, rowMajorStrides } from '../layout';

/** Sizes, and elements between neighbours along each axis in the stored order. */
export interface View {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

export function wholeView(shape: readonly number[]): View {
  return { shape, strides: rowMajorStrides(shape) };
}

/** Axes in another order; without one, reversed. Undefined when it is no order of these axes. */
export function transposedView(
  { shape, strides }: View,
  given: readonly number[] | undefined,
): View | undefined {
  const order = given ?? shape.map((_, axis) => shape.length - 1 - axis);
  const isOrder =
    order.length === shape.length && [...order].sort((a, b) => a - b).every((axis, i) => axis === i);
  if (!isOrder) return undefined;
  return { shape: order.map((axis) => shape[axis] ?? 0), strides: order.map((axis) => strides[axis] ?? 0) };
}

/** The same elements in another shape, as Reshape gives it: 0 keeps an axis, one -1 is what remains. */
export function reshapedView(view: View, sizes: readonly number[]): View | undefined {
  if (!isRowMajor(view.shape, view.strides)) return undefined;
  const elements = elementCount(view.shape);
  const known = sizes.map((size, axis) => (size === 0 ? (view.shape[axis] ?? 0) : size));
  const others = elementCount(known.filter((size) => size !== -1));
  const shape = known.map((size) => (size === -1 ? elements / others : size));
  const isWhole = shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  return isWhole && elementCount(shape) === elements ? wholeView(shape) : undefined;
}

/** Without its leading axes of size 1, down to `axes` axes. */
export function withoutLeadingOnes(view: View, axes: number): View {
  const extra = Math.max(0, view.shape.length - axes);
  if (view.shape.slice(0, extra).some((size) => size !== 1)) return view;
  return { shape: view.shape.slice(extra), strides: view.strides.slice(extra) };
}
