import type { MatrixView } from '../../checkpoint/matrixView';
import type { OnFraction } from '../backend';
import type { KernelInstance } from './kernels';
import { NonFiniteMatrix } from './nonFinite';
import { DEPTH, forEachSlab, pack, shapeOver, type Shape } from './slabs';
import type { TensorElements } from './tensorElements';

/** Unit of rounding of float64. */
const EPSILON = 2 ** -53;

/**
 * Singular values that this path computes below this share of σ₁ are not to be relied on. The eigenvalues of a computed
 * Gram matrix err by c·ε·λ₁, where c grew as √n in every spectrum tried (39 at n = 1,500, worst case seen); σ = √λ then
 * errs by c·ε·σ₁²/(2σ). With c = 2·√n the bound keeps that under 1e-8·σ₁, half of what is promised.
 */
export function gramFloor(small: number): number {
  return (2 * Math.sqrt(small) * EPSILON) / 2e-8;
}

/** Elements a row of the square work matrix: a multiple of 4, and not of 512, whose rows would collide in the cache. */
function leadingDimension(small: number): number {
  const padded = Math.ceil(small / 4) * 4;
  return padded % 512 === 0 ? padded + 8 : padded;
}

/** Bytes of one Gram matrix. */
export function gramBytes(small: number): number {
  const ld = leadingDimension(small);
  return 8 * ld * ld;
}

/** Bytes of a `GramReducer`: one Gram matrix, one packed slab, the panels of the tridiagonal reduction. */
export function gramPathBytes(small: number): number {
  return gramBytes(small) + 8 * leadingDimension(small) * (DEPTH + 200);
}

export interface GramSpectrum {
  /** Descending. */
  readonly values: Float64Array;
  /** The values after as many are exact zeros: the others' rows of the Gram matrix are not zero. */
  readonly used: number;
}

/** Whether every value that is not an exact zero is as exact as promised. */
export function isReliable({ values, used }: GramSpectrum): boolean {
  return (values[used - 1] ?? 0) >= gramFloor(values.length) * (values[0] ?? 0);
}

/** Share of the work that is not the summing of the Gram matrix: small² · long against 4/3 · small³. */
function reducingShare({ small, long }: Shape): number {
  return small / (small + 0.75 * long);
}

/** Singular values by way of Gram matrices of one size, in memory allocated once. */
export class GramReducer {
  private readonly ld: number;
  private readonly padded: number;
  private readonly G: number;
  private readonly P: number;
  private readonly d: number;
  private readonly e: number;
  private readonly tau: number;
  private readonly work: number;

  constructor(
    private readonly small: number,
    private readonly instance: KernelInstance,
  ) {
    this.ld = leadingDimension(small);
    this.padded = Math.ceil(small / 4) * 4;
    this.G = instance.allocate(this.padded * this.ld * 8);
    this.P = instance.allocate(this.padded * DEPTH * 8);
    this.d = instance.allocate(small * 8);
    this.e = instance.allocate(small * 8);
    this.tau = instance.allocate(small * 8);
    this.work = instance.allocate(instance.kernels.tridiagonalWorkspace(this.ld) * 8);
  }

  /** The current Gram matrix, lower triangle, in the reducer's own layout. */
  get gram(): Float64Array {
    return this.instance.float64(this.G, this.padded * this.ld);
  }

  /** Sums the Gram matrix of a view, replacing the current one. */
  sum(view: MatrixView, shape: Shape, elements: TensorElements, onFraction: OnFraction): void {
    const { kernels } = this.instance;
    const share = (1 - reducingShare(shape)) / shape.long;
    this.gram.fill(0);
    forEachSlab(view, shape, elements, DEPTH, (address, ld, depth, done) => {
      pack(shape, elements, kernels, address, ld, depth, this.P);
      kernels.addOuterProduct(this.padded, depth, this.P, this.P, this.G, this.ld);
      onFraction(share * done);
    });
  }

  /** Takes a Gram matrix summed elsewhere, its lower triangle row by row, replacing the current one. */
  load(packed: Float64Array): void {
    const { gram, small, ld } = this;
    gram.fill(0);
    for (let i = 0, from = 0; i < small; i++) {
      const row = packed.subarray(from, from + i + 1);
      gram.set(row, i * ld);
      from += row.length;
    }
  }

  /**
   * Square roots of the eigenvalues of the current Gram matrix, which is destroyed.
   * @throws {NonFiniteMatrix} when an element of what was summed is NaN or infinite.
   */
  reduce(shape: Shape, onFraction: OnFraction): GramSpectrum {
    const { kernels } = this.instance;
    const share = reducingShare(shape);
    const used = dropZeroRows(this.gram, this.small, this.ld);
    for (let left = used; left > 0;) {
      left = kernels.tridiagonalizePanel(this.G, used, this.ld, left, this.d, this.e, this.tau, this.work);
      onFraction(1 - share * (left / this.small) ** 3);
    }
    if (kernels.tridiagonalEigenvalues(used, this.d, this.e) !== 1) throw new NonFiniteMatrix();
    const values = new Float64Array(this.small);
    const nonZero = values.subarray(0, used);
    nonZero.set(this.instance.float64(this.d, used));
    nonZero.sort().reverse();
    nonZero.forEach((lambda, i) => {
      values[i] = Math.sqrt(Math.max(0, lambda));
    });
    return { values, used };
  }
}

/** Singular values of a matrix whose Gram matrix was summed elsewhere. */
export interface GramSingularValues {
  /** n values, descending, never negative; those of rows of zeros are exact zeros. */
  readonly values: Float64Array;
  /** Whether they are as exact as promised. Otherwise the Gram matrix has lost them, and the matrix itself is needed. */
  readonly reliable: boolean;
}

/**
 * Square roots of the eigenvalues of an n × n Gram matrix.
 * @param packed its lower triangle row by row, n·(n+1)/2 numbers.
 * @throws {NonFiniteMatrix} when a diagonal element is NaN or infinite.
 */
export function gramSingularValues(
  packed: Float64Array,
  n: number,
  instance: KernelInstance,
  onFraction: OnFraction,
): GramSingularValues {
  if (n === 0) return { values: new Float64Array(0), reliable: true };
  const reducer = new GramReducer(n, instance);
  reducer.load(packed);
  // Nothing is summed here: all of the work is the reduction.
  const spectrum = reducer.reduce(shapeOver('rows', 0, n), onFraction);
  return { values: spectrum.values, reliable: isReliable(spectrum) };
}

/**
 * Closes up the lower triangle of a Gram matrix over its rows of zeros (dead units, padding, pruned channels), whose
 * singular values are exact zeros then instead of rounding. Returns the number of rows left.
 * @throws {NonFiniteMatrix} when a diagonal element is not finite, as it is when any element of its row was not.
 */
function dropZeroRows(G: Float64Array, n: number, ld: number): number {
  const rows: number[] = [];
  for (let i = 0; i < n; i++) {
    const squaredLength = G[i * ld + i] ?? NaN;
    if (!Number.isFinite(squaredLength)) throw new NonFiniteMatrix();
    if (squaredLength > 0) rows.push(i);
  }
  if (rows.length < n)
    rows.forEach((from, to) => {
      for (let j = 0; j <= to; j++) G[to * ld + j] = G[from * ld + (rows[j] ?? 0)] ?? 0;
    });
  return rows.length;
}
