// Two float64 lanes at a time, fused where the build has relaxed SIMD (RELAXED is set by the build).

// @ts-ignore: decorator
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  if (RELAXED) return f64x2.relaxed_madd(a, b, c);
  return f64x2.add(f64x2.mul(a, b), c);
}

// @ts-ignore: decorator
@inline
export function sumLanes(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

/** Address of element `index` of a float64 array. */
// @ts-ignore: decorator
@inline
export function at(base: usize, index: i32): usize {
  return base + ((<usize>index) << 3);
}

/** Address of element (row, column) of a float64 matrix with `ld` elements a row. */
// @ts-ignore: decorator
@inline
export function at2(base: usize, row: i32, ld: i32, column: i32): usize {
  return base + (((<usize>row) * (<usize>ld) + (<usize>column)) << 3);
}

/** x · y over n float64 elements. */
export function dot(n: i32, x: usize, y: usize): f64 {
  let s0 = f64x2.splat(0);
  let s1 = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    s0 = fma(v128.load(at(x, i)), v128.load(at(y, i)), s0);
    s1 = fma(v128.load(at(x, i), 16), v128.load(at(y, i), 16), s1);
  }
  let sum = sumLanes(f64x2.add(s0, s1));
  for (; i < n; i++) sum += load<f64>(at(x, i)) * load<f64>(at(y, i));
  return sum;
}

/** y += a·x over n float64 elements. */
export function axpy(n: i32, a: f64, x: usize, y: usize): void {
  const va = f64x2.splat(a);
  let i = 0;
  for (; i + 2 <= n; i += 2) v128.store(at(y, i), fma(va, v128.load(at(x, i)), v128.load(at(y, i))));
  if (i < n) store<f64>(at(y, i), load<f64>(at(y, i)) + a * load<f64>(at(x, i)));
}

/** x *= a over n float64 elements. */
export function scale(n: i32, a: f64, x: usize): void {
  for (let i = 0; i < n; i++) store<f64>(at(x, i), load<f64>(at(x, i)) * a);
}

/** Whole-vector zero fill of n float64 elements. */
export function zero(n: i32, x: usize): void {
  memory.fill(x, 0, (<usize>n) << 3);
}
