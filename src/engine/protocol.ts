import type { DeviceSettings } from '../compute/device/device';
/**
 * What the extension host and the engine process say to each other: JSON-RPC 2.0 (vscode-jsonrpc) over the
 * engine's standard input and output. Requests are cancelled with JSON-RPC's own `$/cancelRequest`. Types only; neither end is imported.
 */
import type { ConversionNotifications, ConversionRequests } from './conversionProtocol';
import type { AuditDocument, CheckpointFacts, LayerAudit } from './document';
import type { InspectionDocument } from './inspectionDocument';
import type { Progress } from './progress';
import type { TensorflowNotifications, TensorflowRequests } from './tensorflowProtocol';
import type { TrainingNotifications, TrainingRequests } from './trainingProtocol';
import type { UtilizationNotifications, UtilizationRequests } from './utilizationProtocol';

/** Chosen by the caller; notifications of a running job carry the number of the job they belong to. */
export type JobId = number;

export interface AuditParams {
  readonly job: JobId;
  readonly path: string;
  /** Source of a regular expression; absent for all layers. */
  readonly layers?: string;
  readonly backend?: string;
  readonly threads?: number;
  /** false: results are neither read from the cache nor kept in it. Default true. */
  readonly cache?: boolean;
}

export type ReportFormat = 'json' | 'csv' | 'markdown';

export interface ReportParams {
  /** The audit to report: the job's document if it is still known, otherwise made again (the cache has its spectra). */
  readonly audit: AuditParams;
  readonly format: ReportFormat;
  /** File to write, complete or not at all. */
  readonly target: string;
}

export interface BackendFacts {
  readonly name: string;
  readonly build: string;
  readonly threads: number;
  /** Why this one computes, in one line. */
  readonly why: string;
}

/** Requests, host → engine. A failed job is an error response whose message is one line. */
export interface EngineRequests
  extends ConversionRequests, TensorflowRequests, TrainingRequests, UtilizationRequests {
  /**
   * Every layer comes with its singular values in a `layer` notification before the answer. The document leaves them
   * out: of a large model they are many megabytes, which the host would have to parse in one go.
   */
  readonly audit: { readonly params: AuditParams; readonly result: AuditDocument };
  /** Writes the report of an audit to a file; JSON holds the singular values. */
  readonly report: { readonly params: ReportParams; readonly result: null };
  /** What a file, or a folder that is one model, can do to whoever loads it. */
  readonly inspect: { readonly params: { readonly path: string }; readonly result: InspectionDocument };
  /** Paths of the checkpoints in a folder and those in it; a folder itself where it is one model in shards. */
  readonly checkpoints: { readonly params: { readonly folder: string }; readonly result: readonly string[] };
  readonly clearCache: { readonly params: Record<string, never>; readonly result: null };
  readonly backends: {
    readonly params: Record<string, never>;
    readonly result: readonly { readonly name: string; readonly usable: boolean; readonly about: string }[];
  };
}

/** Notifications, host → engine. */
export interface HostNotifications {
  /** Nobody will ask for a report of this job any more. */
  readonly forget: { readonly job: JobId };
  /** Where libraries of graphics cards are looked for, from now on. */
  readonly devices: DeviceSettings;
}

/** Notifications, engine → host. Layers come as they finish, with their singular values. */
export interface EngineNotifications
  extends ConversionNotifications, UtilizationNotifications, TensorflowNotifications, TrainingNotifications {
  readonly opened: {
    readonly job: JobId;
    readonly checkpoint: CheckpointFacts;
    readonly layerNames: readonly string[];
    readonly backend: BackendFacts;
  };
  readonly layer: { readonly job: JobId; readonly index: number; readonly layer: LayerAudit };
  readonly progress: { readonly job: JobId; readonly progress: Progress };
  /** A backend that was asked for cannot be used, or stopped working; jobs go on. */
  readonly backendNotice: { readonly notice: string };
  readonly log: { readonly level: 'info' | 'warn' | 'error'; readonly message: string };
}
