/**
 * `launch.json` of a run, changed by one at a time: the launcher that has just started the run, and the run that has just
 * begun, write it in the same moment.
 */
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runPaths, writeLaunch } from '../run/runFolder';
import type { LaunchRecord } from '../run/run';

/** A change takes milliseconds; who holds it for this long has died over it. */
const LOCK_MILLISECONDS = 5000;
const RETRY_MILLISECONDS = 5;

/** As the file has it now; undefined when there is none that can be read. */
export function readLaunch(folder: string): LaunchRecord | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(runPaths(folder).launch, 'utf8'));
    // Written by the functions here; the fields that a process is killed by are looked at where that is done.
    return typeof value === 'object' && value !== null ? (value as LaunchRecord) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Changes it, with nobody else in between.
 *
 * @param change returns what is to be written, or undefined to leave it as it is
 * @returns what the file holds afterwards
 */
export async function updateLaunch(
  folder: string,
  change: (launch: LaunchRecord | undefined) => Promise<LaunchRecord | undefined> | LaunchRecord | undefined,
): Promise<LaunchRecord | undefined> {
  const release = await lock(folder);
  try {
    const launch = readLaunch(folder);
    const changed = await change(launch);
    if (changed === undefined) return launch;
    writeLaunch(folder, changed);
    return changed;
  } finally {
    release();
  }
}

/** Puts back what was there before a launch that came to nothing. */
export async function restoreLaunch(folder: string, before: LaunchRecord | undefined): Promise<void> {
  const release = await lock(folder);
  try {
    if (before === undefined) rmSync(runPaths(folder).launch, { force: true });
    else writeLaunch(folder, before);
  } finally {
    release();
  }
}

async function lock(folder: string): Promise<() => void> {
  const file = path.join(folder, '.launch.lock');
  let until = performance.now() + LOCK_MILLISECONDS;
  for (;;) {
    try {
      closeSync(openSync(file, 'wx'));
      return () => {
        rmSync(file, { force: true });
      };
    } catch (error) {
      // Anything else than that it is there: it cannot be written either.
      if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
    }
    if (performance.now() < until) {
      await delay(RETRY_MILLISECONDS);
    } else {
      rmSync(file, { force: true });
      until = performance.now() + LOCK_MILLISECONDS;
    }
  }
}
