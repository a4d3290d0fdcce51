import type { MatrixView } from '../../checkpoint/matrixView';
import type { KernelExports } from './kernels';
import type { TensorElements } from './tensorElements';

/** Summands a slab of the Gram matrix holds; the kernels' panels are made for it. */
export const DEPTH = 256;

/** A matrix as products see it: `small` rows of a Gram matrix, each a sum over `long` summands. */
export interface Shape {
  readonly small: number;
  readonly long: number;
  /** The summands run along the columns: G = A·Aᵀ. Otherwise along the rows: G = Aᵀ·A. */
  readonly isWide: boolean;
}

/** The smaller Gram matrix. */
export function shapeOf({ rows, columns }: MatrixView): Shape {
  return rows <= columns ? shapeOver('columns', rows, columns) : shapeOver('rows', rows, columns);
}

/** The Gram matrix summed over the given side. */
export function shapeOver(summands: 'rows' | 'columns', rows: number, columns: number): Shape {
  return summands === 'columns'
    ? { small: rows, long: columns, isWide: true }
    : { small: columns, long: rows, isWide: false };
}

/** Visits a matrix in slabs of up to `depth` summands; `done` counts the summands including this slab. */
export function forEachSlab(
  view: MatrixView,
  { small, long, isWide }: Shape,
  elements: TensorElements,
  depth: number,
  visit: (address: number, ld: number, depth: number, done: number) => void,
): void {
  const blockLength = elements.blockLength(small, DEPTH);
  for (let start = 0; start < long; start += blockLength) {
    const length = Math.min(blockLength, long - start);
    const block = isWide
      ? elements.block(view, 0, small, start, length)
      : elements.block(view, start, length, 0, small);
    const stride = (isWide ? 1 : block.ld) * elements.elementBytes;
    for (let k = 0; k < length; k += depth) {
      const here = Math.min(depth, length - k);
      visit(block.address + k * stride, block.ld, here, start + k + here);
    }
  }
}

/** Packs a slab for the Gram kernel. */
export function pack(
  { small, isWide }: Shape,
  elements: TensorElements,
  kernels: KernelExports,
  address: number,
  ld: number,
  depth: number,
  P: number,
): void {
  if (elements.wide) {
    if (isWide) kernels.packRows64(address, ld, small, depth, elements.factor, P);
    else kernels.packColumns64(address, ld, small, depth, elements.factor, P);
  } else if (isWide) kernels.packRows32(address, ld, small, depth, P);
  else kernels.packColumns32(address, ld, small, depth, P);
}

/** A slab as rows of float64: S[k][i] is summand k of row i of the smaller side. */
export function widen(
  { small, isWide }: Shape,
  elements: TensorElements,
  kernels: KernelExports,
  address: number,
  ld: number,
  depth: number,
  S: number,
): void {
  if (elements.wide) {
    if (isWide) kernels.widenColumns64(address, ld, small, depth, elements.factor, S);
    else kernels.widenRows64(address, ld, depth, small, elements.factor, S);
  } else if (isWide) kernels.widenColumns32(address, ld, small, depth, S);
  else kernels.widenRows32(address, ld, depth, small, S);
}
