/** The utilization snapshot as a bar chart: ranks over the most possible ones. */
import type { Snapshot, SnapshotScale } from '../model/snapshot';
import { count, percent } from '../model/numbers';
import type { Theme } from '../theme';
import { barConfig, type BarMarks, type BarScale, type BarSeries } from './barChart';

export const SCALES: Readonly<Record<SnapshotScale, BarScale>> = {
  // Ranks are whole, also where there is none yet.
  rank: { title: 'rank', precision: 0, text: count },
  share: { title: 'share of most possible', max: 1, text: percent },
};

export function snapshotConfig(snapshot: Snapshot, scale: SnapshotScale, theme: Theme, marks: BarMarks) {
  return barConfig(snapshot.labels, snapshotSeries(snapshot, theme), SCALES[scale], theme, marks);
}

export function snapshotSeries({ possible, rank, utilized }: Snapshot, theme: Theme): BarSeries[] {
  return [
    ...(utilized === undefined ? [] : [{ label: 'utilized rank', data: utilized, colour: theme.utilized }]),
    {
      label: 'rank (99.99 % of the energy)',
      data: rank,
      colour: utilized === undefined ? theme.rank : theme.rankBehind,
    },
    { label: 'most possible', data: possible, colour: theme.possible, outlined: true },
  ];
}
