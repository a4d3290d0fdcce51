/** TensorFlow.js itself on a device, for those who bring networks of their own: training above all. */
import type * as Core from '@tensorflow/tfjs-core';
import type { DeviceSettings } from './device';

export interface TensorLibrary {
  readonly tf: typeof Core;
  /** `tensorflow`, `webgpu`, `wasm`. */
  readonly name: string;
  /** What runs, and on what: `TensorFlow 2.9.1, CUDA, NVIDIA H200`. */
  readonly about: string;
  /** A processor that plays a graphics card. */
  readonly isSoftware: boolean;
}

/** Opens a library in this process, which can hold only one. @throws Error in one line that says what is missing */
export type OpenTensorLibrary = (settings: DeviceSettings) => Promise<TensorLibrary>;
