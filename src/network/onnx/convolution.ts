import type { OnnxNode } from '../../checkpoint/onnx';

/** How a convolution walks over its input, one entry a spatial axis. */
export interface ConvolutionWalk {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Padding before and after; undefined: from `autoPad` and the input's size. */
  readonly pads: readonly number[] | undefined;
  readonly autoPad: 'SAME_UPPER' | 'SAME_LOWER' | 'VALID';
  readonly groups: number;
}

/** Sizes of one run over an input. */
export interface ConvolutionSizes {
  readonly channels: number;
  readonly input: readonly number[];
  readonly before: readonly number[];
  readonly padded: readonly number[];
  readonly output: readonly number[];
}

/** The walk of a Conv or FusedConv node. @param kernel sizes of its weight's spatial axes. */
export function convolutionWalk(node: OnnxNode, kernel: readonly number[]): ConvolutionWalk {
  const integers = (name: string, fallback: number): readonly number[] =>
    node.attributes.get(name)?.integers ?? kernel.map(() => fallback);
  const auto = node.attributes.get('auto_pad')?.text ?? 'NOTSET';
  const isAutomatic = auto === 'SAME_UPPER' || auto === 'SAME_LOWER' || auto === 'VALID';
  return {
    kernel,
    strides: integers('strides', 1),
    dilations: integers('dilations', 1),
    pads: isAutomatic ? undefined : (node.attributes.get('pads')?.integers ?? kernel.flatMap(() => [0, 0])),
    autoPad: isAutomatic ? auto : 'VALID',
    groups: node.attributes.get('group')?.integer ?? 1,
  };
}

/**
 * Sizes over an input of N × C × spatial axes.
 *
 * @param dims of the input, as it was seen.
 */
export function convolutionSizes(walk: ConvolutionWalk, dims: readonly number[]): ConvolutionSizes {
  const input = dims.slice(2);
  const axes = walk.kernel.map((kernel, axis) => {
    const size = input[axis] ?? 1;
    const stride = walk.strides[axis] ?? 1;
    const reach = (kernel - 1) * (walk.dilations[axis] ?? 1) + 1;
    let before = walk.pads?.[axis] ?? 0;
    let after = walk.pads?.[walk.kernel.length + axis] ?? 0;
    if (walk.pads === undefined && walk.autoPad !== 'VALID') {
      const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + reach - size);
      before = walk.autoPad === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2);
      after = total - before;
    }
    const padded = size + before + after;
    return { before, padded, output: Math.floor((padded - reach) / stride) + 1 };
  });
  return {
    channels: dims[1] ?? 1,
    input,
    before: axes.map(({ before }) => before),
    padded: axes.map(({ padded }) => padded),
    output: axes.map(({ output }) => output),
  };
}
