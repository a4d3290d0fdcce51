// Eigenvalues of a symmetric tridiagonal matrix by the root-free QL/QR iteration (Pal, Walker & Kahan), the method
// of LAPACK's dsterf: no square root in the inner loop, squares of the off-diagonal elements throughout.

import { at } from './simd';

const EPSILON: f64 = 1.1102230246251565e-16;
const EPSILON_SQUARED: f64 = EPSILON * EPSILON;

/** Sweeps allowed per eigenvalue; two are usual. Beyond it the matrix holds something that is not a number. */
const MAX_SWEEPS: i32 = 60;

// @ts-ignore: decorator
@inline
function get(x: usize, i: i32): f64 {
  return load<f64>(at(x, i));
}

// @ts-ignore: decorator
@inline
function put(x: usize, i: i32, value: f64): void {
  store<f64>(at(x, i), value);
}

/** Wilkinson's shift for the end of the block at `i`, its neighbour at `next`, `bb` their squared off-diagonal. */
// @ts-ignore: decorator
@inline
function wilkinsonShift(d: usize, i: i32, next: i32, bb: f64): f64 {
  const root = Math.sqrt(bb);
  const s = (get(d, next) - get(d, i)) / (2 * root);
  const r = Math.sqrt(s * s + 1);
  return get(d, i) - root / (s + (s >= 0 ? r : -r));
}

/** One QL sweep over rows l … m (m > l) of d and the squared off-diagonal e2. */
function sweepDown(d: usize, e2: usize, l: i32, m: i32): void {
  const shift = wilkinsonShift(d, l, l + 1, get(e2, l));
  let c = 1.0;
  let s = 0.0;
  let gamma = get(d, m) - shift;
  let p = gamma * gamma;
  for (let i = m - 1; i >= l; i--) {
    const bb = get(e2, i);
    const r = p + bb;
    if (i != m - 1) put(e2, i + 1, s * r);
    const oldC = c;
    // 1/c, but divided beside c rather than after it: the loop waits for one division instead of two.
    const growth = r / p;
    c = p / r;
    s = bb / r;
    const oldGamma = gamma;
    const alpha = get(d, i);
    gamma = c * (alpha - shift) - s * oldGamma;
    put(d, i + 1, oldGamma + (alpha - gamma));
    p = p != 0 ? gamma * gamma * growth : oldC * bb;
  }
  put(e2, l, s * p);
  put(d, l, shift + gamma);
}

/** One QR sweep, the mirror image: rows m … l (m < l). */
function sweepUp(d: usize, e2: usize, l: i32, m: i32): void {
  const shift = wilkinsonShift(d, l, l - 1, get(e2, l - 1));
  let c = 1.0;
  let s = 0.0;
  let gamma = get(d, m) - shift;
  let p = gamma * gamma;
  for (let i = m; i < l; i++) {
    const bb = get(e2, i);
    const r = p + bb;
    if (i != m) put(e2, i - 1, s * r);
    const oldC = c;
    // 1/c, but divided beside c rather than after it: the loop waits for one division instead of two.
    const growth = r / p;
    c = p / r;
    s = bb / r;
    const oldGamma = gamma;
    const alpha = get(d, i + 1);
    gamma = c * (alpha - shift) - s * oldGamma;
    put(d, i, oldGamma + (alpha - gamma));
    p = p != 0 ? gamma * gamma * growth : oldC * bb;
  }
  put(e2, l - 1, s * p);
  put(d, l, shift + gamma);
}

// @ts-ignore: decorator
@inline
function negligible(d: usize, e2: usize, i: i32): bool {
  // The smallest normal number keeps blocks of zeros from never splitting.
  return get(e2, i) <= EPSILON_SQUARED * Math.abs(get(d, i) * get(d, i + 1)) + 2.2250738585072014e-308;
}

/** Eigenvalues of rows first … last, left in d unordered. False when the iteration does not converge. */
function solveBlock(d: usize, e2: usize, first: i32, last: i32): bool {
  let sweeps = (last - first + 1) * MAX_SWEEPS;
  if (Math.abs(get(d, last)) >= Math.abs(get(d, first))) {
    for (let l = first; l <= last; ) {
      let m = l;
      while (m < last && !negligible(d, e2, m)) m++;
      if (m < last) put(e2, m, 0);
      if (m == l) l++;
      else if (sweeps-- > 0) sweepDown(d, e2, l, m);
      else return false;
    }
  } else {
    for (let l = last; l >= first; ) {
      let m = l;
      while (m > first && !negligible(d, e2, m - 1)) m--;
      if (m > first) put(e2, m - 1, 0);
      if (m == l) l--;
      else if (sweeps-- > 0) sweepUp(d, e2, l, m);
      else return false;
    }
  }
  return true;
}

/**
 * Eigenvalues of the symmetric tridiagonal matrix with diagonal d[n] and off-diagonal e[n−1], left in d, unordered;
 * e is destroyed. Absolute error a few units of rounding of the largest. Returns 1 on success, 0 when it does not
 * converge (only for input that is not finite).
 */
export function tridiagonalEigenvalues(n: i32, d: usize, e: usize): i32 {
  let largest = 0.0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, Math.abs(get(d, i)));
  for (let i = 0; i < n - 1; i++) largest = Math.max(largest, Math.abs(get(e, i)));
  if (largest == 0) return 1;
  if (!(largest < Infinity)) return 0;
  // Scaled to 1 so that the squares neither overflow nor vanish.
  const inverse = 1 / largest;
  for (let i = 0; i < n; i++) put(d, i, get(d, i) * inverse);
  for (let i = 0; i < n - 1; i++) {
    const x = get(e, i) * inverse;
    put(e, i, x * x);
  }
  for (let first = 0; first < n; ) {
    let last = first;
    while (last < n - 1 && !negligible(d, e, last)) last++;
    if (last < n - 1) put(e, last, 0);
    if (last > first && !solveBlock(d, e, first, last)) return 0;
    first = last + 1;
  }
  for (let i = 0; i < n; i++) put(d, i, get(d, i) * largest);
  return 1;
}
