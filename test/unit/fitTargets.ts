/** Matrices in files as fits are asked for them, and their errors computed plainly. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { FitTarget } from '../../src/compute';
import { tensorFile, whole } from './matrices';

/** A folder of matrices, removed by `dispose`. */
export class MatrixFiles {
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'rankscope-fits-'));
  private count = 0;

  /** A target that is the whole of a matrix in a file of its own. */
  target(values: Float32Array | Float64Array, rows: number, columns: number): FitTarget {
    const file = path.join(this.folder, `${this.count++}.bin`);
    const dtype = values instanceof Float64Array ? 'float64' : 'float32';
    const tensor = tensorFile(file, values, dtype, [rows, columns]);
    return { tensor, matrix: whole([rows, columns]), transposed: false };
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true });
  }
}

export function transpose(A: Float32Array, rows: number, columns: number): Float32Array {
  return A.map((_, k) => A[(k % rows) * columns + Math.floor(k / rows)] ?? NaN);
}

/** XᵀX of samples × n inputs. */
export function gramOf(X: Float32Array, n: number): Float64Array {
  const G = new Float64Array(n * n);
  for (let row = 0; row < X.length; row += n)
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) G[i * n + j] = (G[i * n + j] ?? 0) + (X[row + i] ?? 0) * (X[row + j] ?? 0);
  return G;
}

/** ‖W − a·φ(U·Vᵀ)‖ ÷ ‖W‖, one sum after the other in float64. */
export function errorOf(
  W: Float32Array | Float64Array,
  { U, V }: { readonly U: Float32Array; readonly V: Float32Array },
  rank: number,
  element: (product: number) => number,
): number {
  const columns = V.length / rank;
  let [error, norm] = [0, 0];
  W.forEach((w, index) => {
    const [i, j] = [Math.floor(index / columns), index % columns];
    let sum = 0;
    for (let r = 0; r < rank; r++) sum += (U[i * rank + r] ?? NaN) * (V[j * rank + r] ?? NaN);
    error += (w - element(sum)) ** 2;
    norm += w * w;
  });
  return Math.sqrt(error / norm);
}
