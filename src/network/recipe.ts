/**
 * `rankscope/recipe@1` (`*.rankscope.json`): which network is measured or trained, on which data. Paths are relative to
 * the recipe's folder. Its JSON Schema is in `media/schema/recipe.schema.json`; change both together, and `readRecipe.ts`.
 */
import type { BuiltinNetworkRecipe } from './builtin/recipe';

export interface Recipe {
  readonly schema: 'rankscope/recipe@1';
  readonly network: NetworkRecipe;
  /** For ONNX, TF.js and built-in networks; a Python function brings its own. */
  readonly data?: {
    /** Default: the validation data. */
    readonly gram?: DataRecipe;
    readonly validation: DataRecipe;
    /** Samples run at once; default 64. */
    readonly batchSize?: number;
  };
  readonly utilization?: UtilizationRecipe;
  /** How it is trained: see `training/recipe.ts`. */
  readonly training?: object;
}

export interface UtilizationRecipe {
  readonly mode?: 'cumulative' | 'independent' | 'label-free';
  /** Percentage points that each projection may cost; default 0.1. */
  readonly delta?: number;
  /** Label-free: share of spectral energy kept; default 0.99. */
  readonly energy?: number;
  readonly maxPasses?: number;
  /** Regular expression: layers to measure. */
  readonly layers?: string;
}

export type MlpActivation = 'relu' | 'tanh' | 'sigmoid' | 'gelu';

export type NetworkRecipe =
  | {
      readonly kind: 'onnx';
      readonly model: string;
      /** Checkpoint whose names the layers take, matched by content. */
      readonly checkpoint?: string;
    }
  | { readonly kind: 'tfjs'; readonly model: string }
  /** Linear layers in file order with an activation between them. */
  | {
      readonly kind: 'mlp';
      readonly checkpoint: string;
      readonly activation?: MlpActivation;
    }
  | {
      readonly kind: 'python';
      readonly file: string;
      /** Default: `load`. */
      readonly function?: string;
      /** Keyword arguments of the function. */
      readonly arguments?: Readonly<Record<string, string | number | boolean>>;
      /** Checkpoint behind the model, for names and links. */
      readonly checkpoint?: string;
      /** Interpreter; default: the one chosen in the editor, or `python3`. */
      readonly python?: string;
    }
  /** Built here, with weights from a checkpoint. */
  | BuiltinNetworkRecipe;

export type DataFormat = 'npz' | 'npy' | 'idx' | 'cifar' | 'images';

/** Order of a sample's values: channels first, channels last, or one row of numbers. */
export type SampleLayout = 'chw' | 'hwc' | 'flat';

export interface DataRecipe {
  /** Absent: found by content. */
  readonly format?: DataFormat;
  /** A file, a folder of class folders, a zip of class folders, or several CIFAR batches. */
  readonly path: string | readonly string[];
  /** npz: name of the array of inputs (default: the one that looks like it). */
  readonly inputs?: string;
  /**
   * npz: name of the array of labels; npy, idx: path of the labels' file; CIFAR-100: `fine` (the default) or `coarse`.
   * Absent: found beside the inputs by the usual names.
   */
  readonly labels?: string;
  /** Only samples from … to−1; default all. Class folders are taken in turns, so that every range has all classes. */
  readonly from?: number;
  readonly to?: number;
  /** Values are multiplied by this first (1/255 is the default for bytes and pictures, 1 for all else). */
  readonly scale?: number;
  /** Then (x − mean) ÷ std, a number or one a channel. */
  readonly mean?: number | readonly number[];
  readonly std?: number | readonly number[];
  /** How the file keeps a sample; default: by its shape. */
  readonly layout?: SampleLayout;
  /** How the network takes it; default: as the network's input asks. */
  readonly networkLayout?: SampleLayout;
  /** Size that pictures are resized to, [height, width]: bilinear between pixel centres, without a low-pass. */
  readonly size?: readonly [number, number];
  readonly colours?: 'rgb' | 'grey';
}

/** A data recipe whose paths are absolute. */
export interface ResolvedData extends Omit<DataRecipe, 'path'> {
  /** Absolute. */
  readonly path: readonly string[];
  /** Folder that a labels' path is relative to. */
  readonly folder: string;
}

/** A recipe as it was read and found right: paths absolute, defaults of the data filled in. */
export interface ResolvedRecipe {
  /** The recipe's own file, or the model's when the recipe was made of flags. */
  readonly path: string;
  readonly network: NetworkRecipe;
  /** Absent for Python networks only. */
  readonly data?: {
    /** Absent: the validation data. */
    readonly gram?: ResolvedData;
    readonly validation: ResolvedData;
    readonly batchSize: number;
  };
  readonly utilization: UtilizationRecipe;
}
