/**
 * Where runs are run. A launcher starts the runner (`dist/trainer.js <folder>…`) somewhere and can tell whether it is
 * still there; all else, metrics, logs, the wish to stop, goes through the run's folder (`run/run.ts`), whoever runs it.
 */
import type { LauncherRecipe } from '../recipe';
import type { LaunchRecord, RunRecord } from '../run/run';

export interface RunToLaunch {
  readonly folder: string;
  readonly record: RunRecord;
  /** Of the last attempt. */
  readonly launch?: LaunchRecord;
}

/** What starts the runner: `[node, trainer.js]` and what the program that runs us needs in its environment. */
export interface RunnerProgram {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What a place says of a run. */
export interface PlaceStatus {
  /**
   * `waiting`: in a queue. `alive`: runs. `gone`: is not there any more; the run's own state says how it ended, and if it
   * says that it runs, it was lost. `unknown`: cannot be asked now; `detail` says why.
   */
  readonly kind: 'waiting' | 'alive' | 'gone' | 'unknown';
  /** The place's own words: `PENDING (Resources)`, `FAILED, exit code 1`, `NODE_FAIL`. */
  readonly detail?: string;
}

export interface Launcher {
  readonly kind: LauncherRecipe['kind'];
  /**
   * Starts runs, several as one sweep: writes `launch.json` of each, and lets go of them.
   *
   * @throws Error in one line that says what is missing and what to do; then none was started
   */
  start(runs: readonly RunToLaunch[], signal: AbortSignal): Promise<void>;
  /** In the order of the runs; one question for all of them where the place allows it. */
  status(runs: readonly RunToLaunch[], signal: AbortSignal): Promise<readonly PlaceStatus[]>;
  /** Ends a run that does not heed its `stop` file, or waits in a queue. */
  cancel(run: RunToLaunch, signal: AbortSignal): Promise<void>;
  /** The command that `start` would run, for people. */
  preview(runs: readonly RunToLaunch[]): string;
}
