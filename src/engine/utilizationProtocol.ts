/** Utilization measurements, between the extension host and the engine. Types only. */
import type { NetworkFacts } from '../network/network';
import type { BackendFacts, JobId } from './protocol';
import type { LayerUtilization, Probe, SearchMode, UtilizationDocument } from './utilizationDocument';

export interface UtilizeParams {
  readonly job: JobId;
  /** A recipe (`*.rankscope.json`), or an ONNX model when `data` is given. */
  readonly path: string;
  readonly data?: string;
  readonly mode?: SearchMode;
  /** Percentage points for each projection. */
  readonly delta?: number;
  /** Label-free: energies kept. */
  readonly energy?: number;
  readonly maxPasses?: number;
  /** Continue an earlier search of the same network, data and settings. */
  readonly resume?: boolean;
  /** File to write the two-layer checkpoint to. */
  readonly decompose?: string;
  /** Interpreter for recipes that run Python; the host asks for trust before it sends one. */
  readonly python?: string;
  /** The workspace is trusted: without it, recipes that run code are refused. */
  readonly trusted: boolean;
  readonly backend?: string;
  readonly threads?: number;
}

/** Where a measurement is. */
export type UtilizationStage =
  | { readonly kind: 'opening' }
  /** Running the Gram data through the network. */
  | { readonly kind: 'grams' }
  /** Eigenvectors. */
  | { readonly kind: 'subspaces' }
  | {
      readonly kind: 'search';
      readonly layer: string;
      readonly side: 'input' | 'output';
      /** Bounds between which the answer lies, and what is being tried. */
      readonly low: number;
      readonly high: number;
      readonly k: number;
      readonly pass: number;
    }
  | { readonly kind: 'decomposing' };

export interface UtilizationRequests {
  /** Layers come with their spectra in `utilizationLayer` notifications; the document leaves them out. */
  readonly utilize: { readonly params: UtilizeParams; readonly result: UtilizationDocument };
}

export interface UtilizationNotifications {
  readonly utilizationOpened: {
    readonly job: JobId;
    readonly network: NetworkFacts;
    readonly layers: readonly {
      readonly name: string;
      readonly shape: readonly [number, number];
      readonly rank: number;
    }[];
    /** Metric of the original network, when there are labels. */
    readonly before?: number;
    readonly backend: BackendFacts;
    /** Probes known from an earlier run. */
    readonly resumedProbes: number;
  };
  readonly utilizationStage: { readonly job: JobId; readonly stage: UtilizationStage };
  readonly utilizationProbe: { readonly job: JobId; readonly layer: string; readonly probe: Probe };
  readonly utilizationLayer: {
    readonly job: JobId;
    readonly index: number;
    readonly layer: LayerUtilization;
  };
}
