/**
 * Gradients of a convolution on the WebAssembly backend, which has none by the filter, and one by the input that is 13
 * times slower than the convolution itself. NHWC, dilation 1.
 */
import type { NamedAttrMap } from '@tensorflow/tfjs-core';
import type { Tf } from '../architecture';
import { addInto, multiplyInto } from './batchMatMul';
import {
  allocate,
  floatInput,
  floatsOf,
  placeOf,
  release,
  runKernel,
  transposed,
  withPart,
  type BackendWasm,
  type Call,
  type TensorInfo,
} from './wasmHeap';

type Shape4D = [number, number, number, number];

/** Sizes of one convolution. */
export interface ConvolutionSizes {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly outputHeight: number;
  readonly outputWidth: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  readonly strideHeight: number;
  readonly strideWidth: number;
  readonly top: number;
  readonly left: number;
}

/** Undefined for pictures that are not channels last. */
export function sizesOf(
  tf: Tf,
  attrs: NamedAttrMap,
  inputShape: readonly number[],
  filterShape: readonly number[],
  isDepthwise = false,
): ConvolutionSizes | undefined {
  const { strides, pad, dataFormat, dimRoundingMode } = attrs as unknown as Attributes;
  if (dataFormat !== undefined && dataFormat !== 'NHWC') return undefined;
  const info = tf.backend_util.computeConv2DInfo(
    inputShape as Shape4D,
    filterShape as Shape4D,
    strides,
    1,
    pad,
    dimRoundingMode,
    isDepthwise,
    'channelsLast',
  );
  return {
    batch: info.batchSize,
    height: info.inHeight,
    width: info.inWidth,
    inputs: info.inChannels,
    outputs: info.outChannels,
    outputHeight: info.outHeight,
    outputWidth: info.outWidth,
    kernelHeight: info.filterHeight,
    kernelWidth: info.filterWidth,
    strideHeight: info.strideHeight,
    strideWidth: info.strideWidth,
    top: info.padInfo.top,
    left: info.padInfo.left,
  };
}

/** What TensorFlow.js hands to the gradients' kernels. */
interface Attributes {
  readonly strides: number | [number, number];
  readonly pad: number | 'same' | 'valid';
  readonly dataFormat?: string;
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

/**
 * Most elements of the windows that are laid out at once (16 MB), and most of their columns: sums over more would lose
 * digits, and the processor's cache.
 */
const WINDOW_ELEMENTS = 2 ** 22;
const WINDOW_COLUMNS = 2 ** 13;

/**
 * By the filter: dW = Xᵀ·dY, where X has a row for each output pixel, the window it sees. Xᵀ is laid out for as many
 * pictures at a time as its bounds allow.
 */
export function conv2dBackpropFilter(tf: Tf): (call: Call) => TensorInfo {
  return (call) => {
    const { backend, attrs } = call;
    const [x, dy] = [floatInput(call, 'x'), floatInput(call, 'dy')];
    const filterShape = attrs.filterShape as number[];
    const sizes = sizesOf(tf, attrs, x.shape, filterShape);
    if (sizes === undefined) throw new Error('convolutions are trained with channels last only');
    const { batch, inputs, outputs, kernelHeight, kernelWidth } = sizes;
    const pixels = sizes.outputHeight * sizes.outputWidth;
    const window = kernelHeight * kernelWidth * inputs;
    const columns = Math.min(WINDOW_COLUMNS, Math.floor(WINDOW_ELEMENTS / window));
    const atOnce = Math.max(1, Math.min(batch, Math.floor(columns / Math.max(1, pixels))));
    const gradient = allocate(backend, filterShape);
    floatsOf(backend, gradient).fill(0);
    const part = allocate(backend, filterShape);
    for (let first = 0; first < batch && pixels > 0; first += atOnce) {
      const count = Math.min(atOnce, batch - first);
      const windows = windowsOf(tf, backend, x, sizes, first, count);
      const ofOutput = placeOf(backend, dy) + 4 * first * pixels * outputs;
      const places = [placeOf(backend, windows), ofOutput, placeOf(backend, part)] as const;
      multiplyInto(backend, places, [window, count * pixels, outputs]);
      release(backend, windows);
      addInto(backend, gradient, part);
    }
    release(backend, part);
    return gradient;
  };
}

/** Xᵀ of some pictures: (kernel height · kernel width · inputs) × (pictures · output pixels). */
function windowsOf(
  tf: Tf,
  backend: BackendWasm,
  x: TensorInfo,
  sizes: ConvolutionSizes,
  first: number,
  count: number,
): TensorInfo {
  const { inputs, kernelHeight, kernelWidth, strideHeight, strideWidth, outputHeight, outputWidth } = sizes;
  const { planes, height, width } = planesOf(tf, backend, x, sizes, first, count);
  const isPlain = kernelHeight * kernelWidth * strideHeight * strideWidth === 1;
  if (isPlain) return planes;
  const rows = kernelHeight * kernelWidth * inputs;
  const windows = allocate(backend, [rows, count * outputHeight * outputWidth]);
  const source = floatsOf(backend, planes);
  const target = floatsOf(backend, windows);
  let to = 0;
  for (let ky = 0; ky < kernelHeight; ky++) {
    for (let kx = 0; kx < kernelWidth; kx++) {
      for (let plane = 0; plane < inputs * count; plane++) {
        let from = (plane * height + ky) * width + kx;
        for (let y = 0; y < outputHeight; y++) {
          if (strideWidth === 1) target.set(source.subarray(from, from + outputWidth), to);
          else
            for (let i = 0, at = from; i < outputWidth; i++, at += strideWidth)
              target[to + i] = source[at] ?? 0;
          to += outputWidth;
          from += strideHeight * width;
        }
      }
    }
  }
  release(backend, planes);
  return windows;
}

/** Pictures one channel after the other, inputs × count × height × width, with the border that the windows reach. */
function planesOf(
  tf: Tf,
  backend: BackendWasm,
  x: TensorInfo,
  sizes: ConvolutionSizes,
  first: number,
  count: number,
): { readonly planes: TensorInfo; readonly height: number; readonly width: number } {
  const { inputs, top, left } = sizes;
  const [height, width] = [
    Math.max(top + sizes.height, (sizes.outputHeight - 1) * sizes.strideHeight + sizes.kernelHeight),
    Math.max(left + sizes.width, (sizes.outputWidth - 1) * sizes.strideWidth + sizes.kernelWidth),
  ];
  const shape = [count, sizes.height, sizes.width, inputs];
  const place = placeOf(backend, x) + 4 * first * sizes.height * sizes.width * inputs;
  const isPadded = height > sizes.height || width > sizes.width;
  if (!isPadded)
    return { planes: transposed(tf, backend, place, [1, count * height * width, inputs]), height, width };
  const padded = withPart(backend, place, shape, (part) =>
    padPictures(tf, backend, part, [top, height - top - sizes.height], [left, width - left - sizes.width]),
  );
  const planes = transposed(tf, backend, placeOf(backend, padded), [1, count * height * width, inputs]);
  release(backend, padded);
  return { planes, height, width };
}

function padPictures(
  tf: Tf,
  backend: BackendWasm,
  x: TensorInfo,
  rows: [number, number],
  columns: [number, number],
): TensorInfo {
  const paddings = [[0, 0], rows, columns, [0, 0]];
  return runKernel(tf, backend, 'PadV2', { x }, { paddings, constantValue: 0 });
}

/**
 * By the input: dY, with zeros between its pixels where the stride leaves some out, convolved with the filter turned
 * around.
 */
export function conv2dBackpropInput(
  tf: Tf,
  original: (call: Call) => TensorInfo,
): (call: Call) => TensorInfo {
  return (call) => {
    const { backend, attrs } = call;
    const [dy, filter] = [floatInput(call, 'dy'), floatInput(call, 'filter')];
    const sizes = sizesOf(tf, attrs, attrs.inputShape as number[], filter.shape);
    if (sizes === undefined) return original(call);
    const { kernelHeight, kernelWidth, strideHeight, strideWidth } = sizes;
    const spread = spreadOut(tf, backend, dy, sizes);
    const before = [kernelHeight - 1 - sizes.top, kernelWidth - 1 - sizes.left] as const;
    const after = [
      sizes.height + kernelHeight - 1 - before[0] - sizes.outputHeight * strideHeight,
      sizes.width + kernelWidth - 1 - before[1] - sizes.outputWidth * strideWidth,
    ] as const;
    if ([...before, ...after].some((border) => border < 0)) {
      if (spread !== dy) release(backend, spread);
      return original(call);
    }
    const padded = padPictures(tf, backend, spread, [before[0], after[0]], [before[1], after[1]]);
    if (spread !== dy) release(backend, spread);
    const turned = turnedAround(backend, filter);
    const inputs = { x: padded, filter: turned };
    const options = { strides: [1, 1], pad: 'valid', dataFormat: 'NHWC', dilations: [1, 1] };
    const dx = runKernel(tf, backend, 'Conv2D', inputs, options);
    release(backend, padded);
    release(backend, turned);
    return dx;
  };
}

/** Each pixel followed by stride − 1 columns and rows of zeros: rows seen as […, 1, width, channels] are padded. */
function spreadOut(
  tf: Tf,
  backend: BackendWasm,
  dy: TensorInfo,
  { batch, outputHeight, outputWidth, outputs, strideHeight, strideWidth }: ConvolutionSizes,
): TensorInfo {
  if (strideHeight * strideWidth === 1) return dy;
  const cells = { ...dy, shape: [batch * outputHeight, 1, outputWidth, outputs] };
  const paddings = [
    [0, 0],
    [0, strideHeight - 1],
    [0, 0],
    [0, (strideWidth - 1) * outputs],
  ];
  const spread = runKernel(tf, backend, 'PadV2', { x: cells }, { paddings, constantValue: 0 });
  return { ...spread, shape: [batch, outputHeight * strideHeight, outputWidth * strideWidth, outputs] };
}

/** kh × kw × I × O, taps in reverse, to kh × kw × O × I. */
function turnedAround(backend: BackendWasm, filter: TensorInfo): TensorInfo {
  const [height = 0, width = 0, inputs = 0, outputs = 0] = filter.shape;
  const turned = allocate(backend, [height, width, outputs, inputs]);
  const [source, target] = [floatsOf(backend, filter), floatsOf(backend, turned)];
  const each = inputs * outputs;
  const last = height * width - 1;
  for (let tap = 0; tap <= last; tap++)
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < outputs; o++)
        target[(last - tap) * each + o * inputs + i] = source[tap * each + i * outputs + o] ?? 0;
  return turned;
}
