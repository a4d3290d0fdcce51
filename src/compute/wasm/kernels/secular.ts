// The secular equation f(λ) = 1/ρ + Σ z_k²/(d_k − λ) = 0 of a rank-one update diag(d) + ρ·z·zᵀ, ρ > 0, d ascending and
// distinct: one root right of each pole. Solved relative to the nearer pole, so that every difference d_k − λ is
// accurate to the last bits, on which the orthogonality of the eigenvectors rests.
// (Bunch, Nielsen & Sorensen, 1978; the two-pole iteration is R.-C. Li's "middle way", LAPACK working note 89.)

import { at } from './simd';

const EPSILON: f64 = 1.1102230246251565e-16;

/** Three to six are usual; the bracket halves at worst, so this many always suffice. */
const MAX_ITERATIONS: i32 = 120;

/** f and its derivative at the last evaluated point, in two parts: poles up to i, poles after it. */
let low: f64 = 0;
let lowSlope: f64 = 0;
let high: f64 = 0;
let highSlope: f64 = 0;

/** Evaluates both sums at `tau` from the origin; differences (d_k − origin) − τ are left in `delta`. */
function evaluate(K: i32, i: i32, d: usize, zz: usize, origin: f64, tau: f64, delta: usize): void {
  let sum = 0.0;
  let slope = 0.0;
  for (let k = 0; k <= i; k++) {
    const difference = load<f64>(at(d, k)) - origin - tau;
    store<f64>(at(delta, k), difference);
    const t = load<f64>(at(zz, k)) / difference;
    sum += t;
    slope += t / difference;
  }
  low = sum;
  lowSlope = slope;
  sum = 0;
  slope = 0;
  for (let k = K - 1; k > i; k--) {
    const difference = load<f64>(at(d, k)) - origin - tau;
    store<f64>(at(delta, k), difference);
    const t = load<f64>(at(zz, k)) / difference;
    sum += t;
    slope += t / difference;
  }
  high = sum;
  highSlope = slope;
}

/** Step from the model c + r/(Δ_i − η) + s/(Δ_{i+1} − η) that matches f and f′; 0 when it says nothing. */
function twoPoleStep(w: f64, a0: f64, a1: f64): f64 {
  const c = w - a0 * lowSlope - a1 * highSlope;
  const a = (a0 + a1) * w - a0 * a1 * (lowSlope + highSlope);
  const b = a0 * a1 * w;
  if (c == 0) return a == 0 ? 0 : b / a;
  const root = Math.sqrt(Math.abs(a * a - 4 * b * c));
  return a <= 0 ? (a - root) / (2 * c) : (2 * b) / (a + root);
}

/** Step for the last root, which has a pole on one side only. */
function onePoleStep(rhoInverse: f64, a0: f64): f64 {
  const residue = lowSlope * a0 * a0;
  const constant = rhoInverse + low - lowSlope * a0;
  return constant == 0 ? 0 : a0 + residue / constant;
}

/**
 * Root number i of K; leaves d_k − λ in delta[K] and returns λ.
 * `zz` holds z_k², `rhoInverse` is 1/ρ, `zNorm2` is Σ z_k².
 */
export function secularRoot(
  K: i32,
  i: i32,
  d: usize,
  zz: usize,
  rhoInverse: f64,
  zNorm2: f64,
  delta: usize,
): f64 {
  const last = i == K - 1;
  const di = load<f64>(at(d, i));
  let origin = di;
  let lo = 0.0;
  let hi = (zNorm2 / rhoInverse) * (1 + 4 * EPSILON);
  let tau = hi / 2;
  if (!last) {
    const gap = load<f64>(at(d, i + 1)) - di;
    evaluate(K, i, d, zz, di, gap / 2, delta);
    lo = 0;
    hi = gap / 2;
    tau = gap / 4;
    if (rhoInverse + low + high < 0) {
      origin = load<f64>(at(d, i + 1));
      lo = -gap / 2;
      hi = 0;
      tau = -gap / 4;
    }
  }
  for (let iteration = 0; iteration < MAX_ITERATIONS; iteration++) {
    evaluate(K, i, d, zz, origin, tau, delta);
    const w = rhoInverse + low + high;
    const bound = EPSILON * (8 * (high - low) + 2 * rhoInverse + Math.abs(tau) * (lowSlope + highSlope));
    if (Math.abs(w) <= bound) break;
    if (w < 0) lo = tau;
    else hi = tau;
    const a0 = load<f64>(at(delta, i));
    let step = last ? onePoleStep(rhoInverse, a0) : twoPoleStep(w, a0, load<f64>(at(delta, i + 1)));
    // f rises between poles: a step the wrong way is replaced by Newton's, one out of the bracket by halving.
    if (!(w * step < 0)) step = -w / (lowSlope + highSlope);
    let next = tau + step;
    if (!(next > lo && next < hi)) next = lo + (hi - lo) / 2;
    if (next == tau || next == lo || next == hi) break;
    tau = next;
  }
  return origin + tau;
}
