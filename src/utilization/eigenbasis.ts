import type { ComputeBackend } from '../compute';
import { transpose } from './matrices';

/** What the linear algebra runs on, and what ends it. */
export interface Compute {
  readonly backend: Pick<ComputeBackend, 'product' | 'symmetricEigen' | 'singularValues'>;
  readonly signal: AbortSignal;
}

/** Eigenvectors of a Gram matrix, those of the largest energy first. The k first span the subspace of dimension k. */
export interface Eigenbasis {
  /** n eigenvalues, descending, never negative: what is below zero is rounding of a matrix that has no such energy. */
  readonly energies: Float64Array;
  /** n × n row-major; row i is the unit eigenvector of energies[i]. */
  readonly vectors: Float64Array;
}

/** Eigenvectors of a Gram matrix of one group: n × n, symmetric, positive semidefinite (Σ x·xᵀ, or W·(Σ x·xᵀ)·Wᵀ). */
export async function eigenbasis(
  gram: Float64Array,
  n: number,
  { backend, signal }: Compute,
): Promise<Eigenbasis> {
  const { values, vectors } = await backend.symmetricEigen(gram, n, signal);
  const energies = new Float64Array(n);
  const descending = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const from = n - 1 - i;
    energies[i] = Math.max(0, values[from] ?? 0);
    descending.set(vectors.subarray(from * n, from * n + n), i * n);
  }
  return { energies, vectors: descending };
}

/**
 * σᵢ(W·G^{1/2})², the min(m, n) largest, descending: the energy that each direction of a layer carries on its inputs, and
 * so what truncated SVD in their norm leaves out. G = Σ x·xᵀ of one group, n × n.
 *
 * @param weight m × n
 */
export async function weightedEnergies(
  weight: Float64Array,
  m: number,
  n: number,
  gram: Float64Array,
  compute: Compute,
): Promise<Float64Array> {
  const { backend, signal } = compute;
  const onInputs = await backend.product({ A: weight, B: gram, rows: m, inner: n, columns: n }, signal);
  const outputs = await backend.product(
    { A: onInputs, B: transpose(weight, m, n), rows: m, inner: n, columns: m },
    signal,
  );
  const { energies } = await eigenbasis(outputs, m, compute);
  return energies.slice(0, Math.min(m, n));
}

/** Whether all that was summed was finite: any other value reaches its own diagonal element. */
export function isFiniteGram(gram: Float64Array, n: number): boolean {
  for (let start = 0; start < gram.length; start += n * n)
    for (let i = 0; i < n; i++) if (!Number.isFinite(gram[start + i * n + i])) return false;
  return true;
}
