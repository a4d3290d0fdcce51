/** Fits asked of a worker: reads the matrix, guards it, hands it to the algorithm. */
import { elementCount } from '../../checkpoint/checkpoint';
import { bytesPerElement } from '../../checkpoint/dtype';
import type { FileDescriptors } from '../../checkpoint/tensorData';
import type { FitResult, FitTarget, OnFraction, SineFit, SineFitOptions, TruncatedSvd } from '../backend';
import { CheckpointError } from '../../checkpoint/errors';
import { readDense, type DenseMatrix } from './fitTarget';
import type { KernelInstance } from './kernels';
import { NonFiniteMatrix } from './nonFinite';
import { sineFit } from './sineFit';
import { symmetricEigenBytes } from './symmetricEigen';
import { TensorElements } from './tensorElements';
import { gramRoot, truncatedSvd, type GramRoot } from './truncatedSvd';

/** Memory that a fit holds while it runs. */
export function fitFootprint(
  { tensor, matrix, inputGram }: FitTarget,
  rank: number,
): { bytes: number; storedBytes: number } {
  const { rows, columns } = matrix;
  const small = Math.min(rows, columns);
  const storedBytes = elementCount(tensor.shape) * bytesPerElement(tensor.dtype);
  const matrices = 6 * 8 * rows * columns + (inputGram === undefined ? 0 : 4 * inputGram.byteLength);
  return {
    bytes: matrices + symmetricEigenBytes(small) + 64 * rank * (rows + columns),
    storedBytes,
  };
}

export function fitTruncatedSvd(
  target: FitTarget,
  rank: number,
  instance: KernelInstance,
  files: FileDescriptors,
): FitResult<TruncatedSvd> {
  return fitting(target, rank, instance, files, (W, gram) => truncatedSvd(W, rank, gram, instance));
}

export function fitSine(
  target: FitTarget,
  options: SineFitOptions,
  instance: KernelInstance,
  files: FileDescriptors,
  onFraction: OnFraction,
): FitResult<SineFit> {
  return fitting(target, options.rank, instance, files, (W, gram) =>
    sineFit(W, options, gram, instance, onFraction),
  );
}

function fitting<T>(
  target: FitTarget,
  rank: number,
  instance: KernelInstance,
  files: FileDescriptors,
  fit: (W: DenseMatrix, gram: GramRoot | undefined) => T,
): FitResult<T> {
  const { tensor, matrix, inputGram } = target;
  const small = Math.min(matrix.rows, matrix.columns);
  if (!Number.isInteger(rank) || rank < 1 || rank > small)
    throw new Error(`rank ${rank} of a ${matrix.rows} × ${matrix.columns} matrix: choose 1 … ${small}`);
  try {
    const elements = new TensorElements(tensor, instance, files);
    try {
      if (elements.wide && !elements.scaleToRange()) throw new NonFiniteMatrix();
      const W = readDense(target, elements, instance);
      const gram = inputGram === undefined ? undefined : gramRoot(inputGram, W.columns, instance);
      return { kind: 'fit', fit: fit(W, gram) };
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
