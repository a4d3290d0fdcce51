/**
 * What the panel of a recipe's runs and the extension host say to each other. Types only: the page imports nothing else of
 * the host. Every message is plain data; names, labels and notes in it are hostile text and are only ever set as text.
 */
import type { TrainingOutline } from '../../src/engine/trainingProtocol';
import type { SweepRecipe } from '../../src/training/recipe';
import type { Choices, LayerUse, RunEvent, RunState, RunSummary } from '../../src/training/run/run';

export type { Choices, LayerUse, RunEvent, RunState, RunSummary, SweepRecipe, TrainingOutline };

/**
 * A quantity that is told over and over: the loss of the batches, what an evaluation found, what a script reports besides.
 * `metric:accuracy`, `more:gradient norm`.
 */
export type CurveId =
  | 'loss'
  | 'learningRate'
  | 'throughput'
  | 'validationLoss'
  | 'utilized'
  | 'original'
  | `metric:${string}`
  | `more:${string}`;

/** Numbers of a point of a curve: step, epoch (NaN where unknown), seconds (NaN), mean, least, largest. */
export type PointField = 'step' | 'epoch' | 'seconds' | 'mean' | 'least' | 'largest';

/** Points of one curve of one run; a point stands for one or more events in a row, and for the place of the last. */
export interface CurvePart {
  readonly folder: string;
  readonly id: CurveId;
  /** Place of the first of these points: they replace what was told from there on. */
  readonly from: number;
  /** Six numbers a point, in the order of `PointField`. */
  readonly values: Float64Array;
}

/** How much of each layer was used, over time. All of it, whenever it changed. */
export interface LayersTold {
  readonly folder: string;
  readonly names: readonly string[];
  /** Most possible rank of each layer. */
  readonly maxRanks: readonly number[];
  /** Of each moment. */
  readonly steps: readonly number[];
  /** Moments × layers, a moment after the other: r_0.9999 of P_T·W·P_S, and of W. */
  readonly utilized: Float32Array;
  readonly ranks: Float32Array;
}

/** What a look at the recipe's text tells. */
export interface RecipeLook {
  /** It has a `training` section. */
  readonly trains: boolean;
  /** Can be measured as it is. */
  readonly measures: boolean;
  /** Trained by a program of the user's: its forms are its own business. */
  readonly script: boolean;
  /** Rank of the first form that has one. */
  readonly rank?: number;
  /** Forms that a comparison at equal rank is of. */
  readonly forms: readonly ('dense' | 'low-rank' | 'sine' | 'lora' | 'sine-lora')[];
  readonly omega?: number;
  readonly seeds: readonly number[];
  readonly learningRate?: number;
}

/** Host → page. */
export type ToTraining =
  | { readonly type: 'recipe'; readonly look: RecipeLook; readonly trusted: boolean }
  /** New runs, and runs of which something changed. `complete`: there are no others. */
  | { readonly type: 'runs'; readonly runs: readonly RunSummary[]; readonly complete: boolean }
  | { readonly type: 'gone'; readonly folders: readonly string[] }
  /** What curves, layers and notes told of these runs is void: they are told again. */
  | { readonly type: 'void'; readonly folders: readonly string[] }
  | { readonly type: 'curves'; readonly curves: readonly CurvePart[] }
  /** Of the run that the page asked for. */
  | { readonly type: 'layers'; readonly layers: LayersTold }
  /** What runs said in words, the newest few. */
  | {
      readonly type: 'notes';
      readonly folder: string;
      readonly notes: readonly { readonly step?: number; readonly message: string }[];
    }
  /** Runs cannot be followed; they go on all the same. Undone by any message about runs. */
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'notice'; readonly message: string }
  /** The answer to a message that carried `request`. */
  | {
      readonly type: 'reply';
      readonly request: number;
      readonly ok: boolean;
      readonly message?: string;
      readonly outline?: TrainingOutline;
    };

/** Something done with runs, by their folders. */
export type RunAction = 'stop' | 'resume' | 'delete' | 'openAudit' | 'openLog' | 'reveal';

/** Page → host. */
export type FromTraining =
  | { readonly type: 'ready' }
  /** Whose layers are to be told; undefined: nobody's. */
  | { readonly type: 'wantLayers'; readonly folder: string | undefined }
  /** Starts what the recipe says, or what the sweep says in place of the recipe's own. */
  | { readonly type: 'train'; readonly request: number; readonly sweep?: SweepRecipe }
  /** dense, low-rank and sine at the recipe's rank. */
  | { readonly type: 'compare'; readonly request: number }
  /** What would be started. */
  | { readonly type: 'outline'; readonly request: number; readonly sweep: SweepRecipe }
  | {
      readonly type: 'act';
      readonly request: number;
      readonly action: RunAction;
      readonly folders: readonly string[];
    }
  | { readonly type: 'copy'; readonly request: number; readonly text: string }
  | { readonly type: 'openRecipe' }
  | { readonly type: 'manageTrust' }
  | { readonly type: 'retry' }
  | { readonly type: 'openLog' };
