// Float64 Gram matrices: G = A·Aᵀ (wide A) or G = Aᵀ·A (tall A), lower triangle, accumulated slab by slab.
//
// A slab of up to DEPTH summands is packed into panels of four rows of G, interleaved so that one step of the
// inner loop reads four consecutive numbers of each operand: P[(i/4)·depth·4 + k·4 + i%4]. The slab of a 768-row
// matrix then is 1.5 MB, which stays in the second-level cache while every tile passes over it.

import { at2, fma } from './simd';

/** Summands a slab holds. */
export const DEPTH: i32 = 256;

/** Rows of G handed to the inner loops together; their panels stay in the first-level cache. */
const TILE_ROWS: i32 = 64;

// @ts-ignore: decorator
@inline
function panel(P: usize, depth: i32, row: i32): usize {
  return P + (((<usize>row) * (<usize>depth)) << 3);
}

/** Pack float32 rows of a row-major matrix: summand k of row i is A[i·ld + k]. */
export function packRows32(A: usize, ld: i32, rows: i32, depth: i32, P: usize): void {
  for (let i = 0; i < rows; i += 4) {
    let p = panel(P, depth, i);
    if (i + 4 <= rows) {
      let a0 = A + (((<usize>i) * (<usize>ld)) << 2);
      let a1 = a0 + ((<usize>ld) << 2);
      let a2 = a1 + ((<usize>ld) << 2);
      let a3 = a2 + ((<usize>ld) << 2);
      let k = 0;
      for (; k + 4 <= depth; k += 4) {
        const r0 = v128.load(a0);
        const r1 = v128.load(a1);
        const r2 = v128.load(a2);
        const r3 = v128.load(a3);
        // 4 × 4 transpose: columns k … k+3 of the four rows.
        const t0 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5);
        const t1 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7);
        const t2 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
        const t3 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
        v128.store(p, f64x2.promote_low_f32x4(t0));
        v128.store(p, f64x2.promote_low_f32x4(t2), 16);
        v128.store(p, f64x2.promote_low_f32x4(v128.shuffle<i64>(t0, t0, 1, 0)), 32);
        v128.store(p, f64x2.promote_low_f32x4(v128.shuffle<i64>(t2, t2, 1, 0)), 48);
        v128.store(p, f64x2.promote_low_f32x4(t1), 64);
        v128.store(p, f64x2.promote_low_f32x4(t3), 80);
        v128.store(p, f64x2.promote_low_f32x4(v128.shuffle<i64>(t1, t1, 1, 0)), 96);
        v128.store(p, f64x2.promote_low_f32x4(v128.shuffle<i64>(t3, t3, 1, 0)), 112);
        a0 += 16;
        a1 += 16;
        a2 += 16;
        a3 += 16;
        p += 128;
      }
      for (; k < depth; k++) {
        store<f64>(p, <f64>load<f32>(a0));
        store<f64>(p, <f64>load<f32>(a1), 8);
        store<f64>(p, <f64>load<f32>(a2), 16);
        store<f64>(p, <f64>load<f32>(a3), 24);
        a0 += 4;
        a1 += 4;
        a2 += 4;
        a3 += 4;
        p += 32;
      }
    } else {
      for (let k = 0; k < depth; k++)
        for (let r = 0; r < 4; r++, p += 8) {
          const address = A + (((<usize>(i + r)) * (<usize>ld) + <usize>k) << 2);
          store<f64>(p, i + r < rows ? <f64>load<f32>(address) : 0.0);
        }
    }
  }
}

/** Pack float32 columns of a row-major matrix: summand k of row i of G is A[k·ld + i]. */
export function packColumns32(A: usize, ld: i32, columns: i32, depth: i32, P: usize): void {
  for (let k = 0; k < depth; k++) {
    let a = A + (((<usize>k) * (<usize>ld)) << 2);
    let p = P + ((<usize>k) << 5);
    const step = (<usize>depth) << 5;
    let i = 0;
    for (; i + 4 <= columns; i += 4, a += 16, p += step) {
      const r = v128.load(a);
      v128.store(p, f64x2.promote_low_f32x4(r));
      v128.store(p, f64x2.promote_low_f32x4(v128.shuffle<i64>(r, r, 1, 0)), 16);
    }
    if (i < columns)
      for (let r = 0; r < 4; r++)
        store<f64>(p + ((<usize>r) << 3), i + r < columns ? <f64>load<f32>(a + ((<usize>r) << 2)) : 0.0);
  }
}

/** As packRows32 for float64 elements, each multiplied by `factor` (a power of two against overflow). */
export function packRows64(A: usize, ld: i32, rows: i32, depth: i32, factor: f64, P: usize): void {
  for (let i = 0; i < rows; i += 4) {
    let p = panel(P, depth, i);
    for (let k = 0; k < depth; k++)
      for (let r = 0; r < 4; r++, p += 8)
        store<f64>(p, i + r < rows ? factor * load<f64>(at2(A, i + r, ld, k)) : 0.0);
  }
}

/** As packColumns32 for float64 elements, each multiplied by `factor`. */
export function packColumns64(A: usize, ld: i32, columns: i32, depth: i32, factor: f64, P: usize): void {
  for (let i = 0; i < columns; i += 4) {
    let p = panel(P, depth, i);
    for (let k = 0; k < depth; k++)
      for (let r = 0; r < 4; r++, p += 8)
        store<f64>(p, i + r < columns ? factor * load<f64>(at2(A, k, ld, i + r)) : 0.0);
  }
}

// @ts-ignore: decorator
@inline
function addRow(c: usize, x0: v128, x1: v128): void {
  v128.store(c, f64x2.add(v128.load(c), x0));
  v128.store(c, f64x2.add(v128.load(c, 16), x1), 16);
}

/** C[4 × 4] += Pa[4 × depth] · Pb[4 × depth]ᵀ. Eight accumulators cover the latency of two FMA units. */
function multiply4x4(depth: i32, a: usize, b: usize, c: usize, ldBytes: usize): void {
  let c00 = f64x2.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  const end = a + ((<usize>depth) << 5);
  for (; a < end; a += 32, b += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load64_splat(a);
    c00 = fma(x, b0, c00);
    c01 = fma(x, b1, c01);
    x = v128.load64_splat(a, 8);
    c10 = fma(x, b0, c10);
    c11 = fma(x, b1, c11);
    x = v128.load64_splat(a, 16);
    c20 = fma(x, b0, c20);
    c21 = fma(x, b1, c21);
    x = v128.load64_splat(a, 24);
    c30 = fma(x, b0, c30);
    c31 = fma(x, b1, c31);
  }
  addRow(c, c00, c01);
  addRow(c + ldBytes, c10, c11);
  addRow(c + 2 * ldBytes, c20, c21);
  addRow(c + 3 * ldBytes, c30, c31);
}

/** One band of TILE_ROWS rows of the lower triangle. Kept out of line: see `addOuterProduct`. */
function addBand(first: i32, size: i32, depth: i32, Pa: usize, Pb: usize, C: usize, ld: i32): void {
  const last = min(first + TILE_ROWS, size);
  const ldBytes = (<usize>ld) << 3;
  for (let j = 0; j < last; j += 4) {
    for (let i = max(first, j); i < last; i += 4)
      multiply4x4(depth, panel(Pa, depth, i), panel(Pb, depth, j), at2(C, i, ld, j), ldBytes);
  }
}

/**
 * Lower triangle (in 4 × 4 tiles) of C[size × size] += Pa · Pbᵀ for packed panels; size a multiple of 4.
 * Many short calls rather than one long loop: the engine's first-tier code cannot be replaced while it runs,
 * so a long-running function would stay slow for the whole first matrix.
 */
export function addOuterProduct(size: i32, depth: i32, Pa: usize, Pb: usize, C: usize, ld: i32): void {
  for (let first = 0; first < size; first += TILE_ROWS) addBand(first, size, depth, Pa, Pb, C, ld);
}

/** C[rows × columns] += Pa · Pbᵀ for packed panels; rows and columns multiples of 4. */
export function addProduct(rows: i32, columns: i32, depth: i32, Pa: usize, Pb: usize, C: usize, ld: i32): void {
  for (let first = 0; first < rows; first += TILE_ROWS)
    addProductBand(first, min(first + TILE_ROWS, rows), columns, depth, Pa, Pb, C, ld);
}

function addProductBand(
  first: i32,
  last: i32,
  columns: i32,
  depth: i32,
  Pa: usize,
  Pb: usize,
  C: usize,
  ld: i32,
): void {
  const ldBytes = (<usize>ld) << 3;
  for (let j = 0; j < columns; j += 4)
    for (let i = first; i < last; i += 4)
      multiply4x4(depth, panel(Pa, depth, i), panel(Pb, depth, j), at2(C, i, ld, j), ldBytes);
}
