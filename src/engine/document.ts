/**
 * The documents that jobs produce: what `--json` writes, what the panel shows, what other tools read.
 * Each has a JSON Schema in `media/schema/`; change both together.
 */

import type { LayerKind, SkippedTensor } from '../checkpoint/layers/layer';
import type { RankMetrics } from '../spectrum';

export type { LayerKind, SkippedTensor } from '../checkpoint/layers/layer';
export { ENERGY_LEVELS, type EnergyLevel, type RankMetrics } from '../spectrum';

/** A named sub-matrix of a fused layer: q, k and v of an attention block, the gates of a recurrent one. */
export interface LayerPart extends RankMetrics {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly maxRank: number;
  readonly utilization: number;
}

export interface LayerAudit extends RankMetrics {
  /** Path from the file's root, keys joined with dots, nothing stripped. */
  readonly name: string;
  readonly kind: LayerKind;
  /** [m, n], out × in; of one group for a grouped convolution. */
  readonly shape: readonly [number, number];
  readonly dtype: string;
  /** Elements of the matrices; of an adapter, of its two factors. */
  readonly parameters: number;
  /** min(m, n); of the change of a weight that an adapter makes, at most the rank of its factors. */
  readonly maxRank: number;
  /** rank / maxRank. */
  readonly utilization: number;
  /** Number of groups of a grouped convolution. */
  readonly groups?: number;
  /** Depthwise convolution: every group is one row, so its rank says nothing; outside the means. */
  readonly trivialRank?: true;
  /** Name of the layer whose stored bytes this one shares (tied weights); counted once in parameters. */
  readonly tiedTo?: string;
  /** Name of the layer that this is a factor of, in a file of factors: outside means and sums. */
  readonly factorOf?: string;
  /** Two layers r × n and m × r would have fewer parameters: rank < m·n/(m+n), or below that of an adapter's factors. */
  readonly decomposable: boolean;
  readonly parts?: readonly LayerPart[];
  /** Descending; only when spectra were asked for. Mean over groups for a grouped convolution. */
  readonly singularValues?: readonly number[];
}

export interface CheckpointFacts {
  readonly path: string;
  readonly format: string;
  readonly bytes: number;
  readonly tensors: number;
  /** Elements of the model's floating-point tensors, shared storages counted once, training state and buffers left out. */
  readonly parameters: number;
  readonly sha256?: string;
  readonly notes?: readonly string[];
}

export interface AuditSummary {
  readonly layers: number;
  readonly analysedParameters: number;
  /** Mean of utilization over linear, attention and convolution layers; null when there are none. */
  readonly meanUtilization: number | null;
  readonly decomposableLayers: number;
  /** Parameters of the whole model if every decomposable layer became two. */
  readonly parametersIfDecomposed: number;
}

export interface AuditDocument {
  readonly schema: 'rankscope/audit@1';
  readonly tool: { readonly name: 'rankscope'; readonly version: string };
  readonly backend: { readonly name: string; readonly build: string };
  readonly checkpoint: CheckpointFacts;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly seconds: number;
  readonly layers: readonly LayerAudit[];
  readonly skipped: readonly SkippedTensor[];
  readonly summary: AuditSummary;
}
