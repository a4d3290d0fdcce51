/** What a recipe's `data` section says when a network is trained. Types only; paths are absolute once read. */
import type { ResolvedData } from '../../network/recipe';

/** Pictures or vectors with a class each. */
export interface ClassificationData {
  readonly kind: 'classification';
  /** Of a NumPy archive without `inputs`, the arrays of training are taken (`x_train`, `train_images` …). */
  readonly train: ResolvedData;
  readonly validation: ResolvedData;
}

/**
 * Solids that need no file, in [−1, 1]³:
 * - `gyroid`: one side of a gyroid, inside a ball: a labyrinth with details in every place;
 * - `torus`: one ring;
 * - `spheres`: sixty balls of many sizes.
 */
export type SolidName = 'gyroid' | 'torus' | 'spheres';

/** A binary occupancy field (Mescheder et al., "Occupancy networks", 2019): inside or outside of a solid. */
export type OccupancyData = {
  readonly kind: 'occupancy';
  /** Points of the grid along each axis; default 64, at most 512 (Ji et al., §4.5, have 512). */
  readonly resolution?: number;
  /**
   * Points of an epoch; default: all of the grid. With fewer, the next epoch goes on in the same permutation of the
   * grid, so that in the end all points are seen equally often.
   */
  readonly samples?: number;
  /** 0 … 1; share of the points that are drawn from those beside the surface; default 0: the grid alone, as the paper has it. */
  readonly nearSurface?: number;
  /** Points evaluated at most, the same ones every time; default: all of the grid. */
  readonly evaluateAtMost?: number;
} & (
  | {
      /** An OBJ or PLY mesh. It is centred, and its longest side becomes 1.9. */
      readonly mesh: string;
    }
  | { readonly solid: SolidName }
);

/** Pictures of a scene from known places, for a radiance field (Mildenhall et al., "NeRF", 2020). */
export interface ViewsData {
  readonly kind: 'views';
  /** A NumPy archive, or a folder with `transforms_train.json` (see `network/data/views`). */
  readonly path: string;
  /** Pictures are made so many times smaller, by averaging; default 1. */
  readonly downscale?: number;
  /** Distances from the camera between which the scene lies; defaults 2 and 6, those of the Blender scenes. */
  readonly near?: number;
  readonly far?: number;
  /** Samples along a ray; default 64. A batch of n rays runs n times as many points through the network. */
  readonly samplesPerRay?: number;
  /**
   * What lies behind the scene; default `white`. `alpha`: in training, each ray gets a colour of its own behind it, so
   * that only what is empty can look empty; evaluated on white. Of no effect on pictures without opacity.
   */
  readonly background?: 'white' | 'black' | 'alpha';
  /** How raw densities become positive: softplus(x − 1), the default (Barron et al., "Mip-NeRF", 2021), or relu(x). */
  readonly density?: 'softplus' | 'relu';
  /** Test views at most, evenly taken from all; default 25. */
  readonly testViews?: number;
  /** Pixels evaluated at most, the same number evenly spread over each test view; default 10,000. */
  readonly evaluateAtMost?: number;
}

/**
 * Text, a token a character:
 * - `next`: the next character is predicted (the default);
 * - `masked`: characters that were covered (Devlin et al., "BERT", 2019: 15 %, of which 80 % are covered, 10 % others);
 * - `classes`: the class of a line, of `label<TAB>text` or a `.csv` of `label,text`.
 */
export interface TextData {
  readonly kind: 'text';
  readonly path: string;
  readonly task?: 'next' | 'masked' | 'classes';
  /** Tokens seen at once; default 64. Longer lines are cut. */
  readonly context?: number;
  /** A text for validation; default: a share of the text itself, its end (`classes`: lines from everywhere). */
  readonly validation?: string;
  /** That share; default 0.1. */
  readonly validationShare?: number;
  /**
   * A text whose characters are the vocabulary; default: the data's own. To go on with a network that was trained on
   * another text: what is missing there becomes one token for the unknown (`next`: is refused).
   */
  readonly vocabulary?: string;
  /** Windows or lines evaluated at most, evenly spread; default 1000. */
  readonly evaluateAtMost?: number;
}

export type TrainingData = ClassificationData | OccupancyData | ViewsData | TextData;
