import type { OnFraction, SineFitOptions } from '../backend';
import type { DenseMatrix } from './denseMatrix';
import { relativeError, type Factors } from './factors';
import type { KernelInstance } from './kernels';
import type { Schedule } from '../sineSchedule';
import { SineDescent, type SinePoint } from './sineDescent';
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

/** Shares of the progress bar: truncated SVD, and the end of either descent. */
const AFTER_SVD = 0.05;
const AFTER_DESCENT = [0.65, 1];

/** What is asked of a fit; an amplitude when it is fixed. */
export interface FitOptions extends Pick<SineFitOptions, 'rank' | 'steps' | 'seed'> {
  readonly amplitude: number | undefined;
}

interface Evaluated extends SinePoint {
  readonly relativeError: number;
}

/** What a fit comes to, in the units of the matrix held: amplitude a of a·sin(U·Vᵀ). */
export interface FittedSine extends Evaluated {
  readonly svdRelativeError: number;
  readonly steps: number;
}

/** What a fit has come to between two descents. */
export interface SineProgress extends FittedSine {
  /** Descents that are over. */
  readonly descents: number;
}

/** A descent to be made: where it begins, and how it goes about it. */
export interface Descent extends SinePoint, Schedule {}

/** Where a descent ended. */
export interface DescentEnd extends Omit<SinePoint, 'rank'> {
  /** Steps taken. */
  readonly steps: number;
}

/** A fit takes turns with what makes its descents: these kernels, or a graphics card. */
export type Turn =
  | { readonly kind: 'descend'; readonly descent: Descent; readonly progress: SineProgress }
  | { readonly kind: 'done'; readonly fit: FittedSine };

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
  options: FitOptions,
  G: Float64Array | undefined,
  instance: KernelInstance,
  onFraction: OnFraction,
): FittedSine {
  let turn = firstTurn(W, options, G, instance, (fraction) => {
    onFraction(AFTER_SVD * fraction);
  });
  while (turn.kind === 'descend') {
    const { descent, progress } = turn;
    const from = AFTER_DESCENT[progress.descents - 1] ?? AFTER_SVD;
    const to = AFTER_DESCENT[progress.descents] ?? 1;
    const { point, steps } = instance.scoped(() =>
      new SineDescent(W, options.rank, G, instance).run(descent, descent, (fraction) => {
        onFraction(from + (to - from) * fraction);
      }),
    );
    turn = nextTurn(W, options, progress, { ...point, steps }, G, instance);
  }
  return turn.fit;
}

/** Truncated SVD, its linear limit, and the first descent where there is something to gain. */
export function firstTurn(
  W: DenseMatrix,
  options: FitOptions,
  G: Float64Array | undefined,
  instance: KernelInstance,
  onFraction: OnFraction,
): Turn {
  const svd = truncatedSvd(W, options.rank, G, instance, onFraction);
  const limit = linearLimit(W, svd, options.amplitude, G, instance);
  const fit = { ...limit, svdRelativeError: svd.relativeError, steps: 0 };
  if (svd.relativeError < NOTHING_LEFT && options.amplitude === undefined) return { kind: 'done', fit };
  return descentFrom(W, HOT, options, { ...fit, descents: 0 }, instance);
}

/** Takes the end of a descent: it is the fit where its error, in float64, is the least so far. */
export function nextTurn(
  W: DenseMatrix,
  options: FitOptions,
  { descents: before, ...best }: SineProgress,
  { U, V, amplitude, steps: taken }: DescentEnd,
  G: Float64Array | undefined,
  instance: KernelInstance,
): Turn {
  const found = evaluated(W, { rank: options.rank, U, V, amplitude }, G, instance);
  const steps = best.steps + taken;
  const fit = found.relativeError < best.relativeError ? { ...best, ...found, steps } : { ...best, steps };
  const isSecondWorth =
    before === 0 &&
    options.amplitude === undefined &&
    fit.relativeError > WORTH_A_SECOND * fit.svdRelativeError;
  if (!isSecondWorth) return { kind: 'done', fit };
  return descentFrom(W, COOL, options, { ...fit, descents: before + 1 }, instance);
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

function descentFrom(
  W: DenseMatrix,
  candidate: Candidate,
  options: FitOptions,
  progress: SineProgress,
  instance: KernelInstance,
): Turn {
  const amplitude = options.amplitude ?? candidate.amplitude * W.rms;
  const schedule: Schedule = {
    steps: options.steps,
    rate: candidate.rate,
    amplitudeRate: options.amplitude === undefined ? AMPLITUDE_RATE : 0,
    noise: candidate.noise * progress.svdRelativeError,
    seed: options.seed,
  };
  const start = arcsineStart(W, amplitude, options.rank, instance);
  return { kind: 'descend', descent: { ...start, amplitude, ...schedule }, progress };
}

/** Truncated SVD of arcsin(clip(W/a)), with entries of equal size in both factors, as the descent's one rate wants. */
function arcsineStart(W: DenseMatrix, amplitude: number, rank: number, instance: KernelInstance): Factors {
  const phase = (x: number): number => Math.asin(Math.max(-1, Math.min(1, x / amplitude)));
  const { U, V } = svdFactors(W, rank, phase, instance);
  const ratio = (W.rows / W.columns) ** 0.25;
  return { rank, U: Float32Array.from(U, (x) => x * ratio), V: Float32Array.from(V, (x) => x / ratio) };
}
