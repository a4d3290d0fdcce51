// Stored element types → float32, which holds every one of them exactly (float64 is read as it is).

/** IEEE binary16 → binary32. */
function fromFloat16(h: u32): f32 {
  const sign = (h & 0x8000) << 16;
  const exponent = (h >> 10) & 31;
  const mantissa = h & 0x3ff;
  if (exponent == 31) return reinterpret<f32>(sign | 0x7f800000 | (mantissa << 13));
  if (exponent != 0) return reinterpret<f32>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  // Subnormal: mantissa · 2^-24.
  const value = <f32>mantissa * <f32>5.9604644775390625e-8;
  return sign ? -value : value;
}

/** OCP float8 e4m3fn: no infinities, NaN is s.1111.111, bias 7. */
function fromFloat8E4M3(b: u32): f32 {
  const sign = (b & 0x80) << 24;
  const exponent = (b >> 3) & 15;
  const mantissa = b & 7;
  if (exponent == 15 && mantissa == 7) return reinterpret<f32>(sign | 0x7fc00000);
  if (exponent != 0) return reinterpret<f32>(sign | ((exponent + 120) << 23) | (mantissa << 20));
  // Subnormal: mantissa · 2^-9.
  const value = <f32>mantissa * <f32>0.001953125;
  return sign ? -value : value;
}

export function decodeFloat16(n: i32, from: usize, to: usize): void {
  for (let i = 0; i < n; i++) store<f32>(to + ((<usize>i) << 2), fromFloat16(load<u16>(from + ((<usize>i) << 1))));
}

export function decodeBfloat16(n: i32, from: usize, to: usize): void {
  for (let i = 0; i < n; i++)
    store<u32>(to + ((<usize>i) << 2), (<u32>load<u16>(from + ((<usize>i) << 1))) << 16);
}

export function decodeFloat8E4M3(n: i32, from: usize, to: usize): void {
  for (let i = 0; i < n; i++) store<f32>(to + ((<usize>i) << 2), fromFloat8E4M3(load<u8>(from + <usize>i)));
}

/** OCP float8 e5m2 is the upper byte of binary16. */
export function decodeFloat8E5M2(n: i32, from: usize, to: usize): void {
  for (let i = 0; i < n; i++)
    store<f32>(to + ((<usize>i) << 2), fromFloat16((<u32>load<u8>(from + <usize>i)) << 8));
}

/** Largest |x| of n float64 elements; NaN if any is NaN, Infinity if any is infinite. */
export function largestMagnitude64(n: i32, x: usize): f64 {
  let largest = 0.0;
  for (let i = 0; i < n; i++) {
    const a = Math.abs(load<f64>(x + ((<usize>i) << 3)));
    if (!(a <= largest)) {
      if (a != a) return a;
      largest = a;
    }
  }
  return largest;
}
