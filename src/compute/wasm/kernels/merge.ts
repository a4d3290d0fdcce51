// One merge of the divide-and-conquer symmetric tridiagonal eigensolver: two solved halves, coupled by one
// off-diagonal element, become one. (Cuppen, 1981; deflation after Dongarra & Sorensen, 1987; the modified z of
// Gu & Eisenstat, 1995, keeps the eigenvectors orthogonal to working precision.)
//
// Row i of Q is an eigenvector. Rows of the first half are zero in the columns of the second and the other way round,
// which the matrix product uses: surviving rows are grouped as [first half | mixed by a rotation | second half].

import { addProduct, DEPTH, packColumns64, packRows64 } from './gram';
import { secularRoot } from './secular';
import { at, at2, dot, scale, zero } from './simd';

const EPSILON: f64 = 1.1102230246251565e-16;
const FIRST: i32 = 0;
const MIXED: i32 = 1;
const SECOND: i32 = 2;

// @ts-ignore: decorator
@inline
function int(base: usize, i: i32): i32 {
  return load<i32>(base + ((<usize>i) << 2));
}

// @ts-ignore: decorator
@inline
function setInt(base: usize, i: i32, value: i32): void {
  store<i32>(base + ((<usize>i) << 2), value);
}

// @ts-ignore: decorator
@inline
function value(base: usize, i: i32): f64 {
  return load<f64>(at(base, i));
}

/** The workspace of one merge, laid out once per call. */
let z: usize = 0;
let poles: usize = 0;
let zz: usize = 0;
let newValues: usize = 0;
let sorted: usize = 0;
let kept: usize = 0;
let dropped: usize = 0;
let kind: usize = 0;
let place: usize = 0;
let copy: usize = 0;
let U: usize = 0;
let panels: usize = 0;

function layOut(work: usize, n: i32, ld: i32): void {
  const vector = ((<usize>n) + 8) << 3;
  z = work;
  poles = z + vector;
  zz = poles + vector;
  newValues = zz + vector;
  sorted = newValues + vector;
  kept = sorted + vector;
  dropped = kept + vector;
  kind = dropped + vector;
  place = kind + vector;
  copy = place + vector;
  U = copy + (((<usize>n) * (<usize>ld)) << 3);
  panels = U + (((<usize>n) * (<usize>n)) << 3);
}

/** Float64 elements of workspace for merges of up to n rows in a Q of `ld` elements a row. */
export function mergeWorkspace(n: i32, ld: i32): f64 {
  const size = <f64>n;
  return 9 * (size + 8) + size * <f64>ld + size * size + 2 * (size + 8) * <f64>DEPTH;
}

/** Merges the two halves' ascending orders into `sorted`; positions of the second half count from n1. */
function sortHalves(n1: i32, n: i32, d: usize, order: usize): void {
  let a = 0;
  let b = n1;
  for (let k = 0; k < n; k++) {
    const takeFirst =
      b >= n || (a < n1 && value(d, int(order, a)) <= value(d, int(order, b) + n1));
    if (takeFirst) setInt(sorted, k, int(order, a++));
    else setInt(sorted, k, int(order, b++) + n1);
  }
}

/** Turns rows p and j of Q so that z[p] becomes 0; see `deflate`. */
function rotateAway(n: i32, d: usize, Q: usize, ld: i32, p: i32, j: i32, c: f64, s: f64): void {
  for (let k = 0; k < n; k++) {
    const rowP = at2(Q, p, ld, k);
    const rowJ = at2(Q, j, ld, k);
    const a = load<f64>(rowP);
    const b = load<f64>(rowJ);
    store<f64>(rowP, c * a + s * b);
    store<f64>(rowJ, c * b - s * a);
  }
  const dp = value(d, p);
  const dj = value(d, j);
  store<f64>(at(d, p), dp * c * c + dj * s * s);
  store<f64>(at(d, j), dp * s * s + dj * c * c);
}

/** Puts a deflated row among the others, which are kept ascending by value. */
function drop(count: i32, row: i32, d: usize): void {
  let k = count;
  while (k > 0 && value(d, int(dropped, k - 1)) > value(d, row)) {
    setInt(dropped, k, int(dropped, k - 1));
    k--;
  }
  setInt(dropped, k, row);
}

/**
 * Rows whose z is negligible, or made so by a rotation with a neighbour of nearly the same value, are eigenvectors
 * already. Returns how many are left; they are listed in `kept`, ascending, the others in `dropped`.
 */
function deflate(n: i32, rho: f64, d: usize, Q: usize, ld: i32): i32 {
  let largest = 0.0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, Math.max(Math.abs(value(d, i)), Math.abs(value(z, i))));
  const tolerance = 8 * EPSILON * largest;
  let K = 0;
  let gone = 0;
  let previous = -1;
  for (let k = 0; k < n; k++) {
    const j = int(sorted, k);
    if (rho * Math.abs(value(z, j)) <= tolerance) {
      drop(gone++, j, d);
      continue;
    }
    if (previous >= 0) {
      const zp = value(z, previous);
      const zj = value(z, j);
      const norm = Math.hypot(zp, zj);
      const c = zj / norm;
      const s = -zp / norm;
      if (Math.abs((value(d, j) - value(d, previous)) * c * s) <= tolerance) {
        store<f64>(at(z, j), norm);
        store<f64>(at(z, previous), 0);
        rotateAway(n, d, Q, ld, previous, j, c, s);
        if (int(kind, previous) != int(kind, j)) setInt(kind, j, MIXED);
        drop(gone++, previous, d);
      } else setInt(kept, K++, previous);
    }
    previous = j;
  }
  if (previous >= 0) setInt(kept, K++, previous);
  return K;
}

/** Copies the kept rows, grouped by kind, then the dropped ones; returns rows of the kinds FIRST and MIXED as counts. */
function gatherRows(n: i32, K: i32, Q: usize, ld: i32): void {
  let next = 0;
  for (let wanted = FIRST; wanted <= SECOND; wanted++)
    for (let k = 0; k < K; k++)
      if (int(kind, int(kept, k)) == wanted) {
        setInt(place, k, next);
        memory.copy(at2(copy, next++, ld, 0), at2(Q, int(kept, k), ld, 0), (<usize>n) << 3);
      }
  for (let k = 0; k < n - K; k++)
    memory.copy(at2(copy, K + k, ld, 0), at2(Q, int(dropped, k), ld, 0), (<usize>n) << 3);
}

function countKind(K: i32, wanted: i32): i32 {
  let count = 0;
  for (let k = 0; k < K; k++) if (int(kind, int(kept, k)) == wanted) count++;
  return count;
}

/** Eigenvectors of diag(poles) + ρ·z·zᵀ as rows of U, in the order of the gathered rows; values in newValues. */
function solveRankOne(K: i32, rho: f64): void {
  let norm2 = 0.0;
  for (let k = 0; k < K; k++) norm2 += value(zz, k);
  for (let i = 0; i < K; i++)
    store<f64>(at(newValues, i), secularRoot(K, i, poles, zz, 1 / rho, norm2, at2(U, i, K, 0)));
  // Gu & Eisenstat: the z for which the computed roots are exact; kept in zz (its square, then itself).
  for (let k = 0; k < K; k++) store<f64>(at(zz, k), -value(at2(U, k, K, 0), k));
  for (let i = 0; i < K; i++) {
    const row = at2(U, i, K, 0);
    const pole = value(poles, i);
    for (let k = 0; k < K; k++)
      if (k != i) store<f64>(at(zz, k), (value(zz, k) * value(row, k)) / (value(poles, k) - pole));
  }
  for (let k = 0; k < K; k++) {
    const magnitude = Math.sqrt(Math.abs(value(zz, k)));
    store<f64>(at(zz, k), value(z, k) < 0 ? -magnitude : magnitude);
  }
  for (let i = 0; i < K; i++) {
    const row = at2(U, i, K, 0);
    for (let k = 0; k < K; k++) store<f64>(at(panels, int(place, k)), value(zz, k) / value(row, k));
    scale(K, 1 / Math.sqrt(dot(K, panels, panels)), panels);
    memory.copy(row, panels, (<usize>K) << 3);
  }
}

/** Q[0 … K, column …] += U[:, from … to] · copy[from … to, column …]. */
function multiplyRows(K: i32, from: i32, to: i32, column: i32, columns: i32, Q: usize, ld: i32): void {
  const Pb = panels + (((<usize>((K + 3) & ~3)) * (<usize>DEPTH)) << 3);
  for (let k = from; k < to; k += DEPTH) {
    const depth = min(DEPTH, to - k);
    packRows64(at2(U, 0, K, k), K, K, depth, 1, panels);
    packColumns64(at2(copy, k, ld, column), ld, columns, depth, 1, Pb);
    addProduct((K + 3) & ~3, (columns + 3) & ~3, depth, panels, Pb, at2(Q, 0, ld, column), ld);
  }
}

/** New ascending order: K new values ascending in rows 0 … K−1, dropped ones ascending in the rows after. */
function orderRows(n: i32, K: i32, d: usize, order: usize): void {
  let a = 0;
  let b = K;
  for (let k = 0; k < n; k++) {
    const takeNew = b >= n || (a < K && value(d, a) <= value(d, b));
    setInt(order, k, takeNew ? a++ : b++);
  }
}

/**
 * Merges rows 0 … n1−1 and n1 … n−1 of a subproblem coupled by the off-diagonal element `rho` (already taken, as |rho|,
 * from the two diagonal elements beside it). `d[n]` values, `Q` the subproblem's first element, `order[n]` (int32) the
 * ascending order of each half in its own count. All three are replaced by those of the whole. Columns up to the next
 * multiple of 4 past n, and as many rows, must be allocated and finite. Returns the number of rows not deflated.
 */
export function mergeEigen(
  n1: i32,
  n: i32,
  rho: f64,
  d: usize,
  Q: usize,
  ld: i32,
  order: usize,
  work: usize,
): i32 {
  layOut(work, n, ld);
  // Each half's part of z has norm 1: halved into ρ.
  const half = Math.sqrt(0.5);
  const sign = rho < 0 ? -half : half;
  for (let i = 0; i < n; i++) {
    store<f64>(at(z, i), i < n1 ? half * load<f64>(at2(Q, i, ld, n1 - 1)) : sign * load<f64>(at2(Q, i, ld, n1)));
    setInt(kind, i, i < n1 ? FIRST : SECOND);
  }
  const strength = 2 * Math.abs(rho);
  sortHalves(n1, n, d, order);
  const K = deflate(n, strength, d, Q, ld);
  gatherRows(n, K, Q, ld);
  for (let k = 0; k < K; k++) {
    store<f64>(at(poles, k), value(d, int(kept, k)));
    store<f64>(at(newValues, k), value(z, int(kept, k)));
  }
  for (let k = 0; k < n - K; k++) store<f64>(at(zz, k), value(d, int(dropped, k)));
  for (let k = 0; k < n - K; k++) store<f64>(at(d, K + k), value(zz, k));
  for (let k = 0; k < K; k++) {
    const zk = value(newValues, k);
    store<f64>(at(z, k), zk);
    store<f64>(at(zz, k), zk * zk);
  }
  if (K > 0) {
    solveRankOne(K, strength);
    memory.copy(d, newValues, (<usize>K) << 3);
    const first = countKind(K, FIRST);
    const mixed = countKind(K, MIXED);
    for (let i = 0; i < K; i++) zero(n, at2(Q, i, ld, 0));
    multiplyRows(K, 0, first + mixed, 0, n1, Q, ld);
    multiplyRows(K, first, K, n1, n - n1, Q, ld);
  }
  for (let k = K; k < n; k++) memory.copy(at2(Q, k, ld, 0), at2(copy, k, ld, 0), (<usize>n) << 3);
  orderRows(n, K, d, order);
  return K;
}
