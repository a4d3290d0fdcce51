/** The chart of runs as a Chart.js line chart. */
import type { ChartConfiguration, ChartDataset } from 'chart.js';
import { compact, count, seconds } from '../../model/numbers';
import type { Theme } from '../../theme';
import { axisLook, BASE_OPTIONS, overlayPlugin, type Overlay } from '../../view/charts';
import type { Line, PlotData, PlotLook } from '../model/plot';
import type { XAxis, XY } from '../model/points';
import { DASHES, type VariantStyle } from '../model/variants';
import { curveAxis, digits } from '../model/words';

const X_TITLES: Readonly<Record<XAxis, string>> = { step: 'step', epoch: 'epoch', seconds: 'time' };

/** Lines of fewer points show each of them, where few lines are drawn. */
const DOTTED_BELOW = 24;
const SEVERAL = 4;
/** More lines than this are drawn thin, as those behind a mean are. */
const MANY = 40;
const THIN = 1;
const THICK = 2;
/** How far a point may stand over the edge. */
const CLIP = 4;
const SEED_ALPHA = 0.45;
const TICKS = 6;

export function lineColour(theme: Theme, { series }: VariantStyle): string {
  return theme.series[series % theme.series.length] ?? theme.foreground;
}

export function runsConfig(
  data: PlotData,
  look: PlotLook,
  theme: Theme,
  overlay: Overlay,
): ChartConfiguration<'line', XY[]> {
  const y = axisLook(theme, curveAxis(look.quantity));
  const x = axisLook(theme, X_TITLES[look.x]);
  overlay.theme = theme;
  return {
    type: 'line',
    data: { datasets: runsDatasets(data, theme) },
    options: {
      ...BASE_OPTIONS,
      ...{ parsing: false, normalized: true },
      scales: {
        x: {
          ...x,
          ...{ type: 'linear', ...xRange(data) },
          grid: { display: false },
          ticks: {
            ...x.ticks,
            ...{ maxRotation: 0, autoSkipPadding: 16, maxTicksLimit: 9, includeBounds: false },
            ...(look.x === 'step' && { precision: 0 }),
            callback: (value) => xText(look.x, Number(value)),
          },
        },
        y: {
          ...y,
          type: look.log ? 'logarithmic' : 'linear',
          ticks: {
            ...y.ticks,
            ...{ maxTicksLimit: TICKS, includeBounds: false },
            callback: (value) => yText(look, Number(value)),
          },
        },
      },
    },
    plugins: [overlayPlugin(overlay, () => overlay.theme ?? theme)],
  };
}

/** From nothing on, so that runs of different length are seen as such; a single place has room on both sides. */
function xRange({ lines }: PlotData): { readonly min: number; readonly max: number } {
  const end = lines.reduce((most, { points }) => Math.max(most, points.at(-1)?.x ?? 0), 0);
  return { min: 0, max: end > 0 ? end : 1 };
}

/** A place on the axis, short: 1,200, 12.5K, 3.2, 1 min 05 s. */
function xText(x: XAxis, value: number): string {
  if (x === 'seconds') return value === 0 ? '0' : seconds(value);
  if (x === 'epoch') return String(Number(value.toFixed(2)));
  return value >= 100_000 ? compact(value) : count(value);
}

/** A place in words: step 1,200. */
export function placeText(x: XAxis, value: number): string {
  if (x === 'seconds') return `after ${seconds(value)}`;
  return `${x} ${x === 'epoch' ? String(Number(value.toFixed(2))) : count(value)}`;
}

function yText({ log, quantity }: PlotLook, value: number): string {
  if (log) return isRound(value) ? digits(value) : '';
  if (quantity === 'utilized' || quantity === 'original') return `${digits(100 * value)}\u00a0%`;
  return Math.abs(value) >= 10_000 ? compact(value) : digits(value);
}

/** 1, 2 or 5 times a power of ten: as many as a logarithmic axis has room for. */
function isRound(value: number): boolean {
  const mantissa = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
  return [1, 2, 5].some((round) => Math.abs(mantissa - round) < 1e-6);
}

/** Means last: they are drawn over the seeds. */
function runsDatasets({ lines }: PlotData, theme: Theme): ChartDataset<'line', XY[]>[] {
  const [many, several] = [lines.length > MANY, lines.filter(({ kind }) => kind !== 'seed').length > SEVERAL];
  const ordered = [...lines].sort((a, b) => Number(a.kind === 'mean') - Number(b.kind === 'mean'));
  return ordered.map((line) => dataset(line, theme, { many, several }));
}

function dataset(
  { label, points, style, kind }: Line,
  theme: Theme,
  { many, several }: { readonly many: boolean; readonly several: boolean },
): ChartDataset<'line', XY[]> {
  const colour = lineColour(theme, style);
  const stroke = kind === 'seed' ? faded(colour) : colour;
  const dots = kind !== 'seed' && !several && points.length <= DOTTED_BELOW;
  return {
    ...{ label, data: [...points], borderColor: stroke, backgroundColor: stroke },
    borderWidth: kind === 'seed' || (many && kind === 'run') ? THIN : THICK,
    borderDash: [...(DASHES[style.dash] ?? [])],
    // A single point has no line.
    pointRadius: points.length === 1 ? 3 : dots ? 2 : 0,
    ...{ tension: 0, spanGaps: true, pointHitRadius: 0, clip: CLIP },
  };
}

function faded(colour: string): string {
  return colour.replace(/[\d.]+\)$/, `${SEED_ALPHA})`);
}
