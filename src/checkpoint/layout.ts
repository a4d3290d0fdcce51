import type { StridedLayout } from './checkpoint';
import { CheckpointError } from './errors';

/** Axes a tensor may have; NumPy and PyTorch both stop at 64. */
export const MAX_AXES = 64;

/** Elements between neighbours along each axis of a contiguous row-major array. */
export function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    strides[axis] = (strides[axis + 1] ?? 1) * Math.max(1, shape[axis + 1] ?? 1);
  }
  return strides;
}

/** The same in column-major (Fortran) order. */
export function columnMajorStrides(shape: readonly number[]): number[] {
  return rowMajorStrides([...shape].reverse()).reverse();
}

/** Whether a view's elements follow one another without gaps in row-major order, wherever they start. */
export function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.includes(0)) return true;
  const expected = rowMajorStrides(shape);
  return shape.every((size, axis) => size === 1 || strides[axis] === expected[axis]);
}

/** One past the last element of its storage that a view reaches; 0 for an empty view. */
export function reach(shape: readonly number[], layout: StridedLayout): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((end, size, axis) => end + (size - 1) * (layout.strides[axis] ?? 0), layout.offset + 1);
}

/**
 * The sizes of a tensor, checked: whole, not negative, their product times the element size exact in a double.
 *
 * @throws CheckpointError `malformed`.
 */
export function requireShape(sizes: readonly unknown[], bytesPerElement: number): number[] {
  if (sizes.length > MAX_AXES)
    throw new CheckpointError('malformed', `${sizes.length} axes, more than ${MAX_AXES}`);
  const shape: number[] = [];
  let elements = 1;
  for (const size of sizes) {
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
      throw new CheckpointError('malformed', `a size of ${describeSize(size)}`);
    }
    shape.push(size);
    // Zero sizes do not hide the overflow of the others: nothing honest has them.
    elements *= Math.max(1, size);
  }
  if (elements * bytesPerElement > Number.MAX_SAFE_INTEGER) {
    throw new CheckpointError('malformed', `a shape of ${shape.join(' × ')} is beyond any file`);
  }
  return shape;
}

function describeSize(size: unknown): string {
  return typeof size === 'number' || typeof size === 'bigint' ? String(size) : 'no number';
}
