/** What a recipe says of training. Types only; `readRecipe.ts` and `readTraining.ts` read it. */
import type { BuiltinNetworkRecipe } from '../network/builtin/recipe';
import type { TrainingData } from './tasks/recipe';

export type OptimizerRecipe =
  | {
      readonly kind: 'sgd';
      readonly learningRate: number;
      /** Default 0. */
      readonly momentum?: number;
      readonly nesterov?: boolean;
      /** Added to the gradient; default 0. */
      readonly weightDecay?: number;
    }
  | {
      /** adamw: decay apart from the gradient (Loshchilov & Hutter, 2019). */
      readonly kind: 'adam' | 'adamw';
      readonly learningRate: number;
      /** Defaults 0.9, 0.999, 1e-8. */
      readonly beta1?: number;
      readonly beta2?: number;
      readonly epsilon?: number;
      /** Default 0; adamw 0.01. */
      readonly weightDecay?: number;
    };

/** Factor on the learning rate over the run, after `warmupSteps` of linear growth. */
export interface ScheduleRecipe {
  readonly kind: 'constant' | 'cosine' | 'linear' | 'exponential' | 'steps';
  readonly warmupSteps?: number;
  /** cosine, linear, exponential: share of the learning rate at the end; default 0 (exponential 0.1). */
  readonly final?: number;
  /** steps: epochs at which the rate is multiplied by `factor` (default 0.1). */
  readonly epochs?: readonly number[];
  readonly factor?: number;
}

export interface AugmentRecipe {
  /** Left-right, half of the pictures. */
  readonly flip?: boolean;
  /** Pixels of zero padding from which a crop of the old size is taken. */
  readonly crop?: number;
}

/** A program of the user's that trains. */
export interface ScriptRecipe {
  /** Absolute once read. A .py file, or with `module` none. */
  readonly file?: string;
  /** `python -m <module>`. */
  readonly module?: string;
  readonly arguments?: readonly string[];
  /** Interpreter; default: the one chosen in the editor, or `python3`. */
  readonly python?: string;
  /** Processes on one machine, through torchrun; absent: one, without it. */
  readonly torchrun?: number;
  /** Absolute once read; default: the recipe's folder. */
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export type LauncherRecipe =
  | {
      readonly kind: 'here';
      /** Runs of a sweep at the same time; default: by cores and backend. */
      readonly jobs?: number;
    }
  | {
      readonly kind: 'slurm';
      readonly partition?: string;
      /** `1:00:00`. */
      readonly time?: string;
      readonly cpus?: number;
      /** `8G`. */
      readonly memory?: string;
      /** `1`, `a100:2`. */
      readonly gpus?: string;
      /** Most runs of a sweep at the same time. */
      readonly jobs?: number;
      /** Lines before the program: `module load cuda`. */
      readonly setup?: readonly string[];
      /** Further options of sbatch: `--account=x`. */
      readonly options?: readonly string[];
      /** Node.js on the nodes; default: the one that runs here. */
      readonly node?: string;
    };

/** Values tried one against another: every combination is a run. */
export interface SweepRecipe {
  readonly form?: readonly ('dense' | 'low-rank' | 'sine' | 'lora' | 'sine-lora')[];
  readonly rank?: readonly number[];
  readonly omega?: readonly number[];
  readonly gain?: readonly number[];
  readonly seed?: readonly number[];
  readonly learningRate?: readonly number[];
}

export interface TrainingRecipe {
  readonly optimizer?: OptimizerRecipe;
  readonly schedule?: ScheduleRecipe;
  /** Decay of an exponential moving average of the weights, which is then what is evaluated and saved. */
  readonly ema?: number;
  readonly batchSize?: number;
  /** One of both. */
  readonly epochs?: number;
  readonly steps?: number;
  readonly seed?: number;
  readonly augment?: AugmentRecipe;
  /** 0 … 1; default 0. */
  readonly labelSmoothing?: number;
  /** Largest norm of the whole gradient; absent: no limit. */
  readonly clipNorm?: number;
  /** Batch normalisation keeps its running statistics, in training too (fine-tuning on little data). */
  readonly freezeStatistics?: boolean;
  readonly evaluate?: {
    /** Default: every epoch, and at least ten times a run. */
    readonly everySteps?: number;
    readonly everyEpochs?: number;
    /** Utilization of the layers at each evaluation; default true. */
    readonly utilization?: boolean;
    /** Keeps the model of the best evaluation as well, in `best.safetensors`. */
    readonly keepBest?: boolean;
  };
  /** Minutes between checkpoints; default 2. */
  readonly checkpointMinutes?: number;
  readonly script?: ScriptRecipe;
  readonly launcher?: LauncherRecipe;
  readonly sweep?: SweepRecipe;
}

/** Paths absolute, defaults filled in. */
export interface ResolvedTraining extends TrainingRecipe {
  readonly optimizer: OptimizerRecipe;
  readonly schedule: ScheduleRecipe;
  readonly batchSize: number;
  readonly seed: number;
  readonly checkpointMinutes: number;
  readonly launcher: LauncherRecipe;
}

/** A recipe that trains, as it was read and found right. */
export interface ResolvedTrainingRecipe {
  /** Absolute. */
  readonly path: string;
  /** Absent where a script of the user's trains. */
  readonly network?: BuiltinNetworkRecipe;
  /** Absent where a script of the user's trains. */
  readonly data?: TrainingData;
  readonly training: ResolvedTraining;
}
