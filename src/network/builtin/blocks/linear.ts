import type { Tensor } from '../architecture';
import type { ArchitectureBuilder } from '../builder';
import type { Start, WeightLaw } from '../starts';
import { arrayNames, type Weight } from '../weight';
import type { Block, Running } from './block';
import { givenWeight, wholeWeight } from './formedWeight';

export interface LinearSpec {
  /** Path of the module: its weight is `<module>.weight`. */
  readonly module: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly law: WeightLaw;
  readonly bias?: Start;
  readonly isInner?: boolean;
  readonly isHead?: boolean;
  /** Input vectors that one sample brings; default 1. */
  readonly positions?: number;
}

/** y = W·x + b over the last axis. */
export function linear(builder: ArchitectureBuilder, spec: LinearSpec): Block {
  const { module, inputs, outputs, positions = 1, ...rest } = spec;
  const { weight, bias } = builder.layer({
    ...rest,
    name: `${module}.weight`,
    kind: 'linear',
    weightShape: [outputs, inputs],
    positions,
  });
  return (run, x) => {
    run.pass.onInput?.(weight.layer, x);
    const { tf, values } = run;
    const rows = x.shape.length === 2 ? x : tf.reshape(x, [-1, inputs]);
    const product = multiply(run, weight, rows);
    const y = bias === undefined ? product : tf.add(product, values(bias));
    return x.shape.length === 2 ? y : tf.reshape(y, [...x.shape.slice(0, -1), outputs]);
  };
}

/** X·Wᵀ of rows X: through the factors where that gives the same, k numbers in the middle. */
function multiply(run: Running, weight: Weight, rows: Tensor): Tensor {
  const { tf, values } = run;
  const { form, scale } = weight;
  if (givenWeight(run, weight) === undefined) {
    const names = arrayNames(weight.name);
    if (form.kind === 'low-rank')
      return tf.matMul(tf.matMul(rows, values(names.V)), values(names.U), false, true);
    if (form.kind === 'lora') {
      const middle = tf.mul(tf.matMul(rows, values(names.A), false, true), scale);
      const change = tf.matMul(middle, values(names.B), false, true);
      return tf.add(tf.matMul(rows, values(names.W), false, true), change);
    }
  }
  return tf.matMul(rows, wholeWeight(run, weight), false, true);
}
