/** What factorizations into U (m × k) and V (n × k) have in common. */
import { multiplyOut, type ProductFactors } from '../checkpoint/activatedProduct';
import type { FitResult } from '../compute';
import type { FactoredMatrix } from './factorization';

/** Bytes of a float32. */
const FLOAT32 = 4;

/** k·(m + n): the numbers in both factors. */
export function factorParameters(rows: number, columns: number, rank: number): number {
  return rank * (rows + columns);
}

export function factorBytes(rows: number, columns: number, rank: number): number {
  return FLOAT32 * factorParameters(rows, columns, rank);
}

/** Largest k with k·(m + n) < m·n. */
export function largestSavingRank(rows: number, columns: number): number {
  return rows + columns === 0 ? 0 : Math.max(0, Math.ceil((rows * columns) / (rows + columns)) - 1);
}

/** The factors of an m × n matrix, named and shaped. */
export function factoredMatrix(
  factorization: string,
  U: Float32Array,
  V: Float32Array,
  rank: number,
  scalars: FactoredMatrix['scalars'],
): FactoredMatrix {
  const [rows, columns] = [U.length / rank, V.length / rank];
  return {
    factorization,
    rows,
    columns,
    rank,
    factors: [
      { name: 'U', shape: [rows, rank], data: U },
      { name: 'V', shape: [columns, rank], data: V },
    ],
    scalars,
  };
}

/**
 * φ(ω·U·Vᵀ)/g, m × n row-major: sums and φ in float64, the result rounded once.
 * @throws {Error} when a factor is missing or is not of the matrix' size.
 */
export function materialiseFactors(
  matrix: FactoredMatrix,
  how: Pick<ProductFactors, 'activation' | 'omega' | 'gain'>,
): Float32Array {
  const { rows, columns, rank } = matrix;
  const U = factorData(matrix, 'U', rows);
  const V = factorData(matrix, 'V', columns);
  const W = new Float32Array(rows * columns);
  multiplyOut({ ...how, rows, columns, rank, U, V, transposed: false }, W);
  return W;
}

function factorData(
  { factorization, factors, rank }: FactoredMatrix,
  name: string,
  side: number,
): Float32Array {
  const data = factors.find((factor) => factor.name === name)?.data;
  if (data?.length !== side * rank)
    throw new Error(`a ${factorization} matrix needs a factor ${name} of ${side} × ${rank} numbers`);
  return data;
}

/** A finished fit carried over into another result; what could not be fitted stays as it is. */
export function mapFit<T, R>(result: FitResult<T>, carry: (fit: T) => R): FitResult<R> {
  return result.kind === 'fit' ? { kind: 'fit', fit: carry(result.fit) } : result;
}
