import type { FitTarget } from '../backend';
import type { KernelInstance } from './kernels';
import { NonFiniteMatrix } from './nonFinite';
import { forEachSlab, shapeOver, widen } from './slabs';
import type { TensorElements } from './tensorElements';

/** A weight matrix out × in, held whole. */
export interface DenseMatrix {
  readonly rows: number;
  readonly columns: number;
  /** rows × columns row-major. */
  readonly values: Float64Array;
}

/** Rows widened at once. */
const SLAB = 64;

/**
 * Reads W, out × in, whichever way round the view holds it.
 * @throws {NonFiniteMatrix} when an element is NaN or infinite.
 */
export function readDense(
  target: FitTarget,
  elements: TensorElements,
  instance: KernelInstance,
): DenseMatrix {
  const { matrix, transposed } = target;
  const stored = new Float64Array(matrix.rows * matrix.columns);
  const shape = shapeOver('rows', matrix.rows, matrix.columns);
  instance.scoped(() => {
    const S = instance.allocate(SLAB * matrix.columns * 8);
    forEachSlab(matrix, shape, elements, SLAB, (address, ld, depth, done) => {
      widen(shape, elements, instance.kernels, address, ld, depth, S);
      stored.set(instance.float64(S, depth * matrix.columns), (done - depth) * matrix.columns);
    });
  });
  for (let i = 0; i < stored.length; i++) if (!Number.isFinite(stored[i])) throw new NonFiniteMatrix();
  if (!transposed) return { rows: matrix.rows, columns: matrix.columns, values: stored };
  return {
    rows: matrix.columns,
    columns: matrix.rows,
    values: transpose(stored, matrix.rows, matrix.columns),
  };
}

export function transpose(A: Float64Array, rows: number, columns: number): Float64Array {
  const T = new Float64Array(A.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) T[j * rows + i] = A[i * columns + j] ?? 0;
  return T;
}
