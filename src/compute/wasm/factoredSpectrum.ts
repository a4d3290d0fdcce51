import type { MatrixView } from '../../checkpoint/matrixView';
import type { FileDescriptors } from '../../checkpoint/tensorData';
import type { OnFraction } from '../backend';
import type { FactoredMatrix, FactoredRequest } from '../factoredProduct';
import { foldedTriangle, squareSingularValues, triangleBytes } from './accuratePath';
import { product } from './denseProducts';
import { MAX_MEMORY_BYTES, type KernelInstance } from './kernels';
import type { OnMatrixFraction } from './matrixSpectrum';
import { NonFiniteMatrix } from './nonFinite';
import { shapeOver } from './slabs';
import { BLOCK_BYTES, TensorElements } from './tensorElements';

/** Bytes of kernel memory that a factored request needs, the factors' blocks apart. */
export function factoredWorkBytes({ sizes: { rank } }: FactoredRequest): number {
  // A triangle with its workspace; then the product of two, beside what it is made of.
  return triangleBytes(rank) + 8 * 8 * rank * rank;
}

/**
 * Singular values of s·L·Rᵀ without the product: with L = Q₁·R₁ and R = Q₂·R₂, those of the k × k matrix s·R₁·R₂ᵀ, and
 * zeros (Golub & Van Loan, "Matrix Computations", §5.2: Householder QR is stable column by column, so each pair of columns
 * keeps its own scale). All in float64: the product is never rounded to float32.
 *
 * @returns min(rows, columns) values for each matrix, descending, never negative
 * @throws {NonFiniteMatrix} when an element of a factor is NaN or infinite
 * @throws {RangeError} when the triangles do not fit WebAssembly's memory, or values are beyond float64
 */
export function factoredSingularValues(
  request: FactoredRequest,
  instance: KernelInstance,
  files: FileDescriptors,
  onFraction: OnMatrixFraction,
): Float64Array[] {
  const { product: factors, sizes, matrices } = request;
  const { rank } = sizes;
  if (factoredWorkBytes(request) > MAX_MEMORY_BYTES - 4 * BLOCK_BYTES)
    throw new RangeError(`its rank, ${rank}, needs more than WebAssembly's 4 GiB of memory`);
  const [U, V] = [factors.U, factors.V].map((factor) => {
    const elements = new TensorElements(factor, instance, files);
    if (elements.wide && !elements.scaleToRange()) throw new NonFiniteMatrix();
    return elements;
  });
  if (U === undefined || V === undefined) throw new RangeError('a product of two factors');
  return matrices.map((matrix, i) => {
    const group = Math.floor(
      (matrix.leftFactor === 'U' ? matrix.left : matrix.right).offset / (sizes.rows * rank),
    );
    const scale = Math.abs(factors.omega / (factors.gains[group] ?? NaN));
    return instance.scoped(() => ofOne(matrix, { U, V, rank, scale }, instance, onFraction(i)));
  });
}

interface Scaled {
  readonly U: TensorElements;
  readonly V: TensorElements;
  readonly rank: number;
  readonly scale: number;
}

function ofOne(
  { left, right, leftFactor }: FactoredMatrix,
  { U, V, rank, scale }: Scaled,
  instance: KernelInstance,
  onFraction: OnFraction,
): Float64Array {
  const values = new Float64Array(Math.min(left.rows, right.rows));
  if (values.length === 0) return values;
  const share =
    (part: number, done: number): OnFraction =>
    (fraction) => {
      onFraction(done + part * fraction);
    };
  const total = left.rows + right.rows;
  const [first, second] = leftFactor === 'U' ? [U, V] : [V, U];
  const L = triangleOf(left, first, instance, share((0.9 * left.rows) / total, 0));
  const R = triangleOf(right, second, instance, share((0.9 * right.rows) / total, (0.9 * left.rows) / total));
  if (L.largest === 0 || R.largest === 0 || scale === 0) return values;
  if (!(scale < Infinity)) throw new RangeError('its scale is beyond the range of float64');
  const core = instance.scoped(() =>
    product({ A: L.values, B: transposed(R.values, rank), rows: rank, inner: rank, columns: rank }, instance),
  );
  const address = instance.allocate(8 * rank * rank);
  instance.float64(address, rank * rank).set(core);
  const found = squareSingularValues(rank, address, instance, share(0.1, 0.9));
  values.set(found.subarray(0, values.length));
  const scaleExponent = Math.floor(Math.log2(scale));
  multiply(values, scale / 2 ** scaleExponent);
  multiplyByPower(
    values,
    scaleExponent + L.exponent + R.exponent - Math.log2(U.factor) - Math.log2(V.factor),
  );
  if (!Number.isFinite(values[0])) throw new RangeError('its values are beyond the range of float64');
  return values;
}

function multiply(values: Float64Array, factor: number): void {
  for (let i = 0; i < values.length; i++) values[i] = (values[i] ?? 0) * factor;
}

/** In steps of one sign: nothing on the way passes the range of float64 that does not pass it at the end. */
function multiplyByPower(values: Float64Array, exponent: number): void {
  for (let left = exponent; left !== 0;) {
    const step = Math.min(1000, Math.max(-1000, left));
    multiply(values, 2 ** step);
    left -= step;
  }
}

interface Triangle {
  /** rank × rank, row-major, its largest element 1 … 2, or 0. */
  readonly values: Float64Array;
  /** Of the power of two that was taken out. */
  readonly exponent: number;
  readonly largest: number;
}

/** R of the QR decomposition of rows of a factor, scaled by a power of two so that products of two are about 1. */
function triangleOf(
  view: MatrixView,
  elements: TensorElements,
  instance: KernelInstance,
  onFraction: OnFraction,
): Triangle {
  const { columns: rank, rows } = view;
  return instance.scoped(() => {
    const address = foldedTriangle(view, shapeOver('rows', rows, rank), elements, instance, onFraction);
    const values = instance.float64(address, rank * rank).slice();
    let largest = 0;
    for (const value of values) {
      const magnitude = Math.abs(value);
      // Written so that NaN fails it.
      if (!(magnitude <= Number.MAX_VALUE)) throw new NonFiniteMatrix();
      if (magnitude > largest) largest = magnitude;
    }
    const exponent = largest === 0 ? 0 : Math.floor(Math.log2(largest));
    multiplyByPower(values, -exponent);
    return { values, exponent, largest };
  });
}

function transposed(A: Float64Array, n: number): Float64Array {
  const T = new Float64Array(A.length);
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) T[j * n + i] = A[i * n + j] ?? 0;
  return T;
}
