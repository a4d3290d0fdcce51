import { setMaxListeners } from 'node:events';
import { identityKey, type Layer } from '../checkpoint/layers';
import type { MatrixView } from '../checkpoint/matrixView';
import type { ComputeBackend, SpectrumResult } from '../compute';
import { factoredRequest, factoredWork } from '../compute/factoredProduct';
import { sha256, type ResultCache } from './cache';
import { ProgressMeter, type Progress } from './progress';
import { TensorDigests } from './tensorDigests';

/** Spectra of a layer: its matrices first, then those of its parts, in order. */
export type LayerSpectra = SpectrumResult;

interface SpectraOptions {
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
  readonly cache: ResultCache | null;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** All matrices whose spectra a layer needs: its own, then its parts'. */
export function matricesOf(layer: Layer): readonly MatrixView[] {
  return [...layer.matrices, ...(layer.parts ?? []).flatMap((part) => part.matrices)];
}

/**
 * Singular values of many layers, largest first, as many at once as the backend works on. Every layer is handed to
 * `onLayer` as soon as it is done, and whether nothing had to be computed for it. The first failure ends the job; what was finished stays in the cache.
 */
export async function spectraOf(
  layers: readonly Layer[],
  options: SpectraOptions,
  onLayer: (index: number, layer: Layer, result: LayerSpectra, free: boolean) => void,
): Promise<void> {
  const works = layers.map(workOfLayer);
  const meter = new ProgressMeter(works, (progress) => options.onProgress?.(progress));
  const order = layers
    .map((layer, index) => ({ layer, index }))
    .sort((a, b) => (works[b.index] ?? 0) - (works[a.index] ?? 0));
  // Largest first keeps all workers busy to the end; but the smallest before them, so that a first result is there at
  // once even where the largest takes a minute.
  order.unshift(...order.splice(-1));
  const stop = new AbortController();
  // Every request in flight listens; Node would take more than ten for a leak.
  setMaxListeners(0, stop.signal);
  const onAbort = (): void => {
    stop.abort(options.signal.reason);
  };
  options.signal.addEventListener('abort', onAbort, { once: true });
  const source = new SpectraSource(layers, options.backend, options.cache, stop.signal);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let item = order[next++]; item !== undefined; item = order[next++]) {
      const { layer, index } = item;
      const { result, free } = await source.get(layer, (fraction) => {
        meter.advance(index, fraction);
      });
      onLayer(index, layer, result, free);
      meter.finish(index, layer.name, free);
    }
  };
  try {
    // One lane more than workers, so that a worker never waits for the next layer's cache look-up.
    await Promise.all(Array.from({ length: options.backend.concurrency + 1 }, lane));
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    await source.saveDigests();
  }
}

function workOfLayer(layer: Layer): number {
  const matrices = matricesOf(layer);
  const factored = factoredRequest({ tensor: layer.tensor, matrices });
  if (factored !== undefined) return factoredWork(factored);
  return matrices.reduce((sum, view) => sum + workOf(view), 0);
}

/** Floating-point operations of one matrix's singular values, for progress: Gram matrix and its reduction. */
function workOf({ rows, columns }: MatrixView): number {
  const small = Math.min(rows, columns);
  return small * small * Math.max(rows, columns) + (4 / 3) * small ** 3;
}

interface Found {
  readonly result: SpectrumResult;
  /** Nothing was computed for it. */
  readonly free: boolean;
}

/** Spectra from the cache, from a tied layer's result, or from the backend. */
class SpectraSource {
  private readonly sameTensor = new Map<string, Promise<Found>>();
  private readonly digests: TensorDigests | undefined;
  /** Layers that share their bytes with another one, by name. */
  private readonly tied: ReadonlySet<string>;

  constructor(
    layers: readonly Layer[],
    private readonly backend: ComputeBackend,
    private readonly cache: ResultCache | null,
    private readonly signal: AbortSignal,
  ) {
    this.digests = cache === null ? undefined : new TensorDigests(cache, backend);
    this.tied = new Set(layers.flatMap(({ name, tiedTo }) => (tiedTo === undefined ? [] : [name, tiedTo])));
  }

  get(layer: Layer, onFraction: (fraction: number) => void): Promise<Found> {
    if (!this.tied.has(layer.name)) return this.find(layer, onFraction);
    const key = JSON.stringify([identityKey(layer.tensor), matricesOf(layer)]);
    const before = this.sameTensor.get(key);
    if (before !== undefined) return before.then(({ result }) => ({ result, free: true }));
    const found = this.find(layer, onFraction);
    this.sameTensor.set(key, found);
    return found;
  }

  async saveDigests(): Promise<void> {
    await this.digests?.save();
  }

  private async find(layer: Layer, onFraction: (fraction: number) => void): Promise<Found> {
    const { cache, digests } = this;
    if (cache === null || digests === undefined)
      return { result: await this.compute(layer, onFraction), free: false };
    const { tensor } = layer;
    const digest = await digests.of(tensor, this.signal);
    const key = sha256(
      JSON.stringify([digest, tensor.dtype, tensor.shape, matricesOf(layer), this.backend.build]),
    );
    const known = await cache.spectra(key);
    if (known?.length === matricesOf(layer).length)
      return { result: { kind: 'spectra', singularValues: known }, free: true };
    const result = await this.compute(layer, onFraction);
    if (result.kind === 'spectra') await cache.storeSpectra(key, result.singularValues);
    return { result, free: false };
  }

  private compute(layer: Layer, onFraction: (fraction: number) => void): Promise<SpectrumResult> {
    return this.backend.singularValues(
      { tensor: layer.tensor, matrices: matricesOf(layer) },
      this.signal,
      onFraction,
    );
  }
}
