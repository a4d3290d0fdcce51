/** Fits asked of a worker: reads the matrix, hands it to the algorithm, and gives the factors back in its own units. */
import { elementCount } from '../../checkpoint/checkpoint';
import { bytesPerElement } from '../../checkpoint/dtype';
import { CheckpointError } from '../../checkpoint/errors';
import type { FileDescriptors } from '../../checkpoint/tensorData';
import type { FitResult, FitTarget, OnFraction, SineFit, SineFitOptions, TruncatedSvd } from '../backend';
import { DenseMatrix, denseBytes } from './denseMatrix';
import { MAX_MEMORY_BYTES, type KernelInstance } from './kernels';
import { NonFiniteMatrix } from './nonFinite';
import { descentBytes } from './sineDescent';
import {
  firstTurn,
  nextTurn,
  sineFit,
  type Descent,
  type DescentEnd,
  type FitOptions,
  type FittedSine,
  type SineProgress,
} from './sineFit';
import { symmetricEigenBytes } from './symmetricEigen';
import { BLOCK_BYTES, TensorElements } from './tensorElements';
import { truncatedSvd } from './truncatedSvd';

/** Scales beyond these powers of ten, float32 factors would lose digits to underflow, or overflow. */
const [SMALLEST_RMS, LARGEST_RMS] = [1e-60, 1e60];

/** Bands in float64, their approximation and residual, on either side of the kernels' memory. */
const BANDS_BYTES = 4 * 256 * 8;

/** Memory that a fit holds while it runs. */
export function fitFootprint(
  { tensor, matrix, inputGram }: FitTarget,
  rank: number,
): { readonly bytes: number; readonly storedBytes: number } {
  const { rows, columns } = matrix;
  const [small, long] = [Math.min(rows, columns), Math.max(rows, columns)];
  const storedBytes = elementCount(tensor.shape) * bytesPerElement(tensor.dtype);
  const blocks = 2 * Math.min(elementCount(tensor.shape) * 8, BLOCK_BYTES);
  const isWeighted = inputGram !== undefined;
  // Eigenvectors, what they are of, and themselves again outside the kernels' memory.
  const eigen = (n: number): number => symmetricEigenBytes(n) + 16 * n * n;
  const decomposing = isWeighted ? eigen(long) + 24 * rows * columns : eigen(small);
  const descending = descentBytes(rows, columns, rank, isWeighted);
  const results = 8 * 4 * rank * (rows + columns);
  return {
    bytes:
      blocks +
      denseBytes(long, small) +
      Math.max(decomposing, descending) +
      BANDS_BYTES * Math.max(columns, small) +
      results +
      (inputGram?.byteLength ?? 0),
    storedBytes,
  };
}

/** Truncated SVD of a target: see `ComputeBackend.truncatedSvd`. */
export function fitTruncatedSvd(
  target: FitTarget,
  rank: number,
  instance: KernelInstance,
  files: FileDescriptors,
  onFraction: OnFraction,
): FitResult<TruncatedSvd> {
  return fitting(target, rank, instance, files, ({ matrix, isSwapped }) => {
    const { U, V, relativeError } = truncatedSvd(matrix, rank, target.inputGram, instance, onFraction);
    // A power of two: the error stays what it is.
    const root = 1 / Math.sqrt(matrix.scale);
    return { ...outByIn(U, V, root, isSwapped), relativeError };
  });
}

/**
 * Sine-low-rank factors of a target: see `ComputeBackend.sineFit`.
 * @throws {Error} in one line for a frequency or gain that is not a positive number, or steps that are no count.
 */
export function fitSine(
  target: FitTarget,
  options: SineFitOptions,
  instance: KernelInstance,
  files: FileDescriptors,
  onFraction: OnFraction,
): FitResult<SineFit> {
  checkOptions(options);
  return fitting(target, options.rank, instance, files, (held) => {
    const fit = sineFit(held.matrix, optionsFor(held, options), target.inputGram, instance, onFraction);
    return inOwnUnits(fit, held, options);
  });
}

/** The end of the descent that was asked for, and what came with that request. */
export interface SineAnswer {
  readonly progress: SineProgress;
  readonly end: DescentEnd;
}

/** A fit whose descents are made elsewhere: the next one, in the units of the matrix held, or the fit. */
export type SineTurn =
  | {
      readonly kind: 'descend';
      readonly descent: Descent;
      /** What is descended to, rows × columns, row-major: entries about 1, transposed where that makes it tall. */
      readonly W: { readonly rows: number; readonly columns: number; readonly values: Float32Array };
      readonly progress: SineProgress;
    }
  | { readonly kind: 'done'; readonly fit: SineFit };

/**
 * One turn of `fitSine` with the descents made elsewhere. Asked again with each answer until it is done, it ends as
 * `fitSine` does: errors in float64, by the same rules.
 * @param answer absent at first.
 * @throws {Error} as `fitSine` does.
 */
export function turnOfSine(
  target: FitTarget,
  options: SineFitOptions,
  answer: SineAnswer | undefined,
  instance: KernelInstance,
  files: FileDescriptors,
  onFraction: OnFraction,
): FitResult<SineTurn> {
  checkOptions(options);
  return fitting(target, options.rank, instance, files, (held) => {
    const { matrix } = held;
    const { inputGram } = target;
    const plan = optionsFor(held, options);
    const turn =
      answer === undefined
        ? firstTurn(matrix, plan, inputGram, instance, onFraction)
        : nextTurn(matrix, plan, answer.progress, answer.end, inputGram, instance);
    if (turn.kind === 'done') return { kind: 'done', fit: inOwnUnits(turn.fit, held, options) };
    const { rows, columns } = matrix;
    return { ...turn, W: { rows, columns, values: matrix.band(0, rows) } };
  });
}

function checkOptions({ omega, gain, steps }: SineFitOptions): void {
  for (const [name, value] of [
    ['omega', omega],
    ['gain', gain ?? 1],
  ] as const)
    if (!(value > 0 && Number.isFinite(value))) throw new Error(`${name} ${value}: not a positive number`);
  if (!(Number.isInteger(steps) && steps >= 0)) throw new Error(`steps ${steps}: not a number of steps`);
}

function optionsFor({ matrix }: Held, { rank, gain, steps, seed }: SineFitOptions): FitOptions {
  return { rank, steps, seed, amplitude: gain === undefined ? undefined : matrix.scale / gain };
}

function inOwnUnits(fit: FittedSine, { matrix, isSwapped }: Held, { omega, gain }: SineFitOptions): SineFit {
  return {
    // The fit is made at frequency 1: phases are ω·U·Vᵀ.
    ...outByIn(fit.U, fit.V, 1 / Math.sqrt(omega), isSwapped),
    gain: gain ?? matrix.scale / fit.amplitude,
    relativeError: fit.relativeError,
    svdRelativeError: fit.svdRelativeError,
    steps: fit.steps,
  };
}

/** The matrix as it is held, which is Wᵀ when `isSwapped`. */
interface Held {
  readonly matrix: DenseMatrix;
  readonly isSwapped: boolean;
}

function outByIn(
  U: Float32Array,
  V: Float32Array,
  factor: number,
  isSwapped: boolean,
): { readonly U: Float32Array; readonly V: Float32Array } {
  const scaled = (values: Float32Array): Float32Array => values.map((x) => x * factor);
  return isSwapped ? { U: scaled(V), V: scaled(U) } : { U: scaled(U), V: scaled(V) };
}

function fitting<T>(
  target: FitTarget,
  rank: number,
  instance: KernelInstance,
  files: FileDescriptors,
  fit: (held: Held) => T,
): FitResult<T> {
  checkSizes(target, rank);
  const { tensor } = target;
  try {
    const { bytes } = fitFootprint(target, rank);
    if (bytes > MAX_MEMORY_BYTES)
      return { kind: 'tooLarge', reason: "the fit needs more than WebAssembly's 4 GiB of memory" };
    const elements = new TensorElements(tensor, instance, files);
    try {
      if (elements.wide && !elements.scaleToRange()) throw new NonFiniteMatrix();
      const held = hold(target, elements, instance);
      const rms = held.matrix.rms / held.matrix.scale;
      if (rms !== 0 && !(rms > SMALLEST_RMS && rms < LARGEST_RMS))
        return { kind: 'tooLarge', reason: 'its values are beyond what float32 factors can hold' };
      return { kind: 'fit', fit: fit(held) };
    } catch (error) {
      if (!(error instanceof NonFiniteMatrix)) throw error;
      return { kind: 'nonFinite', nonFinite: elements.countNonFinite() };
    }
  } catch (error) {
    if (error instanceof RangeError) return { kind: 'tooLarge', reason: error.message };
    if (error instanceof CheckpointError) throw error.at({ tensor: tensor.name });
    throw error;
  }
}

/** Tall, whichever way round W is: both fits are the same for Wᵀ. The norm of the inputs needs W itself. */
function hold(target: FitTarget, elements: TensorElements, instance: KernelInstance): Held {
  const { matrix, transposed, inputGram } = target;
  const isTurned = inputGram === undefined ? matrix.rows < matrix.columns : transposed;
  return {
    matrix: new DenseMatrix(matrix, isTurned, elements, instance),
    isSwapped: isTurned !== transposed,
  };
}

function checkSizes({ matrix, transposed, inputGram }: FitTarget, rank: number): void {
  const { rows, columns } = matrix;
  const most = Math.min(rows, columns);
  if (!Number.isInteger(rank) || rank < 1 || rank > most)
    throw new Error(`rank ${rank} of a ${rows} × ${columns} matrix: choose 1 … ${most}`);
  const inputs = transposed ? rows : columns;
  if (inputGram !== undefined && inputGram.length !== inputs ** 2)
    throw new Error(`a Gram matrix of ${inputGram.length} numbers does not fit ${inputs} inputs`);
  if (inputGram?.every(Number.isFinite) === false)
    throw new Error('the Gram matrix of the inputs holds values that are not finite');
}
