/** Dense float64 matrices, row-major, and what is done with them between the backend's products. */

/** Side of the blocks in which a matrix is transposed: both stay in the first-level cache. */
const TRANSPOSE_BLOCK = 32;

/** Aᵀ of a rows × columns matrix. */
export function transpose(A: Float64Array, rows: number, columns: number): Float64Array {
  const T = new Float64Array(rows * columns);
  for (let top = 0; top < rows; top += TRANSPOSE_BLOCK)
    for (let left = 0; left < columns; left += TRANSPOSE_BLOCK) {
      const bottom = Math.min(rows, top + TRANSPOSE_BLOCK);
      const right = Math.min(columns, left + TRANSPOSE_BLOCK);
      for (let i = top; i < bottom; i++)
        for (let j = left; j < right; j++) T[j * rows + i] = A[i * columns + j] ?? 0;
    }
  return T;
}

/** Columns from … to−1 of a matrix with rows of `columns` elements. */
export function columnsOf(A: Float64Array, columns: number, from: number, to: number): Float64Array {
  const width = to - from;
  const rows = columns === 0 ? 0 : A.length / columns;
  const part = new Float64Array(rows * width);
  for (let i = 0; i < rows; i++) part.set(A.subarray(i * columns + from, i * columns + to), i * width);
  return part;
}

/** A − B, in A. */
export function subtract(A: Float64Array, B: Float64Array): Float64Array {
  for (let i = 0; i < A.length; i++) A[i] = (A[i] ?? 0) - (B[i] ?? 0);
  return A;
}

/** The groups of a layer, one after the other. */
export function concatenated(parts: readonly Float64Array[]): Float64Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const whole = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let start = 0;
  for (const part of parts) {
    whole.set(part, start);
    start += part.length;
  }
  return whole;
}
