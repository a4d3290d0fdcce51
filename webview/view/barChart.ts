/** A bar a layer as a Chart.js chart: bars over bars of several series, the last behind. */
import type { ChartConfiguration, ChartDataset, Plugin } from 'chart.js';
import type { Theme } from '../theme';
import { axisLook, BASE_OPTIONS } from './charts';

/** What is drawn besides the data. */
export interface BarMarks {
  /** Bar that a pointer or a key is at. */
  cursor: number | undefined;
  /** Selected bars and their colours. */
  selected: ReadonlyMap<number, string>;
}

export interface BarSeries {
  readonly label: string;
  readonly data: readonly (number | null)[];
  readonly colour: string;
  /** Has an outline in high-contrast themes, where its colour may be close to the background's. */
  readonly outlined?: boolean;
}

export interface BarScale {
  readonly title: string;
  readonly max?: number;
  /** Decimals of the ticks at most. */
  readonly precision?: number;
  readonly text: (value: number) => string;
}

/** More bars than this leave no room for gaps between them. */
const GAPLESS_BARS = 150;
/** Of the band behind a selected bar. */
const SELECTED_ALPHA = 0.18;
/** Least width of the mark of a selected bar, in CSS pixels. */
const MARK_WIDTH = 4;

/** @param series in front first */
export function barConfig(
  labels: readonly string[],
  series: readonly BarSeries[],
  scale: BarScale,
  theme: Theme,
  marks: BarMarks,
): ChartConfiguration<'bar', (number | null)[]> {
  const y = axisLook(theme, scale.title);
  const x = axisLook(theme, '');
  const font = { family: theme.fontFamily, size: theme.fontSize - 1 };
  return {
    type: 'bar',
    data: { labels: [...labels], datasets: barDatasets(series, theme) },
    options: {
      ...BASE_OPTIONS,
      scales: {
        x: {
          ...x,
          grid: { display: false },
          title: { display: false },
          ticks: {
            ...x.ticks,
            font,
            ...labelRotation(labels),
            autoSkip: true,
            // Measuring the width of every label at every batch would take longer than drawing.
            sampleSize: MEASURED_LABELS,
            autoSkipPadding: 4,
          },
        },
        y: {
          ...y,
          beginAtZero: true,
          ...(scale.max !== undefined && { max: scale.max }),
          ticks: {
            ...y.ticks,
            maxTicksLimit: 6,
            ...(scale.precision !== undefined && { precision: scale.precision }),
            callback: (value) => scale.text(Number(value)),
          },
        },
      },
    },
    plugins: [marksPlugin(marks, () => theme)],
  };
}

/** Labels that stand for the widths of all. */
const MEASURED_LABELS = 24;

/** Columns of characters that a plot of the usual width has room for, side by side. */
const LEVEL_LABEL_CHARACTERS = 90;

/** All level or all turned: Chart.js would turn them by whatever just fits, and they would touch. */
function labelRotation(labels: readonly string[]) {
  const longest = labels.reduce((length, label) => Math.max(length, label.length + 2), 0);
  const rotation = longest * labels.length > LEVEL_LABEL_CHARACTERS ? 45 : 0;
  return { minRotation: rotation, maxRotation: rotation };
}

export function barDatasets(
  series: readonly BarSeries[],
  theme: Theme,
): ChartDataset<'bar', (number | null)[]>[] {
  return series.map(({ label, data, colour, outlined }, order) => {
    const gapless = data.length > GAPLESS_BARS;
    const hasOutline = outlined === true && theme.highContrast && !gapless;
    return {
      ...{ label, data: [...data], backgroundColor: colour, order, grouped: false },
      barPercentage: gapless ? 1 : 0.86,
      categoryPercentage: 1,
      ...{ borderColor: theme.border, borderWidth: hasOutline ? 1 : 0 },
    };
  });
}

function marksPlugin(marks: BarMarks, theme: () => Theme): Plugin<'bar'> {
  return {
    id: 'marks',
    beforeDatasetsDraw(chart) {
      const x = chart.scales.x;
      if (x === undefined) return;
      const { ctx, chartArea } = chart;
      const band = (index: number, colour: string, alpha: number) => {
        const [left, width] = column(x.getPixelForValue(index), chart);
        ctx.globalAlpha = alpha;
        ctx.fillStyle = colour;
        ctx.fillRect(left, chartArea.top, width, chartArea.bottom - chartArea.top);
      };
      ctx.save();
      for (const [index, colour] of marks.selected) band(index, colour, SELECTED_ALPHA);
      if (marks.cursor !== undefined) band(marks.cursor, theme().cursor, 1);
      ctx.restore();
    },
    afterDatasetsDraw(chart) {
      const x = chart.scales.x;
      if (x === undefined) return;
      const { ctx, chartArea } = chart;
      for (const [index, colour] of marks.selected) {
        const [left, width] = column(x.getPixelForValue(index), chart);
        ctx.fillStyle = colour;
        ctx.fillRect(left, chartArea.bottom + 1, width, 3);
      }
    },
  };
}

/** Left edge and width of a bar's column, at least as wide as can be seen. */
function column(
  centre: number,
  chart: {
    readonly chartArea: { readonly width: number };
    readonly data: { labels?: unknown[] | undefined };
  },
): readonly [left: number, width: number] {
  const bars = Math.max(1, chart.data.labels?.length ?? 1);
  const width = Math.max(MARK_WIDTH, (chart.chartArea.width / bars) * 0.86);
  return [centre - width / 2, width];
}
