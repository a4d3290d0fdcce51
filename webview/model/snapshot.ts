/** The utilization snapshot: one bar a layer, in layer order (utilized-rank paper, Fig. 2). */
import type { Slot } from './audit';
import { axisLabels } from './names';

export type SnapshotScale = 'rank' | 'share';

export interface Snapshot {
  readonly names: readonly string[];
  readonly labels: readonly string[];
  /** min(m, n), or 1 on the share scale; null until known. */
  readonly possible: readonly (number | null)[];
  readonly rank: readonly (number | null)[];
  /** Absent when no layer's utilized rank was measured. */
  readonly utilized?: readonly (number | null)[];
}

/** Longer labels take more of a chart than they tell. */
const LABEL_LENGTH = 17;

/** Labels depend on the names alone: made once for a file, not at every batch of layers. */
export function snapshotLabels(names: readonly string[]): string[] {
  return axisLabels(names, LABEL_LENGTH);
}

export function snapshot(
  slots: readonly Slot[],
  labels: readonly string[],
  scale: SnapshotScale,
  utilizedRanks: ReadonlyMap<string, number>,
): Snapshot {
  const possible = slots.map(({ layer }) => layer?.facts.maxRank ?? null);
  const scaled = (values: readonly (number | null)[]) =>
    scale === 'rank' ? values : values.map((value, i) => share(value, possible[i] ?? null));
  const utilized = slots.map(({ name }) => utilizedRanks.get(name) ?? null);
  return {
    names: slots.map(({ name }) => name),
    labels,
    possible: scaled(possible),
    rank: scaled(slots.map(({ layer }) => layer?.facts.rank ?? null)),
    ...(utilizedRanks.size > 0 && { utilized: scaled(utilized) }),
  };
}

function share(value: number | null, possible: number | null): number | null {
  if (value === null || possible === null) return null;
  return possible === 0 ? 0 : value / possible;
}
