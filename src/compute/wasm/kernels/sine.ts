// One evaluation of ½‖a·sin(U·Vᵀ) − W‖² and its gradient, divided by a, tile by tile: the phases of a tile, their sines and cosines,
// the residual and both products with it happen while the tile is in the cache, so that no m × n intermediate is
// written. With an input Gram matrix G the norm is that of (a·sin(U·Vᵀ) − W)·G^{1/2}, and a block of whole rows is
// kept instead of a tile.
//
// U is rows × ld, V columns × ld, both row-major and padded with zeros to whole tiles; W is padded with zeros too, so
// that nothing comes from the padding: its phases, residuals and gradients are zeros.

import { addProduct32 } from './product32';
import { bytes32, fma32, sumLanes32 } from './simd32';

/** Columns of a tile. */
export const TILE: i32 = 64;

/** Bytes of one row of a tile. */
const TILE_BYTES: usize = 256;

/**
 * π/2 in three parts, the first two of few digits, so that their products with a whole number of quarter turns are exact
 * and up to some thousand turns cost no digits (Cody & Waite, 1980).
 */
const HALF_PI_1: f32 = 1.5703125;
const HALF_PI_2: f32 = 4.838109016418457e-4;
const HALF_PI_3: f32 = 1.5893254712295857e-8;
const TWO_OVER_PI: f32 = 0.6366197723675814;

/** Vᵀ in tiles of TILE columns: element (column j, r) at P + ((j / TILE)·k + r)·TILE + j % TILE. */
export function packTransposed32(V: usize, columns: i32, ld: i32, k: i32, P: usize): void {
  for (let j = 0; j < columns; j++) {
    const tile = P + bytes32((j / TILE) * k * TILE + (j % TILE));
    const row = V + bytes32(j * ld);
    for (let r = 0; r < k; r++) store<f32>(tile + bytes32(r * TILE), load<f32>(row + bytes32(r)));
  }
}

/** The remainder of x by π/2 in [−π/4, π/4]; `quadrant` is the whole number taken off, as float32. */
// @ts-ignore: decorator
@inline
function reduced(x: v128, quadrant: v128): v128 {
  let r = fma32(quadrant, f32x4.splat(-HALF_PI_1), x);
  r = fma32(quadrant, f32x4.splat(-HALF_PI_2), r);
  return fma32(quadrant, f32x4.splat(-HALF_PI_3), r);
}

// Polynomials on [−π/4, π/4] of least maximum error, fitted by Lawson's iteration: sine x + x³·(…), within 4e-9, and
// cosine 1 − x²/2 + x⁴·(…), within 1e-10.

// @ts-ignore: decorator
@inline
function sinePolynomial(r: v128, r2: v128): v128 {
  let q = fma32(r2, f32x4.splat(-1.9517233886290342e-4), f32x4.splat(8.332177996635437e-3));
  q = fma32(r2, q, f32x4.splat(-1.6666655242443085e-1));
  return fma32(f32x4.mul(r, r2), q, r);
}

// @ts-ignore: decorator
@inline
function cosinePolynomial(r2: v128): v128 {
  let q = fma32(r2, f32x4.splat(2.4438377295155078e-5), f32x4.splat(-1.3887366512790322e-3));
  q = fma32(r2, q, f32x4.splat(4.166664555668831e-2));
  return fma32(f32x4.mul(r2, r2), q, fma32(r2, f32x4.splat(-0.5), f32x4.splat(1)));
}

/**
 * Phases X become residuals a·sin(X) − W (kept in X) and slopes cos(X) (in C), or, when C is 0, the product of the two
 * (in X). Adds Σ residual² and Σ residual·sin(X) to the two float64 at `sums`.
 */
function residual(
  rows: i32,
  columns: i32,
  X: usize,
  xStep: usize,
  W: usize,
  wStep: usize,
  amplitude: f32,
  C: usize,
  sums: usize,
): void {
  const a = f32x4.splat(amplitude);
  const one = i32x4.splat(1);
  const two = i32x4.splat(2);
  let squares = f32x4.splat(0);
  let projections = f32x4.splat(0);
  const length = bytes32(columns);
  for (let i = 0; i < rows; i++) {
    for (let j: usize = 0; j < length; j += 16) {
      const x = v128.load(X + j);
      const quadrant = f32x4.nearest(f32x4.mul(x, f32x4.splat(TWO_OVER_PI)));
      const r = reduced(x, quadrant);
      const r2 = f32x4.mul(r, r);
      const sine = sinePolynomial(r, r2);
      const cosine = cosinePolynomial(r2);
      const q = i32x4.trunc_sat_f32x4_s(quadrant);
      // Odd quadrants swap the two; bit 1 of q is the sign of the sine, of q + 1 that of the cosine.
      const odd = i32x4.eq(v128.and(q, one), one);
      const s = v128.xor(v128.bitselect(cosine, sine, odd), i32x4.shl(v128.and(q, two), 30));
      const c = v128.xor(
        v128.bitselect(sine, cosine, odd),
        i32x4.shl(v128.and(i32x4.add(q, one), two), 30),
      );
      const difference = fma32(a, s, f32x4.neg(v128.load(W + j)));
      squares = fma32(difference, difference, squares);
      projections = fma32(difference, s, projections);
      if (C == 0) {
        v128.store(X + j, f32x4.mul(difference, c));
      } else {
        v128.store(X + j, difference);
        v128.store(C + j, c);
      }
    }
    X += xStep;
    W += wStep;
    if (C != 0) C += xStep;
  }
  store<f64>(sums, load<f64>(sums) + sumLanes32(squares));
  store<f64>(sums, load<f64>(sums, 8) + sumLanes32(projections), 8);
}

/** gU += E·V and gV += Eᵀ·U for one tile of E. */
function addGradients(
  rows: i32,
  columns: i32,
  ld: i32,
  E: usize,
  eStep: usize,
  U: usize,
  V: usize,
  gU: usize,
  gV: usize,
): void {
  const step = bytes32(ld);
  addProduct32(rows, ld, columns, E, eStep, 4, V, step, gU, step);
  addProduct32(columns, ld, rows, E, 4, eStep, U, step, gV, step);
}

/**
 * Adds the gradient of a block of rows to gU (of the same rows) and gV, and its sums to `sums` (see `residual`).
 * @param rows multiple of 4; `columns` too.
 * @param packed V as `packTransposed32` leaves it.
 * @param tile workspace of rows × TILE float32.
 */
export function sineGradient(
  rows: i32,
  columns: i32,
  k: i32,
  ld: i32,
  W: usize,
  ldW: i32,
  amplitude: f32,
  U: usize,
  V: usize,
  packed: usize,
  gU: usize,
  gV: usize,
  sums: usize,
  tile: usize,
): void {
  for (let j = 0; j < columns; j += TILE) {
    const here = min(TILE, columns - j);
    const row = bytes32(j * ld);
    memory.fill(tile, 0, <usize>rows * TILE_BYTES);
    addProduct32(rows, here, k, U, bytes32(ld), 4, packed + bytes32(j * k), TILE_BYTES, tile, TILE_BYTES);
    residual(rows, here, tile, TILE_BYTES, W + bytes32(j), bytes32(ldW), amplitude, 0, sums);
    addGradients(rows, here, ld, tile, TILE_BYTES, U, V + row, gU, gV + row);
  }
}

/**
 * As `sineGradient`, in the norm of the inputs: G is columns × ldW, row-major, symmetric. `block` is a workspace of
 * 3 · rows × ldW float32. Adds Σ (R·G)∘R and Σ (R·G)∘sin(X) to the sums.
 */
export function weightedSineGradient(
  rows: i32,
  columns: i32,
  k: i32,
  ld: i32,
  W: usize,
  ldW: i32,
  amplitude: f32,
  U: usize,
  V: usize,
  packed: usize,
  gU: usize,
  gV: usize,
  sums: usize,
  block: usize,
  G: usize,
): void {
  const step = bytes32(ldW);
  const slopes = block + <usize>rows * step;
  const weighted = slopes + <usize>rows * step;
  memory.fill(block, 0, <usize>rows * step);
  memory.fill(weighted, 0, <usize>rows * step);
  for (let j = 0; j < columns; j += TILE) {
    const here = min(TILE, columns - j);
    const X = block + bytes32(j);
    addProduct32(rows, here, k, U, bytes32(ld), 4, packed + bytes32(j * k), TILE_BYTES, X, step);
    residual(rows, here, X, step, W + bytes32(j), step, amplitude, slopes + bytes32(j), sums + 16);
  }
  for (let d = 0; d < columns; d += TILE)
    addProduct32(rows, columns, min(TILE, columns - d), block + bytes32(d), step, 4, G + <usize>d * step, step, weighted, step);
  weigh(rows, columns, step, block, slopes, weighted, W, amplitude, sums);
  for (let j = 0; j < columns; j += TILE) {
    const row = bytes32(j * ld);
    addGradients(rows, min(TILE, columns - j), ld, weighted + bytes32(j), step, U, V + row, gU, gV + row);
  }
}

/** E = (R·G)∘slopes in place of R·G, and its sums: R = a·s − W gives s back. */
function weigh(
  rows: i32,
  columns: i32,
  step: usize,
  R: usize,
  slopes: usize,
  weighted: usize,
  W: usize,
  amplitude: f32,
  sums: usize,
): void {
  let squares = 0.0;
  let projections = 0.0;
  const inverse = f32x4.splat(1 / amplitude);
  const length = bytes32(columns);
  for (let i = 0; i < rows; i++) {
    let rowSquares = f32x4.splat(0);
    let rowProjections = f32x4.splat(0);
    for (let j: usize = 0; j < length; j += 16) {
      const r = v128.load(R + j);
      const rg = v128.load(weighted + j);
      const s = f32x4.mul(inverse, f32x4.add(r, v128.load(W + j)));
      rowSquares = fma32(rg, r, rowSquares);
      rowProjections = fma32(rg, s, rowProjections);
      v128.store(weighted + j, f32x4.mul(rg, v128.load(slopes + j)));
    }
    squares += sumLanes32(rowSquares);
    projections += sumLanes32(rowProjections);
    R += step;
    W += step;
    slopes += step;
    weighted += step;
  }
  store<f64>(sums, load<f64>(sums) + squares);
  store<f64>(sums, load<f64>(sums, 8) + projections, 8);
}
