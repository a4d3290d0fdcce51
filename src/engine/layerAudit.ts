import type { Layer } from '../checkpoint/layers';
import {
  decomposedParameters,
  isDecomposable,
  meanMetrics,
  meanSpectrum,
  rankMetrics,
  utilization,
  type RankMetrics,
} from '../spectrum';
import type { AuditSummary, LayerAudit, LayerKind, LayerPart } from './document';

/** Kinds of layer that mean layer utilization is the mean over: linear ones (fused attention too) and convolutions. */
const IN_THE_MEAN: ReadonlySet<LayerKind> = new Set<LayerKind>(['linear', 'attention', 'conv']);

/** Whether mean layer utilization counts a layer: depthwise convolutions are left out. */
export function countsInMean(layer: LayerAudit): boolean {
  return IN_THE_MEAN.has(layer.kind) && layer.trivialRank !== true;
}

/** @param spectra of the layer's matrices, then of its parts' (see `matricesOf`). */
export function auditLayer(layer: Layer, spectra: readonly Float64Array[], withSpectra: boolean): LayerAudit {
  const own = spectra.slice(0, layer.matrices.length);
  const [m, n] = layer.shape;
  const maxRank = layer.maxRank ?? Math.min(m, n);
  const metrics = metricsOf(own, m, n, maxRank);
  const parts = auditParts(layer, spectra.slice(layer.matrices.length));
  return {
    name: layer.name,
    kind: layer.kind,
    shape: layer.shape,
    dtype: layer.tensor.dtype,
    parameters: layer.parameters,
    maxRank,
    ...metrics,
    utilization: utilization(metrics.rank, m, n, maxRank),
    ...(layer.groups !== undefined && { groups: layer.groups }),
    ...(layer.trivialRank === true && { trivialRank: true }),
    ...(layer.tiedTo !== undefined && { tiedTo: layer.tiedTo }),
    ...(layer.factorOf !== undefined && { factorOf: layer.factorOf }),
    decomposable:
      layer.trivialRank !== true && layer.factorOf === undefined && wouldShrink(layer, metrics.rank),
    ...(parts.length > 0 && { parts }),
    ...(withSpectra && { singularValues: Array.from(meanSpectrum(own).subarray(0, maxRank)) }),
  };
}

/** Two layers of its rank have fewer parameters than it has: an adapter is two already, of the rank of its factors. */
function wouldShrink({ shape: [m, n], isAdapter, groups = 1, parameters }: Layer, rank: number): boolean {
  if (isAdapter !== true) return isDecomposable(rank, m, n);
  return groups * decomposedParameters(rank, m, n) < parameters;
}

/** @param maxRank values after as many are zeros, or their rounding */
function metricsOf(spectra: readonly Float64Array[], m: number, n: number, maxRank: number): RankMetrics {
  return meanMetrics(
    spectra.map((singularValues) => rankMetrics(singularValues.subarray(0, maxRank), m, n, maxRank)),
  );
}

function auditParts(layer: Layer, spectra: readonly Float64Array[]): LayerPart[] {
  let next = 0;
  return (layer.parts ?? []).map(({ name, shape, matrices }) => {
    const [m, n] = shape;
    const maxRank = Math.min(m, n, layer.maxRank ?? Infinity);
    const metrics = metricsOf(spectra.slice(next, next + matrices.length), m, n, maxRank);
    next += matrices.length;
    return {
      name,
      shape,
      maxRank,
      ...metrics,
      utilization: utilization(metrics.rank, m, n, maxRank),
    };
  });
}

/** @param modelParameters of the whole checkpoint, skipped tensors included. */
export function summarise(layers: readonly LayerAudit[], modelParameters: number): AuditSummary {
  const names = new Set(layers.map(({ name }) => name));
  // Tied layers count once: where the other one is not in this audit, here.
  const counted = layers.filter(
    ({ tiedTo, factorOf }) => factorOf === undefined && (tiedTo === undefined || !names.has(tiedTo)),
  );
  const inTheMean = layers.filter(countsInMean);
  const decomposable = counted.filter((layer) => layer.decomposable);
  const saved = decomposable.reduce((sum, layer) => sum + savedBy(layer), 0);
  return {
    layers: layers.length,
    analysedParameters: counted.reduce((sum, { parameters }) => sum + parameters, 0),
    meanUtilization:
      inTheMean.length === 0
        ? null
        : inTheMean.reduce((sum, layer) => sum + layer.utilization, 0) / inTheMean.length,
    decomposableLayers: decomposable.length,
    parametersIfDecomposed: Math.round(modelParameters - saved),
  };
}

/** Parameters saved by replacing every group's m × n matrix by r × n and m × r. */
function savedBy({ rank, shape: [m, n], groups = 1, parameters }: LayerAudit): number {
  return parameters - groups * decomposedParameters(rank, m, n);
}
