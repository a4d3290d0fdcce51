import type { ActivatedProduct } from './checkpoint';
import { CheckpointError } from './errors';

/**
 * Largest matrix that factors are multiplied out to, in elements: 1 GiB of float32. The largest linear layers in use
 * (28,672 × 8,192) have nine tenths of it. Without a bound, a file of a megabyte could ask for a terabyte.
 */
export const MAX_PRODUCT_ELEMENTS = 2 ** 28;

/** Sums taken side by side, so that the processor need not wait for one addition to begin the next. */
const COLUMNS_AT_ONCE = 4;

/** Sizes of a stack of products: `groups` matrices of rows × columns, factors of `rank` columns. */
export interface ProductSizes {
  readonly groups: number;
  /** m, outputs. */
  readonly rows: number;
  /** n, inputs. */
  readonly columns: number;
  readonly rank: number;
}

/** What one matrix is made of: φ(ω·U·Vᵀ)/g. */
export interface ProductFactors {
  readonly activation: ActivatedProduct['activation'];
  readonly omega: number;
  readonly gain: number;
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
  /** rows × rank, row-major. */
  readonly U: Float32Array | Float64Array;
  /** columns × rank, row-major. */
  readonly V: Float32Array | Float64Array;
  /** Wᵀ (columns × rows) is wanted. */
  readonly transposed: boolean;
}

/**
 * Checks that factors fit together. Their rank may be above both sides, as that of an adapter of a narrow layer is.
 *
 * @throws CheckpointError `malformed` when shapes, ω or g make no product.
 */
export function productSizes({ activation, U, V, omega, gains }: ActivatedProduct): ProductSizes {
  const [groups, rows, rank] = stackOf('U', U.shape);
  const [groupsV, columns, rankV] = stackOf('V', V.shape);
  if (groups !== groupsV || rank !== rankV) {
    throw malformed(`factors of ${U.shape.join(' × ')} and ${V.shape.join(' × ')} do not fit together`);
  }
  if (gains.length !== groups) throw malformed(`${gains.length} gains for ${groups} matrices`);
  // Of the linear product it is a scale, which may turn signs round.
  const isScale = activation === 'identity' && omega !== 0;
  if (!Number.isFinite(omega) || !(omega > 0 || isScale)) throw malformed(`omega is ${omega}`);
  const odd = gains.find((gain) => !Number.isFinite(gain) || gain <= 0);
  if (odd !== undefined) throw malformed(`a gain of ${odd}`);
  return { groups, rows, columns, rank };
}

/** Whether a product is small enough to be multiplied out. */
export function isFormable({ groups, rows, columns }: ProductSizes): boolean {
  return groups * rows * columns <= MAX_PRODUCT_ELEMENTS;
}

/** @throws CheckpointError `unsupported` when a product is too large to be multiplied out. */
export function requireFormable(sizes: ProductSizes): void {
  if (isFormable(sizes)) return;
  const elements = sizes.groups * sizes.rows * sizes.columns;
  throw new CheckpointError(
    'unsupported',
    `factors of a weight of ${elements} elements, more than ${MAX_PRODUCT_ELEMENTS}`,
  );
}

function stackOf(name: string, shape: readonly number[]): [number, number, number] {
  const [a = 0, b = 0, c = 0] = shape.length === 2 ? [1, ...shape] : shape;
  if (shape.length < 2 || shape.length > 3 || a * b * c === 0) {
    throw malformed(`a factor ${name} of shape [${shape.join(', ')}]`);
  }
  return [a, b, c];
}

function malformed(reason: string): CheckpointError {
  return new CheckpointError('malformed', reason);
}

/**
 * Multiplies φ(ω·U·Vᵀ)/g out (Ji et al., "Sine activated low-rank matrices for parameter efficient learning", eq. 3;
 * with the identity, the ordinary low-rank product): sums and sine in float64, each element rounded to float32 once.
 *
 * @param target rows × columns (columns × rows when transposed), row-major; filled where the range says
 * @param range rows of U to do, so that a long product can be done in pieces; all of them when absent
 */
export function multiplyOut(
  factors: ProductFactors,
  target: Float32Array,
  range: { readonly from: number; readonly to: number } = { from: 0, to: factors.rows },
): void {
  const { rows, columns, rank, transposed } = factors;
  const V = Float64Array.from(factors.V);
  const u = new Float64Array(rank);
  const [rowStride, columnStride] = transposed ? [1, rows] : [columns, 1];
  const activate = activationOf(factors);
  for (let i = range.from; i < range.to; i++) {
    u.set(factors.U.subarray(i * rank, (i + 1) * rank));
    const start = i * rowStride;
    let j = 0;
    for (; j + COLUMNS_AT_ONCE <= columns; j += COLUMNS_AT_ONCE) {
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let t = 0, at = j * rank; t < rank; t++, at++) {
        const x = u[t] ?? 0;
        s0 += x * (V[at] ?? 0);
        s1 += x * (V[at + rank] ?? 0);
        s2 += x * (V[at + 2 * rank] ?? 0);
        s3 += x * (V[at + 3 * rank] ?? 0);
      }
      target[start + j * columnStride] = activate(s0);
      target[start + (j + 1) * columnStride] = activate(s1);
      target[start + (j + 2) * columnStride] = activate(s2);
      target[start + (j + 3) * columnStride] = activate(s3);
    }
    for (; j < columns; j++) {
      let sum = 0;
      for (let t = 0, at = j * rank; t < rank; t++, at++) sum += (u[t] ?? 0) * (V[at] ?? 0);
      target[start + j * columnStride] = activate(sum);
    }
  }
}

function activationOf({ activation, omega, gain }: ProductFactors): (value: number) => number {
  switch (activation) {
    case 'sine':
      return (value) => Math.sin(omega * value) / gain;
    case 'identity':
      return (value) => (omega * value) / gain;
  }
}
