// The accurate path: singular values without squaring, for matrices whose smallest singular values the Gram matrix
// would lose in its rounding, and for small ones. Rows are folded into a triangle R by Householder QR, slab by slab;
// R is reduced to bidiagonal form (Golub & Kahan, 1965); the singular values are the non-negative eigenvalues of the
// zero-diagonal tridiagonal matrix that interleaves the bidiagonal's elements. Absolute error: a few ulps of σ₁.

import { reflect } from './householder';
import { at, at2, axpy, dot, zero } from './simd';

/**
 * R ← the triangle of QR([R; S]): R n × n upper triangular row-major (`ld` elements a row), S rows × n, destroyed.
 * `w` holds n float64 of workspace.
 */
export function foldRows(n: i32, R: usize, ld: i32, rows: i32, S: usize, ldS: i32, w: usize): void {
  for (let j = 0; j < n; j++) {
    let tail = 0.0;
    for (let k = 0; k < rows; k++) {
      const s = load<f64>(at2(S, k, ldS, j));
      tail += s * s;
    }
    if (tail == 0) continue;
    const pivot = at2(R, j, ld, j);
    const alpha = load<f64>(pivot);
    const norm = Math.sqrt(alpha * alpha + tail);
    const beta = alpha > 0 ? -norm : norm;
    const tau = (beta - alpha) / beta;
    const inverse = 1 / (alpha - beta);
    store<f64>(pivot, beta);
    const rest = n - j - 1;
    if (rest == 0) continue;
    const row = at2(R, j, ld, j + 1);
    // w = R[j, j+1…] + vᵀ·S[:, j+1…] with v = S[:, j] scaled; then both lose τ·v·w.
    memory.copy(w, row, (<usize>rest) << 3);
    for (let k = 0; k < rows; k++)
      axpy(rest, load<f64>(at2(S, k, ldS, j)) * inverse, at2(S, k, ldS, j + 1), w);
    axpy(rest, -tau, w, row);
    for (let k = 0; k < rows; k++)
      axpy(rest, -tau * load<f64>(at2(S, k, ldS, j)) * inverse, w, at2(S, k, ldS, j + 1));
  }
}

/**
 * Columns `from` … `to`−1 of the reduction of the n × n matrix R to upper bidiagonal form: diagonal d[n],
 * superdiagonal f[n−1]. Call with consecutive ranges up to n. `work` holds 2·n float64.
 */
export function bidiagonalize(
  n: i32,
  R: usize,
  ld: i32,
  from: i32,
  to: i32,
  d: usize,
  f: usize,
  work: usize,
): void {
  const u = work;
  const w = at(work, n);
  for (let j = from; j < to; j++) {
    const left = n - j;
    const right = left - 1;
    for (let i = 0; i < left; i++) store<f64>(at(u, i), load<f64>(at2(R, j + i, ld, j)));
    const tauLeft = reflect(right, at(u, 1), u, at(d, j));
    if (right == 0) return;
    // R[j…, j+1…] −= τ·u·(uᵀR), then the same from the right with row j's reflection: each row once, while it is in
    // the cache.
    zero(right, w);
    for (let i = 0; i < left; i++) axpy(right, load<f64>(at(u, i)), at2(R, j + i, ld, j + 1), w);
    const row = at2(R, j, ld, j + 1);
    axpy(right, -tauLeft * load<f64>(u), w, row);
    const tauRight = reflect(right - 1, at(row, 1), row, at(f, j));
    for (let i = 1; i < left; i++) {
      const other = at2(R, j + i, ld, j + 1);
      axpy(right, -tauLeft * load<f64>(at(u, i)), w, other);
      if (tauRight != 0) axpy(right, -tauRight * dot(right, other, row), row, other);
    }
  }
}

/** S[i][j] = A[i][j]: rows × columns float32 elements, widened. */
export function widenRows32(A: usize, ld: i32, rows: i32, columns: i32, S: usize): void {
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++)
      store<f64>(at2(S, i, columns, j), <f64>load<f32>(A + (((<usize>i) * (<usize>ld) + <usize>j) << 2)));
}

/** S[j][i] = A[i][j]: the same, transposed. */
export function widenColumns32(A: usize, ld: i32, rows: i32, columns: i32, S: usize): void {
  for (let j = 0; j < columns; j++)
    for (let i = 0; i < rows; i++)
      store<f64>(at2(S, j, rows, i), <f64>load<f32>(A + (((<usize>i) * (<usize>ld) + <usize>j) << 2)));
}

/** As widenRows32 for float64 elements, each multiplied by `factor` (a power of two against overflow). */
export function widenRows64(A: usize, ld: i32, rows: i32, columns: i32, factor: f64, S: usize): void {
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++)
      store<f64>(at2(S, i, columns, j), factor * load<f64>(at2(A, i, ld, j)));
}

/** As widenColumns32 for float64 elements, each multiplied by `factor`. */
export function widenColumns64(A: usize, ld: i32, rows: i32, columns: i32, factor: f64, S: usize): void {
  for (let j = 0; j < columns; j++)
    for (let i = 0; i < rows; i++)
      store<f64>(at2(S, j, rows, i), factor * load<f64>(at2(A, i, ld, j)));
}
