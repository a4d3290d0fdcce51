import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Tensor, Tf } from '../architecture';
import type { ArchitectureBuilder } from '../builder';
import type { Start, WeightLaw } from '../starts';
import { arrayNames, type Weight } from '../weight';
import type { Block, Running } from './block';
import { givenWeight, wholeWeight } from './formedWeight';

export interface ConvolutionSpec {
  /** Path of the module: its weight is `<module>.weight`. */
  readonly module: string;
  readonly inputs: number;
  readonly outputs: number;
  /** Side of the window. */
  readonly kernel: number;
  /** Default 1. */
  readonly stride?: number;
  /** Zeros around the picture; default: none. */
  readonly padding?: number;
  readonly groups?: number;
  /** Height and width of the input. */
  readonly size: readonly [number, number];
  readonly law: WeightLaw;
  readonly bias?: Start;
  readonly isInner?: boolean;
}

/** Height and width of a convolution's output. */
export function outputSize(
  size: readonly [number, number],
  { kernel, stride = 1, padding = 0 }: Pick<ConvolutionSpec, 'kernel' | 'stride' | 'padding'>,
): [number, number] {
  const [height, width] = size.map((side) => Math.floor((side + 2 * padding - kernel) / stride) + 1);
  return [height ?? 0, width ?? 0];
}

/**
 * A convolution of NHWC pictures with a weight O × I/g × kh × kw. In low-rank form it is one to k channels and then one
 * of 1 × 1; grouped ones are multiplied out first.
 */
export function convolution(builder: ArchitectureBuilder, spec: ConvolutionSpec): Block {
  const { module, inputs, outputs, kernel, stride = 1, padding = 0, groups = 1, size, ...rest } = spec;
  const [height, width] = outputSize(size, spec);
  // With stride 1 and an odd window, Keras' `same` is PyTorch's padding of half a window.
  const isSame = stride === 1 && padding > 0 && 2 * padding === kernel - 1;
  const { weight, bias } = builder.layer({
    ...rest,
    name: `${module}.weight`,
    kind: 'conv',
    weightShape: [outputs, inputs / groups, kernel, kernel],
    groups,
    positions: height * width,
    geometry: {
      kernel: [kernel, kernel],
      strides: [stride, stride],
      dilations: [1, 1],
      padding: isSame ? 'same' : 'valid',
    },
  });
  const window: Window = { kernel, stride, pad: isSame ? 'same' : 'valid' };
  return (run, x) => {
    const { tf, values } = run;
    const padded = isSame ? x : padBorder(tf, x, padding);
    run.pass.onInput?.(weight.layer, padded);
    const y = convolve(run, weight, padded, window);
    return bias === undefined ? y : tf.add(y, values(bias));
  };
}

interface Window {
  readonly kernel: number;
  readonly stride: number;
  readonly pad: 'same' | 'valid';
}

function padBorder(tf: Tf, x: Tensor, by: number): Tensor {
  if (by === 0) return x;
  return tf.pad(x, [
    [0, 0],
    [by, by],
    [by, by],
    [0, 0],
  ]);
}

function convolve(run: Running, weight: Weight, x: Tensor, window: Window): Tensor {
  const { tf, values } = run;
  const { form, groups, shape, scale, weightShape } = weight;
  const inputs = weightShape[1] ?? 1;
  if (givenWeight(run, weight) === undefined && groups === 1) {
    const names = arrayNames(weight.name);
    const { kernel } = window;
    if (form.kind === 'low-rank') {
      const V = tf.reshape(values(names.V), [inputs, kernel, kernel, form.rank]);
      return pointwise(tf, apply(tf, x, tf.transpose(V, [1, 2, 0, 3]), window), values(names.U));
    }
    if (form.kind === 'lora') {
      const A = tf.reshape(tf.mul(values(names.A), scale), [form.rank, inputs, kernel, kernel]);
      const change = pointwise(tf, apply(tf, x, tf.transpose(A, [2, 3, 1, 0]), window), values(names.B));
      return tf.add(dense(tf, x, values(names.W), window), change);
    }
  }
  const W = wholeWeight(run, weight);
  return groups === 1 ? dense(tf, x, W, window) : grouped(tf, x, W, groups, shape[0], window);
}

/** W is O × I × kh × kw. */
function dense(tf: Tf, x: Tensor, W: Tensor, window: Window): Tensor {
  const [outputs = 1, inputs = 1] = W.shape;
  if (window.kernel === 1)
    return pointwise(tf, everyNth(tf, x, window.stride), tf.reshape(W, [outputs, inputs]));
  return apply(tf, x, tf.transpose(W, [2, 3, 1, 0]), window);
}

/** The filter is kh × kw × I × O. */
function apply(tf: Tf, x: Tensor, filter: Tensor, { kernel, stride, pad }: Window): Tensor {
  if (kernel === 1) {
    const [, , inputs = 1, outputs = 1] = filter.shape;
    const W = tf.transpose(tf.reshape(filter, [inputs, outputs]));
    return pointwise(tf, everyNth(tf, x, stride), W);
  }
  // Four axes, both: pictures in batches, and a filter made here.
  return tf.conv2d(x as Tensor4D, filter as Tensor4D, stride, pad);
}

/** A 1 × 1 convolution by W, m × n: a product, which all backends and their gradients do faster. */
function pointwise(tf: Tf, x: Tensor, W: Tensor): Tensor {
  const [outputs = 1, inputs = 1] = W.shape;
  const y = tf.matMul(tf.reshape(x, [-1, inputs]), W, false, true);
  return tf.reshape(y, [...x.shape.slice(0, -1), outputs]);
}

/**
 * Every n-th row and column, the first ones. A row pair of NHWC seen as […, n, width/n, n·channels] has them in a corner:
 * strided slices have no gradient in TensorFlow.js.
 */
export function everyNth(tf: Tf, x: Tensor, n: number): Tensor {
  if (n === 1) return x;
  const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
  const [down, right] = [(n - (height % n)) % n, (n - (width % n)) % n];
  const even =
    down + right === 0
      ? x
      : tf.pad(x, [
          [0, 0],
          [0, down],
          [0, right],
          [0, 0],
        ]);
  const [rows, columns] = [(height + down) / n, (width + right) / n];
  const cells = tf.reshape(even, [batch * rows, n, columns, n * channels]);
  const corner = tf.slice(cells, [0, 0, 0, 0], [batch * rows, 1, columns, channels]);
  return tf.reshape(corner, [batch, rows, columns, channels]);
}

/** Each group of channels with its own part of W. */
function grouped(tf: Tf, x: Tensor, W: Tensor, groups: number, m: number, window: Window): Tensor {
  const [, inputs = 1, height = 1, width = 1] = W.shape;
  if (inputs === 1) {
    const filter = tf.transpose(tf.reshape(W, [groups, m, height, width]), [2, 3, 0, 1]);
    return tf.depthwiseConv2d(x as Tensor4D, filter as Tensor4D, window.stride, window.pad);
  }
  const parts = tf.split(W, groups, 0);
  const pictures = tf.split(x, groups, 3);
  return tf.concat(
    pictures.map((picture, group) => {
      const part = parts[group];
      if (part === undefined) throw new Error('fewer groups in the weight than in the picture');
      return dense(tf, picture, part, window);
    }),
    3,
  );
}
