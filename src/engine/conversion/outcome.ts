/** What a conversion did to a layer, and to the model: the parts of the document. */
import { bytesPerElement } from '../../checkpoint/dtype';
import type { Layer } from '../../checkpoint/layers';
import type { Factorization } from '../../lowrank';
import { meanMetrics, meanSpectrum, rankMetrics } from '../../spectrum';
import type {
  ConversionSpectra,
  ConversionSummary,
  ConvertedLayer,
  DenseLayer,
  LayerConversion,
  LayerCost,
  SpectrumFacts,
} from '../conversionDocument';
import type { LayerFit } from './layerFit';

/** Multiply-adds count as two operations. */
const FLOPS = 2;

/** Singular values of each matrix of a layer. */
export interface LayerSpectraSet {
  readonly original: readonly Float64Array[];
  /** Fewer than min(m, n) of them: the rest are 0. */
  readonly lowRank: readonly Float64Array[];
  readonly converted: readonly Float64Array[];
}

export function denseLayer(layer: Layer, reason: string): DenseLayer {
  return { ...factsOf(layer), outcome: 'dense', reason };
}

export function convertedLayer(
  layer: Layer,
  fit: LayerFit,
  spectra: LayerSpectraSet,
  method: Factorization,
  seconds: number,
): ConvertedLayer {
  const [m, n] = layer.shape;
  const scalars = fit.matrices.map(({ matrix }) => matrix.scalars);
  const [first] = scalars;
  const gains = scalars.flatMap(({ gain }) => (gain === undefined ? [] : [gain]));
  return {
    ...factsOf(layer),
    outcome: 'converted',
    k: fit.rank,
    ...(first?.omega !== undefined && { omega: first.omega }),
    ...(first?.gain !== undefined && { gain: first.gain }),
    ...(gains.length > 1 && { gains }),
    relativeError: fit.relativeError,
    svdRelativeError: fit.svdRelativeError,
    after: costAfter(layer, fit.rank, method),
    spectrum: {
      before: spectrumFacts(spectra.original, m, n),
      lowRank: spectrumFacts(spectra.lowRank, m, n),
      converted: spectrumFacts(spectra.converted, m, n),
    },
    spectra: meansOf(spectra),
    seconds: Math.round(1000 * seconds) / 1000,
  };
}

function factsOf(layer: Layer): Omit<DenseLayer, 'outcome' | 'reason'> {
  const { name, kind, shape, groups, tensor, parameters } = layer;
  return {
    name,
    kind,
    shape,
    ...(groups !== undefined && { groups }),
    dtype: tensor.dtype,
    before: {
      parameters,
      bytes: parameters * bytesPerElement(tensor.dtype),
      flops: FLOPS * parameters,
    },
  };
}

function costAfter(layer: Layer, rank: number, method: Factorization): LayerCost {
  const [m, n] = layer.shape;
  const groups = layer.matrices.length;
  const { parameters, bytes, multiplyAdds } = method.ledger(m, n, rank);
  return { parameters: groups * parameters, bytes: groups * bytes, flops: FLOPS * groups * multiplyAdds };
}

function spectrumFacts(spectra: readonly Float64Array[], m: number, n: number): SpectrumFacts {
  const { stableRank, effectiveRank, rank } = meanMetrics(
    spectra.map((values) => rankMetrics(padded(values, Math.min(m, n)), m, n)),
  );
  return { stableRank, effectiveRank, rank };
}

function padded(values: Float64Array, length: number): Float64Array {
  const all = new Float64Array(length);
  all.set(values.subarray(0, length));
  return all;
}

function meansOf({ original, lowRank, converted }: LayerSpectraSet): ConversionSpectra {
  const mean = (spectra: readonly Float64Array[]): number[] => Array.from(meanSpectrum(spectra));
  return { original: mean(original), lowRank: mean(lowRank), converted: mean(converted) };
}

/**
 * @param model parameters and bytes of the whole model before, layers or not
 */
export function summariseConversion(
  layers: readonly LayerConversion[],
  model: { readonly parameters: number; readonly bytes: number },
): ConversionSummary {
  const converted = layers.filter((layer) => layer.outcome === 'converted');
  const saved = (of: 'parameters' | 'bytes'): number =>
    converted.reduce((sum, { before, after }) => sum + before[of] - after[of], 0);
  const flopsBefore = layers.reduce((sum, { before }) => sum + before.flops, 0);
  const flopsAfter = layers.reduce(
    (sum, layer) => sum + (layer.outcome === 'converted' ? layer.after : layer.before).flops,
    0,
  );
  const parametersAfter = model.parameters - saved('parameters');
  return {
    converted: converted.length,
    dense: layers.length - converted.length,
    parametersBefore: model.parameters,
    parametersAfter,
    compressionRate: model.parameters === 0 ? 1 : parametersAfter / model.parameters,
    bytesBefore: model.bytes,
    bytesAfter: model.bytes - saved('bytes'),
    meanErrorRatio: meanErrorRatio(converted),
    flopsBefore,
    flopsAfter,
  };
}

/** Geometric mean; layers that truncated SVD meets exactly say nothing. */
function meanErrorRatio(converted: readonly ConvertedLayer[]): number | null {
  const ratios = converted
    .filter(({ svdRelativeError }) => svdRelativeError > 0)
    .map(({ relativeError, svdRelativeError }) => Math.log(relativeError / svdRelativeError));
  return ratios.length === 0 ? null : Math.exp(ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length);
}
