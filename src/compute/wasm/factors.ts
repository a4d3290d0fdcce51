/** Factor pairs of a matrix, and how far their product is from it: everything in float64. */
import type { DenseMatrix } from './denseMatrix';
import { product } from './denseProducts';
import type { KernelInstance } from './kernels';

/** Rows of the matrix taken together; a band of its approximation in float64 is all that is held. */
const BAND_ROWS = 256;

/** Two factors, rank k: U is rows × k, V columns × k, row-major. */
export interface Factors<T = Float32Array> {
  readonly rank: number;
  readonly U: T;
  readonly V: T;
}

/** How phases U·Vᵀ become elements. */
export type Activation = (phase: number) => number;

/** Visits a matrix in bands of whole rows. */
export function forEachBand(rows: number, visit: (first: number, count: number) => void): void {
  for (let first = 0; first < rows; first += BAND_ROWS) visit(first, Math.min(BAND_ROWS, rows - first));
}

export function transposed(A: Float64Array | Float32Array, rows: number, columns: number): Float64Array {
  const T = new Float64Array(A.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) T[j * rows + i] = A[i * columns + j] ?? 0;
  return T;
}

/**
 * ‖(W − φ(U·Vᵀ))·G^{1/2}‖ ÷ ‖W·G^{1/2}‖, by way of ‖R·G^{1/2}‖² = Σ (R·G)∘R; without G the Frobenius norm. Defined as 0
 * where W itself has norm 0.
 * @param G input Gram matrix, columns × columns.
 */
export function relativeError(
  W: DenseMatrix,
  { rank, U, V }: Factors,
  activation: Activation,
  G: Float64Array | undefined,
  instance: KernelInstance,
): number {
  const { rows, columns } = W;
  const right = transposed(V, columns, rank);
  let [error, whole] = [0, 0];
  forEachBand(rows, (first, count) => {
    const left = Float64Array.from(U.subarray(first * rank, (first + count) * rank));
    const R = instance.scoped(() =>
      product({ A: left, B: right, rows: count, inner: rank, columns }, instance),
    );
    const band = Float64Array.from(W.band(first, count));
    for (let i = 0; i < R.length; i++) R[i] = (band[i] ?? 0) - activation(R[i] ?? 0);
    error += squaredNorm(R, count, columns, G, instance);
    whole += squaredNorm(band, count, columns, G, instance);
  });
  // A Gram matrix is semi-definite only up to rounding.
  return error <= 0 || whole <= 0 ? 0 : Math.sqrt(error / whole);
}

function squaredNorm(
  R: Float64Array,
  rows: number,
  columns: number,
  G: Float64Array | undefined,
  instance: KernelInstance,
): number {
  const weighted =
    G === undefined
      ? R
      : instance.scoped(() => product({ A: R, B: G, rows, inner: columns, columns }, instance));
  let sum = 0;
  for (let i = 0; i < R.length; i++) sum += (R[i] ?? 0) * (weighted[i] ?? 0);
  return sum;
}
