/** Conversions, between the extension host and the engine. Types only. */
import type { LayerKind } from '../checkpoint/layers/layer';
import type { ConversionDocument, LayerConversion, RankChoice } from './conversionDocument';
import type { BackendFacts, JobId } from './protocol';
import type { CheckpointFacts } from './document';

export type { RankChoice } from './conversionDocument';

export interface ConvertParams {
  readonly job: JobId;
  readonly path: string;
  /** Name of the factorization. */
  readonly to: string;
  readonly ranks: RankChoice;
  /** Source of a regular expression; absent for all layers. */
  readonly layers?: string;
  readonly omega?: number;
  readonly gain?: number;
  readonly seed?: number;
  readonly materialize?: boolean;
  /** Folder for the files; absent: beside the checkpoint. */
  readonly out?: string;
  readonly backend?: string;
  readonly threads?: number;
  readonly cache?: boolean;
}

/** What is known of a layer before any number is computed; enough to show the cost of a rank. */
export interface ConvertibleLayer {
  readonly name: string;
  readonly kind: LayerKind;
  readonly shape: readonly [number, number];
  readonly groups: number;
  readonly parameters: number;
  /** Converted unless told otherwise: false for embeddings, tied and trivial layers, whose `reason` says why. */
  readonly byDefault: boolean;
  readonly reason?: string;
}

export interface ConversionPreview {
  readonly checkpoint: CheckpointFacts;
  readonly layers: readonly ConvertibleLayer[];
}

export interface SineSpectrumParams {
  readonly path: string;
  readonly layer: string;
  /** Rank of U and V: the truncated SVD of the layer's (first) matrix. */
  readonly rank: number;
  readonly omega: number;
  readonly gain: number;
  readonly backend?: string;
}

/** The spectrum of sin(ω·U·Vᵀ)/g beside those of W and of U·Vᵀ. */
export interface SineSpectrum {
  readonly original: readonly number[];
  readonly lowRank: readonly number[];
  readonly sine: readonly number[];
  readonly stableRank: number;
  readonly effectiveRank: number;
  /** r_0.99 and r_0.9999 of the sine matrix. */
  readonly energyRank99: number;
  readonly rank: number;
  /** ‖W − sin(ωUVᵀ)/g‖ ÷ ‖W‖. */
  readonly relativeError: number;
  readonly svdRelativeError: number;
  /** Proposition 1: the bound holds for 0 ≤ ω ≤ omegaLimit. */
  readonly proposition1: { readonly omegaLimit: number; readonly rankBound: number };
}

export interface ConversionRequests {
  /** Every layer comes with its spectra in a `conversionLayer` notification; the document leaves them out. */
  readonly convert: { readonly params: ConvertParams; readonly result: ConversionDocument };
  readonly conversionPreview: {
    readonly params: { readonly path: string };
    readonly result: ConversionPreview;
  };
  /** Where the numbers for a fresh explorer come from: quick for a layer seen before. */
  readonly sineSpectrum: { readonly params: SineSpectrumParams; readonly result: SineSpectrum };
}

export interface ConversionNotifications {
  readonly conversionOpened: {
    readonly job: JobId;
    readonly checkpoint: CheckpointFacts;
    /** Layers that will be converted, in file order. */
    readonly layerNames: readonly string[];
    readonly backend: BackendFacts;
  };
  readonly conversionLayer: {
    readonly job: JobId;
    readonly index: number;
    readonly layer: LayerConversion;
  };
}
