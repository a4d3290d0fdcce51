/** The random matrices that the figures show, and their ranks. */
import type { Tensor } from '../../checkpoint/checkpoint';
import type { ComputeBackend } from '../../compute';
import { initialiseDense, initialiseSine } from '../../lowrank/initialise';
import { MAX_SEED } from '../../lowrank/randomStream';
import { rankMetrics } from '../../spectrum';
import type { Activation, FigureMatrix, Spectrum } from '../figuresDocument';

/** A matrix by its entries, row-major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

/** What a figure calls a matrix and how it was made. */
export type Naming = Pick<FigureMatrix, 'label' | 'k' | 'activation' | 'omega'>;

/** Kaiming-uniform, as a layer that follows or precedes a ReLU starts: 𝒰(−√(6/n), √(6/n)). */
export function fullRankMatrix(rows: number, columns: number, seed: number): Matrix {
  return { rows, columns, values: Float64Array.from(initialiseDense(rows, columns, seed)) };
}

/**
 * U·Vᵀ in float64, of the factors that a sine-low-rank layer starts from, so that every activation is taken of the
 * same matrix. The factors have the seed after the full-rank matrix'.
 */
export function lowRankMatrix(rows: number, columns: number, rank: number, seed: number): Matrix {
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
export function activated({ rows, columns, values }: Matrix, activation: Activation, omega: number): Matrix {
  const phi = FUNCTIONS[activation];
  return { rows, columns, values: values.map((value) => phi(omega * value)) };
}

/** The spectrum of a matrix, scaled to σ₁ = 1, and its ranks. @throws the signal's reason when cancelled */
export async function spectrumOf(
  matrix: Matrix,
  naming: Naming,
  backend: ComputeBackend,
  signal: AbortSignal,
): Promise<Spectrum> {
  const { rows, columns } = matrix;
  const view = { offset: 0, rows, columns, rowStride: columns };
  const result = await backend.singularValues(
    { tensor: tensorOf(matrix, naming.label), matrices: [view] },
    signal,
  );
  const [sigma] = result.kind === 'spectra' ? result.singularValues : [];
  if (sigma === undefined) throw new Error(`no singular values of ${naming.label}`);
  const { stableRank, effectiveRank, energyRanks, spectralNorm } = rankMetrics(sigma, rows, columns);
  return {
    ...naming,
    shape: [rows, columns],
    spectralNorm,
    stableRank,
    effectiveRank,
    energyRanks,
    singularValues: Array.from(sigma, (value) => value / spectralNorm),
  };
}

/** A spectrum without its singular values. */
export function factsOf({ singularValues: _, ...facts }: Spectrum): FigureMatrix {
  return facts;
}

function tensorOf({ rows, columns, values }: Matrix, name: string): Tensor {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return {
    name,
    shape: [rows, columns],
    dtype: 'float64',
    storage: { encoding: 'memory', path: 'a random matrix', bytes, byteLength: bytes.length },
    role: 'model',
  };
}
