/**
 * What the panel and the extension host say to each other. Types only: the page imports nothing else of the host.
 * Every message is plain data; tensor names in it are hostile text and are only ever set as text.
 */
import type { AuditDocument, CheckpointFacts, LayerAudit } from '../src/engine/document';
import type { Finding, Level, NamedGlobal } from '../src/engine/inspectionDocument';
import type { Progress } from '../src/engine/progress';

/** What a page is: `document.body.dataset.page`. */
export type PageKind = 'audit' | 'conversion' | 'utilization' | 'training';

/** A layer with its spectrum as a typed array: VS Code hands its bytes on, where an array of numbers becomes text twice. */
export interface PanelLayerAudit extends Omit<LayerAudit, 'singularValues'> {
  readonly singularValues?: Float64Array;
}

/** What computes, and why this one. */
export interface BackendShown {
  readonly name: string;
  readonly build: string;
  readonly threads: number;
  readonly why?: string;
}

/** Whether the file may be loaded by other programs; the worst names and findings, not all of them. */
export interface VerdictShown {
  readonly level: Level;
  readonly meaning: string;
  /** What it rests on, in a few words. */
  readonly reason: string;
  readonly globals: readonly NamedGlobal[];
  readonly findings: readonly Finding[];
  readonly notes: readonly string[];
  /** Names and findings that are not among those above. */
  readonly further: number;
}

/** Host → panel. */
export type ToPanel =
  /** The file was opened: everything known before any layer is computed. Starts a fresh audit in the page. */
  | {
      readonly type: 'opened';
      readonly checkpoint: CheckpointFacts;
      readonly layerNames: readonly string[];
      readonly backend: BackendShown;
    }
  /** Finished layers, with singular values, gathered by the host into a few messages a second. */
  | {
      readonly type: 'layers';
      readonly layers: readonly { readonly index: number; readonly layer: PanelLayerAudit }[];
    }
  | { readonly type: 'progress'; readonly progress: Progress }
  /**
   * The document, complete. Its layers leave `singularValues` out: they came with `layers`, all of them before this,
   * and are kept; everything else replaces what streamed in. (Sent twice, a large model's spectra would block the host.)
   */
  | { readonly type: 'done'; readonly document: AuditDocument }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'cancelled' }
  /** Comes by itself, before or after anything else: it waits for no layer, and a file that cannot be audited has one. */
  | { readonly type: 'verdict'; readonly verdict: VerdictShown }
  /** Something a person should know that ends nothing: the engine was restarted, the file changed on disk … */
  | { readonly type: 'notice'; readonly message: string }
  /** The answer to a message that carried `request`. */
  | { readonly type: 'reply'; readonly request: number; readonly ok: boolean; readonly message?: string };

export type ExportFormat = 'json' | 'csv' | 'markdown' | 'png';

/**
 * What the page must have in `acquireVsCodeApi().setState(…)`, beside whatever it keeps for itself, so that a panel
 * which is no editor (of a folder, of a conversion) finds what it is of again after a reload: the text of `document.body.dataset.resource`.
 */
export interface KeptState {
  readonly resource: string;
}

/** Panel → host. */
export type FromPanel =
  /** The page listens; the host then sends the audit as far as it is. */
  | { readonly type: 'ready' }
  | { readonly type: 'cancel' }
  /** Audit again, after a failure or a cancel. */
  | { readonly type: 'retry' }
  /** Ask where to save and write it; a PNG's bytes come from the page, the rest the host makes. */
  | {
      readonly type: 'export';
      readonly request: number;
      readonly format: ExportFormat;
      readonly suggestedName: string;
      readonly png?: Uint8Array;
    }
  | { readonly type: 'copySnippet'; readonly request: number; readonly layer: string }
  /** Open the conversion panel; at this layer, where one is given. */
  | { readonly type: 'convert'; readonly layer?: string }
  /** Measure the utilized rank of this checkpoint's network. */
  | { readonly type: 'measure' }
  | { readonly type: 'openLog' };
