import { stat } from 'node:fs/promises';
import { elementCount } from '../../checkpoint/checkpoint';
import { decodeElements } from '../../checkpoint/elements';
import { CheckpointError } from '../../checkpoint/errors';
import { listLayers, type Layer } from '../../checkpoint/layers';
import { openCheckpoint } from '../../checkpoint/open';
import { readTensorBytes } from '../../checkpoint/tensorData';
import type { ComputeBackend } from '../../compute';
import { proposition1, type Proposition1 } from '../../lowrank/theory';
import { rankMetrics } from '../../spectrum';
import type { ResultCache } from '../cache';
import type { SineSpectrum, SineSpectrumParams } from '../conversionProtocol';
import { spectraOf } from '../layerSpectra';
import { memoryTensor, productOf, productTensor, type StackedFactors } from './converted';
import { spectraOfProduct } from './convertedSpectra';
import { notFinite } from './layerFit';

/** Layers kept ready, so that a slider moves without a new SVD: the one that is looked at and those just left. */
const KEPT_LAYERS = 3;

/** A matrix W (the layer's first), m × n, and the factors of its truncated SVD. */
interface Explored {
  readonly layer: Layer;
  readonly W: Float32Array;
  readonly original: Float64Array;
  readonly factors: StackedFactors;
  readonly svdRelativeError: number;
  readonly proposition: Proposition1;
}

/** Spectra of sin(ω·U·Vᵀ)/g for a layer as ω and g move, with U·Vᵀ the layer's truncated SVD. */
export class SineExplorer {
  /** By file, layer and rank; those used last at the end. */
  private readonly kept = new Map<string, Promise<Explored>>();

  constructor(private readonly cache: ResultCache) {}

  /**
   * @throws CheckpointError when the file cannot be read or has no such layer
   * @throws {Error} in one line for a rank, ω or g that makes no matrix
   */
  async spectrum(
    { path, layer, rank, omega, gain }: SineSpectrumParams,
    backend: ComputeBackend,
    signal: AbortSignal,
  ): Promise<SineSpectrum> {
    for (const [name, value] of Object.entries({ omega, gain })) {
      if (!(Number.isFinite(value) && value > 0))
        throw new Error(`${name} is ${value}: a number above 0 is needed`);
    }
    const explored = await this.explore(path, layer, rank, backend, signal);
    const { W, original, svdRelativeError, proposition } = explored;
    const factors = { ...explored.factors, factorization: 'sine', omega, gains: [gain] };
    const [sine] = await spectraOfProduct(factors, explored.layer, backend, signal);
    if (sine === undefined) throw new Error('no spectrum');
    const [m, n] = explored.layer.shape;
    const metrics = rankMetrics(sine, m, n);
    const made = await multipliedOut(factors, path);
    return {
      original: Array.from(original),
      lowRank: Array.from(original.subarray(0, rank)),
      sine: Array.from(sine),
      stableRank: metrics.stableRank,
      effectiveRank: metrics.effectiveRank,
      energyRank99: metrics.energyRanks['0.99'],
      rank: metrics.rank,
      relativeError: relativeDifference(W, made),
      svdRelativeError,
      proposition1: { omegaLimit: proposition.omegaLimit, rankBound: proposition.rankBound(omega) },
    };
  }

  private async explore(
    path: string,
    layer: string,
    rank: number,
    backend: ComputeBackend,
    signal: AbortSignal,
  ): Promise<Explored> {
    const facts = await stat(path, { bigint: true }).catch(() => undefined);
    const stamp = facts === undefined ? [] : [facts.ino, facts.size, facts.mtimeNs].map(String);
    const key = JSON.stringify([path, stamp, layer, rank, backend.build]);
    const known =
      this.kept.get(key) ?? exploreLayer(path, layer, rank, { backend, cache: this.cache, signal });
    this.kept.delete(key);
    this.kept.set(key, known);
    for (const old of [...this.kept.keys()].slice(0, -KEPT_LAYERS)) this.kept.delete(old);
    try {
      return await known;
    } catch (error) {
      this.kept.delete(key);
      // Somebody else's request was cancelled while this one waited for it.
      if (!signal.aborted && isAbort(error)) return this.explore(path, layer, rank, backend, signal);
      throw error;
    }
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

async function exploreLayer(
  path: string,
  name: string,
  rank: number,
  options: { readonly backend: ComputeBackend; readonly cache: ResultCache; readonly signal: AbortSignal },
): Promise<Explored> {
  const { backend, signal } = options;
  const checkpoint = await openCheckpoint(path, signal);
  const layer = listLayers(checkpoint).layers.find((candidate) => candidate.name === name);
  const [matrix] = layer?.matrices ?? [];
  if (layer === undefined || matrix === undefined) {
    throw new CheckpointError('unsupported', 'it has no layer of this name', { file: path, tensor: name });
  }
  const [m, n] = layer.shape;
  if (!Number.isInteger(rank) || rank < 1 || rank > Math.min(m, n)) {
    throw new Error(`rank ${rank} is not between 1 and ${Math.min(m, n)}`);
  }
  const original = await firstSpectrum(layer, options);
  const transposed = layer.transposed === true;
  const result = await backend.truncatedSvd({ tensor: layer.tensor, matrix, transposed }, rank, signal);
  if (result.kind !== 'fit')
    throw refused(layer, result.kind === 'nonFinite' ? notFinite(result.nonFinite) : result.reason);
  const { U, V, relativeError } = result.fit;
  const factors = { factorization: 'svd', omega: 1, gains: [1], groups: 1, rows: m, columns: n, rank, U, V };
  return {
    layer,
    W: await matrixOf(layer),
    original,
    factors,
    svdRelativeError: relativeError,
    proposition: proposition1(await multipliedOut(factors, path), m, n),
  };
}

async function firstSpectrum(
  layer: Layer,
  options: { readonly backend: ComputeBackend; readonly cache: ResultCache; readonly signal: AbortSignal },
): Promise<Float64Array> {
  let spectrum: Float64Array | undefined;
  let reason = 'it has no spectrum';
  await spectraOf([layer], options, (_, __, result) => {
    if (result.kind === 'spectra') [spectrum] = result.singularValues;
    else reason = result.kind === 'nonFinite' ? notFinite(result.nonFinite) : result.reason;
  });
  if (spectrum === undefined) throw refused(layer, reason);
  return spectrum;
}

function refused({ name, tensor }: Layer, reason: string): CheckpointError {
  return new CheckpointError('unsupported', reason, { file: tensor.storage.path, tensor: name });
}

/** The layer's first matrix, out × in. */
async function matrixOf({ tensor, matrices, shape: [m, n], transposed }: Layer): Promise<Float32Array> {
  const [view] = matrices;
  const elements = decodeElements(await readTensorBytes(tensor), tensor.dtype);
  const W = new Float32Array(m * n);
  if (view === undefined) return W;
  for (let i = 0; i < view.rows; i++) {
    for (let j = 0; j < view.columns; j++) {
      const value = elements[view.offset + i * view.rowStride + j] ?? 0;
      W[transposed === true ? j * n + i : i * n + j] = value;
    }
  }
  return W;
}

/** φ(ω·U·Vᵀ)/g, m × n; other requests are served in between. */
async function multipliedOut(factors: StackedFactors, path: string): Promise<Float32Array> {
  const { rows, columns, rank } = factors;
  const U = memoryTensor('U', [rows, rank], factors.U, path);
  const V = memoryTensor('V', [columns, rank], factors.V, path);
  const shape = [rows, columns];
  const bytes = await readTensorBytes(productTensor('product', productOf(factors, U, V, false), shape, path));
  return new Float32Array(bytes.buffer, bytes.byteOffset, elementCount(shape));
}

/** ‖A − B‖ ÷ ‖A‖, Frobenius. */
function relativeDifference(A: Float32Array, B: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < A.length; i++) {
    const a = A[i] ?? 0;
    difference += (a - (B[i] ?? 0)) ** 2;
    norm += a * a;
  }
  return norm === 0 ? 0 : Math.sqrt(difference / norm);
}
