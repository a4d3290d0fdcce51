/** Runs on this machine, in processes that live on when whoever started them ends. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { printable } from '../../checkpoint/errors';
import type { LauncherRecipe } from '../recipe';
import { requestStop, runPaths } from '../run/runFolder';
import type { LaunchRecord } from '../run/run';
import { beginLaunch, isYoung } from './begin';
import { isAlive, LAUNCH_VARIABLE, livenessOf, type Liveness } from './claim';
import { firstLine } from './command';
import { askToEnd, killTree } from './endProcess';
import { updateLaunch } from './launchFile';
import type { Launcher, PlaceStatus, RunnerProgram, RunToLaunch } from './launcher';
import { processTime } from './processTimes';
import { commandLine } from './quote';

/** From the wish to end until the end. */
const END_MILLISECONDS = 5000;
const POLL_MILLISECONDS = 100;
/** What the starter of several runs says itself; the runs have logs of their own. */
const QUEUE_LOG = 'queue.txt';

type HereRecipe = Extract<LauncherRecipe, { readonly kind: 'here' }>;

/** @param recipe without `jobs`, several runs are run one after another */
export function here(recipe: HereRecipe, program: RunnerProgram): Launcher {
  const commandOf = (runs: readonly RunToLaunch[]): readonly string[] => {
    const jobs = Math.max(1, Math.min(recipe.jobs ?? 1, runs.length));
    const queue = runs.length > 1 ? ['--jobs', String(jobs)] : [];
    return [...program.command, ...queue, ...runs.map(({ folder }) => folder)];
  };
  return {
    kind: 'here',
    start: (runs, signal) => start(runs, commandOf(runs), program, signal),
    status: (runs) => status(runs),
    cancel,
    preview: (runs) => commandLine(commandOf(runs)),
  };
}

async function start(
  runs: readonly RunToLaunch[],
  command: readonly string[],
  program: RunnerProgram,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const [first] = runs;
  if (first === undefined) return;
  const begun = await beginLaunch(runs, 'here', command);
  try {
    const log = runs.length > 1 ? path.join(first.folder, QUEUE_LOG) : runPaths(first.folder).log;
    const pid = await spawnDetached(command, {
      env: environment(program, begun.launchId),
      folder: folderOf(first),
      log,
    });
    await noteProcess(runs, pid, begun.launchId);
  } catch (error) {
    await begun.takeBack();
    throw error;
  }
}

/** The recipe's folder, as a person would start it; a run's own could not be deleted while it runs, on some systems. */
function folderOf({ folder, record }: RunToLaunch): string {
  const beside = path.dirname(record.recipe);
  return existsSync(beside) ? beside : folder;
}

interface Detached {
  readonly env: NodeJS.ProcessEnv;
  readonly folder: string;
  readonly log: string;
}

/** @throws Error when the program cannot be started */
async function spawnDetached(command: readonly string[], { env, folder, log }: Detached): Promise<number> {
  const [program = '', ...args] = command;
  const descriptor = openSync(log, 'a');
  try {
    const child = spawn(program, args, {
      cwd: folder,
      env,
      // A session of its own: no terminal, window or engine that ends takes it along.
      detached: true,
      stdio: ['ignore', descriptor, descriptor],
      windowsHide: true,
    });
    return await new Promise((resolve, reject) => {
      child.once('error', (error) => {
        reject(new Error(`${printable(program)} does not start: ${firstLine(error.message)}`));
      });
      child.once('spawn', () => {
        child.unref();
        if (child.pid !== undefined) resolve(child.pid);
      });
    });
  } finally {
    closeSync(descriptor);
  }
}

/** A run that has begun by now has entered its own process, which is nearer. */
async function noteProcess(runs: readonly RunToLaunch[], pid: number, launchId: string): Promise<void> {
  const time = await processTime(pid);
  for (const { folder } of runs) {
    await updateLaunch(folder, (launch) => {
      if (launch?.launchId !== launchId) return undefined;
      const queue = runs.length > 1 && { queuePid: pid };
      const own = launch.pid === undefined && { pid, ...(time !== undefined && { pidStartedAt: time }) };
      return { ...launch, ...queue, ...own };
    });
  }
}

/** The user's own, but for what debuggers and other starters of Node leave in it. */
function environment(program: RunnerProgram, launchId: string): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, VSCODE_INSPECTOR_OPTIONS: _inspector, ...env } = process.env;
  return { ...env, ...program.env, [LAUNCH_VARIABLE]: launchId };
}

async function status(runs: readonly RunToLaunch[]): Promise<readonly PlaceStatus[]> {
  const started = runs.flatMap(({ launch }) => (launch === undefined ? [] : [launch]));
  const liveness = await livenessOf(started);
  const byLaunch = new Map(started.map((launch, i) => [launch, liveness[i]]));
  return runs.map(({ launch }) =>
    launch === undefined ? { kind: 'gone' } : statusOf(launch, byLaunch.get(launch) ?? 'gone'),
  );
}

function statusOf(launch: LaunchRecord, liveness: Liveness): PlaceStatus {
  if (liveness === 'elsewhere')
    return {
      kind: 'unknown',
      detail: `it runs on ${printable(launch.host)}, which cannot be asked from here`,
    };
  if (launch.pid === undefined) {
    // Cancelled before its turn, or just being started.
    const isStarting = launch.launchId !== undefined && isYoung(launch);
    return isStarting ? { kind: 'waiting', detail: 'is being started' } : { kind: 'gone' };
  }
  if (liveness === 'gone') return { kind: 'gone' };
  return launch.pid === launch.queuePid
    ? { kind: 'waiting', detail: 'waits for its turn' }
    : { kind: 'alive', detail: `process ${launch.pid}` };
}

async function cancel({ folder }: RunToLaunch, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let launch: LaunchRecord | undefined;
  await updateLaunch(folder, (now) => {
    if (now === undefined) return undefined;
    const isWaiting = now.pid === undefined || now.pid === now.queuePid;
    if (!isWaiting) {
      launch = now;
      return undefined;
    }
    // Not to be claimed when its turn comes; what starts the others goes on.
    const { pid: _pid, pidStartedAt: _time, launchId: _launch, ...withdrawn } = now;
    return withdrawn;
  });
  requestStop(folder);
  if (launch?.pid === undefined || (await isAlive(launch)) !== true) return;
  askToEnd(launch.pid);
  const until = performance.now() + END_MILLISECONDS;
  while (performance.now() < until) {
    await delay(POLL_MILLISECONDS, undefined, { signal });
    if ((await isAlive(launch)) !== true) return;
  }
  await killTree(launch.pid);
}
