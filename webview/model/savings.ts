/** What low rank would save, and which layers count; the same rules as the audit document's own summary. */
import type { LayerKind } from '../../src/engine/document';
import type { LayerFacts } from './audit';

const IN_THE_MEAN: ReadonlySet<LayerKind> = new Set<LayerKind>(['linear', 'attention', 'conv']);

/** Mean layer utilization is the mean over linear layers (fused attention too) and convolutions, depthwise ones left out. */
export function countsInMean(facts: LayerFacts): boolean {
  return IN_THE_MEAN.has(facts.kind) && facts.trivialRank !== true;
}

/** Parameters saved by r × n and m × r in place of m × n, for every group; 0 where none would be saved. */
export function savedParameters({ decomposable, rank, shape, groups = 1, parameters }: LayerFacts): number {
  return decomposable ? Math.max(0, parameters - groups * rank * (shape[0] + shape[1])) : 0;
}
