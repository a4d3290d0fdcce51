/** The change of a weight out of the two matrices of an adapter, by their shapes. */
import type { Adapter, ModuleHint, Tensor } from '../checkpoint';
import { elementCount } from '../checkpoint';
import { bytesPerElement, isFloating } from '../dtype';
import { isRowMajor } from '../layout';
import { isEmbeddingName, nameParts } from '../layers/names';
import { isPacked } from '../tensorBlocks';
import type { Convention } from './adapterNames';

/** Longest side of a weight: four times the largest vocabulary in use, so that its singular values are a few megabytes. */
const MAX_SIDE = 2 ** 20;
/** Columns of the factors. Adapters have 4 to 256; what extraction from two whole models gives stops at about 1,024. */
const MAX_RANK = 4096;
/** Numbers of one factor: a table of 262,144 rows at rank 1,024 has as many. */
const MAX_FACTOR_ELEMENTS = 2 ** 28;
/** Kernels of one, two or three axes. */
const [MIN_KERNEL_AXES, MAX_KERNEL_AXES] = [3, 5];

/** U·Vᵀ of an adapter, before it is scaled. */
export interface Pair {
  /** groups × m × r, or m × r. */
  readonly U: Tensor;
  /** groups × n × r, or n × r. */
  readonly V: Tensor;
  /** Of the change: out × in, a convolution's with its kernel, groups × out × in of a stack. */
  readonly shape: readonly number[];
  readonly rank: number;
  /** Matrices of a stack. */
  readonly groups?: number;
  /** Both tensors are matrices, or stacks of them: no kernel has axes of its own. */
  readonly isFlat: boolean;
  readonly module: ModuleHint;
}

/**
 * The pair that two tensors are in the first of some conventions that their shapes fit.
 *
 * @param weight what the weight would be called
 * @returns or why they are none, which completes "… are no pair: "
 */
export function pairOf(
  A: Tensor,
  B: Tensor,
  conventions: readonly Convention[],
  weight: string,
): Pair | { readonly reason: string } {
  const odd = [A, B].find(({ dtype }) => !isFloating(dtype));
  if (odd !== undefined) return { reason: `elements of type ${odd.dtype}` };
  const sizes = `sizes ${A.shape.join(' × ')} and ${B.shape.join(' × ')}`;
  if (elementCount(A.shape) === 0 || elementCount(B.shape) === 0)
    return { reason: `${sizes}, with no elements` };
  for (const convention of conventions) {
    const pair = READERS[convention](A, B, weight);
    if (pair === undefined) continue;
    const tooLarge = tooLargeFor(pair);
    return tooLarge === undefined ? pair : { reason: `${sizes}: ${tooLarge}` };
  }
  return { reason: `${sizes} do not fit together` };
}

function tooLargeFor({ U, V, rank }: Pair): string | undefined {
  if (rank > MAX_RANK) return `a rank above ${MAX_RANK}`;
  if (Math.max(...U.shape, ...V.shape) > MAX_SIDE) return `a side above ${MAX_SIDE}`;
  const most = Math.max(elementCount(U.shape), elementCount(V.shape));
  return most > MAX_FACTOR_ELEMENTS ? `more than ${MAX_FACTOR_ELEMENTS} numbers` : undefined;
}

type Reader = (A: Tensor, B: Tensor, weight: string) => Pair | undefined;

const READERS: Readonly<Record<Convention, Reader>> = {
  linear: (A, B) => {
    if (A.shape.length === 2 && B.shape.length === 2) return linear(A, B);
    return convolution(A, B) ?? stackOf(A, B);
  },
  rows: (A, B, weight) => {
    if (!isMatrix(A) || !isMatrix(B) || A.shape[1] !== B.shape[0]) return undefined;
    // A table is rows × width: its change is A·B as it stands.
    const isTable = isEmbeddingName(nameParts(weight).parent);
    return isTable ? matrix(A, transposed(B), 'Embedding') : matrix(transposed(B), A, 'Linear');
  },
  embedding: (A, B) =>
    isMatrix(A) && isMatrix(B) && A.shape[0] === B.shape[1]
      ? matrix(transposed(A), packed(B), 'Embedding')
      : undefined,
  lookup: (A, B) =>
    isMatrix(A) && isMatrix(B) && A.shape[1] === B.shape[1]
      ? matrix(packed(A), packed(B), 'Embedding')
      : undefined,
};

function isMatrix({ shape }: Tensor): boolean {
  return shape.length === 2;
}

/** A r × in, B out × r. */
function linear(A: Tensor, B: Tensor): Pair | undefined {
  return A.shape[0] === B.shape[1] ? matrix(packed(B), transposed(A), 'Linear') : undefined;
}

function matrix(U: Tensor, V: Tensor, type: string): Pair {
  const [rows = 0, rank = 0] = U.shape;
  const [columns = 0] = V.shape;
  return { U, V, shape: [rows, columns], rank, isFlat: true, module: { type, order: 'out-in' } };
}

/** A groups × r × in, B groups × out × r: experts of llama.cpp and MLX. */
function stackOf(A: Tensor, B: Tensor): Pair | undefined {
  const [groups = 0, rank = 0, inputs = 0] = A.shape;
  const [ofB, outputs = 0, rankOfB] = B.shape;
  if (A.shape.length !== 3 || B.shape.length !== 3 || groups !== ofB || rank !== rankOfB) return undefined;
  const V = strided(packed(A), [groups, inputs, rank], [rank * inputs, 1, inputs]);
  return {
    ...{ U: packed(B), V, rank, groups, isFlat: true },
    shape: [groups, outputs, inputs],
    module: { type: 'Linear', order: 'out-in' },
  };
}

/** A r × in × kernel, B out × r × 1 …: out × in × kernel. */
function convolution(A: Tensor, B: Tensor): Pair | undefined {
  const [rank = 0, inputs = 0, ...kernel] = A.shape;
  const [outputs = 0, ofB, ...ones] = B.shape;
  const axes = A.shape.length;
  if (axes !== B.shape.length || axes < MIN_KERNEL_AXES || axes > MAX_KERNEL_AXES) return undefined;
  if (ofB !== rank || ones.some((size) => size !== 1)) return undefined;
  const patch = elementCount([inputs, ...kernel]);
  return {
    U: strided(packed(B), [outputs, rank], [rank, 1]),
    V: strided(packed(A), [patch, rank], [1, patch]),
    shape: [outputs, inputs, ...kernel],
    rank,
    isFlat: false,
    module: { type: `Conv${kernel.length}d`, groups: 1, order: 'out-in' },
  };
}

function transposed(tensor: Tensor): Tensor {
  const [rows = 0, columns = 0] = tensor.shape;
  return strided(packed(tensor), [columns, rows], [1, columns]);
}

/** The same elements in row-major order, so that axes can be joined and exchanged. */
function packed(tensor: Tensor): Tensor {
  const { name, shape, layout, dtype, storage, role } = tensor;
  if (layout === undefined || (isPacked(tensor) && layout.offset === 0)) {
    const { byteOrder } = tensor;
    return { name, shape, dtype, storage, role, ...(byteOrder !== undefined && { byteOrder }) };
  }
  const byteLength = elementCount(shape) * bytesPerElement(dtype);
  const pieces = { sources: [tensor], decoder: { kind: 'pieces' }, byteLength } as const;
  return { name, shape, dtype, storage: { encoding: 'decoded', path: storage.path, ...pieces }, role };
}

/** Packed elements seen with other axes. */
function strided(tensor: Tensor, shape: readonly number[], strides: readonly number[]): Tensor {
  const view = { ...tensor, shape };
  return isRowMajor(shape, strides) ? view : { ...view, layout: { offset: 0, strides } };
}

/** The facts of an adapter that the rest of the program needs. */
export function adapterOf(
  pair: Pair,
  weight: string,
  factors: readonly [Tensor, Tensor],
  { isLinear, isStack }: { readonly isLinear: boolean; readonly isStack: boolean },
): Adapter {
  return {
    weight,
    factors: factors.map(({ name }) => name),
    parameters: factors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    ...(isLinear && { maxRank: pair.rank }),
    ...(isStack && pair.groups !== undefined && { groups: pair.groups }),
  };
}
