/**
 * The documents that jobs produce: what `--json` writes, what the panel shows, what other tools read.
 * Each has a JSON Schema in `media/schema/`; change both together.
 */

export type LayerKind = 'linear' | 'conv' | 'embedding' | 'attention' | 'other';

/** Energy levels at which ranks are reported; 0.9999 is "the rank" (mean layer utilization paper, §2.1). */
export const ENERGY_LEVELS = ['0.9', '0.95', '0.99', '0.999', '0.9999'] as const;
export type EnergyLevel = (typeof ENERGY_LEVELS)[number];

/** Everything told about one spectrum. Means over the groups for a grouped convolution. */
export interface RankMetrics {
  /** r_0.9999: the smallest r whose leading singular values hold 99.99 % of the energy Σσ². */
  readonly rank: number;
  readonly energyRanks: Readonly<Record<EnergyLevel, number>>;
  /** ‖W‖_F² / σ₁². */
  readonly stableRank: number;
  /** exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ / Σσ (Roy & Vetterli, 2007). */
  readonly effectiveRank: number;
  readonly spectralNorm: number;
  readonly frobeniusNorm: number;
  /** Marchenko–Pastur upper edge for a random matrix of the same shape and entry variance. */
  readonly randomEdge: number;
  /** Number of singular values above the random edge. */
  readonly spikes: number;
}

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
  readonly parameters: number;
  /** min(m, n). */
  readonly maxRank: number;
  /** rank / maxRank. */
  readonly utilization: number;
  /** Number of groups of a grouped convolution. */
  readonly groups?: number;
  /** Depthwise convolution: every group is one row, so its rank says nothing; outside the means. */
  readonly trivialRank?: true;
  /** Name of the layer whose stored bytes this one shares (tied weights); counted once in parameters. */
  readonly tiedTo?: string;
  /** rank < m·n/(m+n): two layers r × n and m × r would have fewer parameters. */
  readonly decomposable: boolean;
  readonly parts?: readonly LayerPart[];
  /** Descending; only when spectra were asked for. Mean over groups for a grouped convolution. */
  readonly singularValues?: readonly number[];
}

export interface SkippedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly reason: string;
}

export interface CheckpointFacts {
  readonly path: string;
  readonly format: string;
  readonly bytes: number;
  readonly tensors: number;
  /** Elements of the model's floating-point tensors, shared storages counted once, optimizer state and buffers left out. */
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
