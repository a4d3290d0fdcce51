import type { ScheduleRecipe } from './recipe';

/** Share of the learning rate that is left at the end of an exponential schedule, unless told. */
const EXPONENTIAL_END = 0.1;

/** What the learning rate is multiplied with at the milestones of `steps`, unless told. */
const STEP_FACTOR = 0.1;

/**
 * Factor on the learning rate at a step, counted from 0, of a run of `steps`.
 *
 * Warm-up grows linearly and reaches 1 with its last step. After it, with t from 0 to 1 over what is left and e the share
 * at the end: cosine e + (1 − e)·(1 + cos πt)/2 (Loshchilov & Hutter, "SGDR", 2017, eq. 5), linear 1 − (1 − e)·t,
 * exponential eᵗ. `steps` multiplies at whole epochs.
 */
export function rateFactor(
  { kind, warmupSteps = 0, final, epochs = [], factor = STEP_FACTOR }: ScheduleRecipe,
  step: number,
  steps: number,
  stepsPerEpoch: number,
): number {
  if (step < warmupSteps) return (step + 1) / warmupSteps;
  const t = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
  switch (kind) {
    case 'constant':
      return 1;
    case 'cosine':
      return (final ?? 0) + ((1 - (final ?? 0)) * (1 + Math.cos(Math.PI * t))) / 2;
    case 'linear':
      return 1 - (1 - (final ?? 0)) * t;
    case 'exponential':
      return (final ?? EXPONENTIAL_END) ** t;
    case 'steps':
      return factor ** epochs.filter((epoch) => step >= epoch * stepsPerEpoch).length;
  }
}
