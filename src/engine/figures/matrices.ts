/** The random matrices that the figures show, and their ranks. */
import type { ComputeBackend } from '../../compute';
import { initialiseDense, initialiseSine } from '../../lowrank/initialise';
import { MAX_SEED } from '../../lowrank/randomStream';
import { activated, singularValuesOf, type DenseMatrix } from '../../lowrank/rankSweep';
import { rankMetrics, type RankMetrics } from '../../spectrum';
import type { Activation, FigureMatrix, Spectrum } from '../figuresDocument';

/** What a figure calls a matrix and how it was made. */
export type Naming = Pick<FigureMatrix, 'label' | 'k' | 'activation' | 'omega'>;

/** Kaiming-uniform, as a layer that follows or precedes a ReLU starts: 𝒰(−√(6/n), √(6/n)). */
export function fullRankMatrix(rows: number, columns: number, seed: number): DenseMatrix {
  return { rows, columns, values: Float64Array.from(initialiseDense(rows, columns, seed)) };
}

/**
 * U·Vᵀ in float64, of the factors that a sine-low-rank layer starts from, so that every activation is taken of the
 * same matrix. The factors have the seed after the full-rank matrix'.
 */
export function lowRankMatrix(rows: number, columns: number, rank: number, seed: number): DenseMatrix {
  const { factors } = initialiseSine({ rows, columns, rank, seed: seed === MAX_SEED ? 0 : seed + 1 });
  const [U, V] = factors.map(({ data }) => Float64Array.from(data));
  const values = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += (U?.[i * rank + r] ?? 0) * (V?.[j * rank + r] ?? 0);
      values[i * columns + j] = sum;
    }
  return { rows, columns, values };
}

const FUNCTIONS: Readonly<Record<Activation, (x: number) => number>> = {
  identity: (x) => x,
  sine: Math.sin,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  relu: (x) => Math.max(0, x),
};

/** φ(ω·A), entry by entry (eq. 3 without the gain, which no normalised spectrum sees). */
export function nonLinear(A: DenseMatrix, activation: Activation, omega: number): DenseMatrix {
  return activated(A, FUNCTIONS[activation], omega);
}

/** The spectrum of a matrix, scaled to σ₁ = 1, and its ranks. @throws the signal's reason when cancelled */
export async function spectrumOf(
  matrix: DenseMatrix,
  naming: Naming,
  backend: ComputeBackend,
  signal: AbortSignal,
): Promise<Spectrum> {
  const sigma = await singularValuesOf(matrix, naming.label, backend, signal);
  const metrics = rankMetrics(sigma, matrix.rows, matrix.columns);
  return {
    ...factsOf(matrix, naming, metrics),
    singularValues: Array.from(sigma, (value) => value / metrics.spectralNorm),
  };
}

/** What a document tells of a matrix. */
export function factsOf(
  { rows, columns }: DenseMatrix,
  naming: Naming,
  { spectralNorm, stableRank, effectiveRank, energyRanks }: RankMetrics,
): FigureMatrix {
  return { ...naming, shape: [rows, columns], spectralNorm, stableRank, effectiveRank, energyRanks };
}

/** A spectrum without its singular values. */
export function withoutValues({ singularValues: _, ...facts }: Spectrum): FigureMatrix {
  return facts;
}
