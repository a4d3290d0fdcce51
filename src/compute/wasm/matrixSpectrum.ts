import type { MatrixView } from '../../checkpoint/matrixView';
import type { OnFraction } from '../backend';
import { MAX_MEMORY_BYTES, type KernelInstance } from './kernels';
import type { TensorElements } from './tensorElements';

/** Summands a slab of the Gram matrix holds; the kernels' panels are made for it. */
const DEPTH = 256;

/** Summands folded into the triangle at once on the accurate path: 64 rows of 1,024 stay in the second-level cache. */
const FOLD = 64;

/** Columns bidiagonalised a call; keeps calls short, so that the engine's optimised code takes over early. */
const BIDIAGONAL_STEP = 8;

/** Matrices with a side this short take the accurate path at once: it costs microseconds there. */
const ALWAYS_ACCURATE = 32;

/** Unit of rounding of float64. */
const EPSILON = 2 ** -53;

/**
 * Computed singular values below this share of σ₁ are redone on the accurate path. The eigenvalues of a computed Gram
 * matrix err by c·ε·λ₁, where c grew as √n in every spectrum tried (39 at n = 1,500, worst case seen); σ = √λ then errs
 * by c·ε·σ₁²/(2σ). With c = 2·√n the bound keeps that under 1e-8·σ₁, half of what is promised.
 */
function gramFloor(small: number): number {
  return (2 * Math.sqrt(small) * EPSILON) / 2e-8;
}

/** Memory left for the blocks of elements, which are at most this in total, when the Gram matrix is at its largest. */
const BLOCKS_RESERVE = 128 << 20;

/** A matrix holds NaN or infinite elements, so it has no singular values. */
export class NonFiniteMatrix extends Error {
  override readonly name = 'NonFiniteMatrix';
}

interface Shape {
  /** min(rows, columns). */
  readonly small: number;
  /** max(rows, columns). */
  readonly long: number;
  /** The summands run along the columns (rows ≤ columns): G = A·Aᵀ. */
  readonly isWide: boolean;
}

function shapeOf({ rows, columns }: MatrixView): Shape {
  return { small: Math.min(rows, columns), long: Math.max(rows, columns), isWide: rows <= columns };
}

/** Elements a row of the square work matrix: a multiple of 4, and not of 512, whose rows would collide in the cache. */
function leadingDimension(small: number): number {
  const padded = Math.ceil(small / 4) * 4;
  return padded % 512 === 0 ? padded + 8 : padded;
}

/** Bytes of memory, beyond one block of elements, that the singular values of a matrix need. */
export function workBytes(view: MatrixView): number {
  const { small } = shapeOf(view);
  const ld = leadingDimension(small);
  // Gram matrix, one packed slab, and the panels of the tridiagonal reduction.
  return 8 * ld * (ld + DEPTH + 200);
}

/**
 * The min(m, n) singular values of one matrix, descending. Largest error 2e-8·σ₁; exact zeros may come out as
 * rounding of σ₁ (1e-15·σ₁) but never negative.
 *
 * @throws {NonFiniteMatrix} when an element is NaN or infinite.
 * @throws {RangeError} when the smaller side is beyond what 4 GiB of memory hold (about 22,000).
 */
export function singularValues(
  view: MatrixView,
  elements: TensorElements,
  instance: KernelInstance,
  onFraction: OnFraction,
): Float64Array {
  const shape = shapeOf(view);
  if (shape.small === 0) return new Float64Array(0);
  if (workBytes(view) > MAX_MEMORY_BYTES - BLOCKS_RESERVE)
    throw new RangeError(`its smaller side, ${shape.small}, needs more than WebAssembly's 4 GiB of memory`);
  if (shape.small > ALWAYS_ACCURATE) {
    const { values, used } = instance.scoped(() => byGram(view, shape, elements, instance, onFraction));
    const smallest = values[used - 1] ?? 0;
    const largest = values[0] ?? 0;
    if (smallest >= gramFloor(shape.small) * largest) return unscale(values, elements.factor);
  }
  return unscale(
    instance.scoped(() => byBidiagonal(view, shape, elements, instance, onFraction)),
    elements.factor,
  );
}

function unscale(values: Float64Array, factor: number): Float64Array {
  return factor === 1 ? values : values.map((value) => value / factor);
}

/** `used`: rows of the Gram matrix that are not zero; the singular values after as many are exact zeros. */
function byGram(
  view: MatrixView,
  shape: Shape,
  elements: TensorElements,
  instance: KernelInstance,
  onFraction: OnFraction,
): { values: Float64Array; used: number } {
  const { small, long } = shape;
  const { kernels } = instance;
  const ld = leadingDimension(small);
  const padded = Math.ceil(small / 4) * 4;
  const G = instance.allocate(padded * ld * 8);
  const P = instance.allocate(padded * DEPTH * 8);
  const d = instance.allocate(small * 8);
  const e = instance.allocate(small * 8);
  const tau = instance.allocate(small * 8);
  const work = instance.allocate(kernels.tridiagonalWorkspace(ld) * 8);
  instance.float64(G, padded * ld).fill(0);

  // Floating-point operations of the two stages, to report progress by.
  const gramWork = small * small * long;
  const reduceWork = (4 / 3) * small ** 3;
  const total = gramWork + reduceWork;

  forEachSlab(view, shape, elements, DEPTH, (address, slabLd, depth, done) => {
    pack(shape.isWide, elements, kernels, address, slabLd, small, depth, P);
    kernels.addOuterProduct(padded, depth, P, P, G, ld);
    onFraction((small * small * done) / total);
  });
  const used = dropZeroRows(instance.float64(G, padded * ld), small, ld);
  for (let left = used; left > 0;) {
    left = kernels.tridiagonalizePanel(G, used, ld, left, d, e, tau, work);
    onFraction((gramWork + reduceWork * (1 - (left / small) ** 3)) / total);
  }
  if (kernels.tridiagonalEigenvalues(used, d, e) !== 1) throw new NonFiniteMatrix();
  const values = new Float64Array(small);
  values.set(instance.float64(d, used));
  values
    .subarray(0, used)
    .sort()
    .reverse()
    .forEach((lambda, i) => {
      values[i] = Math.sqrt(Math.max(0, lambda));
    });
  return { values, used };
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

function byBidiagonal(
  view: MatrixView,
  shape: Shape,
  elements: TensorElements,
  instance: KernelInstance,
  onFraction: OnFraction,
): Float64Array {
  const { small, long } = shape;
  const { kernels } = instance;
  const R = instance.allocate(small * small * 8);
  const work = instance.allocate(2 * small * 8);
  const d = instance.allocate(2 * small * 8);
  const f = instance.allocate(2 * small * 8);
  const foldWork = small === long ? 0 : 2 * small * small * long;
  const total = foldWork + (8 / 3) * small ** 3;
  if (small === long) {
    forEachSlab(view, shape, elements, FOLD, (address, ld, depth, done) => {
      widen(shape.isWide, elements, kernels, address, ld, small, depth, R + (done - depth) * small * 8);
    });
  } else {
    const S = instance.allocate(FOLD * small * 8);
    instance.float64(R, small * small).fill(0);
    forEachSlab(view, shape, elements, FOLD, (address, ld, depth, done) => {
      widen(shape.isWide, elements, kernels, address, ld, small, depth, S);
      kernels.foldRows(small, R, small, depth, S, small, work);
      onFraction((2 * small * small * done) / total);
    });
  }
  for (let j = 0; j < small; j += BIDIAGONAL_STEP) {
    kernels.bidiagonalize(small, R, small, j, Math.min(j + BIDIAGONAL_STEP, small), d, f, work);
    onFraction((foldWork + (8 / 3) * small ** 3 * (1 - (1 - j / small) ** 3)) / total);
  }
  return golubKahanValues(small, d, f, instance);
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

/** Visits a matrix in slabs of up to `depth` summands; `done` counts the summands including this slab. */
function forEachSlab(
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

function pack(
  isWide: boolean,
  elements: TensorElements,
  kernels: KernelInstance['kernels'],
  address: number,
  ld: number,
  small: number,
  depth: number,
  P: number,
): void {
  if (elements.wide) {
    if (isWide) kernels.packRows64(address, ld, small, depth, elements.factor, P);
    else kernels.packColumns64(address, ld, small, depth, elements.factor, P);
  } else if (isWide) kernels.packRows32(address, ld, small, depth, P);
  else kernels.packColumns32(address, ld, small, depth, P);
}

/** Summands as rows of float64: S[k][i] is summand k of row i of the smaller side. */
function widen(
  isWide: boolean,
  elements: TensorElements,
  kernels: KernelInstance['kernels'],
  address: number,
  ld: number,
  small: number,
  depth: number,
  S: number,
): void {
  if (elements.wide) {
    if (isWide) kernels.widenColumns64(address, ld, small, depth, elements.factor, S);
    else kernels.widenRows64(address, ld, depth, small, elements.factor, S);
  } else if (isWide) kernels.widenColumns32(address, ld, small, depth, S);
  else kernels.widenRows32(address, ld, depth, small, S);
}
