/** Matrices of a product U·Vᵀ whose singular values need not be taken of the product itself. */
import { isFormable, productSizes, type ProductSizes } from '../checkpoint/activatedProduct';
import { elementCount, type ActivatedProduct, type Tensor } from '../checkpoint/checkpoint';
import { bytesPerElement } from '../checkpoint/dtype';
import { CheckpointError } from '../checkpoint/errors';
import type { MatrixView } from '../checkpoint/matrixView';
import type { SpectrumRequest } from './backend';

/**
 * Factors of up to this many columns are cheaper to take apart than to multiply out whatever the sides are: the triangle
 * of their rows stays in a core's cache. Adapters have 4 to 256.
 */
const ALWAYS_FACTORED = 256;

/** A matrix as rows of U times rows of V, both rank columns wide: L·Rᵀ, with L and R views of the factors' elements. */
export interface FactoredMatrix {
  readonly left: MatrixView;
  readonly right: MatrixView;
  /** Of L and R. */
  readonly leftFactor: 'U' | 'V';
}

/** A product, and each of the requested matrices as rows of its factors. */
export interface FactoredRequest {
  readonly product: ActivatedProduct;
  readonly sizes: ProductSizes;
  readonly matrices: readonly FactoredMatrix[];
}

/**
 * The factors that a request's singular values are taken of, by QR (see `factoredSingularValues`): of linear products
 * whose rank is well below the sides, or that are too large to be multiplied out. Undefined: the matrix itself is taken.
 */
export function factoredRequest({ tensor, matrices }: SpectrumRequest): FactoredRequest | undefined {
  const { storage, layout } = tensor;
  if (storage.encoding !== 'product' || layout !== undefined || tensor.byteOrder !== undefined)
    return undefined;
  const { product } = storage;
  if (product.activation !== 'identity') return undefined;
  const sizes = sizesOf(product);
  if (sizes === undefined) return undefined;
  if (elementCount(tensor.shape) !== sizes.groups * sizes.rows * sizes.columns) return undefined;
  const factored: FactoredMatrix[] = [];
  for (const view of matrices) {
    const one = factoredMatrix(view, sizes, product.transposed);
    if (one === undefined) return undefined;
    factored.push(one);
  }
  const isLow = matrices.every(({ rows, columns }) => 2 * sizes.rank <= Math.min(rows, columns));
  const isCheap = sizes.rank <= ALWAYS_FACTORED || isLow || !isFormable(sizes);
  return isCheap ? { product, sizes, matrices: factored } : undefined;
}

/** Undefined for factors that do not fit together, which reading them says in its own words. */
function sizesOf(product: ActivatedProduct): ProductSizes | undefined {
  try {
    return productSizes(product);
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}

/** A view that is a rectangle of one of the product's matrices. */
function factoredMatrix(
  { offset, rows, columns, rowStride }: MatrixView,
  { groups, rows: m, columns: n, rank }: ProductSizes,
  transposed: boolean,
): FactoredMatrix | undefined {
  const [storedRows, storedColumns] = transposed ? [n, m] : [m, n];
  if (rowStride !== storedColumns && rows !== 1) return undefined;
  const group = Math.floor(offset / (m * n));
  const inGroup = offset - group * m * n;
  const row = Math.floor(inGroup / storedColumns);
  const column = inGroup - row * storedColumns;
  if (group >= groups || row + rows > storedRows || column + columns > storedColumns) return undefined;
  const rowsOf = (first: number, count: number, side: number): MatrixView => ({
    offset: (group * side + first) * rank,
    rows: count,
    columns: rank,
    rowStride: rank,
  });
  return {
    left: rowsOf(row, rows, storedRows),
    right: rowsOf(column, columns, storedColumns),
    leftFactor: transposed ? 'V' : 'U',
  };
}

/** Floating-point operations of a factored request, for progress and to begin with what takes longest. */
export function factoredWork({ sizes, matrices }: FactoredRequest): number {
  const { rank } = sizes;
  return matrices.reduce(
    (sum, { left, right }) => sum + rank * rank * (left.rows + right.rows + 4 * rank),
    0,
  );
}

/** Bytes of both factors as they are stored. */
export function factorBytes({ U, V }: ActivatedProduct): number {
  const bytesOf = ({ shape, dtype }: Tensor): number => elementCount(shape) * bytesPerElement(dtype);
  return bytesOf(U) + bytesOf(V);
}
