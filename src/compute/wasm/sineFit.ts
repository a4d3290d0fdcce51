import type { OnFraction, SineFit, SineFitOptions } from '../backend';
import type { DenseMatrix } from './fitTarget';
import type { KernelInstance } from './kernels';
import { multiply, relativeError, svdFactors, truncatedSvd, type GramRoot } from './truncatedSvd';

/** Amplitudes tried, as multiples of the standard deviation of W. */
const AMPLITUDES = [0.8, 1, 1.4, 2];

/** The linear limit: amplitude over the largest phase-free entry, where sin x = x to float32. */
const LINEAR = 3000;

const LEARNING_RATE = 0.02;
const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8];

interface Candidate {
  readonly U: Float32Array;
  readonly V: Float32Array;
  readonly gain: number;
  readonly relativeError: number;
}

/** Fits sin(ω·U·Vᵀ)/g to W: see `SineFit`. */
export function sineFit(
  W: DenseMatrix,
  options: SineFitOptions,
  gram: GramRoot | undefined,
  instance: KernelInstance,
  onFraction: OnFraction,
): SineFit {
  const { rank, steps } = options;
  const svd = truncatedSvd(W, rank, gram, instance);
  const std = Math.sqrt(W.values.reduce((sum, x) => sum + x * x, 0) / W.values.length);
  const fixed = options.gain === undefined ? undefined : [1 / options.gain];
  const amplitudes = std === 0 ? [] : (fixed ?? AMPLITUDES.map((multiple) => multiple * std));
  const candidates: Candidate[] = amplitudes.map((amplitude, c) =>
    descend(W, amplitude, start(W, amplitude, rank, instance), rank, steps, gram, (fraction) => {
      onFraction((c + fraction) / amplitudes.length);
    }),
  );
  if (options.gain === undefined || std === 0) candidates.push(linearLimit(W, svd, rank, options.gain, gram));
  const best = candidates.reduce((a, b) => (b.relativeError < a.relativeError ? b : a));
  const scale = 1 / Math.sqrt(options.omega);
  return {
    U: best.U.map((x) => x * scale),
    V: best.V.map((x) => x * scale),
    gain: best.gain,
    relativeError: best.relativeError,
    svdRelativeError: svd.relativeError,
    steps: steps * amplitudes.length,
  };
}

function linearLimit(
  W: DenseMatrix,
  svd: { readonly U: Float32Array; readonly V: Float32Array },
  rank: number,
  gain: number | undefined,
  gram: GramRoot | undefined,
): Candidate {
  const largest = W.values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const amplitude = gain === undefined ? (largest === 0 ? 1 : LINEAR * largest) : 1 / gain;
  const scale = 1 / Math.sqrt(amplitude);
  const [U, V] = [svd.U.map((x) => x * scale), svd.V.map((x) => x * scale)];
  const error = relativeError(W, rank, U, V, (x) => amplitude * Math.sin(x), gram);
  return { U, V, gain: 1 / amplitude, relativeError: error };
}

function start(W: DenseMatrix, amplitude: number, rank: number, instance: KernelInstance) {
  const phases = W.values.map((x) => Math.asin(Math.max(-1, Math.min(1, x / amplitude))));
  return svdFactors({ ...W, values: phases }, rank, instance);
}

function descend(
  W: DenseMatrix,
  amplitude: number,
  from: { readonly U: Float64Array; readonly V: Float64Array },
  rank: number,
  steps: number,
  gram: GramRoot | undefined,
  onFraction: OnFraction,
): Candidate {
  const x = { U: Float32Array.from(from.U), V: Float32Array.from(from.V) };
  const moments = [x.U, x.V].map((values) => ({
    values,
    m: new Float32Array(values.length),
    v: new Float32Array(values.length),
  }));
  for (let step = 0; step < steps; step++) {
    const gradients = gradient(W, amplitude, x.U, x.V, rank, gram);
    const rate = LEARNING_RATE * 0.5 * (1 + Math.cos((Math.PI * step) / steps));
    moments.forEach((moment, which) => {
      adam(moment, gradients[which] ?? new Float32Array(0), rate, step + 1);
    });
    onFraction((step + 1) / steps);
  }
  const error = relativeError(W, rank, x.U, x.V, (phase) => amplitude * Math.sin(phase), gram);
  return { ...x, gain: 1 / amplitude, relativeError: error };
}

/** Of ½‖(sin(UVᵀ) − W/a)·G^{1/2}‖² by U and V. */
function gradient(
  W: DenseMatrix,
  amplitude: number,
  U: Float32Array,
  V: Float32Array,
  rank: number,
  gram: GramRoot | undefined,
): Float32Array[] {
  const { rows, columns, values } = W;
  const dU = new Float32Array(U.length);
  const dV = new Float32Array(V.length);
  let R: Float64Array = new Float64Array(values.length);
  const cosines = new Float64Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      let phase = 0;
      for (let r = 0; r < rank; r++) phase += (U[i * rank + r] ?? 0) * (V[j * rank + r] ?? 0);
      R[i * columns + j] = Math.sin(phase) - (values[i * columns + j] ?? 0) / amplitude;
      cosines[i * columns + j] = Math.cos(phase);
    }
  if (gram !== undefined) {
    R = multiply(R, gram.root, rows, columns, columns);
    R = multiply(R, gram.root, rows, columns, columns);
  }
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      const e = (R[i * columns + j] ?? 0) * (cosines[i * columns + j] ?? 0);
      for (let r = 0; r < rank; r++) {
        dU[i * rank + r] = (dU[i * rank + r] ?? 0) + e * (V[j * rank + r] ?? 0);
        dV[j * rank + r] = (dV[j * rank + r] ?? 0) + e * (U[i * rank + r] ?? 0);
      }
    }
  return [dU, dV];
}

function adam(
  { values, m, v }: { values: Float32Array; m: Float32Array; v: Float32Array },
  gradient: Float32Array,
  rate: number,
  step: number,
): void {
  const [c1, c2] = [1 - BETA1 ** step, 1 - BETA2 ** step];
  for (let i = 0; i < values.length; i++) {
    const g = gradient[i] ?? 0;
    m[i] = BETA1 * (m[i] ?? 0) + (1 - BETA1) * g;
    v[i] = BETA2 * (v[i] ?? 0) + (1 - BETA2) * g * g;
    values[i] = (values[i] ?? 0) - (rate * ((m[i] ?? 0) / c1)) / (Math.sqrt((v[i] ?? 0) / c2) + EPSILON);
  }
}
