/** Ranks of matrices that were computed, not read: above all of sin(ω·A) as ω grows. */
import type { Tensor } from '../checkpoint/checkpoint';
import type { ComputeBackend } from '../compute';
import { rankMetrics, type RankMetrics } from '../spectrum';

/** A matrix by its entries, row-major. */
export interface DenseMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

export interface RanksAtOmega {
  readonly omega: number;
  readonly metrics: RankMetrics;
}

/** φ(ω·A), entry by entry. */
export function activated(A: DenseMatrix, phi: (x: number) => number, omega: number): DenseMatrix {
  return { ...A, values: A.values.map((value) => phi(omega * value)) };
}

/**
 * Singular values of a matrix in memory, descending.
 *
 * @param name for messages
 * @throws Error in one line when it holds values that are not finite or is too large; the signal's reason
 */
export async function singularValuesOf(
  matrix: DenseMatrix,
  name: string,
  backend: ComputeBackend,
  signal: AbortSignal,
): Promise<Float64Array> {
  const { rows, columns } = matrix;
  const view = { offset: 0, rows, columns, rowStride: columns };
  const result = await backend.singularValues({ tensor: tensorOf(matrix, name), matrices: [view] }, signal);
  if (result.kind === 'nonFinite') throw new Error(`${name}: holds values that are not finite`);
  if (result.kind === 'tooLarge') throw new Error(`${name}: too large: ${result.reason}`);
  const [sigma] = result.singularValues;
  if (sigma === undefined) throw new Error(`${name}: no singular values`);
  return sigma;
}

/**
 * Ranks of sin(ω·A) over ω: stable rank, on which Proposition 1 rests (Ji et al., eq. 23), energy ranks and the rest.
 *
 * @returns one entry for each ω, in their order
 */
export function ranksOverOmega(
  A: DenseMatrix,
  omegas: readonly number[],
  backend: ComputeBackend,
  signal: AbortSignal,
): Promise<RanksAtOmega[]> {
  return Promise.all(
    omegas.map(async (omega) => {
      const sigma = await singularValuesOf(activated(A, Math.sin, omega), `sin(${omega}·A)`, backend, signal);
      return { omega, metrics: rankMetrics(sigma, A.rows, A.columns) };
    }),
  );
}

function tensorOf({ rows, columns, values }: DenseMatrix, name: string): Tensor {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return {
    name,
    shape: [rows, columns],
    dtype: 'float64',
    storage: { encoding: 'memory', path: 'a computed matrix', bytes, byteLength: bytes.length },
    role: 'model',
  };
}
