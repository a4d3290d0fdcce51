/** Sliders: positions that a range control has, and the values that they stand for. */

/** Positions of a logarithmic slider; an arrow key moves one. */
export const STEPS = 400;

export interface SliderScale {
  readonly least: number;
  readonly most: number;
  /** Positions run from 0 to this. */
  readonly steps: number;
  /** 0 … steps, whole; values beyond the ends stand at the ends. */
  readonly positionOf: (value: number) => number;
  readonly valueAt: (position: number) => number;
}

/** Equal ratios between steps. @param least above 0. */
export function logScale(least: number, most: number): SliderScale {
  const span = Math.log(most / least);
  return {
    ...{ least, most, steps: STEPS },
    positionOf: (value) =>
      span > 0 && value > 0 ? step((Math.log(value / least) / span) * STEPS, STEPS) : 0,
    // Three digits are more than a step tells apart, and they read well; the ends stay inside the range.
    valueAt: (position) =>
      Math.min(most, Math.max(least, Number((least * Math.exp((span * position) / STEPS)).toPrecision(4)))),
  };
}

/** Whole numbers, a step each. */
export function wholeScale(least: number, most: number): SliderScale {
  const steps = Math.max(0, most - least);
  return {
    ...{ least, most, steps },
    positionOf: (value) => step(value - least, steps),
    valueAt: (position) => least + step(position, steps),
  };
}

/** Numbers on a grid. @param grain distance of two steps; the ends are on the grid. */
export function evenScale(least: number, most: number, grain: number): SliderScale {
  const steps = Math.round((most - least) / grain);
  return {
    ...{ least, most, steps },
    positionOf: (value) => step((value - least) / grain, steps),
    valueAt: (position) => Number((least + position * grain).toPrecision(6)),
  };
}

function step(position: number, steps: number): number {
  return Math.max(0, Math.min(steps, Math.round(position)));
}

/** Where the range 0 … limit of a value ends on a slider's track. */
export type RangeEnd =
  /** Share of the track, 0 … 1. */
  | { readonly kind: 'inside'; readonly share: number }
  /** The whole track lies in the range. */
  | { readonly kind: 'beyond' }
  /** None of it does. */
  | { readonly kind: 'before' };

export function rangeEnd(scale: SliderScale, limit: number): RangeEnd {
  if (limit < scale.least) return { kind: 'before' };
  if (limit >= scale.most) return { kind: 'beyond' };
  const span = Math.log(scale.most / scale.least);
  return { kind: 'inside', share: span > 0 ? Math.log(limit / scale.least) / span : 0 };
}
