import type * as Core from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core';

/** What a descent needs of TensorFlow.js, on whichever of its backends is set. */
export type TensorOps = Pick<
  typeof Core,
  | 'add'
  | 'cos'
  | 'dispose'
  | 'div'
  | 'exp'
  | 'keep'
  | 'matMul'
  | 'mul'
  | 'reshape'
  | 'scalar'
  | 'sin'
  | 'slice'
  | 'sqrt'
  | 'square'
  | 'sub'
  | 'sum'
  | 'tensor1d'
  | 'tensor2d'
  | 'tidy'
  | 'zerosLike'
>;

/** What is descended to: blocks of whole rows of W, and the Gram matrix of the inputs over its mean diagonal. */
export interface SineProblem {
  readonly W: readonly Tensor2D[];
  readonly G: Tensor2D | undefined;
}

/** U in the same blocks of rows, V whole. */
export interface BlockedPoint {
  readonly U: readonly Tensor2D[];
  readonly V: Tensor2D;
  readonly amplitude: Scalar;
}

/** At a point: ½‖R‖² of R = a·sin(U·Vᵀ) − W, its derivative by log a, and by U and V, these two divided by a. */
export interface BlockedGradient {
  /** Only where it is asked for. */
  readonly objective: Scalar | undefined;
  readonly slope: Scalar;
  readonly U: readonly Tensor2D[];
  readonly V: Tensor2D;
}

/** Evaluates the objective of a descent, in the norm of the inputs where there is a Gram matrix. To be called in a `tidy`. */
export function sineGradient(
  tf: TensorOps,
  { W, G }: SineProblem,
  { U, V, amplitude }: BlockedPoint,
  isObjectiveWanted: boolean,
): BlockedGradient {
  const gradU: Tensor2D[] = [];
  const gradV: Tensor2D[] = [];
  const projections: Scalar[] = [];
  const squares: Scalar[] = [];
  W.forEach((w, i) => {
    const u = U[i];
    if (u === undefined) throw new Error('U has fewer blocks of rows than W');
    // What is as large as W goes as soon as its block is done; what is returned stays.
    tf.tidy(() => {
      const X = tf.matMul(u, V, false, true);
      const sine = tf.sin(X);
      const R: Tensor2D = tf.sub(tf.mul(sine, amplitude), w);
      const weighted = G === undefined ? R : tf.matMul<Tensor2D>(R, G);
      const E: Tensor2D = tf.mul(weighted, tf.cos(X));
      gradU.push(tf.matMul(E, V));
      gradV.push(tf.matMul(E, u, true, false));
      projections.push(total(tf, tf.mul(weighted, sine)));
      if (isObjectiveWanted) squares.push(total(tf, tf.mul(weighted, R)));
      return [...gradU.slice(i), ...gradV.slice(i), ...projections.slice(i), ...squares.slice(i)];
    });
  });
  return {
    objective: isObjectiveWanted ? tf.mul(sumOf(tf, squares), 0.5) : undefined,
    slope: tf.mul(sumOf(tf, projections), amplitude),
    U: gradU,
    V: sumOf(tf, gradV),
  };
}

/** Σ of all elements, row by row: one long sum would run on one core of a graphics card, and round more. */
function total(tf: TensorOps, X: Tensor2D): Scalar {
  return tf.sum(tf.sum(X, 1));
}

/** The sum over the blocks, of which there is one at least. */
function sumOf<T extends Tensor>(tf: TensorOps, blocks: readonly T[]): T {
  return blocks.reduce((sum, block) => tf.add(sum, block));
}
