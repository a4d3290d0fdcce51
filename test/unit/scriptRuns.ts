/** Runs of scripts, made for tests of launchers and of scripts: real folders, the real runner. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { bundledFile } from '../../src/compute/wasm/kernels';
import { livenessOf } from '../../src/training/launchers/claim';
import { killTree } from '../../src/training/launchers/endProcess';
import type { RunnerProgram, RunToLaunch } from '../../src/training/launchers/launcher';
import type { LauncherRecipe, ResolvedTraining, ScriptRecipe } from '../../src/training/recipe';
import { RUN_SCHEMA, type Choices, type RunRecord } from '../../src/training/run/run';
import { readRun, runPaths, writeRecord, type StoredRun } from '../../src/training/run/runFolder';

/** Has torch where any Python of a test machine has it. */
export const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

/** Built beside the tests, as users have it. */
export const RUNNER: RunnerProgram = {
  command: [process.execPath, bundledFile('trainer.js')],
  env: { ELECTRON_RUN_AS_NODE: '1' },
};

export const HELPER = bundledFile('rankscope_log.py');

export const NEVER = new AbortController().signal;

/** A folder that is deleted after the test, with what its runs left running. */
export function temporaryFolder(t: TestContext, name = 'rankscope-launch-'): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), name));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  return folder;
}

export interface ScriptRunRecipe {
  readonly script: ScriptRecipe;
  readonly name?: string;
  readonly launcher?: LauncherRecipe;
  readonly choices?: Choices;
  readonly seed?: number;
  readonly group?: string;
}

/** A run of a script that waits to be launched. @param folder of the recipe */
export function scriptRun(
  folder: string,
  {
    script,
    name = 'run',
    launcher = { kind: 'here' },
    choices = {},
    seed = 7,
    group = 'group',
  }: ScriptRunRecipe,
): StoredRun {
  const recipe = path.join(folder, 'test.rankscope.json');
  const run = path.join(folder, 'test.runs', name);
  mkdirSync(run, { recursive: true });
  const training: ResolvedTraining = {
    optimizer: { kind: 'sgd', learningRate: 0.1 },
    schedule: { kind: 'constant' },
    batchSize: 1,
    seed,
    checkpointMinutes: 2,
    launcher,
    script,
  };
  const record: RunRecord = {
    schema: RUN_SCHEMA,
    tool: { name: 'rankscope', version: '0' },
    id: name,
    group,
    label: name,
    choices,
    recipe,
    resolved: { path: recipe, training },
    form: 'script',
    seed,
    createdAt: new Date().toISOString(),
  };
  writeRecord(run, record);
  return { folder: run, record };
}

/** A Python file in a folder. @returns its path */
export function pythonFile(folder: string, lines: readonly string[], name = 'script.py'): string {
  const file = path.join(folder, name);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** Trains for as long as it is let, and ends when it is asked to. */
export const PATIENT = [
  'import time',
  'from rankscope_log import log, should_stop',
  'step = 0',
  'while not should_stop():',
  '    step += 1',
  '    log(step=step, loss=1 / step)',
  '    time.sleep(0.05)',
];

/** Hears no wish to end. */
export const DEAF = [
  'import signal, subprocess, sys, time',
  'signal.signal(signal.SIGTERM, signal.SIG_IGN)',
  "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])",
  "print('child', child.pid, flush=True)",
  'time.sleep(600)',
];

/** Asks again and again, until it is so. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  milliseconds = 20_000,
): Promise<T> {
  const end = performance.now() + milliseconds;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    assert.ok(performance.now() < end, `not within ${milliseconds / 1000} s: ${what}`);
    await delay(50);
  }
}

export function stateOf(folder: string): string | undefined {
  return readRun(folder).state?.state;
}

export function logOf(folder: string): string {
  const { log } = runPaths(folder);
  return existsSync(log) ? readFileSync(log, 'utf8') : '';
}

/** A run as a launcher takes it: as its files have it now. */
export function asItIs({ folder }: StoredRun): RunToLaunch {
  return readRun(folder);
}

/** Whatever a failed test leaves running. */
export function endAfter(t: TestContext, runs: readonly StoredRun[]): void {
  t.after(async () => {
    for (const { folder } of runs) {
      if (!existsSync(folder)) continue;
      const { launch } = readRun(folder);
      for (const pid of [launch?.queuePid, launch?.pid]) {
        const [liveness] =
          launch === undefined ? [] : await livenessOf([{ ...launch, ...(pid !== undefined && { pid }) }]);
        if (pid !== undefined && liveness === 'alive') await killTree(pid);
      }
    }
  });
}
