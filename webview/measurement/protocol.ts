/**
 * What the utilization panel and the extension host say to each other. Types only: the page imports nothing else of the
 * host. Every message is plain data; layer names in it are hostile text and are only ever set as text.
 */
import type { Progress } from '../../src/engine/progress';
import type { LayerUtilization, Probe, UtilizationDocument } from '../../src/engine/utilizationDocument';
import type { UtilizationNotifications, UtilizationStage } from '../../src/engine/utilizationProtocol';

/** A measured layer; its energies as typed arrays, whose bytes VS Code hands on. Probes come by themselves. */
export type PageUtilization = Omit<LayerUtilization, 'inputEnergies' | 'outputEnergies' | 'probes'> & {
  readonly inputEnergies?: Float64Array;
  readonly outputEnergies?: Float64Array;
};

/** A probe and the layer it was made at. */
export interface PageProbe {
  readonly layer: string;
  readonly probe: Probe;
}

/** Host → page. */
export type ToUtilization =
  /** The network is open: every layer that will be measured, in the network's order. Starts afresh in the page. */
  | ({ readonly type: 'opened' } & Omit<UtilizationNotifications['utilizationOpened'], 'job'>)
  | {
      readonly type: 'layers';
      readonly layers: readonly { readonly index: number; readonly layer: PageUtilization }[];
    }
  /** Probes in the order in which they were made. */
  | { readonly type: 'probes'; readonly probes: readonly PageProbe[] }
  | { readonly type: 'stage'; readonly stage: UtilizationStage }
  | { readonly type: 'progress'; readonly progress: Progress }
  /** Complete; its layers leave out spectra, which came with `layers`. */
  | { readonly type: 'done'; readonly document: UtilizationDocument }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'cancelled' }
  | { readonly type: 'notice'; readonly message: string }
  /** The answer to a message that carried `request`. */
  | { readonly type: 'reply'; readonly request: number; readonly ok: boolean; readonly message?: string };

/** Page → host. */
export type FromUtilization =
  /** The page listens; the host then sends everything that is known. */
  | { readonly type: 'ready' }
  | { readonly type: 'cancel' }
  /** Go on where a cancelled or failed measurement stopped. */
  | { readonly type: 'resume' }
  | { readonly type: 'openRecipe' }
  /** The audit of the checkpoint behind the network. */
  | { readonly type: 'openAudit' }
  /** Save the document. */
  | { readonly type: 'export'; readonly request: number }
  /** Write the two-layer checkpoint, asking where. */
  | { readonly type: 'decompose'; readonly request: number }
  | { readonly type: 'openLog' };
