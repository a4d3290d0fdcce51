/** Curves of singular values or energy as a Chart.js line chart. */
import type { ChartConfiguration, ChartDataset, Tick } from 'chart.js';
import {
  LOG_FLOOR,
  MARKED_LEVELS,
  type Curve,
  type SpectrumScale,
  type SpectrumView,
} from '../model/spectrum';
import { count } from '../model/numbers';
import type { Theme } from '../theme';
import { axisLook, BASE_OPTIONS, overlayPlugin, type Overlay, type ReferenceLine } from './charts';

export interface SpectrumLook {
  readonly view: SpectrumView;
  readonly scale: SpectrumScale;
}

interface XY {
  readonly x: number;
  readonly y: number;
}

/** Line patterns: colours come round again after six curves, and not everyone tells them apart. */
const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 2]];

export interface CurveStyle {
  readonly colour: string;
  readonly dash: readonly number[];
}

/** Colour and pattern of the i-th curve. */
export function curveStyle(theme: Theme, i: number): CurveStyle {
  const { series } = theme;
  const dash = DASHES[Math.floor(i / series.length) % DASHES.length] ?? [];
  return { colour: series[i % series.length] ?? theme.foreground, dash };
}

export function spectrumConfig(
  curves: readonly Curve[],
  look: SpectrumLook,
  theme: Theme,
  overlay: Overlay,
  styles: readonly CurveStyle[] = curves.map((_, i) => curveStyle(theme, i)),
): ChartConfiguration<'line', XY[]> {
  const x = axisLook(theme, 'index');
  overlay.lines = referenceLines(curves, look, theme);
  overlay.theme = theme;
  return {
    type: 'line',
    data: {
      datasets: curves.flatMap((curve, i) => datasets(curve, styles[i] ?? curveStyle(theme, i), look)),
    },
    options: {
      ...BASE_OPTIONS,
      // The points are ready made and in order.
      ...{ parsing: false, normalized: true },
      scales: {
        x: {
          ...x,
          type: 'linear',
          min: 1,
          max: Math.max(2, ...curves.map(({ length }) => length)),
          grid: { display: false },
          ticks: {
            ...x.ticks,
            maxRotation: 0,
            autoSkipPadding: 12,
            precision: 0,
            callback: (value) => count(Number(value)),
          },
        },
        y: yAxis(curves, look, theme),
      },
    },
    plugins: [overlayPlugin(overlay, () => overlay.theme ?? theme)],
  };
}

function datasets(
  curve: Curve,
  { colour, dash }: CurveStyle,
  { scale }: SpectrumLook,
): ChartDataset<'line', XY[]>[] {
  // A matrix of rank 1 has a spectrum of one point, which no line would show.
  const radius = curve.length === 1 ? 3 : 0;
  const look = { borderColor: colour, backgroundColor: colour, pointRadius: radius, pointHitRadius: 0 };
  const line = { ...look, data: [...curve.points], borderWidth: 1.75, borderDash: [...dash] };
  if (curve.marks.length === 0) return [line];
  const height = (level: number) => (scale === 'log' ? 1 - level : level);
  const dots = curve.marks.map(({ level, rank }) => ({ x: rank, y: height(level) }));
  return [line, { ...look, data: dots, showLine: false, pointRadius: 3 }];
}

function referenceLines(curves: readonly Curve[], look: SpectrumLook, theme: Theme): ReferenceLine[] {
  if (look.view === 'energy') {
    return MARKED_LEVELS.map((level) => ({
      ...{ y: look.scale === 'log' ? 1 - level : level, colour: theme.description, dash: [2, 3] },
      // On a linear axis 0.99 and 0.9999 lie on one another.
      ...(look.scale === 'log' || level === 0.9 ? { label: String(level) } : {}),
    }));
  }
  return curves.flatMap(({ edge }, i) => {
    if (edge === undefined) return [];
    const alone = curves.length === 1;
    const colour = alone ? theme.edge : curveStyle(theme, i).colour;
    return [{ y: edge, colour, dash: [5, 4], ...(alone && { label: 'random edge' }) }];
  });
}

function yAxis(curves: readonly Curve[], look: SpectrumLook, theme: Theme) {
  const axis = axisLook(theme, axisTitle(look));
  const ticks = { ...axis.ticks, maxTicksLimit: 7 };
  if (look.scale === 'linear') {
    const tops =
      look.view === 'values' ? curves.map(({ edge = 0, points }) => Math.max(edge, points[0]?.y ?? 0)) : [];
    const max = Math.max(1, ...tops);
    return { ...axis, type: 'linear' as const, min: 0, max: max > 1 ? Math.ceil(max * 10) / 10 : 1, ticks };
  }
  const energy = look.view === 'energy';
  const { min, max } = energy ? { min: LOG_FLOOR.energy, max: 1 } : valueRange(curves);
  return {
    ...axis,
    ...{ type: 'logarithmic' as const, min, max, reverse: energy },
    ticks: { ...ticks, callback: (value: number | string) => powerLabel(Number(value), energy) },
    afterBuildTicks: (scale: { ticks: Tick[] }) => {
      scale.ticks = logTicks(min, max).map((value) => ({ value }));
    },
  };
}

function axisTitle({ view, scale }: SpectrumLook): string {
  if (view === 'values') return 'σ / σ₁';
  return scale === 'log' ? 'energy held (nines)' : 'energy held';
}

/** From a round number below the curves to a little above the highest of them and their edges. */
function valueRange(curves: readonly Curve[]): { readonly min: number; readonly max: number } {
  let [min, max] = [0.1, 1];
  for (const { points, edge = 1 } of curves) {
    const last = points.at(-1)?.y ?? 1;
    min = Math.min(min, last, edge);
    max = Math.max(max, edge, points[0]?.y ?? 0);
  }
  return { min: roundBelow(Math.max(min, LOG_FLOOR.values)), max: max > 1 ? max * 1.1 : 1 };
}

/** Fewer decades than this are divided by 1, 2 and 5. */
const FEW_DECADES = 1.8;

/** The largest of 1, 2, 5 (a power of ten over many decades) times a power of ten that is no larger. */
function roundBelow(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  if (-Math.log10(value) >= FEW_DECADES) return power;
  return power * ([5, 2].find((factor) => factor * power <= value) ?? 1);
}

function logTicks(min: number, max: number): number[] {
  if (Math.log10(max / min) >= FEW_DECADES) return powersOfTen(min, max);
  const decades = powersOfTen(10 ** Math.floor(Math.log10(min)), max);
  const all = decades.flatMap((power) => [power, 2 * power, 5 * power]);
  return all.filter((value) => value >= min * (1 - 1e-9) && value <= max * (1 + 1e-9));
}

function powersOfTen(min: number, max: number): number[] {
  const [from, to] = [Math.round(Math.log10(min)), Math.floor(Math.log10(max) + 1e-9)];
  const step = Math.max(1, Math.ceil((to - from) / 6));
  const powers: number[] = [];
  for (let power = to; power >= from; power -= step) powers.unshift(10 ** power);
  return powers;
}

function powerLabel(value: number, energy: boolean): string {
  const power = Math.round(Math.log10(value));
  if (energy)
    return power === 0 ? '0 %' : `${Number((100 * (1 - value)).toFixed(Math.max(0, -power - 2)))} %`;
  return power >= -3 ? String(Number(value.toPrecision(1))) : `1e${power}`;
}
