/** Which process a run belongs to: told by the runner itself, when it begins. */
import os from 'node:os';
import { nextAttempt } from '../run/runFolder';
import type { LaunchRecord } from '../run/run';
import { readLaunch, updateLaunch } from './launchFile';
import { processTime, processTimes } from './processTimes';

/** Names the launch that started a runner: handed down in its environment. */
export const LAUNCH_VARIABLE = 'RANKSCOPE_LAUNCH';

/**
 * Enters this process into the run's `launch.json`, and keeps the rest. A runner calls it before it touches the run.
 *
 * A run without a launch, or one that somebody resumes by typing the runner's command, gets a new attempt.
 *
 * @returns undefined when the run is not this process's to run: it was cancelled or started again since, or another
 *   process is at it; its folder is to be left as it is
 */
export async function claimRun(
  folder: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<LaunchRecord | undefined> {
  const token = env[LAUNCH_VARIABLE];
  const answer = { isOurs: true };
  const claimed = await updateLaunch(folder, async (launch) => {
    answer.isOurs = await mayClaim(launch, token);
    if (!answer.isOurs) return undefined;
    const base = launch === undefined || token === undefined ? byHand(launch) : launch;
    const startedAt = await processTime(process.pid);
    const { pidStartedAt: _before, ...rest } = base;
    return {
      ...rest,
      ...(rest.launcher === 'slurm' && slurmJob(env)),
      host: os.hostname(),
      pid: process.pid,
      ...(startedAt !== undefined && { pidStartedAt: startedAt }),
    };
  });
  return answer.isOurs ? claimed : undefined;
}

/**
 * Whether this process is still the one that the run belongs to. A cluster that loses sight of a node starts its runs
 * again on another one, while the first may live on: it sees here that it has to let go, and must write nothing more.
 */
export function isStillOurs(folder: string): boolean {
  const launch = readLaunch(folder);
  return launch?.pid === process.pid && launch.host === os.hostname();
}

/** What is known of a launch's process from here. */
export type Liveness = 'alive' | 'gone' | 'elsewhere';

/** Whether the process of a launch runs; undefined where it runs on another machine, and cannot be asked from here. */
export async function isAlive(launch: LaunchRecord): Promise<boolean | undefined> {
  const [liveness] = await livenessOf([launch]);
  return liveness === 'elsewhere' ? undefined : liveness === 'alive';
}

/** Of several, in their order, with one question to the system. */
export async function livenessOf(launches: readonly LaunchRecord[]): Promise<readonly Liveness[]> {
  const pids = launches.flatMap(({ pid }) => (isPid(pid) ? [pid] : []));
  const times = await processTimes([...new Set(pids)]);
  return launches.map((launch) => liveness(launch, times));
}

function liveness(launch: LaunchRecord, times: ReadonlyMap<number, string> | undefined): Liveness {
  const { pid, pidStartedAt, host } = launch;
  const isHere = sameHost(host, os.hostname());
  if (!isPid(pid)) return isHere ? 'gone' : 'elsewhere';
  if (times === undefined) return !isHere ? 'elsewhere' : answersSignals(pid) ? 'alive' : 'gone';
  const time = times.get(pid);
  // No other machine has a process of this number and of the same moment: it only goes by another name now.
  if (time !== undefined && time === pidStartedAt) return 'alive';
  if (!isHere) return 'elsewhere';
  return time !== undefined && pidStartedAt === undefined ? 'alive' : 'gone';
}

/** 0 and below are groups of processes to the system: nothing that is read from a file may name one. */
export function isPid(pid: unknown): pid is number {
  return typeof pid === 'number' && Number.isInteger(pid) && pid > 1;
}

async function mayClaim(launch: LaunchRecord | undefined, token: string | undefined): Promise<boolean> {
  if (launch === undefined) return true;
  if (token !== undefined && launch.launchId !== token) return false;
  const { pid, queuePid } = launch;
  if (pid === undefined || pid === process.pid || pid === queuePid) return true;
  // What a cluster starts again is to be run: the process before it is cut off, or will see that it is replaced.
  if (token !== undefined && launch.launcher === 'slurm') return true;
  return (await isAlive(launch)) !== true;
}

function byHand(launch: LaunchRecord | undefined): LaunchRecord {
  return {
    launcher: 'here',
    command: [process.execPath, ...process.argv.slice(1)],
    attempt: nextAttempt(launch),
    startedAt: new Date().toISOString(),
    host: os.hostname(),
  };
}

function slurmJob(env: NodeJS.ProcessEnv): { jobId?: string } {
  const { SLURM_ARRAY_JOB_ID: array, SLURM_ARRAY_TASK_ID: task, SLURM_JOB_ID: job } = env;
  if (array !== undefined && task !== undefined) return { jobId: `${array}_${task}` };
  return job === undefined ? {} : { jobId: job };
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, but somebody else's.
    return (error as { code?: unknown }).code === 'EPERM';
  }
}

/** Machines change their domains with the network they are in. */
function sameHost(a: string, b: string): boolean {
  return firstLabel(a) === firstLabel(b);
}

function firstLabel(host: string): string {
  return (host.split('.', 1)[0] ?? host).toLowerCase();
}
