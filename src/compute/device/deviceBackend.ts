import { elementCount, type Tensor } from '../../checkpoint/checkpoint';
import { bytesPerElement } from '../../checkpoint/dtype';
import type { MatrixView } from '../../checkpoint/matrixView';
import type {
  ComputeBackend,
  FitResult,
  FitTarget,
  OnFraction,
  SineFit,
  SineFitOptions,
  SpectrumRequest,
  SpectrumResult,
} from '../backend';
import type { WasmBackend } from '../wasm/backend';
import type { DeviceFacts, DeviceSpectrum } from './device';
import { factoredRequest } from '../factoredProduct';
import { deviceSineFit } from './deviceFit';
import { DeviceLost, type DeviceProcess } from './process';
import { secondsOf, spectrumWork, type Speed } from './speed';
import { Turnstile } from './turnstile';

/** Smaller sides up to this stay with the processor: it takes them without squaring, in microseconds. */
const SMALLEST_SIDE = 33;

/** A call that takes this much longer than it was measured to counts as hung; and never less than this long. */
const [PATIENCE, LEAST_LIMIT_MS] = [20, 60_000];

/** Layers that the device's process reads at once: one is computed while the next is uploaded. */
const MAX_READ = 2;

/** Multiply-adds of one step of a descent, of each entry and each direction; and what its many small kernels cost. */
const [STEP_WORK, STEP_SECONDS] = [6, 0.002];

export interface DeviceBackendOptions {
  readonly facts: DeviceFacts;
  readonly takesFloat64: boolean;
  readonly process: DeviceProcess;
  /** Of the device, and of one thread of the processor. */
  readonly speed: Speed;
  readonly processorSpeed: Speed;
  /** Whatever the device can take is given to it, also where the processor would be faster. */
  readonly always: boolean;
  /** Something a person should know, in one line: the device is gone, and the processor goes on. */
  readonly onNotice: (notice: string) => void;
}

/**
 * A device for what it is faster at, and the embedded backend for everything else: eigenvalues of the device's Gram
 * matrices, small layers, and whatever the device fails at. What comes out has the same errors whoever computed it.
 */
export class DeviceBackend implements ComputeBackend {
  readonly name: string;
  readonly build: string;
  readonly concurrency: number;
  #isGone = false;
  #hasRefused = false;
  readonly #gate = new Turnstile(MAX_READ);

  constructor(
    private readonly wasm: WasmBackend,
    private readonly options: DeviceBackendOptions,
  ) {
    this.name = options.facts.kind;
    this.build = `${options.facts.build} + ${wasm.build}`;
    this.concurrency = wasm.concurrency;
  }

  digest: ComputeBackend['digest'] = (...call) => this.wasm.digest(...call);
  symmetricEigen: ComputeBackend['symmetricEigen'] = (...call) => this.wasm.symmetricEigen(...call);
  truncatedSvd: ComputeBackend['truncatedSvd'] = (...call) => this.wasm.truncatedSvd(...call);
  accumulateGram: ComputeBackend['accumulateGram'] = (...call) => this.wasm.accumulateGram(...call);
  product: ComputeBackend['product'] = (...call) => this.wasm.product(...call);

  async singularValues(
    request: SpectrumRequest,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<SpectrumResult> {
    const onProcessor = (): Promise<SpectrumResult> => this.wasm.singularValues(request, signal, onFraction);
    if (!this.isFor(request)) return onProcessor();
    const work = request.matrices.reduce((sum, view) => sum + spectrumWork(view), 0);
    const found = await this.tried(request.tensor.name, signal, async () => {
      const leave = await this.#gate.enter();
      try {
        return await this.options.process.run('spectra', request, { signal, limitMs: this.limitMs(work) });
      } finally {
        leave();
      }
    });
    this.tellRefusal(request.tensor.name, found?.at(-1));
    if (found?.length !== request.matrices.length) return onProcessor();
    const singularValues: Float64Array[] = [];
    for (const [i, view] of request.matrices.entries()) {
      const values = await this.valuesOf(found[i], view, request.tensor, signal);
      // Rounding of the Gram matrix would show, or the device cannot take it: the processor has another way.
      if (values === undefined) return onProcessor();
      singularValues.push(values);
      onFraction?.((i + 1) / request.matrices.length);
    }
    return { kind: 'spectra', singularValues };
  }

  async sineFit(
    target: FitTarget,
    options: SineFitOptions,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<FitResult<SineFit>> {
    const onProcessor = (): Promise<FitResult<SineFit>> =>
      this.wasm.sineFit(target, options, signal, onFraction);
    const steps = Math.max(1, options.steps);
    const work = steps * stepWork(target, options.rank);
    const overhead = STEP_SECONDS * steps;
    if (this.#isGone || !(this.options.always || this.isFaster(work, overhead))) return onProcessor();
    const limitMs = this.limitMs(work, overhead);
    const fitted = await this.tried(target.tensor.name, signal, () =>
      deviceSineFit(
        target,
        options,
        {
          wasm: this.wasm,
          descend: (descent, of, report) =>
            this.options.process.run('descend', descent, { signal: of, limitMs, onFraction: report }),
        },
        signal,
        onFraction,
      ),
    );
    return fitted ?? onProcessor();
  }

  async dispose(): Promise<void> {
    this.#isGone = true;
    await Promise.all([this.options.process.dispose(), this.wasm.dispose()]);
  }

  private isFor(request: SpectrumRequest): boolean {
    const { tensor, matrices } = request;
    // Factors are taken apart in milliseconds, where multiplying them out would take longer than all else.
    if (factoredRequest(request) !== undefined) return false;
    if (this.#isGone || (tensor.dtype === 'float64' && !this.options.takesFloat64)) return false;
    const small = Math.min(...matrices.map(({ rows, columns }) => Math.min(rows, columns)));
    if (small < SMALLEST_SIDE) return false;
    return this.options.always || matrices.every((view) => this.isFaster(spectrumWork(view)));
  }

  /** The device takes one matrix after the other, the processor as many at once as it has threads. */
  private isFaster(work: number, overhead = 0): boolean {
    const { speed, processorSpeed } = this.options;
    return overhead + secondsOf(speed, work) <= secondsOf(processorSpeed, work) / this.concurrency;
  }

  private limitMs(work: number, overhead = 0): number {
    // Others may be before it in the device's queue.
    const queued = this.concurrency + 1;
    return Math.max(
      LEAST_LIMIT_MS,
      1000 * PATIENCE * queued * (overhead + secondsOf(this.options.speed, work)),
    );
  }

  /** undefined where the processor is to do it; a device that failed is not asked again. */
  private async tried<T>(what: string, signal: AbortSignal, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof DeviceLost)) throw error;
      if (!this.#isGone) {
        this.#isGone = true;
        const { adapter, kind } = this.options.facts;
        this.options.onNotice(
          `${kind} on ${adapter} failed at ${what}: ${error.message}; the processor goes on`,
        );
        void this.options.process.dispose();
      }
      return undefined;
    }
  }

  /** The first layer that is not for the device is told; there may be many like it. */
  private tellRefusal(what: string, found: DeviceSpectrum | undefined): void {
    if (found?.kind !== 'refused' || this.#hasRefused) return;
    this.#hasRefused = true;
    const { adapter, kind } = this.options.facts;
    this.options.onNotice(
      `${kind} on ${adapter} leaves ${what}, and any like it, to the processor: ${found.reason}`,
    );
  }

  private async valuesOf(
    found: DeviceSpectrum | undefined,
    { rows, columns }: MatrixView,
    tensor: Tensor,
    signal: AbortSignal,
  ): Promise<Float64Array | undefined> {
    const small = Math.min(rows, columns);
    if (found?.kind === 'gram') {
      const { values, reliable } = await this.wasm.gramEigenvalues(
        found.gram,
        small,
        signal,
        tensorBytes(tensor),
      );
      return reliable ? values : undefined;
    }
    return found?.kind === 'values' ? found.values : undefined;
  }
}

/** Multiply-adds of one step of a descent. */
function stepWork({ matrix: { rows, columns }, transposed, inputGram }: FitTarget, rank: number): number {
  const inputs = transposed ? rows : columns;
  return rows * columns * (STEP_WORK * rank + (inputGram === undefined ? 0 : 2 * inputs));
}

/** Large tensors let more workers hold their Gram matrices at once. */
function tensorBytes({ shape, dtype }: Tensor): number {
  return elementCount(shape) * bytesPerElement(dtype);
}
