/**
 * A run is a folder, and everything that is known of it is in its files, so that it outlives whoever started it: the
 * window, the engine, the node. Each file has one writer:
 * - `run.json`     whoever made the run: what is trained. Never changes.
 * - `launch.json`  the launcher: where it runs, as what, since when.
 * - `state.json`   the run itself: how far it is, how it ended.
 * - `metrics.jsonl` the run itself: one event a line. Shrinks when a run goes on from a checkpoint that lies behind.
 * - `log.txt`      what it printed.
 * - `stop`         anybody: the run is asked to stop, and to keep a checkpoint.
 * - `checkpoint.safetensors`, `model.safetensors`, `best.safetensors`  the run itself.
 * Files but the log and the metrics are written beside and renamed. Types only; `runFolder.ts` reads and writes them.
 */
import type { LayerFormKind } from '../../network/builtin/recipe';
import type { MetricName } from '../tasks/task';
import type { LauncherRecipe, ResolvedTrainingRecipe, ScriptRecipe } from '../recipe';

export const RUN_SCHEMA = 'rankscope/run@1';

/** What tells the runs of a sweep apart: chosen values by the name of their axis. */
export type Choices = Readonly<Record<string, string | number>>;

/** `run.json`. */
export interface RunRecord {
  readonly schema: typeof RUN_SCHEMA;
  readonly tool: { readonly name: string; readonly version: string };
  /** Name of the folder. */
  readonly id: string;
  /** Runs started together: they are compared with one another. */
  readonly group: string;
  /** For people: `sine, k = 5, seed 1`. */
  readonly label: string;
  readonly choices: Choices;
  /** Absolute path of the recipe. */
  readonly recipe: string;
  /** With the choices put in. */
  readonly resolved: ResolvedTrainingRecipe;
  readonly form: LayerFormKind | 'mixed' | 'as-checkpoint' | 'script';
  readonly rank?: number;
  readonly seed: number;
  /** ISO 8601. */
  readonly createdAt: string;
}

/** `launch.json`. */
export interface LaunchRecord {
  readonly launcher: LauncherRecipe['kind'];
  /** What was started, as a person could type it. */
  readonly command: readonly string[];
  /** Counts from 1; more when the run was resumed. */
  readonly attempt: number;
  readonly startedAt: string;
  readonly host: string;
  /** here, python: the process, and when the system started it, as pids are used again. */
  readonly pid?: number;
  readonly pidStartedAt?: string;
  /** Names this launch: a runner that was started by another one leaves the run alone. */
  readonly launchId?: string;
  /** here, several runs: what starts them one after another. While it is `pid`, the run waits for its turn. */
  readonly queuePid?: number;
  /** Slurm: `1234` or `1234_2`. */
  readonly jobId?: string;
}

/**
 * - `queued`: waits for its turn, here or in the cluster's queue.
 * - `running`, `stopping`.
 * - `stopped`: was asked to; goes on when resumed.
 * - `done`.
 * - `failed`: ended with an error; `message` says which. Goes on from its checkpoint when resumed, if it has one.
 * - `diverged`: the loss became NaN or infinite; the last good checkpoint is kept.
 * - `lost`: its process is gone without a word; goes on when resumed.
 */
export type RunState =
  'queued' | 'running' | 'stopping' | 'stopped' | 'done' | 'failed' | 'diverged' | 'lost';

/** `state.json`. */
export interface StateRecord {
  readonly state: Exclude<RunState, 'lost'>;
  /** Of this attempt; a state of an earlier one is history. */
  readonly attempt: number;
  /** Optimiser steps made, and to be made. Absent where a script does not say. */
  readonly step?: number;
  readonly steps?: number;
  readonly epoch?: number;
  readonly updatedAt: string;
  /** Seconds of training, over all attempts. */
  readonly seconds: number;
  readonly secondsLeft?: number;
  /** One line: why it failed, diverged or stopped. */
  readonly message?: string;
  readonly metric?: MetricName | (string & {});
  readonly higherIsBetter?: boolean;
  /** Of the last evaluation. */
  readonly value?: number;
  readonly best?: { readonly value: number; readonly step: number };
  readonly loss?: number;
  /** Trained parameters, all parameters, and those of the same network dense. */
  readonly parameters?: {
    readonly trained: number;
    readonly total: number;
    readonly dense: number;
  };
  /** `wasm`, `tensorflow`, `webgpu`, and what runs there. */
  readonly backend?: { readonly name: string; readonly about: string };
  readonly checkpoint?: { readonly step: number; readonly at: string };
  /** Exit code of a script that failed. */
  readonly exitCode?: number;
}

/** One line of `metrics.jsonl`. */
export type RunEvent =
  | {
      readonly kind: 'train';
      readonly step: number;
      readonly epoch?: number;
      /** Mean since the event before. */
      readonly loss?: number;
      readonly learningRate?: number;
      readonly samplesPerSecond?: number;
      /** Of training so far, over all attempts. */
      readonly seconds?: number;
      /** What a script reports besides. */
      readonly more?: Readonly<Record<string, number>>;
    }
  | {
      readonly kind: 'evaluation';
      readonly step: number;
      readonly epoch?: number;
      readonly metric: MetricName | (string & {});
      readonly higherIsBetter: boolean;
      readonly value: number;
      readonly loss?: number;
      readonly seconds?: number;
    }
  | {
      readonly kind: 'utilization';
      readonly step: number;
      readonly epoch?: number;
      /** Means over the layers, 0 … 1. */
      readonly utilized: number;
      readonly original: number;
      readonly layers: readonly LayerUse[];
    }
  | { readonly kind: 'note'; readonly step?: number; readonly message: string };

/** How much of a layer is used at a moment of training (label-free: subspaces of fixed energy). */
export interface LayerUse {
  readonly name: string;
  readonly maxRank: number;
  /** r_0.9999 of W and of P_T·W·P_S. */
  readonly rank: number;
  readonly utilizedRank: number;
}

/** A run as lists show it: its files put together, and what its place says of it. */
export interface RunSummary {
  readonly folder: string;
  readonly record: Omit<RunRecord, 'resolved'> & {
    readonly launcher: LauncherRecipe['kind'];
    readonly script?: ScriptRecipe;
  };
  readonly launch?: LaunchRecord;
  readonly status: Omit<StateRecord, 'state'> & { readonly state: RunState };
  /** The place's own words: `PENDING (Resources)`, `node n1`. */
  readonly detail?: string;
  /** Files there are: to be audited, resumed, read. */
  readonly files: { readonly model: boolean; readonly checkpoint: boolean; readonly log: boolean };
}
