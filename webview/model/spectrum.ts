/** Curves of the spectrum plot: normalised singular values, or the energy they hold, thinned to what a screen can show. */
import type { PanelLayer } from './audit';

export type SpectrumView = 'values' | 'energy';
export type SpectrumScale = 'log' | 'linear';

export interface Point {
  /** 1 … min(m, n). */
  readonly x: number;
  readonly y: number;
}

/** A level of energy and the first r that reaches it. */
export interface EnergyMark {
  readonly level: number;
  readonly rank: number;
}

export interface Curve {
  readonly name: string;
  readonly length: number;
  readonly points: readonly Point[];
  /** Random-matrix edge over σ₁; absent for the energy view and for a zero matrix. */
  readonly edge?: number;
  readonly marks: readonly EnergyMark[];
}

/** Levels that the energy view marks. */
export const MARKED_LEVELS = [0.9, 0.99, 0.9999] as const;

/** More lines than this are a carpet; the rest of a selection is counted, not drawn. */
export const MAX_CURVES = 12;

/**
 * Smallest value that a logarithmic axis shows. Singular values are known to 2e-8·σ₁, so that below lies rounding (and
 * the logarithm of zero); of the energy, two decades below the last mark, 0.9999, are enough.
 */
export const LOG_FLOOR = { values: 1e-8, energy: 1e-6 } as const;

/** Steps of a curve along either axis: finer than the pixels of any plot here. */
const STEPS = 800;

export function curve({ facts, spectrum }: PanelLayer, view: SpectrumView, scale: SpectrumScale): Curve {
  const values = view === 'values' ? normalised(spectrum) : energies(spectrum, scale);
  const floor = scale === 'log' ? LOG_FLOOR[view] : undefined;
  const hasEdge = view === 'values' && facts.spectralNorm > 0;
  return {
    name: facts.name,
    length: spectrum.length,
    points: thinned(values, floor),
    ...(hasEdge && { edge: facts.randomEdge / facts.spectralNorm }),
    marks: view === 'energy' ? energyMarks(spectrum) : [],
  };
}

/** σᵢ/σ₁; zeros for a zero matrix. */
export function normalised(spectrum: Float64Array): Float64Array {
  const largest = spectrum[0] ?? 0;
  return largest > 0 ? spectrum.map((value) => value / largest) : new Float64Array(spectrum.length);
}

/**
 * Energy after the first r singular values, r = 1 … n, as a share of all: what they hold (linear), or what is still
 * missing (log), because the nines of 0.9999 only show as distances from 1. Summed from the small end, so that the
 * missing energy keeps its digits.
 */
export function energies(spectrum: Float64Array, scale: SpectrumScale): Float64Array {
  const tail = tailShares(spectrum);
  return scale === 'log' ? tail : tail.map((missing) => 1 - missing);
}

/** Element i: share of the energy that lies beyond the first i + 1 values. All 0 for a zero matrix. */
function tailShares(spectrum: Float64Array): Float64Array {
  const values = normalised(spectrum);
  const tail = new Float64Array(values.length);
  let sum = 0;
  for (let i = values.length - 1; i >= 0; i--) {
    tail[i] = sum;
    sum += (values[i] ?? 0) ** 2;
  }
  return sum > 0 ? tail.map((missing) => missing / sum) : tail;
}

/** As the engine counts: ties are reached, see `TIE` in the engine's energy ranks. */
const TIE = 1e-12;

export function energyMarks(spectrum: Float64Array): EnergyMark[] {
  if (!((spectrum[0] ?? 0) > 0)) return [];
  const tail = tailShares(spectrum);
  return MARKED_LEVELS.map((level) => ({
    level,
    rank: tail.findIndex((missing) => 1 - missing >= level - TIE) + 1,
  }));
}

/**
 * A monotone curve with no more points than steps: a point is kept when it moved a step along x or along y since the
 * last kept one, so that no pixel of the drawn line changes. First and last stay, and so does the point before a jump.
 *
 * @param floor of a logarithmic axis: smaller values lie on it; absent for a linear axis over [0, 1]
 */
export function thinned(values: Float64Array, floor?: number): Point[] {
  const height = (value: number) =>
    floor === undefined ? value : Math.log(Math.max(value, floor)) / -Math.log(floor);
  const points: Point[] = [];
  const stepX = Math.max(1, (values.length - 1) / STEPS);
  let lastKept = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    const ends = i === 0 || i === values.length - 1;
    const moved = Math.abs(height(value) - height(values[lastKept] ?? 0)) >= 1 / STEPS;
    if (!ends && !moved && i - lastKept < stepX) continue;
    if (moved && i - 1 > lastKept) points.push(point(i - 1, values[i - 1] ?? 0, floor));
    points.push(point(i, value, floor));
    lastKept = i;
  }
  return points;
}

function point(index: number, value: number, floor: number | undefined): Point {
  return { x: index + 1, y: floor === undefined ? value : Math.max(value, floor) };
}
