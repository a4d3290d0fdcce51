/** The user's program as a process: its lines, its wish to end, its end. */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { printable } from '../../checkpoint/errors';
import { writeFileAtomically } from '../../checkpoint/write/atomicFile';
import { isAlive, isPid } from '../launchers/claim';
import { killTree } from '../launchers/endProcess';
import { processTime } from '../launchers/processTimes';
import { LineSplitter, type LineListener } from './lines';

/** Processes that outlive the program may hold its output open: they are not waited for longer. */
const DRAIN_MILLISECONDS = 2000;

export interface ScriptProgram {
  readonly command: readonly string[];
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** Told which process it is, for whoever comes after a crash of ours. */
  readonly processFile: string;
  readonly stdout: LineListener;
  readonly stderr: LineListener;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** It did not end when it was asked to. */
  readonly wasKilled: boolean;
}

/**
 * Runs it to its end. After the abort its group gets SIGTERM, and when the grace is over SIGKILL, with all it started.
 *
 * @throws Error in one line when it cannot be started
 */
export async function runProcess(
  program: ScriptProgram,
  signal: AbortSignal,
  graceMilliseconds: number,
): Promise<ProcessEnd> {
  const { command, folder, env, stdout, stderr } = program;
  const [name = '', ...args] = command;
  requireFolder(folder);
  // No shell: the names come from a recipe.
  const child = spawn(name, args, {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
    // A group of its own, so that its workers end with it.
    detached: process.platform !== 'win32',
  });
  const exited = new Promise<Pick<ProcessEnd, 'code' | 'signal'>>((resolve, reject) => {
    child.once('error', (error) => {
      reject(new Error(`${printable(name)} does not start (${reasonOf(error)}): choose another interpreter`));
    });
    child.once('exit', (code, by) => {
      // Workers that outlive it. Now or never: its number may soon be another's.
      endGroup(child.pid, 'SIGKILL');
      resolve({ code, signal: by });
    });
  });
  const drained = Promise.all([follow(child.stdout, stdout), follow(child.stderr, stderr)]);
  let killing: NodeJS.Timeout | undefined;
  let wasKilled = false;
  const onAbort = (): void => {
    if (child.pid === undefined || killing !== undefined) return;
    const { pid } = child;
    if (process.platform !== 'win32') endGroup(pid, 'SIGTERM');
    killing = setTimeout(() => {
      wasKilled = true;
      void killTree(pid);
    }, graceMilliseconds);
  };
  // However we end, nobody would follow it any more.
  const onExit = (): void => {
    endGroup(child.pid, 'SIGKILL');
  };
  process.once('exit', onExit);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([new Promise((resolve) => child.once('spawn', resolve)), exited]);
    await noteProcess(program.processFile, child.pid);
    if (signal.aborted) onAbort();
    const end = await exited;
    await Promise.race([drained, delay(DRAIN_MILLISECONDS, undefined, { ref: false })]);
    return { ...end, wasKilled };
  } finally {
    clearTimeout(killing);
    process.removeListener('exit', onExit);
    signal.removeEventListener('abort', onAbort);
    child.stdout.destroy();
    child.stderr.destroy();
    rmSync(program.processFile, { force: true });
  }
}

/**
 * Ends what an earlier attempt left running when its runner was killed: two would write the same checkpoints.
 *
 * @returns whether there was such a process
 */
export async function endLeftover(processFile: string): Promise<boolean> {
  const before = readProcess(processFile);
  if (before === undefined) return false;
  const launch = { launcher: 'here' as const, command: [], attempt: 1, startedAt: '', ...before };
  if ((await isAlive(launch)) !== true) return false;
  await killTree(before.pid);
  return true;
}

interface NotedProcess {
  readonly pid: number;
  readonly host: string;
  readonly pidStartedAt: string;
}

async function noteProcess(file: string, pid: number | undefined): Promise<void> {
  const pidStartedAt = pid === undefined ? undefined : await processTime(pid);
  // Without the time, its number alone may be another's by then.
  if (pid === undefined || pidStartedAt === undefined) return;
  const noted: NotedProcess = { pid, host: os.hostname(), pidStartedAt };
  try {
    writeFileAtomically(file, `${JSON.stringify(noted)}\n`);
  } catch {
    // It is for the case of a crash alone.
  }
}

function readProcess(file: string): NotedProcess | undefined {
  try {
    const { pid, host, pidStartedAt } = JSON.parse(readFileSync(file, 'utf8')) as Partial<NotedProcess>;
    const isWhole = isPid(pid) && typeof host === 'string' && typeof pidStartedAt === 'string';
    return isWhole ? { pid, host, pidStartedAt } : undefined;
  } catch {
    return undefined;
  }
}

function follow(stream: Readable, listener: LineListener): Promise<void> {
  const lines = new LineSplitter(listener);
  stream.setEncoding('utf8');
  stream.on('data', (piece: string) => {
    lines.push(piece);
  });
  return new Promise((resolve) => {
    stream.once('close', () => {
      lines.end();
      resolve();
    });
  });
}

function endGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined || process.platform === 'win32') return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nothing of it is left.
  }
}

/** The system blames a missing folder on the program. */
function requireFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw new Error(`${printable(folder)}: there is no such folder to run the script in`);
}

function reasonOf(error: Error): string {
  // Node's errors of starting a process carry its code: ENOENT, EACCES …
  const { code } = error as { code?: unknown };
  if (code === 'ENOENT') return 'there is no such program';
  return typeof code === 'string' ? code : printable(error.message);
}
