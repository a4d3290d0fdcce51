import type { MatrixView } from '../../checkpoint/matrixView';
import type { KernelInstance } from './kernels';
import { NonFiniteMatrix } from './nonFinite';
import { forEachSlab, shapeOver, widen } from './slabs';
import type { TensorElements } from './tensorElements';

/** Rows read at once. */
const SLAB = 64;

/** Elements a row in the kernels' memory: whole pairs of vectors. */
function leadingDimension(columns: number): number {
  return Math.ceil(columns / 8) * 8;
}

/** Bytes of kernel memory of a `DenseMatrix`. */
export function denseBytes(rows: number, columns: number): number {
  return 4 * Math.ceil(rows / 4) * 4 * leadingDimension(columns);
}

/**
 * A matrix held whole in the kernels' memory as float32, padded with zeros to a multiple of four rows and eight columns,
 * scaled by a power of four so that its entries are about 1: nothing then overflows, no digit is lost, and the square
 * root of the scale is exact too.
 */
export class DenseMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly paddedRows: number;
  readonly ld: number;
  readonly address: number;
  /** Element as stored in the file × scale = element held. */
  readonly scale: number;
  /** Root mean square of the elements held: 0, or 0.5 … 2. */
  readonly rms: number;
  /** Largest magnitude among the elements held. */
  readonly largest: number;

  /**
   * @param isTransposed holds the transpose of the view.
   * @throws {NonFiniteMatrix} when an element is NaN or infinite.
   */
  constructor(
    view: MatrixView,
    isTransposed: boolean,
    elements: TensorElements,
    private readonly instance: KernelInstance,
  ) {
    [this.rows, this.columns] = isTransposed ? [view.columns, view.rows] : [view.rows, view.columns];
    this.ld = leadingDimension(this.columns);
    this.paddedRows = Math.ceil(this.rows / 4) * 4;
    this.address = instance.allocate(denseBytes(this.rows, this.columns));
    instance.float32(this.address, this.paddedRows * this.ld).fill(0);
    const { rms, largest } = sizes(view, elements, instance);
    const power = rms === 0 ? 1 : 4 ** -Math.round(Math.log2(rms) / 2);
    this.scale = elements.factor * power;
    this.rms = rms * power;
    this.largest = largest * power;
    this.fill(view, isTransposed, elements, power);
  }

  /** `count` whole rows from row `first`, without padding: a copy. */
  band(first: number, count: number): Float32Array {
    const { columns, ld } = this;
    const held = this.instance.float32(this.address + first * ld * 4, count * ld);
    if (ld === columns) return held.slice();
    const band = new Float32Array(count * columns);
    for (let i = 0; i < count; i++) band.set(held.subarray(i * ld, i * ld + columns), i * columns);
    return band;
  }

  /** `count` whole columns from column `first`, one after the other: a copy. */
  transposedBand(first: number, count: number): Float32Array {
    const { rows, ld } = this;
    const held = this.instance.float32(this.address, rows * ld);
    const band = new Float32Array(count * rows);
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < count; j++) band[j * rows + i] = held[i * ld + first + j] ?? 0;
    return band;
  }

  private fill(view: MatrixView, isTransposed: boolean, elements: TensorElements, power: number): void {
    const { ld, instance } = this;
    forEachRow(view, elements, instance, (row, i) => {
      const held = instance.float32(this.address, this.paddedRows * ld);
      if (isTransposed) for (let j = 0; j < row.length; j++) held[j * ld + i] = (row[j] ?? 0) * power;
      else for (let j = 0; j < row.length; j++) held[i * ld + j] = (row[j] ?? 0) * power;
    });
  }
}

/** Visits the rows of a view, in float64, multiplied by the elements' factor. */
function forEachRow(
  view: MatrixView,
  elements: TensorElements,
  instance: KernelInstance,
  visit: (row: Float64Array, index: number) => void,
): void {
  const { columns } = view;
  const shape = shapeOver('rows', view.rows, columns);
  instance.scoped(() => {
    const S = instance.allocate(SLAB * columns * 8);
    forEachSlab(view, shape, elements, SLAB, (address, ld, depth, done) => {
      widen(shape, elements, instance.kernels, address, ld, depth, S);
      const slab = instance.float64(S, depth * columns);
      for (let i = 0; i < depth; i++) visit(slab.subarray(i * columns, (i + 1) * columns), done - depth + i);
    });
  });
}

function sizes(
  view: MatrixView,
  elements: TensorElements,
  instance: KernelInstance,
): { readonly rms: number; readonly largest: number } {
  let [sum, largest] = [0, 0];
  forEachRow(view, elements, instance, (row) => {
    for (const x of row) {
      sum += x * x;
      largest = Math.max(largest, Math.abs(x));
    }
  });
  if (!Number.isFinite(sum)) throw new NonFiniteMatrix();
  return { rms: Math.sqrt(sum / (view.rows * view.columns)), largest };
}
