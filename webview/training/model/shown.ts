/** Which runs are on show: what a person chose, otherwise those that were started last, otherwise all. */
import { compare } from '../../model/sorting';
import { select, type SelectMode } from '../../model/selection';
import type { RunSummary } from '../protocol';
import type { TrainingState } from './state';
import { variantsOf, type Variant } from './variants';

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

/** The runs of the page, and what is made of them. */
export interface ShownRuns {
  readonly from: readonly unknown[];
  readonly all: readonly RunSummary[];
  readonly shown: readonly RunSummary[];
  readonly variants: readonly Variant[];
}

/** @param before what was made last: the same as long as nothing that it is made of is other */
export function shownOf(
  state: TrainingState,
  scope: Scope,
  selected: readonly string[],
  before: ShownRuns | undefined,
): ShownRuns {
  const from = [state.runs, scope, selected];
  if (before !== undefined && from.every((part, i) => part === before.from[i])) return before;
  const all = runsOf(state);
  const shown = shownRuns(all, scope, selected);
  return { from, all, shown, variants: variantsOf(shown) };
}

/**
 * Folders that are selected after a click on a run. A click on the only one that is selected takes it back: those that
 * were started last are on show again.
 *
 * @param visible folders of the rows in the order shown
 */
export function selectedAfter(
  selected: readonly string[],
  folder: string,
  mode: SelectMode,
  visible: readonly string[],
): readonly string[] {
  if (mode === 'only' && selected.length === 1 && selected[0] === folder) return [];
  const anchor = selected.at(-1);
  const before = { names: selected, ...(anchor !== undefined && { anchor }) };
  return select(before, folder, mode, visible).names;
}
