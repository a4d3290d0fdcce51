// Four float32 lanes at a time, fused where the build has relaxed SIMD (RELAXED is set by the build).

// @ts-ignore: decorator
@inline
export function fma32(a: v128, b: v128, c: v128): v128 {
  if (RELAXED) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

// @ts-ignore: decorator
@inline
export function sumLanes32(x: v128): f64 {
  return (
    <f64>f32x4.extract_lane(x, 0) +
    <f64>f32x4.extract_lane(x, 1) +
    (<f64>f32x4.extract_lane(x, 2) + <f64>f32x4.extract_lane(x, 3))
  );
}

/** Bytes of n float32. */
// @ts-ignore: decorator
@inline
export function bytes32(n: i32): usize {
  return (<usize>n) << 2;
}
