/** Weights kept as integers with a scale, as tensors of the numbers they stand for. */
import { type Tensor, elementCount } from './checkpoint';
import { type DType, bytesPerElement } from './dtype';
import { CheckpointError } from './errors';
import { requireShape } from './layout';
import { countOf } from './wording';

const STORED = ['uint8', 'int8', 'uint16', 'int16', 'int32'] as const;
type Stored = (typeof STORED)[number];

/** Whether integers of this type may stand for other numbers. */
export function mayBeQuantised(dtype: DType): dtype is Stored {
  return (STORED as readonly DType[]).includes(dtype);
}

export interface Steps {
  /** One for all, or one for each of the slices along an axis. */
  readonly scales: readonly number[];
  /** The integers that stand for 0: as many as scales, or one for all; none is 0. */
  readonly zeroPoints: readonly number[];
  /** Elements after one another that share a scale; scales repeat from the first when they are used up. */
  readonly run: number;
}

/** Sizes of a run and a scale for each slice along an axis. */
export function runAlong(shape: readonly number[], axis: number): number {
  return Math.max(1, elementCount(shape.slice(axis + 1)));
}

/**
 * The numbers (q − zero point)·scale, float32, of the integers q of a tensor.
 *
 * @throws CheckpointError `malformed` for scales and zero points that do not belong together.
 */
export function dequantised(tensor: Tensor, { scales, zeroPoints, run }: Steps): Tensor {
  const { name, shape, dtype, storage } = tensor;
  const isEven = zeroPoints.length <= 1 || zeroPoints.length === scales.length;
  if (!mayBeQuantised(dtype) || scales.length === 0 || !isEven) {
    throw new CheckpointError('malformed', `${scales.length} scales with ${zeroPoints.length} zero points`);
  }
  const elements = elementCount(requireShape(shape, 4));
  const isOne = zeroPoints.length === 1;
  const offsets = scales.map((scale, i) => 0 - scale * (zeroPoints[isOne ? 0 : i] ?? 0));
  return {
    ...tensor,
    dtype: 'float32',
    storage: {
      encoding: 'decoded',
      path: storage.path,
      sources: [{ name, shape, dtype, storage, role: 'model' }],
      decoder: { kind: 'affine', stored: dtype, scales, offsets, run: scales.length === 1 ? elements : run },
      byteLength: elements * 4,
    },
  };
}

/** What a person should know of tensors that were not kept as the numbers they are. */
export function quantisationNotes(tensors: readonly Tensor[]): string[] {
  const counts = new Map<number, number>();
  for (const { storage } of tensors) {
    if (storage.encoding !== 'decoded' || storage.decoder.kind !== 'affine') continue;
    const bits = 8 * bytesPerElement(storage.decoder.stored);
    counts.set(bits, (counts.get(bits) ?? 0) + 1);
  }
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(
      ([bits, count]) =>
        `${countOf(count, 'tensor is', 'tensors are')} kept as ${bits}-bit integers: dequantised`,
    );
}
