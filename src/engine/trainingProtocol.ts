/** Training, between the extension host and the engine. Types only. */
import type { Choices, RunEvent, RunSummary } from '../training/run/run';
import type { SweepRecipe } from '../training/recipe';
import type { JobId } from './protocol';

export interface TrainParams {
  /** A recipe (`*.rankscope.json`) with a `training` section. */
  readonly path: string;
  /** In place of the recipe's own. */
  readonly sweep?: SweepRecipe;
  readonly trusted: boolean;
  readonly python?: string;
  readonly backend?: string;
  /** Only says what would be started. */
  readonly preview?: boolean;
}

export interface TrainStarted {
  readonly runs: readonly RunSummary[];
  /** As a person could type it. */
  readonly command: string;
}

/** What a recipe would train, for whoever asks before starting. */
export interface TrainingOutline {
  readonly title: string;
  readonly runs: readonly { readonly label: string; readonly choices: Choices }[];
  readonly launcher: string;
  /** Runs a program of the user's. */
  readonly script: boolean;
  readonly parameters?: { readonly trained: number; readonly total: number; readonly dense: number };
}

export interface TrainingRequests {
  /** Starts runs and lets go of them: they go on without the engine. */
  readonly train: { readonly params: TrainParams; readonly result: TrainStarted };
  readonly trainingOutline: { readonly params: TrainParams; readonly result: TrainingOutline };
  /** All runs of a recipe, newest first. */
  readonly runs: { readonly params: { readonly path: string }; readonly result: readonly RunSummary[] };
  /**
   * Follows all runs of a recipe, also those that are started later, until it is cancelled: `run` whenever something
   * about one changed, `runEvents` as they come, from the beginning.
   */
  readonly watchRuns: {
    readonly params: { readonly job: JobId; readonly path: string };
    readonly result: null;
  };
  /** Follows a run's log from its beginning, until the run has ended and all is told. */
  readonly watchLog: {
    readonly params: { readonly job: JobId; readonly folder: string };
    readonly result: RunSummary;
  };
  /** Asks a run to stop; what waits in a queue is taken out of it. `now`: ends it without a checkpoint. */
  readonly stopRuns: {
    readonly params: { readonly folders: readonly string[]; readonly now?: boolean };
    readonly result: null;
  };
  readonly resumeRuns: {
    readonly params: {
      readonly folders: readonly string[];
      readonly trusted: boolean;
      readonly python?: string;
    };
    readonly result: TrainStarted;
  };
  /** Deletes folders of runs that are over. */
  readonly deleteRuns: { readonly params: { readonly folders: readonly string[] }; readonly result: null };
}

export interface TrainingNotifications {
  readonly run: { readonly job: JobId; readonly run: RunSummary };
  /** Folder of a run that is no more. */
  readonly runGone: { readonly job: JobId; readonly folder: string };
  /** `from`: number of the first; 0 again when the run went back to a checkpoint and what was told is void. */
  readonly runEvents: {
    readonly job: JobId;
    readonly folder: string;
    readonly from: number;
    readonly events: readonly RunEvent[];
  };
  readonly runLog: { readonly job: JobId; readonly folder: string; readonly text: string };
}
