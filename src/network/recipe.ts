/**
 * `rankscope/recipe@1` (`*.rankscope.json`): which network is measured, on which data. Paths are relative to the recipe's
 * folder. Its JSON Schema is in `media/schema/recipe.schema.json`; change both together.
 */

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
  readonly utilization?: {
    readonly mode?: 'cumulative' | 'independent' | 'label-free';
    readonly delta?: number;
    readonly energy?: number;
    readonly maxPasses?: number;
    /** Regular expression: layers to measure. */
    readonly layers?: string;
  };
}

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
      readonly activation?: 'relu' | 'tanh' | 'sigmoid' | 'gelu';
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
    };

export interface DataRecipe {
  /** Absent: found by content. */
  readonly format?: 'npz' | 'npy' | 'idx' | 'cifar' | 'images';
  /** A file, a folder of class folders, a zip of class folders, or several CIFAR batches. */
  readonly path: string | readonly string[];
  /** npz: name of the array of inputs (default: the one that looks like it). */
  readonly inputs?: string;
  /** npz: name of the array of labels; npy, idx: path of the labels' file. */
  readonly labels?: string;
  /** Only samples from … to−1; default all. */
  readonly from?: number;
  readonly to?: number;
  /** Values are multiplied by this first (1/255 for bytes is the default for uint8 data). */
  readonly scale?: number;
  /** Then (x − mean) ÷ std, a number or one a channel. */
  readonly mean?: number | readonly number[];
  readonly std?: number | readonly number[];
  /** How the file keeps a sample, and how the network takes it; default: as the network's input asks. */
  readonly layout?: 'chw' | 'hwc' | 'flat';
  readonly networkLayout?: 'chw' | 'hwc' | 'flat';
  /** Images: size they are resized to, [height, width]. */
  readonly size?: readonly [number, number];
  readonly colours?: 'rgb' | 'grey';
}
