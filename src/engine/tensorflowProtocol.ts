/** Installing TensorFlow, between the extension host and the engine. Types only. */
import type { JobId } from './protocol';

export interface InstallTensorflowParams {
  readonly job: JobId;
  /** Where the package goes, below `node_modules`; what was there before is replaced once the new one is complete. */
  readonly folder: string;
}

/** How far an installation is. */
export interface InstallStage {
  /** The packages; then TensorFlow itself. */
  readonly kind: 'packages' | 'library';
  /** On disk so far, of this stage. */
  readonly bytes: number;
}

export interface TensorflowRequests {
  /** What TensorFlow with CUDA needs on this machine, a line each; `supported` is false where there is none for it. */
  readonly tensorflowRequirements: {
    readonly params: Record<string, never>;
    readonly result: { readonly supported: boolean; readonly lines: readonly string[] };
  };
  readonly installTensorflow: {
    readonly params: InstallTensorflowParams;
    readonly result: { readonly folder: string };
  };
}

export interface TensorflowNotifications {
  readonly installStage: { readonly job: JobId; readonly stage: InstallStage };
}
