/** What the recognition of packed weights works with. One scheme a file; each is asked for every tensor of a model. */
import { elementCount, type Tensor } from '../checkpoint';
import type { Decoder } from '../decoders/decoder';
import { bytesPerElement, type DType } from '../dtype';
import { CheckpointError } from '../errors';
import { requireShape } from '../layout';
import type { QuantisationConfig } from './config';

/** The tensors of a model, and what else tells how they are packed. */
export interface Surroundings {
  /** A tensor of the model by its name. */
  readonly find: (name: string) => Tensor | undefined;
  readonly config: QuantisationConfig;
  /** The bytes of a tensor of at most so many. @throws CheckpointError when it has more, or cannot be read */
  readonly readSmall: (tensor: Tensor, mostBytes: number) => Uint8Array;
}

/** A weight that is kept packed. */
export interface PackedWeight {
  /** The weight as the model has it, float32. */
  readonly weight: Tensor;
  /** What it is made of: tensors of the file that are no parameters of their own. */
  readonly parts: readonly Tensor[];
  /** For people: `4-bit GPTQ (groups of 128)`. */
  readonly form: string;
}

/**
 * The weight that a tensor is the packed values of; undefined for any other tensor.
 *
 * @throws CheckpointError with the reason why a packed weight is left as it is
 */
export type Scheme = (tensor: Tensor, around: Surroundings) => PackedWeight | undefined;

/** Where a tensor's name ends in `leaf`: what stands before it. */
export function prefixBefore(name: string, leaf: string): string | undefined {
  if (!name.endsWith(leaf)) return undefined;
  const prefix = name.slice(0, name.length - leaf.length);
  return prefix === '' || prefix.endsWith('.') ? prefix : undefined;
}

/** A reason to leave a packed weight as it is. */
export function leave(reason: string): CheckpointError {
  return new CheckpointError('unsupported', reason);
}

/** @throws CheckpointError unless the tensor is there and of a type that is asked for */
export function companion(name: string, types: ReadonlySet<DType>, { find }: Surroundings): Tensor {
  const tensor = find(name);
  if (tensor === undefined) throw leave(`without a tensor ${leafOf(name)}`);
  requireType(tensor, types);
  return tensor;
}

/** The same for a tensor that need not be there. */
export function optionalCompanion(
  name: string,
  types: ReadonlySet<DType>,
  around: Surroundings,
): Tensor | undefined {
  return around.find(name) === undefined ? undefined : companion(name, types, around);
}

/** Element types of scales. */
export const SCALE_TYPES: ReadonlySet<DType> = new Set<DType>(['float32', 'float16', 'bfloat16']);
export const WORD_TYPES: ReadonlySet<DType> = new Set<DType>(['int32', 'uint32']);
export const INDEX_TYPES: ReadonlySet<DType> = new Set<DType>(['int32']);

/** @throws CheckpointError with the tensor's type and what was expected */
export function requireType({ name, dtype }: Tensor, types: ReadonlySet<DType>): void {
  if (!types.has(dtype)) throw leave(`with ${leafOf(name)} of type ${dtype}`);
}

/** @throws CheckpointError unless a tensor has exactly this shape */
export function requireSizes({ name, shape }: Tensor, expected: readonly number[]): void {
  if (shape.length === expected.length && shape.every((size, axis) => size === expected[axis])) return;
  throw leave(`with ${leafOf(name)} of shape [${shape.join(', ')}] where [${expected.join(', ')}] belongs`);
}

/** The sizes of a matrix, none of them 0. @throws CheckpointError for anything else */
export function matrixSizes({ name, shape }: Tensor): readonly [number, number] {
  const [rows = 0, columns = 0] = shape;
  if (shape.length !== 2 || rows === 0 || columns === 0)
    throw leave(`with ${leafOf(name)} of shape [${shape.join(', ')}]`);
  return [rows, columns];
}

function leafOf(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}

/**
 * A weight that is decoded from tensors of the file when it is read.
 *
 * @param anchor holds the packed values; the weight lies where it does
 * @throws CheckpointError for sources that are no plain parts of files, and shapes beyond any file
 */
export function decodedWeight(
  name: string,
  shape: readonly number[],
  decoder: Decoder,
  sources: readonly Tensor[],
): Tensor {
  for (const source of sources) requirePlain(source);
  const byteLength = 4 * elementCount(requireShape(shape, 4));
  const path = sources[0]?.storage.path ?? '';
  return {
    name,
    shape,
    dtype: 'float32',
    storage: { encoding: 'decoded', path, sources, decoder, byteLength },
    role: 'model',
  };
}

/** Slices of a stack are named so in messages; the whole keeps the name. */
export function stackedWeight(name: string, shape: readonly number[], parts: readonly Tensor[]): Tensor {
  const byteLength = 4 * elementCount(requireShape(shape, 4));
  const path = parts[0]?.storage.path ?? '';
  return {
    name,
    shape,
    dtype: 'float32',
    storage: { encoding: 'stack', path, parts, byteLength },
    role: 'model',
  };
}

/** Entry `index` of a tensor along its first axis. */
export function sliceOf(tensor: Tensor, index: number): Tensor {
  const [, ...shape] = tensor.shape;
  const own = tensor.layout?.strides ?? rowMajor(tensor.shape);
  const [step = 0, ...strides] = own;
  const offset = (tensor.layout?.offset ?? 0) + index * step;
  return { ...tensor, name: `${tensor.name}[${index}]`, shape, layout: { offset, strides } };
}

function rowMajor(shape: readonly number[]): number[] {
  let step = 1;
  return [...shape]
    .reverse()
    .map((size) => {
      const stride = step;
      step *= size;
      return stride;
    })
    .reverse();
}

/** Stacks of experts have at most some hundreds; a weight is made for each. */
export const MAX_STACK = 1 << 12;

/**
 * A view that repeats its elements could ask for any amount of memory, and values that are themselves computed have no
 * business among packed ones.
 */
function requirePlain({ name, storage, shape, dtype }: Tensor): void {
  const isOfFile =
    storage.encoding === 'raw' || storage.encoding === 'deflate' || storage.encoding === 'utf8';
  if (!isOfFile || elementCount(shape) * bytesPerElement(dtype) > storage.byteLength)
    throw leave(`with ${leafOf(name)} that is no plain part of a file`);
}

/** `groups of 128`, or what a group is where there is but one. */
export function groupWords(groupSize: number, columns: number): string {
  return groupSize >= columns ? 'one group a row' : `groups of ${groupSize}`;
}
