import type { ModuleHint, TensorRole } from '../checkpoint';
import { inputAxesOf, kerasClass } from './classes';
import type { KerasNode } from './config';

/** What a Keras file says of a dataset: its name as a tensor, and what it is for. */
export interface Place {
  readonly name: string;
  readonly role: TensorRole;
  readonly module?: ModuleHint;
  /** Place among the others; equal ones stay as they are. */
  readonly order: number;
}

/** States of random generators, and of metrics that were running while the model was saved. */
const TRAINING = /^(?:seed_generator(?:_\d+)?|seed_generator_state|_?metrics|_?loss_tracker)$/;

/** The role of what stands at a path. */
export function roleAt(path: readonly string[]): TensorRole {
  const [first = ''] = path;
  if (/^_?optimizer(?:_weights)?$/.test(first)) return 'optimizer';
  return path.some((segment) => TRAINING.test(segment.replace(/:\d+$/, ''))) ? 'training' : 'model';
}

/**
 * What a layer's class says of one of its variables.
 *
 * @param variable `kernel`, `bias` …, as the class calls it
 * @param knownAs the tensor's name with that variable, where the file's own does not have it
 */
export function moduleOf(
  className: string | undefined,
  variable: string,
  node: KerasNode | undefined,
  knownAs: string | undefined,
): ModuleHint | undefined {
  const known = className === undefined ? undefined : kerasClass(className);
  const called = knownAs === undefined ? {} : { knownAs };
  if (known === undefined) return knownAs === undefined ? undefined : { type: '', ...called };
  const isWeight = known.weights.includes(variable);
  const groups = isWeight && variable === 'kernel' ? node?.groups : undefined;
  const inputAxes = className === 'EinsumDense' && isWeight ? inputAxesOf(node?.equation) : undefined;
  return {
    type: known.type,
    ...(isWeight && { order: 'in-out' }),
    ...(groups !== undefined && groups > 1 && { groups }),
    ...(inputAxes !== undefined && { inputAxes }),
    ...called,
  };
}
