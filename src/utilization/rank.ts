import { energyRank } from '../spectrum';
import type { Tensor } from '../checkpoint/checkpoint';
import type { Compute } from './eigenbasis';

/** Share of spectral energy that defines the rank, r_0.9999. */
const RANK_ENERGY = 0.9999;

/** r_0.9999 of singular values, descending: "the rank" of a weight, or the utilized rank when they are those of W′. */
export function rankOf(singularValues: ArrayLike<number>): number {
  return energyRank(singularValues, RANK_ENERGY);
}

/**
 * Singular values of a rows × columns matrix, descending.
 *
 * @throws Error when an element is NaN or infinite, or the matrix is too large
 */
export async function singularValuesOf(
  matrix: Float64Array,
  rows: number,
  columns: number,
  { backend, signal }: Compute,
): Promise<Float64Array> {
  if (matrix.length === 0) return new Float64Array(0);
  const view = { offset: 0, rows, columns, rowStride: columns };
  const result = await backend.singularValues(
    { tensor: inMemory(matrix, rows, columns), matrices: [view] },
    signal,
  );
  switch (result.kind) {
    case 'spectra':
      return result.singularValues[0] ?? new Float64Array(0);
    case 'nonFinite':
      throw new Error('the weight holds NaN or infinite values');
    case 'tooLarge':
      throw new Error(result.reason);
  }
}

function inMemory(matrix: Float64Array, rows: number, columns: number): Tensor {
  // Messages to workers carry whole buffers: of a view only its own part.
  const own = matrix.byteLength === matrix.buffer.byteLength ? matrix : matrix.slice();
  const bytes = new Uint8Array(own.buffer, own.byteOffset, own.byteLength);
  return {
    name: 'weight',
    shape: [rows, columns],
    dtype: 'float64',
    storage: { encoding: 'memory', path: '', bytes, byteLength: bytes.length },
    role: 'model',
  };
}
