/** What a GPU does for a backend. It lives in a process of its own: a driver that crashes or hangs takes nothing with it. */

/** The backends that a device can be behind. */
export type DeviceKind = 'tensorflow' | 'webgpu';

/** What a device says of itself once it is open. */
export interface DeviceFacts {
  readonly kind: DeviceKind;
  /** The adapter for people: `NVIDIA H200`, `SwiftShader Device (Subzero)`. */
  readonly adapter: string;
  /** What runs on it: `Dawn, Vulkan`, `TensorFlow 2.9.1, CUDA`. */
  readonly runtime: string;
  /** A processor that plays a graphics card: right, and slow. */
  readonly isSoftware: boolean;
  /** Names kernels and adapter, so that results kept from others are told apart; starts with the kind. */
  readonly build: string;
}

/** A matrix as a device takes it: rows × columns, row-major, one after the other. */
export interface DeviceMatrix {
  readonly rows: number;
  readonly columns: number;
  /** float64 only for devices that say so. */
  readonly values: Float32Array | Float64Array;
}

export type DeviceSpectrum =
  /** All min(rows, columns) singular values, descending, none off by more than 2e-8 of the largest. */
  | { readonly kind: 'values'; readonly values: Float64Array }
  /**
   * The Gram matrix of the smaller side, its lower triangle row by row (n·(n+1)/2 numbers): exactly, or up to float64
   * rounding, that of a matrix no further from the given one than 5e-9 of σ₁. The eigenvalues are taken elsewhere.
   */
  | { readonly kind: 'gram'; readonly gram: Float64Array }
  /** An element is NaN or infinite. */
  | { readonly kind: 'nonFinite' }
  /** Not for this device; `reason` completes "… on the processor: ". */
  | { readonly kind: 'refused'; readonly reason: string };

/** One descent of ‖W − a·sin(U·Vᵀ)‖² (in the norm of the inputs where a Gram matrix is given) over U, V and log a. */
export interface DeviceDescent {
  /** m × n row-major, m ≥ n unless there is a Gram matrix; entries about 1. */
  readonly W: DeviceMatrix;
  readonly rank: number;
  /** m × k and n × k, row-major: where the descent begins. */
  readonly U: Float32Array;
  readonly V: Float32Array;
  readonly amplitude: number;
  /** Σ x·xᵀ of the inputs, n × n. */
  readonly inputGram?: Float64Array;
  readonly steps: number;
  /** First step length, in units of k^(−1/4). */
  readonly rate: number;
  /** Of the logarithm of the amplitude; 0 keeps it. */
  readonly amplitudeRate: number;
  /** Standard deviation of the noise at first, in the units of `rate`. */
  readonly noise: number;
  readonly seed: number;
}

export interface DeviceDescentEnd {
  readonly U: Float32Array;
  readonly V: Float32Array;
  readonly amplitude: number;
  readonly steps: number;
}

/**
 * An open device. Calls may overlap; each is told when its caller has gone by its signal. A device that is lost, or out
 * of memory, rejects with an Error of one line; it is then closed, and the processor does what is left.
 */
export interface Device {
  readonly facts: DeviceFacts;
  /** Takes float64 elements too. */
  readonly takesFloat64: boolean;
  spectrum(matrix: DeviceMatrix, signal: AbortSignal): Promise<DeviceSpectrum>;
  /** Float32 product, rows × inner by inner × columns, row-major. */
  product32(A: DeviceMatrix, B: DeviceMatrix, signal: AbortSignal): Promise<Float32Array>;
  descend(
    descent: DeviceDescent,
    signal: AbortSignal,
    onFraction: (fraction: number) => void,
  ): Promise<DeviceDescentEnd>;
  dispose(): Promise<void>;
}

/** How a device is found and opened. All of it can come from a setting. */
export interface DeviceSettings {
  /** tensorflow: the folder of the package `@tensorflow/tfjs-node-gpu` or `@tensorflow/tfjs-node`; absent: looked for. */
  readonly tensorflow?: string;
  /** Folders whose `node_modules` are looked through: workspace folders, the extension's own storage. */
  readonly folders?: readonly string[];
}

/**
 * Opens a device in this process.
 *
 * @throws Error in one line that says what is missing (a package, a driver, a CUDA version) and what to do
 */
export type OpenDevice = (settings: DeviceSettings) => Promise<Device>;
