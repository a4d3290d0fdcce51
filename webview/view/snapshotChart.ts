/** The utilization snapshot as a Chart.js bar chart: bars over bars, the most possible behind. */
import type { ChartConfiguration, ChartDataset, Plugin } from 'chart.js';
import type { Snapshot, SnapshotScale } from '../model/snapshot';
import { count, percent } from '../model/numbers';
import type { Theme } from '../theme';
import { axisLook, BASE_OPTIONS } from './charts';

/** What is drawn besides the data. */
export interface SnapshotMarks {
  /** Bar that a pointer or a key is at. */
  cursor: number | undefined;
  /** Selected bars and their colours. */
  selected: ReadonlyMap<number, string>;
}

/** More bars than this leave no room for gaps between them. */
const GAPLESS_BARS = 150;
/** Of the band behind a selected bar. */
const SELECTED_ALPHA = 0.18;
/** Least width of the mark of a selected bar, in CSS pixels. */
const MARK_WIDTH = 4;

export function snapshotConfig(
  snapshot: Snapshot,
  scale: SnapshotScale,
  theme: Theme,
  marks: SnapshotMarks,
): ChartConfiguration<'bar', (number | null)[]> {
  const y = axisLook(theme, scale === 'rank' ? 'rank' : 'share of most possible');
  const x = axisLook(theme, '');
  const font = { family: theme.fontFamily, size: theme.fontSize - 1 };
  return {
    type: 'bar',
    data: { labels: [...snapshot.labels], datasets: snapshotDatasets(snapshot, theme) },
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
            ...labelRotation(snapshot.labels),
            autoSkip: true,
            // Measuring the width of every label at every batch would take longer than drawing.
            sampleSize: MEASURED_LABELS,
            autoSkipPadding: 4,
          },
        },
        y: {
          ...y,
          beginAtZero: true,
          ...(scale === 'share' && { max: 1 }),
          ticks: {
            ...y.ticks,
            maxTicksLimit: 6,
            // Ranks are whole, also where there is none yet.
            ...(scale === 'rank' && { precision: 0 }),
            callback: (value) => (scale === 'share' ? percent(Number(value)) : count(Number(value))),
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

export function snapshotDatasets(snapshot: Snapshot, theme: Theme): ChartDataset<'bar', (number | null)[]>[] {
  const { possible, rank, utilized } = snapshot;
  const gapless = possible.length > GAPLESS_BARS;
  const outline = theme.highContrast && !gapless ? { borderColor: theme.border, borderWidth: 1 } : {};
  const bars = (label: string, data: readonly (number | null)[], backgroundColor: string, order: number) => ({
    ...{ label, data: [...data], backgroundColor, order, grouped: false },
    barPercentage: gapless ? 1 : 0.86,
    categoryPercentage: 1,
  });
  return [
    { ...bars('most possible', possible, theme.possible, 3), ...outline },
    bars('rank', rank, utilized === undefined ? theme.rank : theme.rankBehind, 2),
    ...(utilized === undefined ? [] : [bars('utilized rank', utilized, theme.utilized, 1)]),
  ];
}

function marksPlugin(marks: SnapshotMarks, theme: () => Theme): Plugin<'bar'> {
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
