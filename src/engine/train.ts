/** Runs of recipes: planned, started, stopped, gone on with. Both doors, CLI and extension, come through here. */
import path from 'node:path';
import { CheckpointError } from '../checkpoint/errors';
import type { DeviceSettings } from '../compute';
import { bundledFile } from '../compute/wasm/kernels';
import { parametersOf } from '../network/builtin';
import { launcherFor } from '../training/launchers';
import type { Launcher, RunnerProgram } from '../training/launchers/launcher';
import { openArchitecture } from '../training/open';
import { readTrainingRecipe } from '../training/readRecipe';
import type { LauncherRecipe, ResolvedTrainingRecipe, SweepRecipe } from '../training/recipe';
import type { RunSummary } from '../training/run/run';
import {
  clearStop,
  isOver,
  readRun,
  requestStop,
  noteStopped,
  type StoredRun,
} from '../training/run/runFolder';
import { createRuns, deleteRun, listRuns } from '../training/runs';
import { environmentOf } from '../compute/device/environment';
import { COMPARED_FORMS, planRuns, type PlannedRun } from '../training/sweep';
import { summariesOf } from '../training/watch';
import type { TrainingOutline, TrainStarted } from './trainingProtocol';
import { TOOL } from './version';

/** What the runner is told besides its folders. */
export interface TrainWith {
  readonly trusted: boolean;
  readonly python?: string | undefined;
  /** A backend's name; undefined: the fastest there is. */
  readonly backend?: string | undefined;
  readonly settings: DeviceSettings;
  /** Runs at once on this machine, where the recipe does not say. */
  readonly jobs?: number | undefined;
}

export interface TrainRequest extends TrainWith {
  /** A recipe with a `training` section. */
  readonly path: string;
  /** In place of the recipe's own. */
  readonly sweep?: SweepRecipe | undefined;
  /** In place of the recipe's own. */
  readonly launcher?: LauncherRecipe | undefined;
}

/** The sweep that holds the usual forms against each other. */
export const COMPARISON: SweepRecipe = { form: COMPARED_FORMS };

/**
 * Starts the runs of a recipe, which then go on by themselves.
 *
 * @throws CheckpointError or Error in one line; then nothing was started, and no folder is left
 */
export async function startTraining(request: TrainRequest, signal: AbortSignal): Promise<TrainStarted> {
  const { recipe, planned } = await plan(request, signal);
  requireTrust(request, recipe);
  const launcher = launcherOf(request)(recipe.training.launcher);
  const runs = await createRuns(planned, TOOL, new Date());
  try {
    await launcher.start(runs, signal);
  } catch (error) {
    for (const { folder } of runs) deleteRun(folder);
    throw error;
  }
  return started(runs, launcher, launcherOf(request), signal);
}

/** What would be started. @throws CheckpointError or Error in one line */
export async function outlineTraining(request: TrainRequest, signal: AbortSignal): Promise<TrainingOutline> {
  const { recipe, planned } = await plan(request, signal);
  const { network, training } = recipe;
  const [first] = planned;
  const script = training.script !== undefined;
  const { architecture } = script || first === undefined ? {} : await openArchitecture(first.recipe, signal);
  return {
    title: architecture?.title ?? path.basename(training.script?.file ?? training.script?.module ?? ''),
    runs: planned.map(({ label, choices }) => ({ label, choices })),
    launcher: training.launcher.kind,
    script,
    ...(network !== undefined && architecture !== undefined && { parameters: parametersOf(architecture) }),
  };
}

/**
 * Goes on with runs that are over.
 *
 * @throws Error in one line for one that is not
 */
export async function resumeTraining(
  folders: readonly string[],
  using: TrainWith,
  signal: AbortSignal,
): Promise<TrainStarted> {
  const all = folders.map((folder) => readRun(folder));
  const [first] = all;
  if (first === undefined) throw new Error('no run is named');
  for (const { record } of all) requireTrust(using, record.resolved);
  const own = launcherOf(using);
  const summaries = await summariesOf(all, own, signal);
  for (const { status, folder } of summaries)
    if (!isOver(status.state))
      throw new CheckpointError('unsupported', `is ${status.state}: stop it first`, { file: folder });
  const launcher = own(first.record.resolved.training.launcher);
  for (const { folder } of all) clearStop(folder);
  await launcher.start(all, signal);
  return started(all, launcher, own, signal);
}

/**
 * Asks runs to keep a checkpoint and stop; what waits is taken out of its queue.
 *
 * @param now ends them without waiting
 */
export async function stopTraining(
  folders: readonly string[],
  now: boolean,
  using: TrainWith,
  signal: AbortSignal,
): Promise<void> {
  const runs = folders.map((folder) => readRun(folder));
  const own = launcherOf(using);
  const summaries = await summariesOf(runs, own, signal);
  for (const [i, run] of runs.entries()) {
    const state = summaries[i]?.status.state;
    if (state === undefined || isOver(state)) continue;
    requestStop(run.folder);
    if (!now && state !== 'queued') continue;
    await own(run.record.resolved.training.launcher).cancel(run, signal);
    // A run that never began says so itself nowhere.
    const again = readRun(run.folder);
    if (state === 'queued' && again.state?.attempt !== (again.launch?.attempt ?? 1)) noteStopped(again);
  }
}

/** All runs of a recipe, newest first. */
export function runsOf(
  recipe: string,
  using: TrainWith,
  signal: AbortSignal,
): Promise<readonly RunSummary[]> {
  return summariesOf(listRuns(path.resolve(recipe)), launcherOf(using), signal);
}

/** Deletes runs that are over. @throws CheckpointError for one that is not */
export async function deleteTraining(
  folders: readonly string[],
  using: TrainWith,
  signal: AbortSignal,
): Promise<void> {
  const summaries = await summariesOf(
    folders.map((folder) => readRun(folder)),
    launcherOf(using),
    signal,
  );
  for (const { folder, status } of summaries)
    if (!isOver(status.state))
      throw new CheckpointError('unsupported', `is ${status.state}: stop it first`, { file: folder });
  for (const folder of folders) deleteRun(folder);
}

/** Launchers whose runners are this installation's. */
export function launcherOf(using: TrainWith): (recipe: LauncherRecipe) => Launcher {
  const program = runnerProgram(using);
  return (recipe) => {
    const jobs = recipe.jobs ?? using.jobs;
    return launcherFor({ ...recipe, ...(jobs !== undefined && { jobs }) }, program);
  };
}

function runnerProgram({ python, backend, settings }: TrainWith): RunnerProgram {
  const { RANKSCOPE_BACKEND: byDefault } = process.env;
  const wanted = backend ?? byDefault;
  return {
    command: [process.execPath, bundledFile('trainer.js')],
    env: {
      ...environmentOf(settings),
      // An Electron program runs scripts only when it is told to; Node itself does not mind.
      ELECTRON_RUN_AS_NODE: '1',
      ...(wanted !== undefined && wanted !== '' && { RANKSCOPE_BACKEND: wanted }),
      ...(python !== undefined && { RANKSCOPE_PYTHON: python }),
    },
  };
}

async function plan(
  { path: file, sweep, launcher }: TrainRequest,
  signal: AbortSignal,
): Promise<{ readonly recipe: ResolvedTrainingRecipe; readonly planned: readonly PlannedRun[] }> {
  const read = await readTrainingRecipe(file);
  signal.throwIfAborted();
  const recipe: ResolvedTrainingRecipe =
    launcher === undefined ? read : { ...read, training: { ...read.training, launcher } };
  try {
    return { recipe, planned: planRuns(recipe, sweep ?? recipe.training.sweep) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError('unsupported', reason, { file: recipe.path }, { cause: error });
  }
}

function requireTrust({ trusted }: TrainWith, { path: file }: ResolvedTrainingRecipe): void {
  if (trusted) return;
  throw new CheckpointError('unsupported', 'training runs programs: trust the workspace to allow it', {
    file,
  });
}

async function started(
  runs: readonly StoredRun[],
  launcher: Launcher,
  own: (recipe: LauncherRecipe) => Launcher,
  signal: AbortSignal,
): Promise<TrainStarted> {
  const now = runs.map(({ folder }) => readRun(folder));
  return { runs: await summariesOf(now, own, signal), command: launcher.preview(now) };
}
