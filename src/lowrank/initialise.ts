/**
 * Starting values of layers that are trained from scratch: dense, low-rank and sine-low-rank, all after Kaiming's
 * uniform law (He et al., "Delving deep into rectifiers", 2015, §2.2).
 *
 * What is trained decides how the factors are scaled:
 * - U·Vᵀ is two linear layers with nothing between them: V sees the n inputs and keeps their variance, U sees the k
 *   values in the middle and carries the activation's gain. W then varies as the dense layer's does.
 * - sin(ω·U·Vᵀ)/g takes its scale from g, whatever U and V are, so their law is a matter of ω. Theorem 3.1 of Ji et al.
 *   ("Sine activated low-rank matrices for parameter efficient learning") asks for 𝒰(−1/N, 1/N) with N > k and says
 *   that N comes from the layer's widths m and n: each factor's own long side is its fan.
 */
import type { FactoredMatrix } from './factorization';
import { RandomStream } from './randomStream';
import { factoredMatrix } from './twoFactors';

/**
 * ω of a layer to be trained, unless told otherwise: the best of the sweep 100 … 700 in Table 5 of Ji et al. (ViT-Small,
 * k = 1).
 */
export const TRAINING_OMEGA = 500;

/**
 * Half-width of Kaiming's uniform law: √(6/((1 + a²)·fan)), variance 2/((1 + a²)·fan).
 *
 * @param fan inputs each output is summed over
 * @param negativeSlope a, of the leaky ReLU that follows: 0 for ReLU, 1 for none, √5 as torch.nn.Linear has it
 */
export function kaimingBound(fan: number, negativeSlope = 0): number {
  return Math.sqrt(6 / ((1 + negativeSlope ** 2) * fan));
}

/** m × n row-major, Kaiming-uniform with fan n. */
export function initialiseDense(
  rows: number,
  columns: number,
  seed: number,
  negativeSlope = 0,
): Float32Array {
  return uniform(new RandomStream(seed), rows * columns, kaimingBound(columns, negativeSlope));
}

export interface InitialisationOptions {
  /** m, outputs. */
  readonly rows: number;
  /** n, inputs. */
  readonly columns: number;
  /** k. */
  readonly rank: number;
  /** Decides every value: 0 … 2³² − 1. */
  readonly seed: number;
  /** a of {@link kaimingBound}; 0 unless told. */
  readonly negativeSlope?: number;
}

export interface SineInitialisationOptions extends InitialisationOptions {
  /** {@link TRAINING_OMEGA} unless told. */
  readonly omega?: number;
  /**
   * g; √n unless told, as the authors' own code has it: once ω spreads ω·U·Vᵀ over several periods, sin varies by 1/2
   * and W by 1/(2n), between torch.nn.Linear's 1/(3n) and Kaiming's 2/n.
   */
  readonly gain?: number;
}

/**
 * Factors of W = U·Vᵀ with Var W = 2/((1 + a²)·n), a dense Kaiming-uniform layer's.
 *
 * @throws RangeError when a size is no positive whole number or the seed is out of range
 */
export function initialiseLowRank(options: InitialisationOptions): FactoredMatrix {
  const { rows, columns, rank, seed, negativeSlope = 0 } = checked(options);
  const random = new RandomStream(seed);
  const U = uniform(random, rows * rank, kaimingBound(rank, negativeSlope));
  const V = uniform(random, columns * rank, kaimingBound(columns, 1));
  return factoredMatrix('svd', U, V, rank, {});
}

/**
 * Factors of W = sin(ω·U·Vᵀ)/g, U Kaiming-uniform with fan m and V with fan n.
 *
 * @throws RangeError when a size is no positive whole number, the seed is out of range, or ω or g is not finite or 0
 */
export function initialiseSine(options: SineInitialisationOptions): FactoredMatrix {
  const { rows, columns, rank, seed, negativeSlope = 0 } = checked(options);
  const omega = options.omega ?? TRAINING_OMEGA;
  const gain = options.gain ?? Math.sqrt(columns);
  for (const [name, value] of Object.entries({ omega, gain })) {
    if (!Number.isFinite(value) || value === 0) throw new RangeError(`${name} is ${value}`);
  }
  const random = new RandomStream(seed);
  const U = uniform(random, rows * rank, kaimingBound(rows, negativeSlope));
  const V = uniform(random, columns * rank, kaimingBound(columns, negativeSlope));
  return factoredMatrix('sine', U, V, rank, { omega, gain });
}

function checked<T extends InitialisationOptions>(options: T): T {
  for (const name of ['rows', 'columns', 'rank'] as const) {
    const size = options[name];
    if (!Number.isSafeInteger(size) || size < 1) throw new RangeError(`${name} is ${size}`);
  }
  return options;
}

function uniform(random: RandomStream, count: number, bound: number): Float32Array {
  return Float32Array.from({ length: count }, () => random.symmetric(bound));
}
