/** Singular values in float64 by TensorFlow's operations. */
import type { DeviceMatrix } from '../device/device';
import { gramFloor } from '../wasm/gramPath';
import { Tensors, type TensorflowBinding, type TensorId } from './binding';

/** Elements on the device at once, of a matrix that is tall: 512 MB in float64. */
const SLAB_ELEMENTS = 1 << 26;

/** Squares of magnitudes between these stay far inside float64's 2^±1022; float32 below 2^-126 is zero to TensorFlow. */
const [LEAST, MOST] = [2 ** -100, 2 ** 400];

/**
 * All min(rows, columns) singular values, descending, largest error 2e-8·σ₁; undefined where an element is NaN or
 * infinite. Rows of zeros of the smaller side count as exact zeros.
 *
 * @throws Error of TensorFlow's
 */
export function singularValues(matrix: DeviceMatrix, binding: TensorflowBinding): Float64Array | undefined {
  const look = lookAt(matrix);
  if (look === undefined) return undefined;
  const { nonZero, largest } = look;
  const used = nonZero.reduce((sum, one) => sum + one, 0);
  const values = new Float64Array(nonZero.length);
  if (used === 0) return values;
  const factor = scaleOf(largest);
  const ready = scaled(used === nonZero.length ? matrix : withoutZeros(matrix, nonZero, used), factor);
  values.set(Tensors.scoped(binding, (tensors) => spectrum(ready, tensors)));
  return factor === 1 ? values : values.map((value) => value / factor);
}

interface Look {
  /** 1 for each line of the smaller side that has an element other than zero. */
  readonly nonZero: Uint8Array;
  readonly largest: number;
}

function isWide({ rows, columns }: DeviceMatrix): boolean {
  return rows < columns;
}

/** undefined where an element is not finite. */
function lookAt(matrix: DeviceMatrix): Look | undefined {
  const { rows, columns, values } = matrix;
  const wide = isWide(matrix);
  const nonZero = new Uint8Array(wide ? rows : columns);
  let largest = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const magnitude = Math.abs(values[i * columns + j] ?? NaN);
      // Written so that NaN fails it.
      if (!(magnitude <= Number.MAX_VALUE)) return undefined;
      if (magnitude === 0) continue;
      if (magnitude > largest) largest = magnitude;
      nonZero[wide ? i : j] = 1;
    }
  }
  return { nonZero, largest };
}

/** A power of two, so that nothing is rounded. */
function scaleOf(largest: number): number {
  if (largest >= LEAST && largest <= MOST) return 1;
  return 2 ** -Math.max(-1000, Math.floor(Math.log2(largest)));
}

function scaled(matrix: DeviceMatrix, factor: number): DeviceMatrix {
  if (factor === 1) return matrix;
  return { ...matrix, values: Float64Array.from(matrix.values, (value) => value * factor) };
}

/** The same matrix without the lines of zeros of its smaller side. */
function withoutZeros(matrix: DeviceMatrix, nonZero: Uint8Array, used: number): DeviceMatrix {
  const { rows, columns, values } = matrix;
  const lines = [...nonZero.keys()].filter((line) => nonZero[line] === 1);
  if (isWide(matrix)) {
    const kept = values.slice(0, used * columns);
    lines.forEach((from, to) => {
      kept.set(values.subarray(from * columns, (from + 1) * columns), to * columns);
    });
    return { rows: used, columns, values: kept };
  }
  const kept = values.slice(0, rows * used);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < used; j++) kept[i * used + j] = values[i * columns + (lines[j] ?? 0)] ?? 0;
  return { rows, columns: used, values: kept };
}

/**
 * Square roots of the eigenvalues of the Gram matrix G of the smaller side. Its rounding, c·ε·σ₁², hides singular
 * values of a small share t of σ₁; where there are some, the matrix is taken into the eigenvectors of G. The large
 * ones have split off there: what couples them to the rest is the rounding of G, c·ε·σ₁² over their least length t·σ₁,
 * a few 1e-9·σ₁. The rest, W·V for the eigenvectors V of small eigenvalues, has a Gram matrix of its own scale.
 */
function spectrum(matrix: DeviceMatrix, tensors: Tensors): Float64Array {
  const small = Math.min(matrix.rows, matrix.columns);
  const G = gram(matrix, tensors, undefined);
  const values = tensors.eigenvalues(G);
  // Four times the share at which the processor leaves its Gram path: a quarter of its coupling.
  const hidden = (4 * gramFloor(small)) ** 2 * (values[small - 1] ?? 0);
  if ((values[0] ?? 0) >= hidden) return rootsDescending(values);
  const { values: again, vectors } = tensors.eigenpairs(G);
  tensors.free(G);
  const rest = again.findIndex((value) => value >= hidden);
  if (rest <= 0) return rootsDescending(again);
  const V = tensors.firstColumns(vectors, small, rest);
  tensors.free(vectors);
  const ofRest = tensors.eigenvalues(gram(matrix, tensors, V));
  again.set(ofRest);
  return rootsDescending(again);
}

/**
 * Gram matrix of the smaller side, or with V (smaller side × s) that of the long × s matrix in the directions V. A tall
 * matrix goes over in slabs of rows.
 */
function gram(matrix: DeviceMatrix, tensors: Tensors, V: TensorId | undefined): TensorId {
  const { rows, columns, values } = matrix;
  const wide = isWide(matrix);
  const step = wide ? rows : Math.max(1, Math.floor(SLAB_ELEMENTS / columns));
  let sum: TensorId | undefined;
  for (let first = 0; first < rows; first += step) {
    const height = Math.min(step, rows - first);
    const slab = values.subarray(first * columns, (first + height) * columns);
    const A = tensors.float64(slab, [height, columns]);
    const part = V === undefined ? ofSlab(A, wide, tensors) : ofDirections(A, V, wide, tensors);
    tensors.free(A);
    sum = sum === undefined ? part : tensors.sum(sum, part);
  }
  if (sum === undefined) throw new Error('the matrix is empty');
  return sum;
}

function ofSlab(A: TensorId, wide: boolean, tensors: Tensors): TensorId {
  return tensors.product(A, A, 'float64', wide ? { transposeB: true } : { transposeA: true });
}

function ofDirections(A: TensorId, V: TensorId, wide: boolean, tensors: Tensors): TensorId {
  const B = tensors.product(A, V, 'float64', { transposeA: wide });
  const part = tensors.product(B, B, 'float64', { transposeA: true });
  tensors.free(B);
  return part;
}

function rootsDescending(eigenvalues: Float64Array): Float64Array {
  return eigenvalues
    .map((lambda) => Math.sqrt(Math.max(0, lambda)))
    .sort()
    .reverse();
}
