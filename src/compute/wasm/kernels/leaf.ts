// Eigenpairs of small symmetric tridiagonal matrices by implicit QL (Bowdler, Martin, Reinsch & Wilkinson, 1968):
// the leaves of the divide-and-conquer tree.

import { at, at2 } from './simd';

const EPSILON: f64 = 1.1102230246251565e-16;
const MAX_SWEEPS: i32 = 60;

/** Rows i and i+1 of Q turned by the rotation (c, s). */
function rotateRows(n: i32, Q: usize, ld: i32, i: i32, c: f64, s: f64): void {
  for (let k = 0; k < n; k++) {
    const low = at2(Q, i, ld, k);
    const high = at2(Q, i + 1, ld, k);
    const a = load<f64>(low);
    const b = load<f64>(high);
    store<f64>(high, s * a + c * b);
    store<f64>(low, c * a - s * b);
  }
}

/** One implicit QL sweep over rows l … m. */
function sweep(n: i32, d: usize, e: usize, Q: usize, ld: i32, l: i32, m: i32): void {
  const el = load<f64>(at(e, l));
  const dl = load<f64>(at(d, l));
  const theta = (load<f64>(at(d, l + 1)) - dl) / (2 * el);
  const r0 = Math.hypot(theta, 1);
  let g = load<f64>(at(d, m)) - dl + el / (theta + (theta >= 0 ? r0 : -r0));
  let s = 1.0;
  let c = 1.0;
  let p = 0.0;
  for (let i = m - 1; i >= l; i--) {
    const f = s * load<f64>(at(e, i));
    const b = c * load<f64>(at(e, i));
    const r = Math.hypot(f, g);
    store<f64>(at(e, i + 1), r);
    if (r == 0) {
      // The rotation split the block: start again on the smaller one.
      store<f64>(at(d, i + 1), load<f64>(at(d, i + 1)) - p);
      store<f64>(at(e, m), 0);
      return;
    }
    s = f / r;
    c = g / r;
    g = load<f64>(at(d, i + 1)) - p;
    const t = (load<f64>(at(d, i)) - g) * s + 2 * c * b;
    p = s * t;
    store<f64>(at(d, i + 1), g + p);
    g = c * t - b;
    rotateRows(n, Q, ld, i, c, s);
  }
  store<f64>(at(d, l), dl - p);
  store<f64>(at(e, l), g);
  store<f64>(at(e, m), 0);
}

/**
 * Eigenpairs of the n × n tridiagonal matrix d[n], e[n−1] (with room for e[n−1] itself, a sentinel): values left in d,
 * unordered; row i of Q the unit eigenvector of d[i]. Q's n × n block is overwritten. Returns 1, or 0 when the
 * iteration does not converge (input not finite).
 */
export function leafEigen(n: i32, d: usize, e: usize, Q: usize, ld: i32): i32 {
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) store<f64>(at2(Q, i, ld, j), i == j ? 1.0 : 0.0);
  store<f64>(at(e, n - 1), 0);
  for (let l = 0; l < n; l++) {
    for (let sweeps = 0; ; sweeps++) {
      let m = l;
      for (; m < n - 1; m++) {
        const size = Math.abs(load<f64>(at(d, m))) + Math.abs(load<f64>(at(d, m + 1)));
        if (Math.abs(load<f64>(at(e, m))) <= EPSILON * size) break;
      }
      if (m == l) break;
      if (sweeps == MAX_SWEEPS) return 0;
      sweep(n, d, e, Q, ld, l, m);
    }
  }
  return 1;
}
