/** Runs on a cluster, by Slurm: `sbatch`, an array for several, `squeue` and `scancel`. No `sacct`: many have none. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { writeFileAtomically } from '../../checkpoint/write/atomicFile';
import { requestStop } from '../run/runFolder';
import type { LaunchRecord } from '../run/run';
import { beginLaunch, isYoung } from './begin';
import { CommandFailure, firstLine, runCommand, type CommandAnswer } from './command';
import { readLaunch, updateLaunch } from './launchFile';
import type { Launcher, PlaceStatus, RunnerProgram, RunToLaunch } from './launcher';
import { commandLine } from './quote';
import {
  ASK_MILLISECONDS,
  complaint,
  environment,
  isForgotten,
  SlurmQuestions,
  type AskedJob,
} from './slurmQuestions';
import { sbatchCommand, slurmFiles, slurmScript, type SlurmRecipe } from './slurmScript';
import { placeOf } from './slurmState';

/** A cluster's own checks of a job take their time; a controller that cannot be reached is given up after ten seconds. */
const SUBMIT_MILLISECONDS = 30_000;

const WHERE_SLURM_IS =
  'open the editor on a login node of the cluster, or put the folder of its programs on the PATH';

/** Shared by all who ask: it learns what the cluster's programs can do. */
const questions = new SlurmQuestions();

export function slurm(recipe: SlurmRecipe, program: RunnerProgram): Launcher {
  return {
    kind: 'slurm',
    start: (runs, signal) => start(recipe, program, runs, signal),
    status,
    cancel,
    preview: (runs) => (runs.length === 0 ? '' : commandLine(sbatchCommand(recipe, runs, slurmFiles(runs)))),
  };
}

async function start(
  recipe: SlurmRecipe,
  program: RunnerProgram,
  runs: readonly RunToLaunch[],
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const [first] = runs;
  if (first === undefined) return;
  const files = slurmFiles(runs);
  const command = sbatchCommand(recipe, runs, files);
  const begun = await beginLaunch(runs, 'slurm', command);
  try {
    writeFileAtomically(files.script, slurmScript(recipe, runs, program, begun.launchId));
    const folder = path.dirname(first.record.recipe);
    // Not to be stopped half-way: a job that nobody knows of might be left. It would find that it is not meant to run.
    const answer = await submit(command, existsSync(folder) ? folder : path.dirname(first.folder));
    await noteJobs(runs, jobIdOf(answer), begun.launchId);
  } catch (error) {
    await begun.takeBack();
    throw error;
  }
}

async function submit(command: readonly [string, ...string[]], folder: string): Promise<CommandAnswer> {
  try {
    const options = { milliseconds: SUBMIT_MILLISECONDS, env: environment(), folder };
    const answer = await runCommand(command, options);
    if (answer.code === 0) return answer;
    throw new Error(`Slurm refuses: ${complaint('sbatch', answer)}`);
  } catch (error) {
    throw withAdvice(error);
  }
}

/** `1234`, or `1234;cluster`, after whatever a site prints besides. */
function jobIdOf({ stdout }: CommandAnswer): string {
  const [, id] = /^(\d+)(?:;[^\n]*)?\s*$/m.exec(stdout) ?? [];
  if (id === undefined) throw new Error(`sbatch names no job: ${firstLine(stdout) || 'it prints nothing'}`);
  return id;
}

async function noteJobs(runs: readonly RunToLaunch[], job: string, launchId: string): Promise<void> {
  for (const [i, { folder }] of runs.entries()) {
    const jobId = runs.length > 1 ? `${job}_${i}` : job;
    await updateLaunch(folder, (launch) =>
      launch?.launchId === launchId ? { ...launch, jobId } : undefined,
    );
  }
}

async function status(runs: readonly RunToLaunch[], signal: AbortSignal): Promise<readonly PlaceStatus[]> {
  const ids = [...new Set(runs.flatMap(({ launch }) => (isJobId(launch?.jobId) ? [launch.jobId] : [])))];
  let jobs: ReadonlyMap<string, AskedJob> = new Map();
  let trouble: string | undefined;
  try {
    if (ids.length > 0) {
      const answers = await questions.jobs(ids, signal);
      jobs = new Map(ids.map((id, i) => [id, answers[i]]));
    }
  } catch (error) {
    signal.throwIfAborted();
    trouble = withAdvice(error).message;
  }
  return runs.map(({ launch }) => {
    if (launch === undefined) return { kind: 'gone' };
    if (!isJobId(launch.jobId)) return withoutJob(launch);
    if (trouble !== undefined) return { kind: 'unknown', detail: trouble };
    const job = jobs.get(launch.jobId);
    // Slurm forgets what has ended some minutes ago.
    return job === undefined ? { kind: 'gone' } : placeOf(job);
  });
}

function withoutJob(launch: LaunchRecord): PlaceStatus {
  const isStarting = launch.launchId !== undefined && isYoung(launch);
  return isStarting ? { kind: 'waiting', detail: 'is being submitted' } : { kind: 'gone' };
}

async function cancel({ folder }: RunToLaunch, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  requestStop(folder);
  const jobId = readLaunch(folder)?.jobId;
  if (!isJobId(jobId)) return;
  try {
    const options = { milliseconds: ASK_MILLISECONDS, env: environment(), signal };
    const answer = await runCommand(['scancel', jobId], options);
    // What has ended need not be cancelled.
    const isOver = isForgotten(answer.stderr) || /already completing or completed/i.test(answer.stderr);
    if (answer.code !== 0 && !isOver) throw new Error(`Slurm refuses: ${complaint('scancel', answer)}`);
  } catch (error) {
    signal.throwIfAborted();
    throw withAdvice(error);
  }
}

/** Nothing else may become an argument. */
function isJobId(id: unknown): id is string {
  return typeof id === 'string' && /^\d+(_\d+)?$/.test(id);
}

function withAdvice(error: unknown): Error {
  if (error instanceof CommandFailure && error.reason === 'missing')
    return new Error(`Slurm is not installed here (${error.message}): ${WHERE_SLURM_IS}`, { cause: error });
  return error instanceof Error ? error : new Error(String(error));
}
