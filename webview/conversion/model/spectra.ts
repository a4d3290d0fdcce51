/** Curves of the spectra plots: several matrices of one layer, all over the largest singular value of the original. */
import { LOG_FLOOR, thinned, type Curve, type SpectrumScale } from '../../model/spectrum';

/** A spectrum with the words for it. */
export interface NamedSpectrum {
  readonly label: string;
  readonly values: Float64Array;
}

/** How far below the original's smallest value a logarithmic axis goes: the tails of other matrices are rounding there. */
const BELOW_ORIGINAL = 10;

/** Lowest value of a logarithmic axis, over the original's largest. */
export function axisFloor(original: Float64Array): number {
  const [top = 0, last = 0] = [original[0], original.at(-1)];
  return top > 0 ? Math.max(LOG_FLOOR.values, last / top / BELOW_ORIGINAL) : LOG_FLOOR.values;
}

/** Each over the original's largest value; nothing to draw of a zero matrix but a line at 0. */
export function relativeCurve(
  { label, values }: NamedSpectrum,
  original: Float64Array,
  scale: SpectrumScale,
): Curve {
  const top = original[0] ?? 0;
  const relative = top > 0 ? values.map((value) => value / top) : values;
  return {
    name: label,
    length: values.length,
    points: thinned(relative, scale === 'log' ? axisFloor(original) : undefined),
    marks: [],
  };
}
