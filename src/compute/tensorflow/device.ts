/** TensorFlow as a device: singular values in float64, products and descents in float32. */
import { setImmediate as turn } from 'node:timers/promises';
import type {
  Device,
  DeviceDescent,
  DeviceDescentEnd,
  DeviceFacts,
  DeviceMatrix,
  DeviceSettings,
  DeviceSpectrum,
  OpenDevice,
} from '../device/device';
import { tfDescent } from '../device/tfDescent';
import { Tensors, type TensorflowBinding } from './binding';
import { gpuName, whyNoGpuHere } from './cuda';
import { loadTensorflow, type LoadedTensorflow } from './load';
import { locateTensorflow, type InstalledTensorflow } from './locate';
import { singularValues } from './spectrum';

/** Raised when the numbers that come out may change. */
const EDITION = 1;

/**
 * Opens TensorFlow in this process, which can hold only one.
 *
 * @throws Error in one line: not installed, or what is the matter with the installation
 */
export const openTensorflow: OpenDevice = (settings: DeviceSettings) =>
  new Promise((resolve) => {
    const located = locateTensorflow(settings);
    if (located.kind === 'missing') throw new Error(located.reason);
    const loaded = loadTensorflow(located);
    resolve(new TensorflowDevice(loaded, factsOf(loaded.binding, located)));
  });

export function factsOf(binding: TensorflowBinding, { variant }: InstalledTensorflow): DeviceFacts {
  const library = `TensorFlow ${binding.TF_Version}`;
  const onGpu = binding.isUsingGpuDevice();
  const adapter = onGpu ? (gpuName() ?? 'GPU') : 'CPU';
  const why = onGpu || variant === 'cpu' ? undefined : whyNoGpuHere();
  const without = variant === 'cpu' ? '' : ` without CUDA${why === undefined ? '' : ` (${why})`}`;
  return {
    kind: 'tensorflow',
    adapter,
    runtime: onGpu ? `${library}, CUDA` : `${library}${without}`,
    isSoftware: !onGpu,
    build: `tensorflow ${binding.TF_Version} ${adapter} ${EDITION}`,
  };
}

class TensorflowDevice implements Device {
  readonly takesFloat64 = true;
  #isClosed = false;

  constructor(
    private readonly loaded: LoadedTensorflow,
    readonly facts: DeviceFacts,
  ) {}

  async spectrum(matrix: DeviceMatrix, signal: AbortSignal): Promise<DeviceSpectrum> {
    await this.begin(signal);
    try {
      const values = singularValues(matrix, this.loaded.binding);
      return values === undefined ? { kind: 'nonFinite' } : { kind: 'values', values };
    } catch (error) {
      // What it held is freed, so that the next matrix, which may be smaller, has all of the memory again.
      if (isOutOfMemory(error)) return { kind: 'refused', reason: `out of ${this.memory} memory` };
      throw this.failure(error);
    }
  }

  async product32(A: DeviceMatrix, B: DeviceMatrix, signal: AbortSignal): Promise<Float32Array> {
    await this.begin(signal);
    try {
      return Tensors.scoped(this.loaded.binding, (tensors) => {
        const [a, b] = [A, B].map(({ rows, columns, values }) =>
          tensors.float32(values instanceof Float32Array ? values : Float32Array.from(values), [
            rows,
            columns,
          ]),
        );
        if (a === undefined || b === undefined) return new Float32Array(0);
        return tensors.read32(tensors.product(a, b, 'float32'));
      });
    } catch (error) {
      throw this.failure(error);
    }
  }

  async descend(
    descent: DeviceDescent,
    signal: AbortSignal,
    onFraction: (fraction: number) => void,
  ): Promise<DeviceDescentEnd> {
    await this.begin(signal);
    try {
      return await tfDescent(this.loaded.tf, descent, signal, onFraction);
    } catch (error) {
      signal.throwIfAborted();
      throw this.failure(error);
    }
  }

  dispose(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  /** Computing blocks the process: whoever has cancelled meanwhile is heard first. */
  private async begin(signal: AbortSignal): Promise<void> {
    await turn();
    signal.throwIfAborted();
    if (this.#isClosed) throw new Error('TensorFlow was closed');
  }

  private get memory(): string {
    return this.facts.isSoftware ? 'main' : "the GPU's";
  }

  private failure(error: unknown): Error {
    const text = error instanceof Error ? error.message : String(error);
    const line = isOutOfMemory(error)
      ? `out of ${this.memory} memory; close other programs that use it`
      : text.replace(/^Invalid TF_Status: \d+\s*Message: /, '').replace(/\s*\n\s*/g, ' ');
    return new Error(`TensorFlow on ${this.facts.adapter} failed: ${line.trim()}`, { cause: error });
  }
}

/** TensorFlow's status 8, RESOURCE_EXHAUSTED, and what CUDA's libraries say. */
function isOutOfMemory(error: unknown): boolean {
  return (
    error instanceof Error &&
    /TF_Status: 8\b|OOM when|out of memory|ALLOC_FAILED|failed to allocate/i.test(error.message)
  );
}
