/** Curves of the spectra plots: several matrices of one layer, all over the largest singular value of the original. */
import { LOG_FLOOR, thinned, type Curve, type SpectrumScale } from '../../model/spectrum';

/** A spectrum with the words for it. */
export interface NamedSpectrum {
  readonly label: string;
  readonly values: Float64Array;
}

/** Each over `top`; nothing to draw of a zero matrix but a line at 0. */
export function relativeCurve({ label, values }: NamedSpectrum, top: number, scale: SpectrumScale): Curve {
  const relative = top > 0 ? values.map((value) => value / top) : values;
  return {
    name: label,
    length: values.length,
    points: thinned(relative, scale === 'log' ? LOG_FLOOR.values : undefined),
    marks: [],
  };
}
