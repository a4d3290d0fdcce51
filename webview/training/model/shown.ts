/** Which runs are on show: what a person chose, otherwise those that were started last, otherwise all. */
import { compare } from '../../model/sorting';
import type { RunSummary } from '../protocol';
import type { TrainingState } from './state';

export type Scope = 'last' | 'all';

/** Those that were started last first; those that were started together by their names. */
export function runsOf({ runs }: TrainingState): readonly RunSummary[] {
  return [...runs.values()].sort(
    (a, b) => compare(b.record.createdAt, a.record.createdAt) || compare(a.record.id, b.record.id),
  );
}

/** Those that were started together, the newest. @param runs newest first */
export function lastGroup(runs: readonly RunSummary[]): readonly RunSummary[] {
  const [newest] = runs;
  return runs.filter(({ record }) => record.group === newest?.record.group);
}

/** @param runs newest first. @param selected folders; those that are gone count for nothing */
export function shownRuns(
  runs: readonly RunSummary[],
  scope: Scope,
  selected: readonly string[],
): readonly RunSummary[] {
  const chosen = runs.filter(({ folder }) => selected.includes(folder));
  if (chosen.length > 0) return chosen;
  return scope === 'all' ? runs : lastGroup(runs);
}

/** Whose layers are on show: of those that told any, the one that was chosen, one that goes on, or the first. */
export function layersRun(
  { curves }: TrainingState,
  shown: readonly RunSummary[],
  chosen: string | undefined,
): RunSummary | undefined {
  const telling = shown.filter(({ folder }) => curves.get(folder)?.has('utilized') === true);
  const asked = telling.find(({ folder }) => folder === chosen);
  return asked ?? telling.find(({ status }) => status.state === 'running') ?? telling[0];
}
