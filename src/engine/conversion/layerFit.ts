import { createHash } from 'node:crypto';
import type { Layer } from '../../checkpoint/layers';
import type { ComputeBackend, FitResult, FitTarget, NonFinite, OnFraction } from '../../compute';
import type { Factorization, Fitted } from '../../lowrank';
import { sha256, type ResultCache } from '../cache';
import type { TensorDigests } from '../tensorDigests';

/** Raised when the same request would give other factors than before, so that kept ones are not used any more. */
const FIT_VERSION = 2;

/** Fits beyond the first one that an error target may cost a layer: halving finds one of 2⁴ − 1 smaller ranks. */
const MAX_EXTRA_FITS = 4;

/** Sine fits of trained layers save at most a few per cent of k; below this share of SVD's k nothing is tried. */
const LOWEST_SHARE = 0.6;

/** Errors are told in double precision of float32 factors: this much above a target is rounding. */
const ROUNDING = 1e-6;

export interface FitContext {
  readonly method: Factorization;
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
  /** Fits are kept and looked up; null: neither. */
  readonly cache: { readonly results: ResultCache; readonly digests: TensorDigests } | null;
  readonly seed: number;
  readonly omega?: number;
  readonly gain?: number;
  readonly steps?: number;
}

/** A layer to fit: at this rank, or at the smallest rank whose error is at most the target. */
export interface FitRequest {
  readonly layer: Layer;
  /** k; with a target, the one that truncated SVD needs for it. */
  readonly rank: number;
  readonly targetError?: number;
  /** ‖W‖² of each matrix in the norm of the fit, by which the errors of groups are joined. */
  readonly energies: readonly number[];
  /** One for each matrix, where errors are measured on the inputs. */
  readonly inputGrams?: readonly Float64Array[];
}

export interface LayerFit {
  readonly kind: 'fit';
  readonly rank: number;
  /** One for each matrix of the layer. */
  readonly matrices: readonly Fitted[];
  /** Names the content of each fit; absent without a cache. */
  readonly keys?: readonly string[];
  readonly relativeError: number;
  readonly svdRelativeError: number;
  /** Nothing had to be computed. */
  readonly free: boolean;
}

export type LayerFitResult = LayerFit | { readonly kind: 'refused'; readonly reason: string };

/** Fits a layer's matrices; see `FitRequest`. */
export async function fitLayer(
  request: FitRequest,
  context: FitContext,
  onFraction: OnFraction,
): Promise<LayerFitResult> {
  const { targetError } = request;
  if (targetError === undefined) return fitAt(request, request.rank, context, onFraction);
  const [m, n] = request.layer.shape;
  const most = Math.min(request.rank, context.method.largestSavingRank(m, n));
  const part = 1 / (1 + MAX_EXTRA_FITS);
  const first = await fitAt(request, most, context, (fraction) => {
    onFraction(part * fraction);
  });
  if (first.kind === 'refused') return first;
  const meets = (fit: LayerFit): boolean => fit.relativeError <= targetError * (1 + ROUNDING);
  // At SVD's own rank the target is met by definition; below it only a fit can tell.
  if (most < request.rank && !meets(first)) {
    const reached = first.relativeError.toPrecision(3);
    return {
      kind: 'refused',
      reason: `no saving: at rank ${most}, the largest that saves, the error is ${reached}`,
    };
  }
  return context.method.name === 'svd' ? first : fitBelow(request, first, meets, context, onFraction);
}

/** Halves the interval below a rank that meets the target, as if errors only grew as k falls (they nearly do). */
async function fitBelow(
  request: FitRequest,
  first: LayerFit,
  meets: (fit: LayerFit) => boolean,
  context: FitContext,
  onFraction: OnFraction,
): Promise<LayerFitResult> {
  let best = first;
  let failing = Math.floor(LOWEST_SHARE * first.rank) - 1;
  const part = 1 / (1 + MAX_EXTRA_FITS);
  for (let extra = 1; extra <= MAX_EXTRA_FITS && best.rank - failing > 1; extra++) {
    const rank = Math.max(1, Math.ceil((failing + best.rank) / 2));
    if (rank === best.rank) break;
    const fit = await fitAt(request, rank, context, (fraction) => {
      onFraction(part * (extra + fraction));
    });
    if (fit.kind === 'refused') return fit;
    const free = best.free && fit.free;
    if (meets(fit)) best = { ...fit, free };
    else {
      failing = rank;
      best = { ...best, free };
    }
  }
  return best;
}

async function fitAt(
  { layer, energies, inputGrams }: FitRequest,
  rank: number,
  context: FitContext,
  onFraction: OnFraction,
): Promise<LayerFitResult> {
  const matrices: Fitted[] = [];
  const keys: string[] = [];
  let free = true;
  for (const [g, matrix] of layer.matrices.entries()) {
    const inputGram = inputGrams?.[g];
    const target: FitTarget = {
      tensor: layer.tensor,
      matrix,
      transposed: layer.transposed === true,
      ...(inputGram !== undefined && { inputGram }),
    };
    const found = await fitMatrix(target, rank, context, (fraction) => {
      onFraction((g + fraction) / layer.matrices.length);
    });
    if (found.result.kind !== 'fit') return { kind: 'refused', reason: reasonOf(found.result) };
    matrices.push(found.result.fit);
    if (found.key !== undefined) keys.push(found.key);
    free = free && found.free;
  }
  return {
    kind: 'fit',
    rank,
    matrices,
    ...(keys.length === matrices.length && { keys }),
    relativeError: joined(
      matrices.map((fit) => fit.relativeError),
      energies,
    ),
    svdRelativeError: joined(
      matrices.map((fit) => fit.svdRelativeError),
      energies,
    ),
    free,
  };
}

async function fitMatrix(
  target: FitTarget,
  rank: number,
  context: FitContext,
  onFraction: OnFraction,
): Promise<{ readonly result: FitResult<Fitted>; readonly free: boolean; readonly key?: string }> {
  const { method, backend, signal, cache, seed, omega, gain, steps } = context;
  const settings = {
    rank,
    seed,
    ...(omega !== undefined && { omega }),
    ...(gain !== undefined && { gain }),
    ...(steps !== undefined && { steps }),
  };
  const fit = (): Promise<FitResult<Fitted>> => method.fit(target, settings, backend, signal, onFraction);
  if (cache === null) return { result: await fit(), free: false };
  const digest = await cache.digests.of(target.tensor, signal);
  const { tensor, matrix, transposed, inputGram } = target;
  const key = sha256(
    JSON.stringify([
      'fit',
      FIT_VERSION,
      digest,
      [tensor.dtype, tensor.shape, matrix, transposed],
      [method.name, settings],
      inputGram === undefined ? null : hashOf(inputGram),
      backend.build,
    ]),
  );
  const known = await cache.results.fit(key);
  if (known !== undefined) return { result: { kind: 'fit', fit: known }, free: true, key };
  const result = await fit();
  if (result.kind === 'fit') await cache.results.storeFit(key, result.fit);
  return { result, free: false, key };
}

function hashOf(values: Float64Array): string {
  return createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex');
}

/** ‖W − Ŵ‖/‖W‖ of all groups together. */
function joined(errors: readonly number[], energies: readonly number[]): number {
  if (errors.length === 1) return errors[0] ?? 0;
  const total = energies.reduce((sum, energy) => sum + energy, 0);
  return Math.sqrt(errors.reduce((sum, error, g) => sum + error ** 2 * (energies[g] ?? 0), 0) / total);
}

function reasonOf(result: Exclude<FitResult<Fitted>, { kind: 'fit' }>): string {
  return result.kind === 'tooLarge' ? `too large: ${result.reason}` : notFinite(result.nonFinite);
}

/** The reason to leave a layer of NaN or infinite values as it is. */
export function notFinite({ nan, infinite, firstIndex }: NonFinite): string {
  return `not finite: ${nan} NaN and ${infinite} infinite values, the first at element ${firstIndex}`;
}
