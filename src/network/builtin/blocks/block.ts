import type { Pass, Tensor, Tf, Values } from '../architecture';

/** One forward pass as blocks see it. */
export interface Running {
  readonly tf: Tf;
  readonly values: Values;
  readonly pass: Pass;
}

/** A part of a network, batch first in and out. Called within `tidy`. */
export type Block = (run: Running, x: Tensor) => Tensor;

/** One after the other. */
export function chain(...blocks: readonly Block[]): Block {
  return (run, x) => blocks.reduce((y, block) => block(run, y), x);
}

/** x + f(x). */
export function added(block: Block): Block {
  return (run, x) => run.tf.add(x, block(run, x));
}
