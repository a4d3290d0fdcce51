/**
 * How a descent of ‖W − a·sin(U·Vᵀ)‖² goes about it, whatever it runs on: Adam under a cosine schedule, noise on the
 * factors that is annealed to nothing, and an early end when nothing more is gained. Measured on 68 trained layers.
 */

/** Decay of Adam's two moments, its authors' values. */
export const [BETA1, BETA2] = [0.9, 0.999];

/** Noise is added during this share of the steps; the rest settle in the basin that was found. */
const NOISY_SHARE = 0.7;

/** Steps between two looks at what was gained, and the least relative gain of the objective for going on. */
const PATIENCE = 25;
const LEAST_GAIN = 1e-4;

export interface Schedule {
  readonly steps: number;
  /** First step length, in units of k^(−1/4): the size of entries of U and V whose products are about 1. */
  readonly rate: number;
  /** Of the logarithm of the amplitude; 0 keeps it fixed. */
  readonly amplitudeRate: number;
  /** Standard deviation of the noise added at first, in the same units as `rate`. */
  readonly noise: number;
  readonly seed: number;
}

/** Share of the first noise that a step (counted from 0) adds; none when it is not above 0. */
export function heatAt(step: number, steps: number): number {
  return 1 - step / (NOISY_SHARE * steps);
}

/** Whether what was gained is looked at before this step: the objective is then wanted. */
export function isLook(step: number, steps: number): boolean {
  return heatAt(step, steps) <= 0 && step % PATIENCE === 0;
}

/** Whether an objective is too close to that of the last look for going on. */
export function isSettled(objective: number, last: number): boolean {
  return objective > last * (1 - LEAST_GAIN);
}

/** Share of the first step length that a step takes, with the corrections of both moments' start at zero. */
export function correctedRate(step: number, steps: number): number {
  const decay = 0.5 * (1 + Math.cos((Math.PI * step) / steps));
  const taken = step + 1;
  return (decay * Math.sqrt(1 - BETA2 ** taken)) / (1 - BETA1 ** taken);
}

/** Size of entries of U and V whose products are about 1. */
export function factorUnit(rank: number): number {
  return rank ** -0.25;
}

/** State of the noise's generator at first: any but zero starts it; neighbouring seeds are spread. */
export function generatorState(seed: number): number {
  return Math.imul(seed, 0x9e3779b1) | 1;
}

/** Input Gram matrices are divided by the mean of their diagonal: only their direction counts. Returns the factor. */
export function gramScale(G: Float64Array, n: number): number {
  let trace = 0;
  for (let i = 0; i < n; i++) trace += G[i * n + i] ?? 0;
  return trace > 0 ? n / trace : 1;
}
