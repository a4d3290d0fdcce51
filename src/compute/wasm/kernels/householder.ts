// The elementary reflection that every reduction here is made of.

import { dot, scale } from './simd';

/**
 * Reflection H = I − τ·v·vᵀ that maps a vector onto ±its norm at one element, the pivot. The vector's other `n` elements
 * stand at `others`. Leaves v in their place (1 at the pivot), the mapped value in `beta`; returns τ, 0 when the others
 * are zeros already.
 */
export function reflect(n: i32, others: usize, pivot: usize, beta: usize): f64 {
  const alpha = load<f64>(pivot);
  const rest = dot(n, others, others);
  store<f64>(pivot, 1);
  if (rest == 0) {
    store<f64>(beta, alpha);
    return 0;
  }
  const norm = Math.sqrt(alpha * alpha + rest);
  const b = alpha > 0 ? -norm : norm;
  store<f64>(beta, b);
  scale(n, 1 / (alpha - b), others);
  return (b - alpha) / b;
}
