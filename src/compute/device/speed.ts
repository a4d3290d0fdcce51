/** How long matrices take, by what was measured: which of processor and device is asked depends on it. */
import type { MatrixView } from '../../checkpoint/matrixView';

/** Seconds of one matrix: fixed + work × perUnit. */
export interface Speed {
  readonly fixed: number;
  readonly perUnit: number;
}

/** Multiply-adds of a Gram matrix of the smaller side and of its eigenvalues. */
export function spectrumWork({ rows, columns }: Pick<MatrixView, 'rows' | 'columns'>): number {
  const [small, long] = rows < columns ? [rows, columns] : [columns, rows];
  return small * small * (long / 2 + (2 / 3) * small);
}

export function secondsOf({ fixed, perUnit }: Speed, work: number): number {
  return fixed + perUnit * work;
}

/** A line through two measurements; neither part is negative. */
export function speedOf(
  small: { readonly work: number; readonly seconds: number },
  large: { readonly work: number; readonly seconds: number },
): Speed {
  const slope = (large.seconds - small.seconds) / (large.work - small.work);
  const perUnit = Math.max(slope, 0, large.seconds / large.work / 10);
  return { fixed: Math.max(0, small.seconds - perUnit * small.work), perUnit };
}
