/**
 * What the extension host and the engine process say to each other: JSON-RPC 2.0 (vscode-jsonrpc) over Node's
 * process channel. Requests are cancelled with JSON-RPC's own `$/cancelRequest`. Types only; neither end is imported.
 */
import type { AuditDocument, CheckpointFacts, LayerAudit } from './document';
import type { Progress } from './progress';

/** Chosen by the caller; notifications of a running job carry the number of the job they belong to. */
export type JobId = number;

export interface AuditParams {
  readonly job: JobId;
  readonly path: string;
  /** Source of a regular expression; absent for all layers. */
  readonly layers?: string;
  readonly backend?: string;
  readonly threads?: number;
}

/** Requests, host → engine. A failed job is an error response whose message is one line. */
export interface EngineRequests {
  /** The document holds the singular values of every layer. */
  readonly audit: { readonly params: AuditParams; readonly result: AuditDocument };
  readonly clearCache: { readonly params: Record<string, never>; readonly result: null };
  readonly backends: {
    readonly params: Record<string, never>;
    readonly result: readonly { readonly name: string; readonly description: string }[];
  };
}

/** Notifications, engine → host. Layers come as they finish, with their singular values. */
export interface EngineNotifications {
  readonly opened: {
    readonly job: JobId;
    readonly checkpoint: CheckpointFacts;
    readonly layerNames: readonly string[];
    readonly backend: { readonly name: string; readonly build: string; readonly threads: number };
  };
  readonly layer: { readonly job: JobId; readonly index: number; readonly layer: LayerAudit };
  readonly progress: { readonly job: JobId; readonly progress: Progress };
  readonly log: { readonly level: 'info' | 'warn' | 'error'; readonly message: string };
}
