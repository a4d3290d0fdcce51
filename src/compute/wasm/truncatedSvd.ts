import type { TruncatedSvd } from '../backend';
import { transpose, type DenseMatrix } from './fitTarget';
import type { KernelInstance } from './kernels';
import { symmetricEigen } from './symmetricEigen';

/** Two factors of a matrix, in float64. */
export interface Factors {
  /** rows × rank row-major, U·√Σ. */
  readonly U: Float64Array;
  /** columns × rank row-major, V·√Σ. */
  readonly V: Float64Array;
}

/**
 * Truncated SVD by way of the float64 Gram matrix of the smaller side: its top eigenvectors, and the other side as the
 * product with them, so that the factors are a projection of W whatever rounding did to the small singular values.
 */
export function svdFactors(W: DenseMatrix, rank: number, instance: KernelInstance): Factors {
  const { rows, columns } = W;
  if (rows > columns) {
    const { U, V } = svdFactors(
      { rows: columns, columns: rows, values: transpose(W.values, rows, columns) },
      rank,
      instance,
    );
    return { U: V, V: U };
  }
  const gram = rowGram(W);
  const { vectors } = instance.scoped(() => symmetricEigen(gram, rows, instance));
  const U = new Float64Array(rows * rank);
  const V = new Float64Array(columns * rank);
  for (let r = 0; r < rank; r++) {
    const u = vectors.subarray((rows - 1 - r) * rows, (rows - r) * rows);
    const v = new Float64Array(columns);
    for (let i = 0; i < rows; i++) {
      const weight = u[i] ?? 0;
      for (let j = 0; j < columns; j++) v[j] = (v[j] ?? 0) + weight * (W.values[i * columns + j] ?? 0);
    }
    const sigma = Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
    const root = Math.sqrt(sigma);
    for (let i = 0; i < rows; i++) U[i * rank + r] = (u[i] ?? 0) * root;
    for (let j = 0; j < columns; j++) V[j * rank + r] = root === 0 ? 0 : (v[j] ?? 0) / root;
  }
  return { U, V };
}

function rowGram({ rows, columns, values }: DenseMatrix): Float64Array {
  const G = new Float64Array(rows * rows);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < columns; k++)
        sum += (values[i * columns + k] ?? 0) * (values[j * columns + k] ?? 0);
      G[i * rows + j] = sum;
    }
  return G;
}

/** G^{1/2} and its pseudo-inverse, of a symmetric positive semi-definite n × n matrix. */
export interface GramRoot {
  readonly root: Float64Array;
  readonly inverse: Float64Array;
}

/** Eigenvalues below this share of the largest are rounding: their directions carry no input. */
const RANK_TOLERANCE = 1e-12;

export function gramRoot(G: Float64Array, n: number, instance: KernelInstance): GramRoot {
  const { values, vectors } = instance.scoped(() => symmetricEigen(G, n, instance));
  const floor = (values[n - 1] ?? 0) * RANK_TOLERANCE;
  const root = new Float64Array(n * n);
  const inverse = new Float64Array(n * n);
  for (let q = 0; q < n; q++) {
    const lambda = values[q] ?? 0;
    if (!(lambda > floor)) continue;
    const s = Math.sqrt(lambda);
    for (let i = 0; i < n; i++) {
      const vi = vectors[q * n + i] ?? 0;
      for (let j = 0; j < n; j++) {
        const product = vi * (vectors[q * n + j] ?? 0);
        root[i * n + j] = (root[i * n + j] ?? 0) + product * s;
        inverse[i * n + j] = (inverse[i * n + j] ?? 0) + product / s;
      }
    }
  }
  return { root, inverse };
}

/** A·B, row-major. */
export function multiply(
  A: Float64Array,
  B: Float64Array,
  rows: number,
  inner: number,
  columns: number,
): Float64Array {
  const C = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < inner; k++) {
      const a = A[i * inner + k] ?? 0;
      for (let j = 0; j < columns; j++)
        C[i * columns + j] = (C[i * columns + j] ?? 0) + a * (B[k * columns + j] ?? 0);
    }
  return C;
}

/** The best rank-k approximation in the norm of the inputs: SVD of W·G^{1/2}, with the root divided out again. */
export function truncatedSvd(
  W: DenseMatrix,
  rank: number,
  gram: GramRoot | undefined,
  instance: KernelInstance,
): TruncatedSvd {
  const { rows, columns } = W;
  const factors =
    gram === undefined
      ? svdFactors(W, rank, instance)
      : svdFactors(
          { rows, columns, values: multiply(W.values, gram.root, rows, columns, columns) },
          rank,
          instance,
        );
  const V = gram === undefined ? factors.V : multiply(gram.inverse, factors.V, columns, columns, rank);
  const [U32, V32] = [Float32Array.from(factors.U), Float32Array.from(V)];
  return { U: U32, V: V32, relativeError: relativeError(W, rank, U32, V32, (x) => x, gram) };
}

/** ‖(W − φ(U·Vᵀ))·G^{1/2}‖ ÷ ‖W·G^{1/2}‖ in float64; 0 for a zero matrix fitted by zeros. */
export function relativeError(
  W: DenseMatrix,
  rank: number,
  U: Float32Array,
  V: Float32Array,
  activation: (x: number) => number,
  gram?: GramRoot,
): number {
  const { rows, columns, values } = W;
  const R = new Float64Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += (U[i * rank + r] ?? 0) * (V[j * rank + r] ?? 0);
      R[i * columns + j] = (values[i * columns + j] ?? 0) - activation(sum);
    }
  const [error, whole] =
    gram === undefined
      ? [R, values]
      : [multiply(R, gram.root, rows, columns, columns), multiply(values, gram.root, rows, columns, columns)];
  const norm = Math.sqrt(sumOfSquares(whole));
  const distance = Math.sqrt(sumOfSquares(error));
  return norm === 0 ? distance : distance / norm;
}

function sumOfSquares(values: Float64Array): number {
  let sum = 0;
  for (const x of values) sum += x * x;
  return sum;
}
