// From eigenvectors of the tridiagonal matrix back to those of the full one: the reflections of the reduction applied
// in blocks, P = H_top ⋯ H_from = I − V·T·Vᵀ (compact WY form; Schreiber & Van Loan, 1989).

import { addProduct, DEPTH, packColumns64, packRows64 } from './gram';
import { at, at2, dot, zero } from './simd';

/** Reflections applied together. */
export const BLOCK: i32 = 64;

/** Float64 elements of workspace of `reflectBack` for `rows` vectors of up to `ld` elements. */
export function reflectBackWorkspace(rows: i32, ld: i32): i32 {
  const padded = (rows + 3) & ~3;
  // V, T, M1, M2 and two packed operands.
  return BLOCK * ld + BLOCK * BLOCK + 2 * padded * BLOCK + padded * DEPTH + (ld + 8) * BLOCK + BLOCK * DEPTH;
}

/** T of the compact WY form for reflections stored as rows of V, first row applied last. */
function triangularFactor(count: i32, length: i32, V: usize, ld: i32, tau: usize, top: i32, T: usize): void {
  for (let j = 0; j < count; j++) {
    const t = load<f64>(at(tau, top - j));
    const vj = at2(V, j, ld, 0);
    for (let i = 0; i < j; i++) store<f64>(at2(T, i, BLOCK, j), dot(length, at2(V, i, ld, 0), vj));
    for (let i = 0; i < j; i++) {
      // Row i of the triangle times the column: rows above are not needed any more.
      let sum = 0.0;
      for (let q = i; q < j; q++) sum += load<f64>(at2(T, i, BLOCK, q)) * load<f64>(at2(T, q, BLOCK, j));
      store<f64>(at2(T, i, BLOCK, j), -t * sum);
    }
    store<f64>(at2(T, j, BLOCK, j), t);
  }
}

/**
 * Applies reflections `from` … of a reduced n × n matrix A (as `tridiagonalizePanel` leaves it) to the `rows` vectors
 * that are the rows of Q. Start with from = 2; returns the next `from`, n or more when done.
 */
export function reflectBack(
  A: usize,
  n: i32,
  ld: i32,
  from: i32,
  tau: usize,
  Q: usize,
  rows: i32,
  ldQ: i32,
  work: usize,
): i32 {
  const count = min(BLOCK, n - from);
  if (count <= 0) return n;
  const top = from + count - 1;
  const padded = (rows + 3) & ~3;
  const V = work;
  const T = at(V, BLOCK * ld);
  const M1 = at(T, BLOCK * BLOCK);
  const M2 = at(M1, padded * BLOCK);
  const Pa = at(M2, padded * BLOCK);
  const Pb = at(Pa, padded * DEPTH);
  for (let j = 0; j < count; j++) {
    const r = top - j;
    zero(ld, at2(V, j, ld, 0));
    memory.copy(at2(V, j, ld, 0), at2(A, r, ld, 0), (<usize>r) << 3);
  }
  triangularFactor(count, top, V, ld, tau, top, T);
  zero(padded * BLOCK, M1);
  for (let k = 0; k < top; k += DEPTH) {
    const depth = min(DEPTH, top - k);
    packRows64(at2(Q, 0, ldQ, k), ldQ, rows, depth, 1, Pa);
    packRows64(at2(V, 0, ld, k), ld, count, depth, 1, Pb);
    addProduct(padded, (count + 3) & ~3, depth, Pa, Pb, M1, BLOCK);
  }
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < count; j++)
      store<f64>(at2(M2, i, BLOCK, j), dot(count - j, at2(M1, i, BLOCK, j), at2(T, j, BLOCK, j)));
  packRows64(M2, BLOCK, rows, count, -1, Pa);
  packColumns64(V, ld, top, count, 1, Pb);
  addProduct(padded, (top + 3) & ~3, count, Pa, Pb, Q, ldQ);
  return from + count;
}
