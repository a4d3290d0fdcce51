import { cpus } from 'node:os';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { printable } from '../checkpoint/errors';
import { cannotWrite, writeFileAtomically } from '../checkpoint/write/atomicFile';
import { deviceSettings } from '../engine/backends';
import type { Progress } from '../engine/progress';
import { renderJson } from '../engine/report/json';
import {
  COMPARISON,
  launcherOf,
  resumeTraining,
  runsOf,
  startTraining,
  stopTraining,
  type TrainWith,
} from '../engine/train';
import { trainingDocument, type TrainingDocument } from '../engine/trainingDocument';
import { renderTrainingFigure } from '../engine/figures/training';
import { readSweepOf } from '../training/readTraining';
import type { RunSummary } from '../training/run/run';
import { isOver, readRun } from '../training/run/runFolder';
import { watchRuns } from '../training/watch';
import type { CliCommand, Streams } from './command';
import { UsageError } from './flags';
import { TRAIN_HELP } from './help';
import { parseTrain, type TrainArguments } from './trainArguments';
import { renderRuns } from './trainTable';

export const trainCommand: CliCommand = {
  name: 'train',
  usage: [['train <recipe>', 'train it, and compare forms at equal rank']],
  help: TRAIN_HELP,
  parse(argv) {
    const parsed = parseTrain(argv);
    if (parsed === 'help') return parsed;
    return (terminal) => terminal.job(true, (streams, signal) => runTrain(parsed, streams, signal));
  },
};

/** Runs that are looked at, and where they came from. */
interface Chosen {
  readonly recipe: string;
  readonly folders: ReadonlySet<string>;
  readonly command?: string;
}

/** @returns the exit code: 1 when a run failed */
async function runTrain(options: TrainArguments, streams: Streams, signal: AbortSignal): Promise<number> {
  for (const flag of ['json', 'figure'] as const) requireTarget(flag, options[flag]);
  const began = new Date();
  const using = usingOf(options);
  const chosen = await choose(options, using, signal);
  if (options.action === 'stop') await stopTraining([...chosen.folders], false, using, signal);
  if (chosen.command !== undefined) streams.complain(printable(chosen.command));
  const isFollowed = options.action !== 'list' && !options.detach;
  const summaries = await look(chosen, using, isFollowed, streams, signal);
  const document = trainingDocument(chosen.recipe, inOrder(chosen, summaries), began, chosen.command);
  deliver(document, options, streams);
  if (!isFollowed) return 0;
  return document.runs.every(({ state }) => state === 'done' || state === 'stopped') ? 0 : 1;
}

function usingOf({ python, backend, jobs }: TrainArguments): TrainWith {
  // Whoever runs a recipe from a terminal runs what it names. A run on the embedded backend keeps one core busy.
  return { trusted: true, python, backend, jobs: jobs ?? cpus().length, settings: deviceSettings() };
}

async function choose(options: TrainArguments, using: TrainWith, signal: AbortSignal): Promise<Chosen> {
  const { input, action, compare, launcher } = options;
  const folder = path.resolve(input);
  const isRun = existsSync(path.join(folder, 'run.json'));
  if (action === 'start') {
    if (isRun) throw new UsageError(`${printable(input)} is a run: add --resume, --follow, --stop or --list`);
    const sweep = options.sweep === undefined ? undefined : readSweepOf(options.sweep, '--sweep');
    const wanted = compare ? { ...COMPARISON, ...sweep } : sweep;
    const started = await startTraining(
      {
        ...using,
        path: folder,
        sweep: wanted,
        ...(launcher !== undefined && { launcher: { kind: launcher } }),
      },
      signal,
    );
    return { recipe: folder, folders: foldersOf(started.runs), command: started.command };
  }
  const recipe = isRun ? readRun(folder).record.recipe : folder;
  const runs = await runsOf(recipe, using, signal);
  const own = isRun ? runs.filter((run) => run.folder === folder) : runs;
  if (own.length === 0) throw new UsageError(`${printable(input)} has no runs yet`);
  if (action !== 'resume') return { recipe, folders: foldersOf(action === 'list' ? own : live(own)) };
  const unfinished = own.filter(({ status: { state } }) => isOver(state) && state !== 'done');
  if (unfinished.length === 0) throw new UsageError(`${printable(input)} has no run that can go on`);
  const started = await resumeTraining(
    unfinished.map((run) => run.folder),
    using,
    signal,
  );
  return { recipe, folders: foldersOf(started.runs), command: started.command };
}

function live(runs: readonly RunSummary[]): readonly RunSummary[] {
  const alive = runs.filter(({ status }) => !isOver(status.state));
  // Nothing runs: what there was is still of interest.
  return alive.length > 0 ? alive : runs;
}

function foldersOf(runs: readonly RunSummary[]): ReadonlySet<string> {
  return new Set(runs.map(({ folder }) => folder));
}

/** The runs as they are, or once they are over. Ctrl-C asks them to stop. */
async function look(
  { recipe, folders }: Chosen,
  using: TrainWith,
  isFollowed: boolean,
  streams: Streams,
  signal: AbortSignal,
): Promise<readonly RunSummary[]> {
  const own = (runs: readonly RunSummary[]): readonly RunSummary[] =>
    runs.filter(({ folder }) => folders.has(folder));
  if (!isFollowed) return own(await runsOf(recipe, using, signal));
  const summaries = await watchRuns({
    recipe,
    launcherOf: launcherOf(using),
    signal,
    onRun: () => undefined,
    onGone: () => undefined,
    onEvents: () => undefined,
    isEnough: (runs) => {
      const followed = own(runs);
      streams.onProgress(progressOf(followed));
      return followed.every(({ status }) => isOver(status.state));
    },
  });
  streams.endProgress();
  if (signal.aborted) {
    await stopTraining([...folders], false, using, new AbortController().signal);
    streams.complain(
      `the runs are asked to keep a checkpoint and stop: rankscope train ${printable(path.basename(recipe))} --resume goes on with them`,
    );
    signal.throwIfAborted();
  }
  return own(summaries);
}

function progressOf(runs: readonly RunSummary[]): Progress {
  const fractions = runs.map(({ status: { state, step = 0, steps } }) =>
    isOver(state) ? 1 : steps === undefined ? 0 : step / steps,
  );
  const left = runs.flatMap(({ status: { state, secondsLeft } }) =>
    isOver(state) || secondsLeft === undefined ? [] : [secondsLeft],
  );
  const running = runs.filter(({ status }) => status.state === 'running' || status.state === 'stopping');
  const waiting = runs.filter(({ status }) => status.state === 'queued').length;
  const one = running.at(-1);
  // Those that wait take as long as those that run, and as many run at once.
  const rounds = 1 + waiting / Math.max(1, running.length);
  return {
    done: runs.filter(({ status }) => isOver(status.state)).length,
    total: runs.length,
    unit: 'runs',
    fraction: fractions.reduce((sum, fraction) => sum + fraction, 0) / Math.max(1, runs.length),
    ...(left.length > 0 && { secondsLeft: Math.max(...left) * rounds }),
    ...(one !== undefined && { label: labelOf(one) }),
  };
}

function labelOf({ record, status: { metric, value, loss } }: RunSummary): string {
  const figure = value ?? loss;
  const name = value === undefined ? 'loss' : (metric ?? 'metric');
  return figure === undefined ? record.label : `${record.label}: ${name} ${Number(figure.toPrecision(4))}`;
}

/** As they were started. */
function inOrder({ folders }: Chosen, runs: readonly RunSummary[]): readonly RunSummary[] {
  const place = new Map([...folders].map((folder, i) => [folder, i]));
  return [...runs].sort((a, b) => (place.get(a.folder) ?? 0) - (place.get(b.folder) ?? 0));
}

function requireTarget(flag: string, target: string | undefined): void {
  if (target === undefined || target === '-') return;
  const reason = cannotWrite(target);
  if (reason !== undefined) throw new UsageError(`--${flag} ${printable(target)}: ${reason}`);
}

function deliver(
  document: TrainingDocument,
  { json, figure }: TrainArguments,
  { out, display }: Streams,
): void {
  if (json === '-') out(renderJson(document));
  else out(renderRuns(document, display));
  if (json !== undefined && json !== '-') writeFileAtomically(json, renderJson(document));
  if (figure !== undefined) writeFileAtomically(figure, renderTrainingFigure(document));
}
