// Float32 products C += A·B of tiles that lie in the first two cache levels. Element (i, d) of A is at
// A + i·aRow + d·aDepth, so that the same kernel takes A or its transpose; rows of B and C are contiguous.
// Steps are in bytes.

import { fma32 } from './simd32';

// @ts-ignore: decorator
@inline
function addPair(c: usize, x0: v128, x1: v128): void {
  v128.store(c, f32x4.add(v128.load(c), x0));
  v128.store(c, f32x4.add(v128.load(c, 16), x1), 16);
}

/** C[4 × 8] += A[4 × depth] · B[depth × 8]. Eight accumulators cover the latency of two FMA units. */
function addTile8(
  depth: i32,
  a: usize,
  aRow: usize,
  aDepth: usize,
  b: usize,
  bStep: usize,
  c: usize,
  cStep: usize,
): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  let a0 = a;
  let a1 = a + aRow;
  let a2 = a1 + aRow;
  let a3 = a2 + aRow;
  for (let d = 0; d < depth; d++) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(a0);
    c00 = fma32(x, b0, c00);
    c01 = fma32(x, b1, c01);
    x = v128.load32_splat(a1);
    c10 = fma32(x, b0, c10);
    c11 = fma32(x, b1, c11);
    x = v128.load32_splat(a2);
    c20 = fma32(x, b0, c20);
    c21 = fma32(x, b1, c21);
    x = v128.load32_splat(a3);
    c30 = fma32(x, b0, c30);
    c31 = fma32(x, b1, c31);
    a0 += aDepth;
    a1 += aDepth;
    a2 += aDepth;
    a3 += aDepth;
    b += bStep;
  }
  addPair(c, c00, c01);
  addPair(c + cStep, c10, c11);
  addPair(c + 2 * cStep, c20, c21);
  addPair(c + 3 * cStep, c30, c31);
}

/** C[4 × 4] += A[4 × depth] · B[depth × 4]. */
function addTile4(
  depth: i32,
  a: usize,
  aRow: usize,
  aDepth: usize,
  b: usize,
  bStep: usize,
  c: usize,
  cStep: usize,
): void {
  let c0 = f32x4.splat(0);
  let c1 = c0;
  let c2 = c0;
  let c3 = c0;
  for (let d = 0; d < depth; d++) {
    const b0 = v128.load(b);
    c0 = fma32(v128.load32_splat(a), b0, c0);
    c1 = fma32(v128.load32_splat(a + aRow), b0, c1);
    c2 = fma32(v128.load32_splat(a + 2 * aRow), b0, c2);
    c3 = fma32(v128.load32_splat(a + 3 * aRow), b0, c3);
    a += aDepth;
    b += bStep;
  }
  v128.store(c, f32x4.add(v128.load(c), c0));
  v128.store(c + cStep, f32x4.add(v128.load(c + cStep), c1));
  v128.store(c + 2 * cStep, f32x4.add(v128.load(c + 2 * cStep), c2));
  v128.store(c + 3 * cStep, f32x4.add(v128.load(c + 3 * cStep), c3));
}

/** C[rows × columns] += A · B; rows and columns multiples of 4. */
export function addProduct32(
  rows: i32,
  columns: i32,
  depth: i32,
  A: usize,
  aRow: usize,
  aDepth: usize,
  B: usize,
  bStep: usize,
  C: usize,
  cStep: usize,
): void {
  let j = 0;
  for (; j + 8 <= columns; j += 8) {
    const shift = (<usize>j) << 2;
    for (let i = 0; i < rows; i += 4)
      addTile8(depth, A + <usize>i * aRow, aRow, aDepth, B + shift, bStep, C + <usize>i * cStep + shift, cStep);
  }
  if (j < columns) {
    const shift = (<usize>j) << 2;
    for (let i = 0; i < rows; i += 4)
      addTile4(depth, A + <usize>i * aRow, aRow, aDepth, B + shift, bStep, C + <usize>i * cStep + shift, cStep);
  }
}
