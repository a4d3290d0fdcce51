/** Folders of runs: made, listed, put together for people. */
import { lstatSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { CheckpointError } from '../checkpoint/errors';
import { ensureFolder } from '../checkpoint/write/ensureFolder';
import type { PlaceStatus } from './launchers/launcher';
import type { PlannedRun } from './sweep';
import { RUN_SCHEMA, type RunRecord, type RunState, type RunSummary, type StateRecord } from './run/run';
import { readRun, runPaths, writeRecord, type StoredRun } from './run/runFolder';

/** Runs of one recipe that are listed, newest first. */
const MAX_LISTED = 10_000;

/** Longest part of a run's name that its label makes. */
const MAX_SLUG = 48;

/** Where the runs of a recipe are: beside it. @param recipe absolute */
export function runsFolder(recipe: string): string {
  return `${recipe.replace(/\.rankscope\.json$/i, '')}.runs`;
}

/**
 * Makes a folder for each run, which then wait to be launched.
 *
 * @throws CheckpointError `io` when the folder of the recipe cannot be written to
 */
export async function createRuns(
  planned: readonly PlannedRun[],
  tool: RunRecord['tool'],
  now: Date,
): Promise<readonly StoredRun[]> {
  const [first] = planned;
  if (first === undefined) return [];
  const parent = runsFolder(first.recipe.path);
  try {
    await ensureFolder(parent);
    const stamp = now.toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
    const runs = planned.map((one) => {
      const folder = newFolder(parent, `${stamp}-${slugOf(one.label)}`);
      return { folder, one };
    });
    const group = path.basename(runs[0]?.folder ?? stamp);
    return runs.map(({ folder, one }) => {
      const record = recordOf(one, path.basename(folder), group, tool, now);
      writeRecord(folder, record);
      return { folder, record };
    });
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError('io', `cannot be written: ${reason}`, { file: parent }, { cause: error });
  }
}

function recordOf(
  { label, choices, recipe, form, rank, seed }: PlannedRun,
  id: string,
  group: string,
  tool: RunRecord['tool'],
  now: Date,
): RunRecord {
  return {
    schema: RUN_SCHEMA,
    tool,
    id,
    group,
    label,
    choices,
    recipe: recipe.path,
    resolved: recipe,
    form,
    ...(rank !== undefined && { rank }),
    seed,
    createdAt: now.toISOString(),
  };
}

/** Letters and digits of a label. */
function slugOf(label: string): string {
  const plain = label
    .replace(/ω/g, 'w')
    .replace(/ = /g, '')
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, '-');
  return plain.slice(0, MAX_SLUG).replace(/^[-.]+|[-.]+$/g, '');
}

/** The first name that is free; made at once, so that nobody else takes it. */
function newFolder(parent: string, name: string): string {
  for (let n = 1; ; n++) {
    const folder = path.join(parent, n === 1 ? name : `${name}-${n}`);
    try {
      mkdirSync(folder);
      return folder;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
}

/** Runs of a recipe, newest first; what is no run, or cannot be read, is passed over. */
export function listRuns(recipe: string): readonly StoredRun[] {
  const parent = runsFolder(recipe);
  if (statSync(parent, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  const names = readdirSync(parent).sort().reverse().slice(0, MAX_LISTED);
  return names.flatMap((name) => {
    try {
      const folder = path.join(parent, name);
      return lstatSync(folder).isDirectory() ? [readRun(folder)] : [];
    } catch {
      return [];
    }
  });
}

/** How a run is, from what it says of itself and what its place says of it. */
export function stateOf(
  { launch, state }: Pick<StoredRun, 'launch' | 'state'>,
  place: PlaceStatus | undefined,
): RunState {
  // What an earlier attempt came to is history.
  const own: RunState = state?.attempt === (launch?.attempt ?? 1) ? state.state : 'queued';
  if (own !== 'queued' && own !== 'running' && own !== 'stopping') return own;
  if (launch !== undefined && place?.kind === 'gone') return 'lost';
  return place?.kind === 'waiting' ? 'queued' : own;
}

export function summaryOf(run: StoredRun, place: PlaceStatus | undefined): RunSummary {
  const { folder, launch, state } = run;
  const { resolved, ...record } = run.record;
  const { launcher, script } = resolved.training;
  const files = runPaths(folder);
  const isThere = (file: string): boolean => statSync(file, { throwIfNoEntry: false }) !== undefined;
  return {
    folder,
    record: { ...record, launcher: launcher.kind, ...(script !== undefined && { script }) },
    ...(launch !== undefined && { launch }),
    status: { ...(state ?? unborn(run)), state: stateOf(run, place) },
    ...(place?.detail !== undefined && { detail: place.detail }),
    files: { model: isThere(files.model), checkpoint: isThere(files.checkpoint), log: isThere(files.log) },
  };
}

/** A run that has not said anything yet. */
function unborn({ record, launch }: StoredRun): StateRecord {
  return {
    state: 'queued',
    attempt: launch?.attempt ?? 1,
    updatedAt: launch?.startedAt ?? record.createdAt,
    seconds: 0,
  };
}

/** Deletes a run's folder, and that of the recipe's runs with the last of them. */
export function deleteRun(folder: string): void {
  // Only what is a run is deleted.
  readRun(folder);
  rmSync(folder, { recursive: true, force: true });
  const parent = path.dirname(folder);
  if (!parent.endsWith('.runs')) return;
  const left = readdirSync(parent);
  // What clusters were told, and nothing else: the folder goes with its last run.
  if (left.every((name) => /\.slurm\.(?:sh|txt)$/.test(name))) rmSync(parent, { recursive: true });
}
