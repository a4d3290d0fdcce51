/**
 * What the panel and the extension host say to each other. Types only: the page imports nothing else of the host.
 * Every message is plain data; tensor names in it are hostile text and are only ever set as text.
 */
import type { AuditDocument, CheckpointFacts, LayerAudit } from '../src/engine/document';
import type { Progress } from '../src/engine/progress';

/** Host → panel. */
export type ToPanel =
  /** The file was opened: everything known before any layer is computed. Starts a fresh audit in the page. */
  | {
      readonly type: 'opened';
      readonly checkpoint: CheckpointFacts;
      readonly layerNames: readonly string[];
      readonly backend: { readonly name: string; readonly build: string; readonly threads: number };
    }
  /** Finished layers, with singular values, gathered by the host into a few messages a second. */
  | {
      readonly type: 'layers';
      readonly layers: readonly { readonly index: number; readonly layer: LayerAudit }[];
    }
  | { readonly type: 'progress'; readonly progress: Progress }
  /** The whole document (its layers hold their singular values); replaces what streamed in. */
  | { readonly type: 'done'; readonly document: AuditDocument }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'cancelled' }
  /** Something a person should know that ends nothing: the engine was restarted, the file changed on disk … */
  | { readonly type: 'notice'; readonly message: string }
  /** The answer to a message that carried `request`. */
  | { readonly type: 'reply'; readonly request: number; readonly ok: boolean; readonly message?: string };

export type ExportFormat = 'json' | 'csv' | 'markdown' | 'png';

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
  | { readonly type: 'openLog' };
