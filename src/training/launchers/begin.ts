/** What every launch writes into the runs' folders before anything is started, and takes back when nothing was. */
import { randomUUID } from 'node:crypto';
import os from 'node:os';
import { clearStop, nextAttempt } from '../run/runFolder';
import type { LaunchRecord } from '../run/run';
import { restoreLaunch, updateLaunch } from './launchFile';
import type { RunToLaunch } from './launcher';

export interface BegunLaunch {
  readonly launchId: string;
  /** Nothing was started: the runs are what they were. */
  takeBack(): Promise<void>;
}

/**
 * Counts a new attempt of each run. Written before the start, as a run may begin before its launcher hears of it.
 *
 * @throws the file system's error, after taking back what was written
 */
export async function beginLaunch(
  runs: readonly RunToLaunch[],
  launcher: LaunchRecord['launcher'],
  command: readonly string[],
): Promise<BegunLaunch> {
  const launchId = randomUUID();
  const before: (readonly [string, LaunchRecord | undefined])[] = [];
  const takeBack = async (): Promise<void> => {
    for (const [folder, launch] of before) await restoreLaunch(folder, launch);
  };
  try {
    for (const { folder } of runs) {
      await updateLaunch(folder, (launch) => {
        before.push([folder, launch]);
        return {
          launcher,
          command,
          attempt: nextAttempt(launch),
          startedAt: new Date().toISOString(),
          host: os.hostname(),
          launchId,
        };
      });
      clearStop(folder);
    }
  } catch (error) {
    await takeBack();
    throw error;
  }
  return { launchId, takeBack };
}

/** Whether a launch is so young that its process or job may not have been written down yet. */
export function isYoung(launch: LaunchRecord): boolean {
  const YOUNG_MILLISECONDS = 60_000;
  const age = Date.now() - Date.parse(launch.startedAt);
  return age < YOUNG_MILLISECONDS;
}
