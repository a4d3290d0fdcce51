// Symmetric A → tridiagonal T = Hᵀ·A·H by blocked Householder reflections.
//
// Rows are eliminated from the last to the first, so that the part still to be reduced is always the leading block
// of the row-major lower triangle: contiguous and aligned. Half of the work is the product of that block with one
// vector, half is the update of the block after each panel of reflections, done as a matrix product.
// (Dongarra, Hammarling & Sorensen, "Block reduction of matrices to condensed forms", 1989.)

import { addOuterProduct } from './gram';
import { at, at2, axpy, dot, fma, scale, sumLanes, zero } from './simd';

/** Reflections gathered before the block is updated. */
export const PANEL: i32 = 32;

/** y = A·x for the leading k × k block of a symmetric matrix given by its lower triangle. */
function symmetricTimesVector(A: usize, ld: i32, k: i32, x: usize, y: usize): void {
  zero(k, y);
  const whole = k & ~3;
  for (let i = 0; i < whole; i += 4) fourRows(A, ld, i, x, y);
  for (let i = whole; i < k; i++) {
    const row = at2(A, i, ld, 0);
    axpy(i, load<f64>(at(x, i)), row, y);
    store<f64>(at(y, i), load<f64>(at(y, i)) + dot(i + 1, row, x));
  }
}

/** Rows i … i+3 of the lower triangle: their dot products with x, and their share of y above the diagonal. */
function fourRows(A: usize, ld: i32, i: i32, x: usize, y: usize): void {
  const a0 = at2(A, i, ld, 0);
  const a1 = at2(A, i + 1, ld, 0);
  const a2 = at2(A, i + 2, ld, 0);
  const a3 = at2(A, i + 3, ld, 0);
  const x0 = v128.load64_splat(at(x, i));
  const x1 = v128.load64_splat(at(x, i), 8);
  const x2 = v128.load64_splat(at(x, i), 16);
  const x3 = v128.load64_splat(at(x, i), 24);
  let s0 = f64x2.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  const end = (<usize>i) << 3;
  for (let j: usize = 0; j < end; j += 16) {
    const v0 = v128.load(a0 + j);
    const v1 = v128.load(a1 + j);
    const v2 = v128.load(a2 + j);
    const v3 = v128.load(a3 + j);
    const xj = v128.load(x + j);
    let yj = v128.load(y + j);
    s0 = fma(v0, xj, s0);
    s1 = fma(v1, xj, s1);
    s2 = fma(v2, xj, s2);
    s3 = fma(v3, xj, s3);
    yj = fma(v0, x0, yj);
    yj = fma(v1, x1, yj);
    yj = fma(v2, x2, yj);
    yj = fma(v3, x3, yj);
    v128.store(y + j, yj);
  }
  addTo(at(y, i), sumLanes(s0));
  addTo(at(y, i + 1), sumLanes(s1));
  addTo(at(y, i + 2), sumLanes(s2));
  addTo(at(y, i + 3), sumLanes(s3));
  for (let r = 0; r < 4; r++) {
    for (let c = 0; c < r; c++) {
      const a = load<f64>(at2(A, i + r, ld, i + c));
      addTo(at(y, i + r), a * load<f64>(at(x, i + c)));
      addTo(at(y, i + c), a * load<f64>(at(x, i + r)));
    }
    addTo(at(y, i + r), load<f64>(at2(A, i + r, ld, i + r)) * load<f64>(at(x, i + r)));
  }
}

// @ts-ignore: decorator
@inline
function addTo(address: usize, value: f64): void {
  store<f64>(address, load<f64>(address) + value);
}

/**
 * Reflection H = I − τ·v·vᵀ with v[n−1] = 1 that maps x[0 … n−1] onto ±‖x‖·e_{n−1}.
 * Writes v over x; returns τ (0 when x is already there); the mapped value goes to `beta`.
 */
function reflectOntoLast(n: i32, x: usize, beta: usize): f64 {
  const last = at(x, n - 1);
  const alpha = load<f64>(last);
  const rest = dot(n - 1, x, x);
  store<f64>(last, 1);
  if (rest == 0) {
    store<f64>(beta, alpha);
    return 0;
  }
  const norm = Math.sqrt(alpha * alpha + rest);
  const b = alpha > 0 ? -norm : norm;
  store<f64>(beta, b);
  scale(n - 1, 1 / (alpha - b), x);
  return (b - alpha) / b;
}

/** Bring row r up to date with the panel's p earlier reflections: row −= V[q][r]·W[q] + W[q][r]·V[q]. */
function applyPanelToRow(row: usize, r: i32, p: i32, V: usize, W: usize, ld: i32): void {
  for (let q = 0; q < p; q++) {
    const v = at2(V, q, ld, 0);
    const w = at2(W, q, ld, 0);
    axpy(r + 1, -load<f64>(at(v, r)), w, row);
    axpy(r + 1, -load<f64>(at(w, r)), v, row);
  }
}

/** w = τ·(B·v − ½τ(vᵀBv)·v), B the leading r × r block as the panel's p reflections would leave it. */
function companion(A: usize, ld: i32, r: i32, p: i32, tau: f64, V: usize, W: usize): void {
  const v = at2(V, p, ld, 0);
  const w = at2(W, p, ld, 0);
  symmetricTimesVector(A, ld, r, v, w);
  for (let q = 0; q < p; q++) {
    const vq = at2(V, q, ld, 0);
    const wq = at2(W, q, ld, 0);
    const wv = dot(r, wq, v);
    const vv = dot(r, vq, v);
    axpy(r, -wv, vq, w);
    axpy(r, -vv, wq, w);
  }
  scale(r, tau, w);
  axpy(r, -0.5 * tau * dot(r, w, v), v, w);
}

/** Packs [−V −W] and [W V] of the first `size` positions into four-row panels of depth 2·nb. */
function packPanel(size: i32, nb: i32, V: usize, W: usize, ld: i32, Pa: usize, Pb: usize): void {
  const depth = 2 * nb;
  const padded = (size + 3) & ~3;
  for (let i = 0; i < padded; i += 4) {
    const a = Pa + (((<usize>i) * (<usize>depth)) << 3);
    const b = Pb + (((<usize>i) * (<usize>depth)) << 3);
    for (let q = 0; q < nb; q++)
      for (let r = 0; r < 4; r++) {
        const inside = i + r < size;
        const v = inside ? load<f64>(at2(V, q, ld, i + r)) : 0.0;
        const w = inside ? load<f64>(at2(W, q, ld, i + r)) : 0.0;
        store<f64>(at(a, q * 4 + r), -v);
        store<f64>(at(a, (nb + q) * 4 + r), -w);
        store<f64>(at(b, q * 4 + r), w);
        store<f64>(at(b, (nb + q) * 4 + r), v);
      }
  }
}

/** Float64 elements of workspace that `tridiagonalize` needs for an n × n matrix with `ld` elements a row. */
export function tridiagonalWorkspace(ld: i32): i32 {
  // V, W (PANEL rows each) and two packed operands of depth 2·PANEL over at most ld rows.
  return 6 * PANEL * ld + 16;
}

/**
 * Reduces the n × n symmetric matrix A (lower triangle, row-major, `ld` ≥ n and a multiple of 4, rows up to the
 * next multiple of 4 allocated) to tridiagonal form: `d[n]` diagonal, `e[n−1]` off-diagonal, `tau[n]`.
 * Row r of A is left holding the reflection vector v_r in its first r elements (v_r[r−1] = 1), r = 2 … n−1.
 * One panel a call: returns the rows left, call again with it until it is at most 2; the caller starts with k = n.
 */
export function tridiagonalizePanel(
  A: usize,
  n: i32,
  ld: i32,
  k: i32,
  d: usize,
  e: usize,
  tau: usize,
  work: usize,
): i32 {
  if (k <= 2) return finish(A, n, ld, d, e, tau);
  const V = work;
  const W = at(V, PANEL * ld);
  const Pa = at(W, PANEL * ld);
  const Pb = at(Pa, 2 * PANEL * ld);
  const nb = min(PANEL, k - 2);
  for (let p = 0; p < nb; p++) {
    const r = k - 1 - p;
    const row = at2(A, r, ld, 0);
    applyPanelToRow(row, r, p, V, W, ld);
    store<f64>(at(d, r), load<f64>(at(row, r)));
    const t = reflectOntoLast(r, row, at(e, r - 1));
    store<f64>(at(tau, r), t);
    const v = at2(V, p, ld, 0);
    zero(ld, v);
    zero(ld, at2(W, p, ld, 0));
    memory.copy(v, row, (<usize>r) << 3);
    companion(A, ld, r, p, t, V, W);
  }
  const left = k - nb;
  packPanel(left, nb, V, W, ld, Pa, Pb);
  addOuterProduct((left + 3) & ~3, 2 * nb, Pa, Pb, A, ld);
  return left > 2 ? left : finish(A, n, ld, d, e, tau);
}

/** The leading 2 × 2 block is tridiagonal as it is. */
function finish(A: usize, n: i32, ld: i32, d: usize, e: usize, tau: usize): i32 {
  if (n > 0) {
    store<f64>(d, load<f64>(A));
    store<f64>(tau, 0);
  }
  if (n > 1) {
    store<f64>(at(d, 1), load<f64>(at2(A, 1, ld, 1)));
    store<f64>(e, load<f64>(at2(A, 1, ld, 0)));
    store<f64>(at(tau, 1), 0);
  }
  return 0;
}
