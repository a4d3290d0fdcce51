import { setTimeout } from 'node:timers/promises';
import { firstLine } from '../device/firstLine';
import { pollSoon } from './polling';

/** The adapter has no memory left for buffers of this size. */
export class OutOfMemory extends Error {
  override readonly name = 'OutOfMemory';
}

/** How many submissions the GPU may have before it: enough to keep it busy, few enough to stop soon. */
const IN_FLIGHT = 3;

/** How long after a failure the news of a lost device may take. */
const LOSS_MS = 20;

/**
 * A GPU device whose every wait ends: with the result, with the caller's abort, or with the loss of the device. WebGPU
 * itself reports errors on the side (`uncapturederror`, `lost`) and may leave promises open.
 */
export class GpuWork {
  private failure: Error | undefined;
  private readonly waiting = new Set<(error: Error) => void>();

  constructor(readonly device: GPUDevice) {
    void device.lost.then(({ reason, message }) => {
      const why = reason === 'destroyed' ? 'it was closed' : firstLine(message);
      this.fail(new Error(`the WebGPU device is lost: ${why}`));
    });
    device.addEventListener('uncapturederror', ({ error }) => {
      this.fail(new Error(`WebGPU failed: ${firstLine(error.message)}`));
    });
  }

  /** Ends everything that waits, and whatever comes later. */
  fail(error: Error): void {
    this.failure ??= error;
    for (const reject of this.waiting) reject(this.failure);
  }

  /** @throws the reason of the abort, or why the device is gone */
  check(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.failure !== undefined) throw this.failure;
  }

  /** The promise, or the abort, or the loss of the device, whichever is first. */
  async wait<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
    // Nobody else may be looking when it is rejected later.
    promise.catch(() => undefined);
    this.check(signal);
    pollSoon();
    let stop: (error: Error) => void = () => undefined;
    const stopped = new Promise<never>((_resolve, reject) => {
      stop = reject;
    });
    const onAbort = (): void => {
      // A reason is whatever its caller chose; `throwIfAborted` would throw just that.
      stop(signal.reason as Error);
    };
    this.waiting.add(stop);
    signal.addEventListener('abort', onAbort);
    try {
      return await Promise.race([promise, stopped]);
    } catch (error) {
      signal.throwIfAborted();
      // What fails for the loss of the device may say so before the device does.
      if (this.failure === undefined) await Promise.race([this.device.lost, setTimeout(LOSS_MS)]);
      throw this.failure ?? error;
    } finally {
      this.waiting.delete(stop);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** @throws {OutOfMemory} */
  async createBuffer(size: number, usage: GPUBufferUsageFlags, signal: AbortSignal): Promise<GPUBuffer> {
    this.check(signal);
    // Scopes are a stack of the whole device: both are closed before anyone else has a turn.
    this.device.pushErrorScope('validation');
    this.device.pushErrorScope('out-of-memory');
    let buffer: GPUBuffer | undefined;
    let thrown: unknown;
    try {
      buffer = this.device.createBuffer({ size, usage });
    } catch (error) {
      thrown = error;
    }
    const errors = Promise.all([this.device.popErrorScope(), this.device.popErrorScope()]);
    try {
      const [memory, validation] = await this.wait(errors, signal);
      if (validation !== null) throw new Error(`WebGPU failed: ${firstLine(validation.message)}`);
      if (memory === null && buffer !== undefined) return buffer;
      const said = memory?.message ?? (thrown instanceof Error ? thrown.message : '');
      throw new OutOfMemory(`no memory for a buffer of ${size} bytes: ${firstLine(said)}`);
    } catch (error) {
      buffer?.destroy();
      throw error;
    }
  }

  /** A pace for one call: `next` waits while too many of its submissions are still before the GPU. */
  pace(signal: AbortSignal): { next: () => Promise<void>; done: () => Promise<void> } {
    const before: Promise<undefined>[] = [];
    const wait = async (most: number): Promise<void> => {
      while (before.length > most) await this.wait(before.shift() ?? Promise.resolve(undefined), signal);
    };
    return {
      next: async () => {
        before.push(this.device.queue.onSubmittedWorkDone());
        await wait(IN_FLIGHT);
      },
      done: () => wait(0),
    };
  }

  /** Copies a buffer's first bytes out; with `into`, there. */
  async read(from: GPUBuffer, bytes: number, into: Uint8Array, signal: AbortSignal): Promise<void> {
    const staging = await this.createBuffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, signal);
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(from, 0, staging, 0, bytes);
      this.device.queue.submit([encoder.finish()]);
      await this.wait(staging.mapAsync(GPUMapMode.READ, 0, bytes), signal);
      into.set(new Uint8Array(staging.getMappedRange(0, bytes)));
      staging.unmap();
    } finally {
      staging.destroy();
    }
  }
}
