/** Singular values of small layers by Jacobi's method: nothing of the product's numerics in it. */
import { elementCount, type Tensor } from '../../src/checkpoint/checkpoint';
import { decodeElements } from '../../src/checkpoint/elements';
import type { Layer } from '../../src/checkpoint/layers';
import { readTensorBytes } from '../../src/checkpoint/tensorData';

/** Sweeps over all pairs of columns; convergence is quadratic, some six are needed. */
const SWEEPS = 30;

/** A tensor's values as numbers, row by row. */
export async function valuesOf(tensor: Tensor): Promise<number[]> {
  const values = [...decodeElements(await readTensorBytes(tensor), tensor.dtype)];
  if (values.length !== elementCount(tensor.shape))
    throw new Error(`${tensor.name}: ${values.length} values`);
  return values;
}

/** Singular values of each of a layer's matrices, largest first. */
export async function layerSpectra(layer: Layer): Promise<number[][]> {
  const values = await valuesOf(layer.tensor);
  return layer.matrices.map(({ offset, rows, columns, rowStride }) => {
    const matrix = Array.from({ length: rows }, (_, r) =>
      Array.from({ length: columns }, (_, c) => values[offset + r * rowStride + c] ?? NaN),
    );
    return singularValues(matrix);
  });
}

/** One-sided Jacobi: columns are turned in pairs until all are at right angles. */
export function singularValues(matrix: readonly (readonly number[])[]): number[] {
  const rows = matrix.length;
  const columns = matrix[0]?.length ?? 0;
  // As vectors: the fewer the better.
  const vectors =
    rows < columns
      ? matrix.map((row) => [...row])
      : Array.from({ length: columns }, (_, c) => matrix.map((row) => row[c] ?? NaN));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let isDone = true;
    for (let p = 0; p < vectors.length; p++)
      for (let q = p + 1; q < vectors.length; q++)
        if (turned(vectors[p] ?? [], vectors[q] ?? [])) isDone = false;
    if (isDone) break;
  }
  return vectors.map((v) => Math.sqrt(dot(v, v))).sort((a, b) => b - a);
}

function turned(a: number[], b: number[]): boolean {
  const [aa, bb, ab] = [dot(a, a), dot(b, b), dot(a, b)];
  if (Math.abs(ab) <= 1e-15 * Math.sqrt(aa * bb)) return false;
  const zeta = (bb - aa) / (2 * ab);
  const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const c = 1 / Math.sqrt(1 + t * t);
  a.forEach((x, i) => {
    const y = b[i] ?? 0;
    a[i] = c * (x - t * y);
    b[i] = c * (t * x + y);
  });
  return true;
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);
}

/** Largest difference of two spectra, relative to the largest singular value. */
export function spectrumError(spectrum: readonly number[], reference: readonly number[]): number {
  if (spectrum.length !== reference.length) return Infinity;
  const largest = Math.max(...reference);
  return Math.max(...spectrum.map((value, i) => Math.abs(value - (reference[i] ?? 0)))) / largest;
}
