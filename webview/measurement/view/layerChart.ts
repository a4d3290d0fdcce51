/** The plot of one layer as a Chart.js line chart. */
import type { ChartConfiguration, ChartDataset } from 'chart.js';
import { count } from '../../model/numbers';
import type { Theme } from '../../theme';
import { axisLook, BASE_OPTIONS, overlayPlugin, type Overlay } from '../../view/charts';
import { SMALLEST_SHARE, type LayerCurve, type XY } from '../model/curves';
import type { LayerView } from '../model/viewState';
import { metricText, type Metric } from '../model/words';

export interface LayerLook {
  readonly view: LayerView;
  readonly metric: Metric | undefined;
  readonly theme: Theme;
}

/** Of the axis of values, beyond the outermost of them. */
const MARGIN = 0.06;

const TICKS = 6;

interface ValueRange {
  readonly min: number;
  readonly max: number;
}

export function layerConfig(
  curve: LayerCurve,
  { view, metric, theme }: LayerLook,
  overlay: Overlay,
): ChartConfiguration<'line', XY[]> {
  const range = view === 'search' ? valueRange(curve) : { min: SMALLEST_SHARE, max: 1 };
  const y = axisLook(theme, view === 'search' ? (metric ?? 'value') : 'share of energy');
  const x = axisLook(theme, view === 'search' ? 'dimensions kept' : 'index');
  const decimals = decimalsOf(range, metric);
  overlay.theme = theme;
  overlay.lines =
    curve.threshold === undefined
      ? []
      : [
          {
            ...{ y: curve.threshold, colour: theme.edge, dash: [5, 4] },
            label: `must be ${metric === 'loss' ? 'at most' : 'at least'} ${metricText(metric, curve.threshold)}`,
          },
        ];
  return {
    type: 'line',
    data: { datasets: datasets(curve, view, theme, range) },
    options: {
      ...BASE_OPTIONS,
      ...{ parsing: false, normalized: true },
      scales: {
        x: {
          ...x,
          ...{ type: 'linear', min: 1, max: Math.max(2, curve.length) },
          grid: { display: false },
          ticks: {
            ...x.ticks,
            ...{ maxRotation: 0, autoSkipPadding: 12, precision: 0 },
            callback: (value) => count(Number(value)),
          },
        },
        y: {
          ...y,
          ...(view === 'search' ? { type: 'linear' as const } : { type: 'logarithmic' as const }),
          ...range,
          ticks: {
            ...y.ticks,
            ...{ maxTicksLimit: TICKS, includeBounds: false },
            callback: (value) => tick(view, Number(value), decimals),
          },
        },
      },
    },
    plugins: [overlayPlugin(overlay, () => overlay.theme ?? theme)],
  };
}

/** Ticks of the search that are told apart, and no more digits than that. */
function decimalsOf({ min, max }: ValueRange, metric: Metric | undefined): number {
  const most = metric === 'loss' ? 6 : 2;
  return Math.min(most, Math.max(0, Math.ceil(-Math.log10((max - min) / TICKS))));
}

function tick(view: LayerView, value: number, decimals: number): string {
  if (view === 'search') return value.toFixed(decimals);
  const power = Math.log10(value);
  return Math.abs(power - Math.round(power)) < 1e-6 ? `1e${Math.round(power)}` : '';
}

function datasets(
  { points, passed, failed, chosen }: LayerCurve,
  view: LayerView,
  theme: Theme,
  { min, max }: ValueRange,
): ChartDataset<'line', XY[]>[] {
  const line = (data: readonly XY[], colour: string, more: object): ChartDataset<'line', XY[]> => ({
    ...{ data: [...data], borderColor: colour, backgroundColor: colour, pointHitRadius: 0 },
    ...{ borderWidth: 1.75, pointRadius: 0 },
    ...more,
  });
  const dots = { showLine: false, pointRadius: 4 };
  return [
    ...(view === 'search'
      ? [
          line(passed, theme.utilized, dots),
          // Hollow: told apart without colours too.
          line(failed, theme.edge, { ...dots, backgroundColor: theme.background, pointBorderWidth: 1.75 }),
        ]
      : []),
    line(points, view === 'search' ? theme.gridLine : theme.utilized, {}),
    ...(chosen === undefined
      ? []
      : [
          line(
            [
              { x: chosen, y: min },
              { x: chosen, y: max },
            ],
            theme.foreground,
            { borderWidth: 1, borderDash: [2, 3] },
          ),
        ]),
  ];
}

function valueRange({ points, threshold }: LayerCurve): ValueRange {
  const values = [...points.map(({ y }) => y), ...(threshold === undefined ? [] : [threshold])];
  if (values.length === 0) return { min: 0, max: 1 };
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = high > low ? (high - low) * MARGIN : Math.max(1e-6, Math.abs(high) * MARGIN);
  return { min: low - margin, max: high + margin };
}
