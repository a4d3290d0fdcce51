/** Curves of the spectra plots: several matrices of one layer, all over the largest singular value of the original. */
import { LOG_FLOOR, thinned, type Curve, type Point, type SpectrumScale } from '../../model/spectrum';

/** A spectrum with the words for it. */
export interface NamedSpectrum {
  readonly label: string;
  readonly values: Float64Array;
}

/**
 * Lowest value of a logarithmic axis, over the original's largest: a decade below the power of ten under the original's
 * smallest. What lies deeper in other matrices is next to nothing, and much of it rounding.
 */
export function axisFloor(original: Float64Array): number {
  const [top = 0, last = 0] = [original[0], original.at(-1)];
  return top > 0 && last > 0
    ? Math.max(LOG_FLOOR.values, 10 ** (Math.floor(Math.log10(last / top)) - 1))
    : LOG_FLOOR.values;
}

/** Each over the original's largest value; nothing to draw of a zero matrix but a line at 0. */
export function relativeCurve(
  { label, values }: NamedSpectrum,
  original: Float64Array,
  scale: SpectrumScale,
): Curve {
  const top = original[0] ?? 0;
  const relative = top > 0 ? values.map((value) => value / top) : values;
  const floor = scale === 'log' ? axisFloor(original) : undefined;
  return { name: label, length: values.length, points: above(thinned(relative, floor), floor), marks: [] };
}

/** Without the points that lie on the floor, but for the first: a curve that ends is not one that goes on there. */
function above(points: readonly Point[], floor: number | undefined): readonly Point[] {
  const end = floor === undefined ? -1 : points.findIndex(({ y }) => y <= floor);
  return end < 0 ? points : points.slice(0, end + 1);
}
