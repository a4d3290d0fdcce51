import type { Tensor } from '../checkpoint';
import type { MatrixView } from '../matrixView';

export type LayerKind = 'linear' | 'conv' | 'embedding' | 'attention' | 'other';

/** A named sub-matrix of a fused layer: q, k and v of an attention block, the gates of a recurrent one. */
export interface LayerPartView {
  readonly name: string;
  /** [m, n], out × in. */
  readonly shape: readonly [number, number];
  readonly matrices: readonly MatrixView[];
}

/**
 * One matrix (or one matrix a group) of a checkpoint, y = W x + b.
 *
 * A view may hold W or Wᵀ, whichever the file stores: their singular values are the same. `shape` is always out × in.
 */
export interface Layer {
  /** The tensor's name; with `[i]` after it for the i-th expert of a stack. */
  readonly name: string;
  readonly kind: LayerKind;
  readonly tensor: Tensor;
  /** [m, n], out × in; of one group for a grouped convolution. */
  readonly shape: readonly [number, number];
  /** One view, or one for each group. */
  readonly matrices: readonly MatrixView[];
  /** The views hold Wᵀ: the file stores in × out. */
  readonly transposed?: true;
  /** Number of groups, where more than one. */
  readonly groups?: number;
  /** Depthwise convolution: each group maps one channel, so its rank says nothing; outside the means. */
  readonly trivialRank?: true;
  readonly parts?: readonly LayerPartView[];
  /** Name of the earlier layer whose stored bytes this one shares. */
  readonly tiedTo?: string;
  /** Name of the layer that this is a factor of: its rank is shown, but it counts in no mean and no sum. */
  readonly factorOf?: string;
  /** The tensor of all experts that this one is a part of, and its place there. */
  readonly stack?: { readonly tensor: Tensor; readonly index: number };
  /** Elements of the matrices; of an adapter, of its two factors. Sums leave layers with `tiedTo` out. */
  readonly parameters: number;
  /** The change of a weight that an adapter makes: nothing that could be converted by itself. */
  readonly isAdapter?: true;
  /** No matrix can have more rank, where that is less than min(m, n): that of the factors of an adapter. */
  readonly maxRank?: number;
}

/** A tensor that is no layer, and why. */
export interface SkippedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** `class: explanation`, one line; the class is short enough to count by. */
  readonly reason: string;
}
