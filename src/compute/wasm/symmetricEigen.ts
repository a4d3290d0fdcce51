import type { SymmetricEigen } from '../backend';
import type { KernelInstance } from './kernels';
import { NonFiniteMatrix } from './nonFinite';

/** Subproblems up to this size are solved by QL; merging pays above it. */
const LEAF = 24;

/** Elements a row: room for tiles of four columns that begin anywhere, and rows that do not collide in the cache. */
function leadingDimension(n: number): number {
  const padded = Math.ceil(n / 4) * 4 + 4;
  return padded % 512 < 8 ? padded + 8 : padded;
}

/** Bytes of memory that `symmetricEigen` needs for an n × n matrix. */
export function symmetricEigenBytes(n: number): number {
  const ld = leadingDimension(n);
  // Reduced matrix, eigenvectors, gathered rows, rank-one eigenvectors, panels.
  return 8 * (3 * (ld + 4) * ld + n * n + 1600 * ld + 8192);
}

/**
 * All eigenpairs of a symmetric matrix: blocked Householder reduction, divide and conquer, blocked back-transformation.
 * ‖A·V − V·Λ‖ and ‖VᵀV − I‖ are a few hundred units of rounding at most.
 *
 * @param matrix n × n row-major; only the lower triangle is read.
 * @throws {NonFiniteMatrix} when an element is NaN or infinite.
 */
export function symmetricEigen(matrix: Float64Array, n: number, instance: KernelInstance): SymmetricEigen {
  if (n === 0) return { values: new Float64Array(0), vectors: new Float64Array(0) };
  const { kernels } = instance;
  const ld = leadingDimension(n);
  const allocateVector = (): number => instance.allocate((n + 8) * 8);
  const [d, e, tau, order] = [allocateVector(), allocateVector(), allocateVector(), allocateVector()];
  const A = instance.allocate((n + 4) * ld * 8);
  const Q = instance.allocate((n + 4) * ld * 8);
  const work = instance.allocate(
    8 *
      Math.max(
        kernels.tridiagonalWorkspace(ld),
        kernels.mergeWorkspace(n, ld),
        kernels.reflectBackWorkspace(n, ld),
      ),
  );
  const factor = copyScaled(matrix, n, instance.float64(A, (n + 4) * ld), ld);
  instance.float64(Q, (n + 4) * ld).fill(0);

  let left = n;
  do left = kernels.tridiagonalizePanel(A, n, ld, left, d, e, tau, work);
  while (left > 0);
  new Divider(instance, d, e, Q, ld, order, work).solve(0, n);
  for (let from = 2; from < n;) from = kernels.reflectBack(A, n, ld, from, tau, Q, n, ld, work);
  return collect(n, factor, instance, d, Q, ld, order);
}

/** Copies the lower triangle, scaled to largest element about 1 by a power of two; returns that factor. */
function copyScaled(matrix: Float64Array, n: number, to: Float64Array, ld: number): number {
  let largest = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      const size = Math.abs(matrix[i * n + j] ?? 0);
      if (!(size <= largest)) largest = size;
    }
  if (!Number.isFinite(largest)) throw new NonFiniteMatrix();
  const factor = largest === 0 ? 1 : 2 ** -Math.max(-1000, Math.min(1000, Math.floor(Math.log2(largest))));
  to.fill(0);
  for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) to[i * ld + j] = (matrix[i * n + j] ?? 0) * factor;
  return factor;
}

/** Divide and conquer over the tridiagonal matrix in d and e; addresses as in the kernels. */
class Divider {
  constructor(
    private readonly instance: KernelInstance,
    private readonly d: number,
    private readonly e: number,
    private readonly Q: number,
    private readonly ld: number,
    private readonly order: number,
    private readonly work: number,
  ) {}

  /** Rows from … from+n−1: eigenvalues in d, eigenvectors in the diagonal block of Q, ascending order in `order`. */
  solve(from: number, n: number): void {
    const { instance } = this;
    const d = this.d + from * 8;
    const Q = this.Q + (from * this.ld + from) * 8;
    if (n <= LEAF) {
      if (instance.kernels.leafEigen(n, d, this.e + from * 8, Q, this.ld) !== 1) throw new NonFiniteMatrix();
      this.sortLeaf(from, n);
      return;
    }
    const n1 = n >> 1;
    // Leaves use the element after their last off-diagonal one as a sentinel: the coupling is read first.
    const coupling = instance.float64(this.e + (from + n1 - 1) * 8, 1)[0] ?? 0;
    const beside = instance.float64(d + (n1 - 1) * 8, 2);
    beside[0] = (beside[0] ?? 0) - Math.abs(coupling);
    beside[1] = (beside[1] ?? 0) - Math.abs(coupling);
    this.solve(from, n1);
    this.solve(from + n1, n - n1);
    instance.kernels.mergeEigen(n1, n, coupling, d, Q, this.ld, this.order + from * 4, this.work);
  }

  private sortLeaf(from: number, n: number): void {
    const values = this.instance.float64(this.d + from * 8, n);
    const ascending = Array.from(values.keys()).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
    this.instance.int32(this.order + from * 4, n).set(ascending);
  }
}

function collect(
  n: number,
  factor: number,
  instance: KernelInstance,
  d: number,
  Q: number,
  ld: number,
  order: number,
): SymmetricEigen {
  const rows = instance.int32(order, n);
  const unsorted = instance.float64(d, n);
  const vectorsByRow = instance.float64(Q, (n + 4) * ld);
  const values = new Float64Array(n);
  const vectors = new Float64Array(n * n);
  rows.forEach((row, i) => {
    values[i] = (unsorted[row] ?? 0) / factor;
    vectors.set(vectorsByRow.subarray(row * ld, row * ld + n), i * n);
  });
  return { values, vectors };
}
