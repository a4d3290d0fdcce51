import type { MatrixView } from '../../checkpoint/matrixView';
import type { OnFraction } from '../backend';
import type { KernelInstance } from './kernels';
import { NonFiniteMatrix } from './nonFinite';
import { forEachSlab, widen, type Shape } from './slabs';
import type { TensorElements } from './tensorElements';

/** Summands folded into the triangle at once: 64 rows of 1,024 stay in the second-level cache. */
const FOLD = 64;

/** Columns bidiagonalised a call; keeps calls short, so that the engine's optimised code takes over early. */
const BIDIAGONAL_STEP = 8;

/**
 * Singular values without squaring, descending: Householder QR of the summands, bidiagonal reduction, and the
 * eigenvalues of the interleaved bidiagonal. Error a few units of rounding of σ₁; four to six times the time of the
 * Gram path.
 * @throws {NonFiniteMatrix} when an element is NaN or infinite.
 */
export function accurateSingularValues(
  view: MatrixView,
  shape: Shape,
  elements: TensorElements,
  instance: KernelInstance,
  onFraction: OnFraction,
): Float64Array {
  const { small, long } = shape;
  const foldWork = small === long ? 0 : 2 * small * small * long;
  const reduceWork = (8 / 3) * small ** 3;
  const reduceShare = reduceWork / (foldWork + reduceWork);
  let R: number;
  if (small === long) {
    R = instance.allocate(small * small * 8);
    forEachSlab(view, shape, elements, FOLD, (address, ld, depth, done) => {
      widen(shape, elements, instance.kernels, address, ld, depth, R + (done - depth) * small * 8);
    });
  } else {
    R = foldedTriangle(view, shape, elements, instance, (fraction) => {
      onFraction((1 - reduceShare) * fraction);
    });
  }
  return squareSingularValues(small, R, instance, (fraction) => {
    onFraction(1 - reduceShare * (1 - fraction));
  });
}

/** Bytes of kernel memory of a folded triangle and of what reduces it. */
export function triangleBytes(n: number): number {
  return 8 * n * (n + FOLD + 8);
}

/**
 * R of the QR decomposition of the summands of a view, by Householder reflections: address of small × small float64,
 * row-major, zeros below the diagonal.
 */
export function foldedTriangle(
  view: MatrixView,
  shape: Shape,
  elements: TensorElements,
  instance: KernelInstance,
  onFraction: OnFraction,
): number {
  const { small, long } = shape;
  const { kernels } = instance;
  const R = instance.allocate(small * small * 8);
  instance.float64(R, small * small).fill(0);
  instance.scoped(() => {
    const work = instance.allocate(small * 8);
    const S = instance.allocate(FOLD * small * 8);
    forEachSlab(view, shape, elements, FOLD, (address, ld, depth, done) => {
      widen(shape, elements, kernels, address, ld, depth, S);
      kernels.foldRows(small, R, small, depth, S, small, work);
      onFraction(done / long);
    });
  });
  return R;
}

/**
 * Singular values of the n × n float64 matrix at an address, which is destroyed; descending.
 * @throws {NonFiniteMatrix} when an element is NaN or infinite.
 */
export function squareSingularValues(
  n: number,
  R: number,
  instance: KernelInstance,
  onFraction: OnFraction,
): Float64Array {
  const work = instance.allocate(2 * n * 8);
  const d = instance.allocate(2 * n * 8);
  const f = instance.allocate(2 * n * 8);
  for (let j = 0; j < n; j += BIDIAGONAL_STEP) {
    instance.kernels.bidiagonalize(n, R, n, j, Math.min(j + BIDIAGONAL_STEP, n), d, f, work);
    onFraction(1 - (1 - j / n) ** 3);
  }
  return golubKahanValues(n, d, f, instance);
}

/** Singular values of the upper bidiagonal matrix: the larger half of the eigenvalues ±σ of [0 Bᵀ; B 0], interleaved. */
function golubKahanValues(n: number, d: number, f: number, instance: KernelInstance): Float64Array {
  const diagonal = instance.float64(d, n).slice();
  const superdiagonal = instance.float64(f, n).slice();
  const interleaved = instance.float64(f, 2 * n);
  for (let i = 0; i < n; i++) {
    interleaved[2 * i] = diagonal[i] ?? 0;
    interleaved[2 * i + 1] = superdiagonal[i] ?? 0;
  }
  instance.float64(d, 2 * n).fill(0);
  if (instance.kernels.tridiagonalEigenvalues(2 * n, d, f) !== 1) throw new NonFiniteMatrix();
  return instance
    .float64(d, 2 * n)
    .slice()
    .sort()
    .reverse()
    .subarray(0, n)
    .map((sigma) => Math.max(0, sigma));
}
