import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { cpus } from 'node:os';
import { LAUNCH_VARIABLE } from '../launchers/claim';
import { isStopRequested, noteStopped, readRun, runPaths } from '../run/runFolder';

/** Several runs, at most so many at a time, each in a process of its own. @returns 1 when one of them failed */
export async function runQueue(folders: readonly string[], jobs: number): Promise<number> {
  const waiting = [...folders];
  const running = new Set<ChildProcess>();
  let [failed, ending] = [false, false];
  const end = (): void => {
    ending = true;
    // They keep their checkpoints and end; this process ends with the last of them.
    for (const child of running) child.kill('SIGTERM');
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  const workers = Math.max(1, Math.min(Number.isInteger(jobs) ? jobs : 1, folders.length));
  const worker = async (): Promise<void> => {
    for (let folder = waiting.shift(); folder !== undefined; folder = waiting.shift()) {
      if (ending || isStopRequested(folder)) stopBefore(folder);
      else if ((await inChild(folder, running, workers)) !== 0) failed = true;
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return failed ? 1 : 0;
}

/** It was asked to stop before its turn came. */
function stopBefore(folder: string): void {
  const run = readRun(folder);
  // Withdrawn, or started again by somebody else: what comes of it is theirs to say.
  if (run.launch?.launchId === process.env[LAUNCH_VARIABLE]) noteStopped(run);
}

/** Each run takes its share of the cores: TensorFlow takes all of them unless it is told. */
function shareOf(workers: number): NodeJS.ProcessEnv {
  return { TF_NUM_INTRAOP_THREADS: String(Math.max(1, Math.floor(cpus().length / workers))), ...process.env };
}

function inChild(folder: string, running: Set<ChildProcess>, workers: number): Promise<number> {
  const log = openSync(runPaths(folder).log, 'a');
  const [, program = ''] = process.argv;
  const child = spawn(process.execPath, [...process.execArgv, program, folder], {
    stdio: ['ignore', log, log],
    env: shareOf(workers),
    windowsHide: true,
  });
  closeSync(log);
  running.add(child);
  return new Promise((resolve) => {
    child.on('error', () => {
      running.delete(child);
      resolve(1);
    });
    child.on('exit', (code) => {
      running.delete(child);
      resolve(code ?? 1);
    });
  });
}
