// Symmetric A → tridiagonal T = Hᵀ·A·H by blocked Householder reflections.
//
// Rows are eliminated from the last to the first, so that the part still to be reduced is always the leading block
// of the row-major lower triangle: contiguous and aligned. Half of the work is the product of that block with one
// vector, half is the update of the block after each panel of reflections, done as a matrix product.
// (Dongarra, Hammarling & Sorensen, "Block reduction of matrices to condensed forms", 1989.)

import { addOuterProduct } from './gram';
import { reflect } from './householder';
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
  // Four columns a turn: i is a multiple of 4, and half the address arithmetic leaves room for the multiplications.
  const end = (<usize>i) << 3;
  for (let j: usize = 0; j < end; j += 32) {
    const p0 = a0 + j;
    const p1 = a1 + j;
    const p2 = a2 + j;
    const p3 = a3 + j;
    const px = x + j;
    const py = y + j;
    let xj = v128.load(px);
    let yj = v128.load(py);
    let v = v128.load(p0);
    s0 = fma(v, xj, s0);
    yj = fma(v, x0, yj);
    v = v128.load(p1);
    s1 = fma(v, xj, s1);
    yj = fma(v, x1, yj);
    v = v128.load(p2);
    s2 = fma(v, xj, s2);
    yj = fma(v, x2, yj);
    v = v128.load(p3);
    s3 = fma(v, xj, s3);
    yj = fma(v, x3, yj);
    v128.store(py, yj);
    xj = v128.load(px, 16);
    yj = v128.load(py, 16);
    v = v128.load(p0, 16);
    s0 = fma(v, xj, s0);
    yj = fma(v, x0, yj);
    v = v128.load(p1, 16);
    s1 = fma(v, xj, s1);
    yj = fma(v, x1, yj);
    v = v128.load(p2, 16);
    s2 = fma(v, xj, s2);
    yj = fma(v, x2, yj);
    v = v128.load(p3, 16);
    s3 = fma(v, xj, s3);
    yj = fma(v, x3, yj);
    v128.store(py, yj, 16);
  }
  addDiagonalBlock(at2(A, i, ld, i), ld, at(x, i), at(y, i), sumLanes(s0), sumLanes(s1), sumLanes(s2), sumLanes(s3));
}

/** y[0 … 3] += t + D·x for the 4 × 4 block D on the diagonal, of which the lower triangle counts. */
function addDiagonalBlock(D: usize, ld: i32, x: usize, y: usize, t0: f64, t1: f64, t2: f64, t3: f64): void {
  const row1 = D + ((<usize>ld) << 3);
  const row2 = row1 + ((<usize>ld) << 3);
  const row3 = row2 + ((<usize>ld) << 3);
  const x0 = load<f64>(x);
  const x1 = load<f64>(x, 8);
  const x2 = load<f64>(x, 16);
  const x3 = load<f64>(x, 24);
  const d10 = load<f64>(row1);
  const d20 = load<f64>(row2);
  const d21 = load<f64>(row2, 8);
  const d30 = load<f64>(row3);
  const d31 = load<f64>(row3, 8);
  const d32 = load<f64>(row3, 16);
  store<f64>(y, load<f64>(y) + t0 + (load<f64>(D) * x0 + d10 * x1 + (d20 * x2 + d30 * x3)));
  store<f64>(y, load<f64>(y, 8) + t1 + (d10 * x0 + load<f64>(row1, 8) * x1 + (d21 * x2 + d31 * x3)), 8);
  store<f64>(y, load<f64>(y, 16) + t2 + (d20 * x0 + d21 * x1 + (load<f64>(row2, 16) * x2 + d32 * x3)), 16);
  store<f64>(y, load<f64>(y, 24) + t3 + (d30 * x0 + d31 * x1 + (d32 * x2 + load<f64>(row3, 24) * x3)), 24);
}

/**
 * y −= Σ_q a[q]·V[q] + b[q]·W[q] over the panel's first p reflections, n elements; two reflections a pass, so that y is
 * loaded and stored once for four vectors.
 */
function subtractCombination(n: i32, p: i32, a: usize, b: usize, V: usize, W: usize, ld: i32, y: usize): void {
  let q = 0;
  for (; q + 2 <= p; q += 2) {
    const a0 = load<f64>(at(a, q));
    const a1 = load<f64>(at(a, q + 1));
    const b0 = load<f64>(at(b, q));
    const b1 = load<f64>(at(b, q + 1));
    subtractFour(n, a0, at2(V, q, ld, 0), b0, at2(W, q, ld, 0), a1, at2(V, q + 1, ld, 0), b1, at2(W, q + 1, ld, 0), y);
  }
  if (q < p) {
    axpy(n, -load<f64>(at(a, q)), at2(V, q, ld, 0), y);
    axpy(n, -load<f64>(at(b, q)), at2(W, q, ld, 0), y);
  }
}

/** y −= a0·x0 + a1·x1 + a2·x2 + a3·x3 over n elements. */
function subtractFour(
  n: i32,
  a0: f64,
  x0: usize,
  a1: f64,
  x1: usize,
  a2: f64,
  x2: usize,
  a3: f64,
  x3: usize,
  y: usize,
): void {
  const v0 = f64x2.splat(-a0);
  const v1 = f64x2.splat(-a1);
  const v2 = f64x2.splat(-a2);
  const v3 = f64x2.splat(-a3);
  const end = (<usize>(n & ~1)) << 3;
  let j: usize = 0;
  for (; j < end; j += 16) {
    let sum = v128.load(y + j);
    sum = fma(v0, v128.load(x0 + j), sum);
    sum = fma(v1, v128.load(x1 + j), sum);
    sum = fma(v2, v128.load(x2 + j), sum);
    sum = fma(v3, v128.load(x3 + j), sum);
    v128.store(y + j, sum);
  }
  if (n & 1)
    store<f64>(
      y + j,
      load<f64>(y + j) -
        (a0 * load<f64>(x0 + j) + a1 * load<f64>(x1 + j) + a2 * load<f64>(x2 + j) + a3 * load<f64>(x3 + j)),
    );
}

/** onV[q] = V[q]·x and onW[q] = W[q]·x over n elements, both in one pass over x. */
function projectOnPanel(n: i32, p: i32, V: usize, W: usize, ld: i32, x: usize, onV: usize, onW: usize): void {
  const end = (<usize>(n & ~3)) << 3;
  for (let q = 0; q < p; q++) {
    const v = at2(V, q, ld, 0);
    const w = at2(W, q, ld, 0);
    let v0 = f64x2.splat(0);
    let v1 = v0;
    let w0 = v0;
    let w1 = v0;
    for (let j: usize = 0; j < end; j += 32) {
      const x0 = v128.load(x + j);
      const x1 = v128.load(x + j, 16);
      v0 = fma(v128.load(v + j), x0, v0);
      v1 = fma(v128.load(v + j, 16), x1, v1);
      w0 = fma(v128.load(w + j), x0, w0);
      w1 = fma(v128.load(w + j, 16), x1, w1);
    }
    let sv = sumLanes(f64x2.add(v0, v1));
    let sw = sumLanes(f64x2.add(w0, w1));
    for (let j = n & ~3; j < n; j++) {
      sv += load<f64>(at(v, j)) * load<f64>(at(x, j));
      sw += load<f64>(at(w, j)) * load<f64>(at(x, j));
    }
    store<f64>(at(onV, q), sv);
    store<f64>(at(onW, q), sw);
  }
}

/** Bring row r up to date with the panel's p earlier reflections: row −= V[q][r]·W[q] + W[q][r]·V[q]. */
function applyPanelToRow(row: usize, r: i32, p: i32, V: usize, W: usize, ld: i32, onV: usize, onW: usize): void {
  for (let q = 0; q < p; q++) {
    store<f64>(at(onV, q), load<f64>(at2(V, q, ld, r)));
    store<f64>(at(onW, q), load<f64>(at2(W, q, ld, r)));
  }
  subtractCombination(r + 1, p, onW, onV, V, W, ld, row);
}

/** w = τ·(B·v − ½τ(vᵀBv)·v), B the leading r × r block as the panel's p reflections would leave it. */
function companion(
  A: usize,
  ld: i32,
  r: i32,
  p: i32,
  tau: f64,
  V: usize,
  W: usize,
  onV: usize,
  onW: usize,
): void {
  const v = at2(V, p, ld, 0);
  const w = at2(W, p, ld, 0);
  symmetricTimesVector(A, ld, r, v, w);
  projectOnPanel(r, p, V, W, ld, v, onV, onW);
  subtractCombination(r, p, onW, onV, V, W, ld, w);
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
  // V, W (PANEL rows each), two packed operands of depth 2·PANEL over at most ld rows, two projections.
  return 6 * PANEL * ld + 2 * PANEL + 16;
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
  const onV = at(Pb, 2 * PANEL * ld);
  const onW = at(onV, PANEL);
  const nb = min(PANEL, k - 2);
  for (let p = 0; p < nb; p++) {
    const r = k - 1 - p;
    const row = at2(A, r, ld, 0);
    applyPanelToRow(row, r, p, V, W, ld, onV, onW);
    store<f64>(at(d, r), load<f64>(at(row, r)));
    const t = reflect(r - 1, row, at(row, r - 1), at(e, r - 1));
    store<f64>(at(tau, r), t);
    const v = at2(V, p, ld, 0);
    zero(ld, v);
    zero(ld, at2(W, p, ld, 0));
    memory.copy(v, row, (<usize>r) << 3);
    companion(A, ld, r, p, t, V, W, onV, onW);
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
