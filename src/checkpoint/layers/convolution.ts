import type { Tensor } from '../checkpoint';
import { elementCount } from '../checkpoint';
import { CheckpointError } from '../errors';
import type { MatrixView } from '../matrixView';
import { wholeMatrix, type LayerReading } from './matrix';
import {
  BARE_KERNEL,
  isDepthwiseName,
  isFlatDepthwiseName,
  isInByOut,
  isStatedWeight,
  isTorchNonConvolution,
  isTransposedName,
  moduleType,
  partsOf,
} from './names';

/** Group counts a user declares for convolutions whose names match, since state dicts do not tell them. */
export interface DeclaredGroups {
  readonly pattern: RegExp;
  readonly groups: number;
}

/** One- to three-dimensional kernels: O × I/g × k. */
const MIN_AXES = 3;
const MAX_AXES = 5;

/** Each group is a matrix of its own; the widest depthwise layers in use have some ten thousand channels. */
const MAX_GROUPS = 1 << 17;

/**
 * Whether a tensor is a convolution's kernel. A 3-D `kernel` of Flax may be an attention projection;
 * that is asked before.
 */
export function isConvolution(tensor: Tensor): boolean {
  const axes = tensor.shape.length;
  if (isFlatDepthwise(tensor)) return true;
  if (axes < MIN_AXES || axes > MAX_AXES) return false;
  if (isStatedWeight(tensor)) return /^(?:Depthwise)?Conv/.test(moduleType(tensor));
  const { leaf, parent } = partsOf(tensor);
  return (
    mayBeConvolution(tensor, parent) &&
    (leaf === 'weight' ||
      leaf === 'weight_orig' ||
      leaf === 'kernel' ||
      leaf === 'w' ||
      leaf === 'depthwise_kernel' ||
      leaf === 'pointwise_kernel' ||
      (axes > MIN_AXES && BARE_KERNEL.test(leaf)))
  );
}

/** A depthwise kernel of channels × k, without its axis of one input channel. */
function isFlatDepthwise(tensor: Tensor): boolean {
  const parts = partsOf(tensor);
  return tensor.shape.length === 2 && parts.leaf === 'weight' && isFlatDepthwiseName(parts);
}

/**
 * What the module's class says, where the file tells it. A class of somebody's own is believed to be a convolution if
 * it is called one or has two or more kernel axes; three axes may be anything (nn.Bilinear, a linear map for each head).
 */
function mayBeConvolution(tensor: Tensor, parent: string): boolean {
  const type = moduleType(tensor);
  if (type === '') return !parent.includes('bilinear');
  if (/conv/i.test(type)) return true;
  return !isTorchNonConvolution(tensor) && !/Linear|Embedding/.test(type) && tensor.shape.length > MIN_AXES;
}

/**
 * Reads kernels as matrices over flattened patches (DESIGN: O × I/g·kh·kw), one for each group.
 * Keeps the output channels seen so far, because a depthwise convolution in a state dict is only told from
 * a one-channel input by an earlier layer that makes the channels it takes.
 */
export class ConvolutionReader {
  readonly #channelsSeen = new Set<number>();

  constructor(
    private readonly declared: readonly DeclaredGroups[],
    private readonly file: string,
  ) {}

  /**
   * @param tensor for which {@link isConvolution} holds; tensors come in file order
   * @throws CheckpointError when the declared number of groups does not divide the channels
   */
  read(tensor: Tensor): LayerReading {
    const { leaf } = partsOf(tensor);
    const isNamedLast = leaf.endsWith('kernel') && tensor.module?.order === undefined;
    const isChannelsLast = isNamedLast || isInByOut(tensor);
    return isChannelsLast ? this.#readChannelsLast(tensor) : this.#readChannelsFirst(tensor);
  }

  /** PyTorch: O × I/g × k…, or I × O/g × k… when transposed. */
  #readChannelsFirst(tensor: Tensor): LayerReading {
    const [first = 0, ...rest] = tensor.shape;
    const [second = 0, ...kernel] = isFlatDepthwise(tensor) ? [1, ...rest] : rest;
    const transposed = isTransposed(tensor, kernel);
    const groups =
      this.#knownGroups(tensor, first) ??
      (!transposed && this.#looksDepthwise(tensor, first, second) ? this.#depthwiseGroups(first) : 1);
    this.#channelsSeen.add(transposed ? second * groups : first);
    const rows = first / groups;
    const columns = second * elementCount(kernel);
    const matrices = Array.from({ length: groups }, (_, g) => wholeMatrix(rows, columns, g * rows * columns));
    // Depthwise: one input channel a group.
    const isTrivial = groups > 1 && (transposed ? rows : second) === 1;
    return grouped([rows, columns], transposed, matrices, isTrivial);
  }

  /** Keras and Flax: k… × I/g × O; depthwise k… × C × multiplier; transposed k… × O × I. */
  #readChannelsLast(tensor: Tensor): LayerReading {
    const parts = partsOf(tensor);
    const kernel = tensor.shape.slice(0, -2);
    const [second = 0, last = 0] = tensor.shape.slice(-2);
    const size = elementCount(kernel);
    if (
      parts.leaf === 'depthwise_kernel' ||
      moduleType(tensor).startsWith('Depthwise') || // stated by readers of TensorFlow's formats
      (parts.leaf === 'kernel' && isDepthwiseName(parts) && last === 1)
    ) {
      return grouped([size, last], true, channelColumns(size, second, last, MAX_GROUPS), second > 1);
    }
    const rows = size * second;
    // Stored kh·kw·out × in already is out × in.
    if (isTransposed(tensor, kernel)) return grouped([rows, last], false, [wholeMatrix(rows, last)], false);
    const groups = this.#knownGroups(tensor, last) ?? 1;
    const columns = last / groups;
    const matrices = Array.from({ length: groups }, (_, g) => ({
      offset: g * columns,
      rows,
      columns,
      rowStride: last,
    }));
    return grouped([rows, columns], true, matrices, groups > 1 && second === 1);
  }

  /** The number of groups the user or the file states. */
  #knownGroups(tensor: Tensor, channels: number): number | undefined {
    const declared = this.declared.find(({ pattern }) => pattern.test(tensor.name));
    if (declared !== undefined) {
      if (Number.isInteger(declared.groups) && declared.groups > 0 && channels % declared.groups === 0) {
        return declared.groups;
      }
      throw new CheckpointError(
        'unsupported',
        `${declared.groups} groups do not divide ${channels} channels`,
        {
          file: this.file,
          tensor: tensor.name,
        },
      );
    }
    const stated = tensor.module?.groups;
    const isPossible = stated !== undefined && Number.isInteger(stated) && stated > 0 && stated <= MAX_GROUPS;
    return isPossible && channels % stated === 0 ? stated : undefined;
  }

  #looksDepthwise(tensor: Tensor, outputs: number, inputsPerGroup: number): boolean {
    if (inputsPerGroup !== 1 || outputs <= 1 || outputs > MAX_GROUPS) return false;
    if (isFlatDepthwise(tensor)) return true;
    return isDepthwiseName(partsOf(tensor)) || this.#depthwiseChannels(outputs) !== undefined;
  }

  #depthwiseGroups(outputs: number): number {
    return this.#depthwiseChannels(outputs) ?? outputs;
  }

  /** The most input channels a depthwise convolution with these outputs can have, of those made before. */
  #depthwiseChannels(outputs: number): number | undefined {
    let most: number | undefined;
    for (const channels of this.#channelsSeen) {
      if (channels > 1 && outputs % channels === 0 && channels > (most ?? 0)) most = channels;
    }
    return most;
  }
}

function isTransposed(tensor: Tensor, kernel: readonly number[]): boolean {
  const type = moduleType(tensor);
  if (/^(?:Lazy)?Conv/.test(type)) return type.includes('Transpose');
  return isTransposedName(partsOf(tensor), kernel);
}

/** Views of k… × C × multiplier, one kernel-size × multiplier matrix for each channel. */
function channelColumns(size: number, channels: number, multiplier: number, most: number): MatrixView[] {
  if (channels > most) return [wholeMatrix(size, channels * multiplier)];
  return Array.from({ length: channels }, (_, c) => ({
    offset: c * multiplier,
    rows: size,
    columns: multiplier,
    rowStride: channels * multiplier,
  }));
}

/** @param stored rows × columns of a group as the file has them, Wᵀ when `transposed` */
function grouped(
  [rows, columns]: readonly [number, number],
  transposed: boolean,
  matrices: readonly MatrixView[],
  isTrivial: boolean,
): LayerReading {
  return {
    kind: 'conv',
    shape: transposed ? [columns, rows] : [rows, columns],
    matrices,
    ...(transposed && { transposed }),
    ...(matrices.length > 1 && { groups: matrices.length }),
    ...(isTrivial && { trivialRank: true }),
  };
}
