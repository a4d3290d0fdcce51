/** What the chart of runs draws: a line a run, and one for the mean over the seeds of a variant. */
import type { CurveId, RunSummary } from '../protocol';
import { every, meanOf, pointsOf, thinned, valueAt, type PointLook, type XY } from './points';
import type { TrainingState } from './state';
import type { Variant, VariantStyle } from './variants';

export interface Line {
  readonly variant: string;
  readonly label: string;
  readonly points: readonly XY[];
  readonly style: VariantStyle;
  /** `seed`: one of several, drawn thin behind their mean. */
  readonly kind: 'run' | 'seed' | 'mean';
}

export interface PlotData {
  readonly lines: readonly Line[];
  /** Places along the x axis at which there is something to read, from left to right. */
  readonly places: readonly number[];
}

/** Points on the screen at once, all lines together: drawn within a frame. */
const MAX_DRAWN = 24_000;
/** Of one line: about as many as a wide screen has columns. */
const MAX_LINE = 1200;
/** Fewer would change what a line looks like. */
const MIN_LINE = 40;
/** Stops of the cursor. */
const MAX_PLACES = 240;

export interface PlotLook extends PointLook {
  readonly quantity: CurveId;
  /** Keys of variants that are switched off. */
  readonly hidden: readonly string[];
}

export function plotData(state: TrainingState, variants: readonly Variant[], look: PlotLook): PlotData {
  const shown = variants.filter(({ key }) => !look.hidden.includes(key));
  const runs = shown.reduce((sum, variant) => sum + variant.runs.length, 0);
  const most = Math.max(MIN_LINE, Math.min(MAX_LINE, Math.floor(MAX_DRAWN / Math.max(1, runs))));
  const whole: (readonly XY[])[] = [];
  const lines = shown.flatMap((variant) => {
    const curves = variant.runs.flatMap(({ folder }) => {
      const values = state.curves.get(folder)?.get(look.quantity);
      const points = values === undefined ? [] : pointsOf(values, look);
      return points.length === 0 ? [] : [points];
    });
    whole.push(...curves);
    return linesOf(variant, curves, most);
  });
  return { lines, places: placesOf(whole) };
}

function linesOf({ key, label, style }: Variant, curves: readonly (readonly XY[])[], most: number): Line[] {
  const mean = meanOf(curves);
  const kind = mean === undefined ? 'run' : 'seed';
  const common = { variant: key, label, style };
  const lines: Line[] = curves.map((points) => ({ ...common, kind, points: thinned(points, most) }));
  if (mean !== undefined) lines.push({ ...common, kind: 'mean', points: mean });
  return lines;
}

/** The places of the longest line, and the end of whichever goes on furthest. */
function placesOf(curves: readonly (readonly XY[])[]): readonly number[] {
  const [longest = []] = [...curves].sort((a, b) => b.length - a.length);
  const end = curves.reduce((most, points) => Math.max(most, points.at(-1)?.x ?? -Infinity), -Infinity);
  const places = every(longest, MAX_PLACES).map(({ x }) => x);
  const last = places.at(-1);
  return last !== undefined && end > last ? [...places, end] : places;
}

/** What a line stands for at a place, best known of its variant: the mean where there is one. */
export interface Reading {
  readonly label: string;
  readonly style: VariantStyle;
  readonly value: number;
  readonly isMean: boolean;
}

/** Of every variant that has got as far, the largest first. */
export function readingsAt({ lines }: PlotData, x: number): readonly Reading[] {
  const readings = lines.flatMap(({ label, style, kind, points }): Reading[] => {
    const value = kind === 'seed' ? undefined : valueAt(points, x);
    return value === undefined ? [] : [{ label, style, value, isMean: kind === 'mean' }];
  });
  return readings.sort((a, b) => b.value - a.value);
}

/** Quantities that any of these runs told, those that matter most first. */
export function quantitiesOf(state: TrainingState, runs: readonly RunSummary[]): readonly CurveId[] {
  const told = new Set<CurveId>();
  for (const { folder } of runs) for (const id of state.curves.get(folder)?.keys() ?? []) told.add(id);
  const metrics = [...told].filter((id) => id.startsWith('metric:')).sort();
  const more = [...told].filter((id) => id.startsWith('more:')).sort();
  const known = KNOWN_QUANTITIES.filter((id) => told.has(id));
  return [...metrics, ...known, ...more];
}

const KNOWN_QUANTITIES: readonly CurveId[] = [
  'loss',
  'validationLoss',
  'learningRate',
  'throughput',
  'utilized',
  'original',
];

/** What was chosen, where it is told; otherwise what matters most. */
export function shownQuantity(chosen: string | undefined, told: readonly CurveId[]): CurveId {
  return told.find((id) => id === chosen) ?? told[0] ?? 'loss';
}
