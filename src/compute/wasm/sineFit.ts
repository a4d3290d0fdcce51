import type { OnFraction, SineFitOptions } from '../backend';
import type { DenseMatrix } from './denseMatrix';
import { relativeError, type Factors } from './factors';
import type { KernelInstance } from './kernels';
import { SineDescent, type Schedule, type SinePoint } from './sineDescent';
import { svdFactors, truncatedSvd, type RoundedSvd } from './truncatedSvd';

/**
 * The linear limit's amplitude, in units of the largest |W|: phases are below 1/4096, where sin x differs from x by less
 * than 1e-8 of it.
 */
const LINEAR_AMPLITUDE = 4096;

/** Truncated SVD below this error leaves nothing that descent in float32 could gain. */
const NOTHING_LEFT = 1e-5;

/**
 * A descent that ends above this share of the SVD's error met a spectrum that decays: a second one begins closer to the
 * linear limit.
 */
const WORTH_A_SECOND = 0.98;

/** How a candidate begins and descends; `noise` is a multiple of the SVD's error, which bounds what can be gained. */
interface Candidate {
  /** Amplitude, in root mean squares of W. */
  readonly amplitude: number;
  readonly rate: number;
  readonly noise: number;
}

/** Hot, from phases that fold most of W over; finds what random-like matrices hold. */
const HOT: Candidate = { amplitude: 1, rate: 0.6, noise: 0.25 };

/** Cooler, from phases where only outliers fold. */
const COOL: Candidate = { amplitude: 3, rate: 0.18, noise: 0.075 };

const AMPLITUDE_RATE = 0.05;

/** Shares of the progress bar. */
const [AFTER_SVD, AFTER_HOT] = [0.05, 0.65];

/** What a fit comes to, in the units of the matrix held: amplitude a of a·sin(U·Vᵀ). */
export interface FittedSine extends SinePoint {
  readonly relativeError: number;
  readonly svdRelativeError: number;
  readonly steps: number;
}

/**
 * Fits a·sin(U·Vᵀ) to W.
 *
 * Candidates: a descent from the truncated SVD of arcsin(clip(W/a)) at a = 1 root mean square of W, with a trained along
 * and then kept (`SineDescent`); a second one from 3, where the first gained little; and the linear limit, truncated SVD
 * under a huge amplitude, so that no fit is worse than truncated SVD at the same rank. With a fixed amplitude there is
 * one descent, and truncated SVD under that amplitude, which is no limit any more: the fit may then be worse.
 */
export function sineFit(
  W: DenseMatrix,
  options: Pick<SineFitOptions, 'rank' | 'steps' | 'seed'> & { readonly amplitude: number | undefined },
  G: Float64Array | undefined,
  instance: KernelInstance,
  onFraction: OnFraction,
): FittedSine {
  const svd = truncatedSvd(W, options.rank, G, instance, (fraction) => {
    onFraction(AFTER_SVD * fraction);
  });
  const limit = linearLimit(W, svd, options.amplitude, G, instance);
  if (svd.relativeError < NOTHING_LEFT && options.amplitude === undefined)
    return { ...limit, svdRelativeError: svd.relativeError, steps: 0 };
  let [best, steps] = [limit, 0];
  const attempt = (candidate: Candidate, from: number, to: number): void => {
    const fitted = descend(W, candidate, options, svd.relativeError, G, instance, (fraction) => {
      onFraction(from + (to - from) * fraction);
    });
    steps += fitted.steps;
    if (fitted.relativeError < best.relativeError) best = fitted;
  };
  attempt(HOT, AFTER_SVD, AFTER_HOT);
  if (options.amplitude === undefined && best.relativeError > WORTH_A_SECOND * svd.relativeError)
    attempt(COOL, AFTER_HOT, 1);
  return { ...best, svdRelativeError: svd.relativeError, steps };
}

interface Evaluated extends SinePoint {
  readonly relativeError: number;
}

function evaluated(
  W: DenseMatrix,
  point: SinePoint,
  G: Float64Array | undefined,
  instance: KernelInstance,
): Evaluated {
  const { amplitude } = point;
  return { ...point, relativeError: relativeError(W, point, (x) => amplitude * Math.sin(x), G, instance) };
}

function linearLimit(
  W: DenseMatrix,
  svd: RoundedSvd,
  fixed: number | undefined,
  G: Float64Array | undefined,
  instance: KernelInstance,
): Evaluated {
  const amplitude = fixed ?? LINEAR_AMPLITUDE * (W.largest === 0 ? 1 : W.largest);
  const root = 1 / Math.sqrt(amplitude);
  const scaled = (x: number): number => x * root;
  return evaluated(W, { rank: svd.rank, amplitude, U: svd.U.map(scaled), V: svd.V.map(scaled) }, G, instance);
}

function descend(
  W: DenseMatrix,
  candidate: Candidate,
  options: Pick<SineFitOptions, 'rank' | 'steps' | 'seed'> & { readonly amplitude: number | undefined },
  svdError: number,
  G: Float64Array | undefined,
  instance: KernelInstance,
  onFraction: OnFraction,
): Evaluated & { readonly steps: number } {
  const amplitude = options.amplitude ?? candidate.amplitude * W.rms;
  const schedule: Schedule = {
    steps: options.steps,
    rate: candidate.rate,
    amplitudeRate: options.amplitude === undefined ? AMPLITUDE_RATE : 0,
    noise: candidate.noise * svdError,
    seed: options.seed,
  };
  const start = arcsineStart(W, amplitude, options.rank, instance);
  const { point, steps } = instance.scoped(() =>
    new SineDescent(W, options.rank, G, instance).run({ ...start, amplitude }, schedule, onFraction),
  );
  return { ...evaluated(W, point, G, instance), steps };
}

/** Truncated SVD of arcsin(clip(W/a)), with entries of equal size in both factors, as the descent's one rate wants. */
function arcsineStart(W: DenseMatrix, amplitude: number, rank: number, instance: KernelInstance): Factors {
  const phase = (x: number): number => Math.asin(Math.max(-1, Math.min(1, x / amplitude)));
  const { U, V } = svdFactors(W, rank, phase, instance);
  const ratio = (W.rows / W.columns) ** 0.25;
  return { rank, U: Float32Array.from(U, (x) => x * ratio), V: Float32Array.from(V, (x) => x / ratio) };
}
