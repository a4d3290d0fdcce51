/** What the names of TensorFlow's variables mean. */
import { type ModuleHint, type TensorRole } from '../checkpoint';
import {
  type NameParts,
  isDepthwiseName,
  isEmbeddingName,
  isNormName,
  isTransposedName,
  nameParts,
} from '../layers/names';
import { roleInStateDict } from '../roles';
import type { GraphVariable } from './variables';

/** Ends the key of every variable of TF 2, and so says nothing. */
const VALUE_SUFFIX = '/.ATTRIBUTES/VARIABLE_VALUE';
/** In the key of what an optimizer of TF 2 keeps for a variable. */
const SLOT_MARK = '/.OPTIMIZER_SLOT/';

/** Keys that say where Keras 3 keeps a variable and not what it is: `_operations/1/_kernel`, `variables/0`. */
const PLACE = /(?:^|\/)_|\/\d+$/;

/** What optimizers of TF 1 keep for a variable, behind its name; averages are trainers' as well. */
const TF1_SLOT =
  /^(.+)\/(?:adam(?:_1|_m|_v)?|adamw\w*|adamax(?:_1)?|lamb\w*|momentum|rmsprop(?:_[12])?|rms|ftrl(?:_1)?|adagrad|adadelta(?:_1)?|proximaladagrad|gradientdescent|accumulator|exponentialmovingaverage|local_step)$/i;
/** Single numbers of TF 1's optimizers. */
const TF1_OPTIMIZER = /(?:^|\/)(?:beta[12]_power(?:_\d+)?|learning_rate(?:_\d+)?)$/;
/** Counters and generators beside the model. */
const TRAINING = /(?:^|\/)(?:save_counter|global_step|seed_generator(?:_\d+)?\/seed_generator_state)$/;
/** Without a graph of objects: names at the top of a TF 2 checkpoint. */
const TF2_OPTIMIZER = /^(?:\w+_)?optimizer\//;
const TF2_METRICS = /^(?:keras_api\/)?metrics\//;

/**
 * A variable's name: its key without the suffix that all have, or, where that is but a place in a list, the name that
 * the variable itself has. The first that no other variable has.
 */
export function variableName(
  key: string,
  graph: GraphVariable | undefined,
  taken: ReadonlySet<string>,
): string {
  const stripped = key.endsWith(VALUE_SUFFIX) ? key.slice(0, -VALUE_SUFFIX.length) : key;
  const own = graph?.fullName ?? '';
  const candidates = PLACE.test(stripped) && own.includes('/') ? [own, stripped] : [stripped];
  return candidates.find((name) => name !== '' && !taken.has(name)) ?? key;
}

/** @param has whether the checkpoint has a variable of that key */
export function variableRole(
  key: string,
  name: string,
  shape: readonly number[],
  graph: GraphVariable | undefined,
  has: (key: string) => boolean,
): TensorRole {
  if (key.includes(SLOT_MARK) || TF1_OPTIMIZER.test(name)) return 'optimizer';
  const [, weight = ''] = TF1_SLOT.exec(key) ?? [];
  if (weight !== '' && has(weight)) return /average$/i.test(key) ? 'training' : 'optimizer';
  if (TRAINING.test(name)) return 'training';
  if (graph !== undefined && graph.role !== 'model') return graph.role;
  if (graph === undefined && TF2_OPTIMIZER.test(key) && key.endsWith(VALUE_SUFFIX)) return 'optimizer';
  if (graph === undefined && TF2_METRICS.test(key)) return 'training';
  return roleInStateDict(name, shape);
}

/** Weights under names by which other libraries mean out × in, or nothing at all: TF-Slim, Sonnet, plain tf.Variable. */
const WEIGHT = /^(?:weights?|variable(?:_\d+)?|_kernel)$/;
const DEPTHWISE = /^depthwise_(?:kernel|weights)$/;
const POINTWISE = /^pointwise_(?:kernel|weights)$/;
/** Kernels along one to three axes; of three axes in all, a plain variable may be anything. */
const MIN_KERNEL_AXES = 3;
const MAX_KERNEL_AXES = 5;

/** Names by which TensorFlow means kernels of convolutions, besides those of weights. */
const KERNEL = /^(?:kernel|w)$/;

/**
 * What TensorFlow computes with a weight of this name and shape: its matrices are in × out, its kernels k… × in × out
 * (transposed ones k… × out × in), depthwise ones k… × C × multiplier. A bias has one number for each output, which
 * tells these apart whatever the layer is called. Undefined where the name tells, or nothing does.
 *
 * @param biases numbers in the bias beside it, where there is one
 */
export function variableModule(
  name: string,
  shape: readonly number[],
  biases: number | undefined,
): ModuleHint | undefined {
  const parts = nameParts(name);
  const { leaf, parent } = parts;
  const axes = shape.length;
  if (axes >= MIN_KERNEL_AXES && axes <= MAX_KERNEL_AXES) return kernelModule(parts, shape, biases);
  if (axes !== 2 || !WEIGHT.test(leaf) || isNormName(parent)) return undefined;
  return isEmbeddingName(parent) ? { type: 'Embedding' } : { type: 'Linear', order: 'in-out' };
}

function kernelModule(
  parts: NameParts,
  shape: readonly number[],
  biases: number | undefined,
): ModuleHint | undefined {
  const { leaf } = parts;
  const [second = 0, last = 0] = shape.slice(-2);
  const isWeight = WEIGHT.test(leaf) || KERNEL.test(leaf);
  const hint = (type: string): ModuleHint => ({ type: `${type}${shape.length - 2}d`, order: 'in-out' });
  if (DEPTHWISE.test(leaf)) return hint('DepthwiseConv');
  if (isWeight && shape.length > MIN_KERNEL_AXES && biases !== undefined && biases !== last) {
    if (biases === second) return hint('ConvTranspose');
    if (biases === second * last) return hint('DepthwiseConv');
  }
  if (isWeight && isDepthwiseName(parts)) return hint('DepthwiseConv');
  if (!WEIGHT.test(leaf) && !POINTWISE.test(leaf)) return undefined;
  if (leaf.startsWith('variable') && shape.length === MIN_KERNEL_AXES) return undefined;
  return hint(isTransposedName(parts, shape.slice(0, -2)) ? 'ConvTranspose' : 'Conv');
}
