import type { KerasNode } from './config';

/** What a class of Keras keeps. */
export interface KerasClass {
  /** In torch.nn's words, where it has one. */
  readonly type: string;
  /** Its variables in the order in which Keras 3 numbers them. */
  readonly variables: readonly string[];
  /** Those that are weights stored in × out. */
  readonly weights: readonly string[];
}

const dense = { type: 'Linear', variables: ['kernel', 'bias'], weights: ['kernel'] };
const recurrent = (type: string): KerasClass => ({
  type,
  variables: ['kernel', 'recurrent_kernel', 'bias'],
  weights: ['kernel', 'recurrent_kernel'],
});
const norm = (type: string, variables: readonly string[]): KerasClass => ({ type, variables, weights: [] });

function convolutions(): (readonly [string, KerasClass])[] {
  return [1, 2, 3].flatMap((axes) => {
    const plain = { type: `Conv${axes}d`, variables: ['kernel', 'bias'], weights: ['kernel'] };
    const depthwise = {
      type: `Conv${axes}d`,
      variables: ['depthwise_kernel', 'bias'],
      weights: ['depthwise_kernel'],
    };
    const separable = {
      type: `Conv${axes}d`,
      variables: ['depthwise_kernel', 'pointwise_kernel', 'bias'],
      weights: ['depthwise_kernel', 'pointwise_kernel'],
    };
    return [
      [`Conv${axes}D`, plain],
      [`Convolution${axes}D`, plain],
      [`Conv${axes}DTranspose`, { ...plain, type: `ConvTranspose${axes}d` }],
      [`Convolution${axes}DTranspose`, { ...plain, type: `ConvTranspose${axes}d` }],
      [`DepthwiseConv${axes}D`, depthwise],
      [`SeparableConv${axes}D`, separable],
    ] as const;
  });
}

const CLASSES: ReadonlyMap<string, KerasClass> = new Map<string, KerasClass>([
  ['Dense', dense],
  ['EinsumDense', dense],
  ...convolutions(),
  ['Embedding', { type: 'Embedding', variables: ['embeddings'], weights: [] }],
  ...['LSTM', 'GRU'].flatMap((type) =>
    [type, `${type}Cell`, `CuDNN${type}`].map((name) => [name, recurrent(type)] as const),
  ),
  ['SimpleRNN', recurrent('RNN')],
  ['SimpleRNNCell', recurrent('RNN')],
  ['BatchNormalization', norm('BatchNorm', ['gamma', 'beta', 'moving_mean', 'moving_variance'])],
  ['SyncBatchNormalization', norm('SyncBatchNorm', ['gamma', 'beta', 'moving_mean', 'moving_variance'])],
  ['LayerNormalization', norm('LayerNorm', ['gamma', 'beta'])],
  ['GroupNormalization', norm('GroupNorm', ['gamma', 'beta'])],
  ['RMSNormalization', norm('RMSNorm', ['scale'])],
  ['Normalization', norm('', ['mean', 'variance', 'count'])],
  ['PReLU', { type: 'PReLU', variables: ['alpha'], weights: [] }],
]);

/** What is known of a class; undefined for classes of somebody's own and those without variables. */
export function kerasClass(name: string): KerasClass | undefined {
  return CLASSES.get(name);
}

/** Classes by the names that Keras makes of them: `conv2d_transpose`. */
const BY_SNAKE: ReadonlyMap<string, string> = new Map(
  [...CLASSES.keys()].map((name) => [snakeCase(name), name]),
);

/** The class that a group or a layer was named after by Keras itself: `conv2d_3` is a Conv2D. */
export function classOfAutomaticName(name: string): string | undefined {
  return BY_SNAKE.get(name.replace(/_\d+$/, ''));
}

/** A class's name as Keras makes layers' names of it: `Conv2DTranspose` → `conv2d_transpose`, `PReLU` → `p_re_lu`. */
export function snakeCase(className: string): string {
  return className
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
}

/** The variables that a layer has, without those that its configuration leaves out. */
export function variablesOf(known: KerasClass, node: KerasNode | undefined): readonly string[] {
  return known.variables.filter(
    (variable) =>
      !(variable === 'gamma' && node?.scale === false) && !(variable === 'beta' && node?.center === false),
  );
}

/**
 * How many of a kernel's axes are inputs of an EinsumDense: those summed over, if they come first (`abc,cd->abd`: one).
 * Undefined where they do not, or where the kernel is one matrix a batch.
 */
export function inputAxesOf(equation: string | undefined): number | undefined {
  const [, input, kernel, output] =
    /^\s*([.a-z]+)\s*,\s*([a-z]+)\s*->\s*([.a-z]+)\s*$/i.exec(equation ?? '') ?? [];
  if (input === undefined || kernel === undefined || output === undefined) return undefined;
  const isInput = Array.from(kernel, (axis) => input.includes(axis) && !output.includes(axis));
  const isOutput = Array.from(kernel, (axis) => output.includes(axis) && !input.includes(axis));
  const count = isInput.lastIndexOf(true) + 1;
  const isSplit = isInput.every((is, i) => is === i < count) && isOutput.every((is, i) => is === i >= count);
  return isSplit && count > 0 && count < kernel.length ? count : undefined;
}
