/** The ω explorer: which sin(ω·U·Vᵀ)/g is looked at, where its sliders run, and what a change of g does to a spectrum. */
import type { PageSineSpectrum } from '../protocol';
import { logScale, type SliderScale } from './sliderScale';

export interface ExplorerSettings {
  readonly layer: string;
  readonly rank: number;
  readonly omega: number;
  readonly gain: number;
}

/**
 * Ends of the sliders for ω and g, times the standard deviation of W's entries. ω·(U·Vᵀ)ᵢⱼ is an angle: at 0.02 standard
 * deviations the sine is its argument, the linear limit; at 200 it has gone round many times.
 */
const LEAST_ANGLE = 0.02;
const MOST_ANGLE = 200;

/** ω and g of a fresh explorer, times the standard deviation: most entries within the sine's first quarter. */
const FIRST_ANGLE = 0.5;

/** Standard deviation of the entries of an m × n matrix about 0: ‖W‖_F ÷ √(mn), from its singular values. */
export function entryDeviation(spectrum: Float64Array, [m, n]: readonly [number, number]): number {
  return m * n === 0 ? 0 : Math.sqrt(energy(spectrum) / (m * n));
}

/** For ω and for g alike: with ω = g small enough, sin(ω·A)/g is A. */
export function angleScale(deviation: number): SliderScale {
  return logScale(round(LEAST_ANGLE / deviation), round(MOST_ANGLE / deviation));
}

/** A conversion's angles beyond these are near the linear limit, or past it: nothing to begin with. */
const TELLING_ANGLES = [0.1, 10] as const;

/**
 * Where to begin: ω = g, so that small entries stay what they are.
 * @param gain of the layer's conversion, where there was one.
 */
export function firstAngle(deviation: number, gain: number | undefined): number {
  const angle = (gain ?? 0) * deviation;
  const [least, most] = TELLING_ANGLES;
  return round(gain !== undefined && angle >= least && angle <= most ? gain : FIRST_ANGLE / deviation);
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}

function energy(spectrum: Float64Array): number {
  return spectrum.reduce((sum, value) => sum + value * value, 0);
}

/** ⟨W, Ŵ⟩, which the relative error holds: ‖W − Ŵ‖² = ‖W‖² − 2⟨W, Ŵ⟩ + ‖Ŵ‖². */
function innerProduct({ original, sine, relativeError }: PageSineSpectrum): number {
  const norm = energy(original);
  return (norm * (1 - relativeError ** 2) + energy(sine)) / 2;
}

/**
 * The same sin(ω·U·Vᵀ) over another g, exactly: singular values scale, ranks stay, and the error follows from the inner
 * product. So that g can be dragged without waiting for the engine.
 */
export function withGain(spectrum: PageSineSpectrum, from: number, to: number): PageSineSpectrum {
  const scale = from / to;
  const norm = energy(spectrum.original);
  if (scale === 1 || norm === 0) return spectrum;
  const squared =
    1 - (2 * scale * innerProduct(spectrum)) / norm + (scale ** 2 * energy(spectrum.sine)) / norm;
  return {
    ...spectrum,
    sine: spectrum.sine.map((value) => value * scale),
    relativeError: Math.sqrt(Math.max(0, squared)),
  };
}

/** The g with the smallest error at this ω, by least squares; undefined where no positive g helps. */
export function bestGain(spectrum: PageSineSpectrum, gain: number): number | undefined {
  const inner = innerProduct(spectrum);
  const own = energy(spectrum.sine);
  return inner > 0 && own > 0 ? Number(((gain * own) / inner).toPrecision(4)) : undefined;
}
