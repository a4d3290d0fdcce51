// The optimiser's own work on n float32 parameters: one step of Adam (Kingma & Ba, 2015) and annealing noise.

import { bytes32, fma32 } from './simd32';

/** Guards the division where a gradient has always been zero. */
const EPSILON: f32 = 1e-8;

/**
 * x −= rate·m̂/√v̂ with the moments m and v updated by the gradient g. `rate` already holds the corrections of both
 * moments' start at zero: rate·√(1 − β₂ᵗ)/(1 − β₁ᵗ). n is a multiple of 4.
 */
export function adamStep(n: i32, x: usize, g: usize, m: usize, v: usize, beta1: f32, beta2: f32, rate: f32): void {
  const b1 = f32x4.splat(beta1);
  const b2 = f32x4.splat(beta2);
  const n1 = f32x4.splat(1 - beta1);
  const n2 = f32x4.splat(1 - beta2);
  const minusRate = f32x4.splat(-rate);
  const epsilon = f32x4.splat(EPSILON);
  const end = bytes32(n);
  for (let i: usize = 0; i < end; i += 16) {
    const gradient = v128.load(g + i);
    const first = fma32(b1, v128.load(m + i), f32x4.mul(n1, gradient));
    const second = fma32(b2, v128.load(v + i), f32x4.mul(n2, f32x4.mul(gradient, gradient)));
    v128.store(m + i, first);
    v128.store(v + i, second);
    const direction = f32x4.div(first, f32x4.add(f32x4.sqrt(second), epsilon));
    v128.store(x + i, fma32(minusRate, direction, v128.load(x + i)));
  }
}

/**
 * Adds uniform noise of standard deviation `sigma` to the first k of each row of rows × ld parameters. `state` holds
 * one xorshift32 generator (Marsaglia, 2003), never zero.
 */
export function addNoise(rows: i32, k: i32, ld: i32, x: usize, sigma: f32, state: usize): void {
  // Uniform in ±√3·σ has standard deviation σ.
  const scale = sigma * <f32>(1.7320508075688772 / 2147483648.0);
  let s = load<u32>(state);
  for (let i = 0; i < rows; i++) {
    const row = x + bytes32(i * ld);
    for (let r = 0; r < k; r++) {
      s ^= s << 13;
      s ^= s >> 17;
      s ^= s << 5;
      const at = row + bytes32(r);
      store<f32>(at, load<f32>(at) + scale * <f32>(<i32>s));
    }
  }
  store<u32>(state, s);
}
