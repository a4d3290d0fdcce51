import type { OnFraction } from '../backend';
import type { DenseMatrix } from './denseMatrix';
import { accumulateGram, product } from './denseProducts';
import { forEachBand, relativeError, transposed, type Factors } from './factors';
import type { KernelInstance } from './kernels';
import { symmetricEigen } from './symmetricEigen';

/** Shares of the progress bar: the eigenvectors take the most of a square matrix. */
const [AFTER_GRAM, AFTER_EIGENVECTORS] = [0.2, 0.9];

/** An elementwise function of a matrix whose factors are wanted. */
type Elementwise = (x: number) => number;

/**
 * Top k singular pairs of f(W): eigenvectors of the float64 Gram matrix of the smaller side, and the other factor as the
 * product with them. The result is a projection of f(W) whatever rounding does to small singular values, so its error is
 * that of the best approximation to within rounding. √Σ goes to either factor.
 */
export function svdFactors(
  W: DenseMatrix,
  rank: number,
  f: Elementwise | undefined,
  instance: KernelInstance,
  onFraction?: OnFraction,
): Factors<Float64Array> {
  const { rows, columns } = W;
  const isTall = rows >= columns;
  const [small, long] = isTall ? [columns, rows] : [rows, columns];
  const band = (first: number, count: number): Float32Array => {
    const values = isTall ? W.band(first, count) : W.transposedBand(first, count);
    return f === undefined ? values : values.map(f);
  };
  const gram = new Float64Array(small * small);
  forEachBand(long, (first, count) => {
    instance.scoped(() => accumulateGram({ gram, n: small, rows: band(first, count) }, instance));
    onFraction?.((AFTER_GRAM * (first + count)) / long);
  });
  const Q = topEigenvectors(gram, small, rank, instance);
  onFraction?.(AFTER_EIGENVECTORS);
  const P = new Float64Array(long * rank);
  forEachBand(long, (first, count) => {
    const A = Float64Array.from(band(first, count));
    const request = { A, B: Q, rows: count, inner: small, columns: rank };
    P.set(
      instance.scoped(() => product(request, instance)),
      first * rank,
    );
  });
  return balanced(isTall ? { rank, U: P, V: Q } : { rank, U: Q, V: P });
}

/**
 * The best approximation of rank k in the norm of the inputs, ‖(W − Ŵ)·G^{1/2}‖: the projection Q·Qᵀ·W on the top
 * eigenvectors Q of W·G·Wᵀ, which are the left singular vectors of W·G^{1/2}. It needs no root of G, so G may be
 * singular.
 */
export function weightedSvdFactors(
  W: DenseMatrix,
  rank: number,
  G: Float64Array,
  instance: KernelInstance,
): Factors<Float64Array> {
  const { rows, columns } = W;
  const all = Float64Array.from(W.band(0, rows));
  const multiply = (A: Float64Array, B: Float64Array, m: number, inner: number, n: number): Float64Array =>
    instance.scoped(() => product({ A, B, rows: m, inner, columns: n }, instance));
  const weighted = multiply(all, G, rows, columns, columns);
  const outer = multiply(weighted, transposed(all, rows, columns), rows, columns, rows);
  const U = topEigenvectors(outer, rows, rank, instance);
  const V = transposed(multiply(transposed(U, rows, rank), all, rank, rows, columns), rank, columns);
  return balanced({ rank, U, V });
}

/** n × k: columns are the unit eigenvectors of the k largest eigenvalues. */
function topEigenvectors(A: Float64Array, n: number, k: number, instance: KernelInstance): Float64Array {
  const { vectors } = instance.scoped(() => symmetricEigen(A, n, instance));
  const top = new Float64Array(n * k);
  for (let r = 0; r < k; r++) for (let i = 0; i < n; i++) top[i * k + r] = vectors[(n - 1 - r) * n + i] ?? 0;
  return top;
}

/** The same product with columns of equal length in both factors. */
function balanced({ rank, U, V }: Factors<Float64Array>): Factors<Float64Array> {
  const [u, v] = [columnNorms(U, rank), columnNorms(V, rank)];
  const shrink = u.map((norm, r) => (norm === 0 ? 0 : Math.sqrt((v[r] ?? 0) / norm)));
  const grow = v.map((norm, r) => (norm === 0 ? 0 : Math.sqrt((u[r] ?? 0) / norm)));
  return {
    rank,
    U: U.map((x, i) => x * (shrink[i % rank] ?? 0)),
    V: V.map((x, i) => x * (grow[i % rank] ?? 0)),
  };
}

function columnNorms(A: Float64Array, columns: number): Float64Array {
  const squares = new Float64Array(columns);
  for (let i = 0; i < A.length; i++) squares[i % columns] = (squares[i % columns] ?? 0) + (A[i] ?? 0) ** 2;
  return squares.map(Math.sqrt);
}

/** Factors as they are kept, and their error. */
export interface RoundedSvd extends Factors {
  readonly relativeError: number;
}

/** Truncated SVD of the matrix held, rounded to float32, in the norm of the inputs where G is given. */
export function truncatedSvd(
  W: DenseMatrix,
  rank: number,
  G: Float64Array | undefined,
  instance: KernelInstance,
  onFraction?: OnFraction,
): RoundedSvd {
  const { U, V } =
    G === undefined
      ? svdFactors(W, rank, undefined, instance, onFraction)
      : weightedSvdFactors(W, rank, G, instance);
  const factors: Factors = { rank, U: Float32Array.from(U), V: Float32Array.from(V) };
  return { ...factors, relativeError: relativeError(W, factors, (x) => x, G, instance) };
}
