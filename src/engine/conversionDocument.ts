/** `rankscope/conversion@1`: what a conversion did. Its JSON Schema is in `media/schema/`; change both together. */
import type { LayerKind } from '../checkpoint/layers/layer';
import type { CheckpointFacts } from './document';

/** How ranks are chosen; one of these. A layer whose factors would not be fewer numbers stays dense. */
export type RankChoice =
  /** The same k for every layer. */
  | { readonly kind: 'rank'; readonly rank: number }
  /** k = share × min(m, n), at least 1. */
  | { readonly kind: 'share'; readonly share: number }
  /** Parameters of the whole model ÷ before, 0 … 1; k goes where it lowers the layers' squared relative errors most. */
  | { readonly kind: 'compression'; readonly rate: number }
  /** The smallest k of each layer whose relative error is at most this. */
  | { readonly kind: 'error'; readonly relativeError: number }
  /** A k for layers whose name matches; the first match counts, others stay dense. */
  | {
      readonly kind: 'perLayer';
      readonly ranks: readonly { readonly pattern: string; readonly rank: number }[];
    };

/** A spectrum in two numbers. */
export interface SpectrumFacts {
  readonly stableRank: number;
  readonly effectiveRank: number;
  /** r_0.9999. */
  readonly rank: number;
}

/** Cost of one layer, dense or factored. FLOPs are multiply-adds ×2 for one input vector (one output position of a convolution). */
export interface LayerCost {
  readonly parameters: number;
  readonly bytes: number;
  readonly flops: number;
}

interface LayerConversionBase {
  readonly name: string;
  readonly kind: LayerKind;
  /** [m, n], out × in; of one group for a grouped convolution. */
  readonly shape: readonly [number, number];
  readonly groups?: number;
  readonly dtype: string;
  readonly before: LayerCost;
}

/** Singular values, descending; means over groups. */
export interface ConversionSpectra {
  readonly original: readonly number[];
  /** The first k of `original`. */
  readonly lowRank: readonly number[];
  /** Of the converted matrix; the same as `lowRank` for truncated SVD. */
  readonly converted: readonly number[];
}

export interface ConvertedLayer extends LayerConversionBase {
  readonly outcome: 'converted';
  readonly k: number;
  /** Errors are those of the layer's outputs on the data of `inputs`; absent: those of the weights. */
  readonly weighted?: true;
  /** Sine only. */
  readonly omega?: number;
  /** Sine only; of the first group where there are several. */
  readonly gain?: number;
  /** Sine, grouped convolutions only: one a group. */
  readonly gains?: readonly number[];
  readonly relativeError: number;
  /** Truncated SVD at the same k. */
  readonly svdRelativeError: number;
  readonly after: LayerCost;
  readonly spectrum: {
    readonly before: SpectrumFacts;
    readonly lowRank: SpectrumFacts;
    readonly converted: SpectrumFacts;
  };
  /** Only when spectra were asked for. */
  readonly spectra?: ConversionSpectra;
  readonly seconds: number;
}

/** A layer left as it is. */
export interface DenseLayer extends LayerConversionBase {
  readonly outcome: 'dense';
  /** `class: explanation`, one line. */
  readonly reason: string;
}

export type LayerConversion = ConvertedLayer | DenseLayer;

export interface ConversionSummary {
  readonly converted: number;
  readonly dense: number;
  /** Parameters of the whole model. */
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  /** parametersAfter ÷ parametersBefore, 0 … 1 or above. */
  readonly compressionRate: number;
  /** Of the model's weights, optimizer and training state left out; factors in float32, all else as it was. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Geometric mean of relativeError ÷ svdRelativeError over converted layers; null when there are none. */
  readonly meanErrorRatio: number | null;
  /** FLOPs of converted and dense layers together, for one input vector each; tied layers once for each name. */
  readonly flopsBefore: number;
  readonly flopsAfter: number;
}

/** The network whose layer inputs errors were measured on. */
export interface ConversionInputs {
  /** `onnx`, `tfjs`, `python` … */
  readonly host: string;
  readonly runtime: string;
  /** Samples that were run. */
  readonly samples: number;
}

export interface ConversionDocument {
  readonly schema: 'rankscope/conversion@1';
  readonly tool: { readonly name: 'rankscope'; readonly version: string };
  readonly backend: { readonly name: string; readonly build: string };
  readonly checkpoint: CheckpointFacts;
  readonly startedAt: string;
  readonly seconds: number;
  /** Name of the factorization: `sine`, `svd`. */
  readonly to: string;
  readonly seed: number;
  readonly ranks: RankChoice;
  /** Absent: every error is that of the weights. */
  readonly inputs?: ConversionInputs;
  /** In file order; every layer of the checkpoint. */
  readonly layers: readonly LayerConversion[];
  readonly summary: ConversionSummary;
  /** What a person should know of the files: state that was left out, a format that was changed. */
  readonly notes?: readonly string[];
  /** Absolute paths. */
  readonly files: {
    readonly factors: string;
    readonly document: string;
    readonly loader?: string;
    readonly materialized?: string;
  };
}
