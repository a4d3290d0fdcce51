/** `rankscope/utilization@1`: utilized ranks of a network on data. Its JSON Schema is in `media/schema/`; change both together. */
import type { Evaluation, NetworkFacts } from '../network/network';
import type { ProbeOutcome } from '../utilization/probe';
import type { CheckpointFacts } from './document';

/** cumulative: earlier projections stay; independent: each alone; label-free: fixed energies, nothing searched. */
export type SearchMode = 'cumulative' | 'independent' | 'label-free';

/** One evaluation of the search. */
export type Probe = ProbeOutcome;

export interface LayerUtilization {
  readonly name: string;
  readonly kind: 'linear' | 'conv';
  /** [m, n], out × in; of one group. */
  readonly shape: readonly [number, number];
  readonly groups?: number;
  readonly maxRank: number;
  /** r_0.9999(W). */
  readonly rank: number;
  readonly kS: number;
  readonly kT: number;
  /** Shares of spectral energy kept by the projections, 0 … 1. */
  readonly energyS: number;
  readonly energyT: number;
  /** r_0.9999(W′); mean over groups where there are several. */
  readonly utilizedRank: number;
  /** utilizedRank ÷ maxRank. */
  readonly utilization: number;
  readonly decomposable: boolean;
  /** ‖Y − Y′‖² ÷ ‖Y‖² of the layer alone: as measured, and the bound of eq. 30. */
  readonly error: { readonly measured: number; readonly bound: number };
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  /** FLOPs of one sample (multiply-adds ×2). */
  readonly flopsBefore: number;
  readonly flopsAfter: number;
  /** Network metric once this layer's projections were chosen; absent when nothing is evaluated. */
  readonly valueAfter?: number;
  readonly probes: readonly Probe[];
  /** Eigenvalues of the input and output Gram, descending, as shares of their sum; only when spectra were asked for. */
  readonly inputEnergies?: readonly number[];
  readonly outputEnergies?: readonly number[];
}

export interface UtilizationSummary {
  readonly layers: number;
  readonly metric?: Evaluation['metric'];
  readonly before?: number;
  /** With all projections applied; in independent mode they were never searched together. */
  readonly afterProjection?: number;
  /** With the decomposed layers run as two, when asked for. */
  readonly afterDecomposition?: number;
  readonly afterFineTuning?: number;
  /** Means of rank ÷ maxRank and of utilization, 0 … 1. */
  readonly mluOriginal: number | null;
  readonly mlu: number | null;
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  readonly flopsBefore: number;
  readonly flopsAfter: number;
  readonly decomposableLayers: number;
  readonly passes: number;
  /** 2·L·δ: what the whole search may cost by construction; cumulative mode only. */
  readonly guaranteedDrop?: number;
  /** Measured layers that the budget of passes ended before, or in the middle of: what was not found is left whole. */
  readonly notSearched: number;
}

export interface UtilizationDocument {
  readonly schema: 'rankscope/utilization@1';
  readonly tool: { readonly name: 'rankscope'; readonly version: string };
  readonly backend: { readonly name: string; readonly build: string };
  readonly network: NetworkFacts;
  /** The checkpoint behind the network, when there is a file. */
  readonly checkpoint?: CheckpointFacts;
  readonly startedAt: string;
  readonly seconds: number;
  readonly mode: SearchMode;
  /** Percentage points for each projection; searched modes only. */
  readonly delta?: number;
  /** Label-free mode only. */
  readonly energy?: { readonly input: number; readonly output: number };
  /** In the order in which the network runs them. */
  readonly layers: readonly LayerUtilization[];
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  readonly summary: UtilizationSummary;
  readonly notes: readonly string[];
  readonly files?: { readonly decomposed?: string; readonly rankPattern?: string };
}
