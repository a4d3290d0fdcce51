/**
 * What theory says about the rank of sin(ω·A): Proposition 1 of Ji et al., "Sine activated low-rank matrices for
 * parameter efficient learning" (equation numbers are the paper's).
 */

/** Proposition 1 for one matrix A. */
export interface Proposition1 {
  /** A⁰_min, the smallest |Aᵢⱼ| that is not zero (eq. 4); 0 for the zero matrix. */
  readonly smallestEntry: number;
  /** ‖√|A|‖_op, |·| and √· entry by entry; never below the true norm, and above it by 1e-10 of it at most. */
  readonly rootNorm: number;
  /** π/(3·A⁰_min): the proposition speaks of 0 ≤ ω ≤ this. 0 for the zero matrix, which it excludes. */
  readonly omegaLimit: number;
  /**
   * ω·(A⁰_min/‖√|A|‖_op)², below which the rank of sin(ωA) does not fall (eq. 5); 0 where the proposition says
   * nothing: beyond `omegaLimit`, below 0.
   */
  readonly rankBound: (omega: number) => number;
}

/** Relative width of the bracket around ‖√|A|‖²_op at which the iteration ends. */
const NORM_TOLERANCE = 2e-10;

/** The bracket closes in about ten steps; matrices of nearly equal blocks need more, and keep a wider bracket. */
const NORM_STEPS = 2000;

/**
 * Proposition 1: Rank(sin(ωA)) ≥ ω·(A⁰_min/‖√|A|‖_op)² for 0 ≤ ω ≤ π/(3·A⁰_min).
 *
 * How to read it: the proof bounds the stable rank (eq. 23), ‖sin(ωA)‖²_F from below by a single entry (lemma 1) and
 * ‖sin(ωA)‖²_op from above by ω·‖√|A|‖²_op (lemma 2). It tells where rank may grow with ω, not how far: in a matrix
 * without zeros ‖√|A|‖²_op ≥ m·n·A⁰_min, so the bound stays below π/(3·m·n). Lemma 1 as proven (sin x ≥ x/2) gives a
 * quarter of eq. 5; the equation is kept as it is printed.
 *
 * @param A rows × columns, row-major, finite
 */
export function proposition1(A: ArrayLike<number>, rows: number, columns: number): Proposition1 {
  const roots = new Float64Array(rows * columns);
  let smallestEntry = Infinity;
  for (let i = 0; i < roots.length; i++) {
    const magnitude = Math.abs(A[i] ?? 0);
    roots[i] = Math.sqrt(magnitude);
    if (magnitude > 0 && magnitude < smallestEntry) smallestEntry = magnitude;
  }
  if (smallestEntry === Infinity) {
    return { smallestEntry: 0, rootNorm: 0, omegaLimit: 0, rankBound: () => 0 };
  }
  const rootNorm = nonNegativeNorm(roots, rows, columns);
  const omegaLimit = Math.PI / (3 * smallestEntry);
  const slope = (smallestEntry / rootNorm) ** 2;
  return {
    smallestEntry,
    rootNorm,
    omegaLimit,
    rankBound: (omega) => (omega >= 0 && omega <= omegaLimit ? omega * slope : 0),
  };
}

/**
 * ‖M‖_op of a matrix without negative entries, by power iteration on MᵀM. Its leading eigenvector has no negative
 * entries either (Perron–Frobenius), so the all-ones start is never orthogonal to it, and for any positive v the
 * largest (MᵀMv)ᵢ/vᵢ is at least the eigenvalue (Collatz–Wielandt): together with the Rayleigh quotient a bracket.
 *
 * @returns the upper end of the bracket: a rank bound that divides by it stays valid
 */
function nonNegativeNorm(M: Float64Array, rows: number, columns: number): number {
  let v = new Float64Array(columns).fill(1);
  let above = 0;
  for (let step = 0; step < NORM_STEPS; step++) {
    const image = gramTimes(M, rows, columns, v);
    const { upper, rayleigh, largest } = bracket(v, image);
    above = step === 0 ? upper : Math.min(above, upper);
    if (above - rayleigh <= NORM_TOLERANCE * above) break;
    v = image.map((value) => value / largest);
  }
  return Math.sqrt(above);
}

function bracket(v: Float64Array, image: Float64Array): { upper: number; rayleigh: number; largest: number } {
  let upper = 0;
  let largest = 0;
  let across = 0;
  let square = 0;
  v.forEach((value, i) => {
    const mapped = image[i] ?? 0;
    // Columns of zeros leave v at 0 after the first step: no part of the eigenvector.
    if (value > 0) upper = Math.max(upper, mapped / value);
    largest = Math.max(largest, mapped);
    across += value * mapped;
    square += value * value;
  });
  return { upper, rayleigh: across / square, largest };
}

/** MᵀMv. */
function gramTimes(M: Float64Array, rows: number, columns: number, v: Float64Array): Float64Array {
  const image = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    const row = M.subarray(i * columns, (i + 1) * columns);
    let dot = 0;
    row.forEach((entry, j) => (dot += entry * (v[j] ?? 0)));
    row.forEach((entry, j) => (image[j] = (image[j] ?? 0) + entry * dot));
  }
  return image;
}
