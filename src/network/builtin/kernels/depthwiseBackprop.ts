/** Gradients of a depthwise convolution, which the WebAssembly backend does not have: NHWC, dilation 1. */
import type { Tf } from '../architecture';
import { sizesOf, type ConvolutionSizes } from './conv2dBackprop';
import { allocate, floatInput, floatsOf, type Call, type TensorInfo } from './wasmHeap';

/** By the filter, kh × kw × channels × multiplier. */
export function depthwiseBackpropFilter(tf: Tf): (call: Call) => TensorInfo {
  return (call) => {
    const { backend, attrs } = call;
    const [x, dy] = [floatInput(call, 'x'), floatInput(call, 'dy')];
    const filterShape = attrs.filterShape as number[];
    const sizes = depthwiseSizes(tf, call, x.shape, filterShape);
    const gradient = allocate(backend, filterShape);
    const [X, dY, dW] = [floatsOf(backend, x), floatsOf(backend, dy), floatsOf(backend, gradient)];
    const sums = new Float64Array(dW.length);
    forEachTap(sizes, (ofInput, ofOutput, ofFilter) => {
      sums[ofFilter] = (sums[ofFilter] ?? 0) + (X[ofInput] ?? 0) * (dY[ofOutput] ?? 0);
    });
    dW.set(sums);
    return gradient;
  };
}

/** By the input. */
export function depthwiseBackpropInput(tf: Tf): (call: Call) => TensorInfo {
  return (call) => {
    const { backend, attrs } = call;
    const [dy, filter] = [floatInput(call, 'dy'), floatInput(call, 'filter')];
    const inputShape = attrs.inputShape as number[];
    const sizes = depthwiseSizes(tf, call, inputShape, filter.shape);
    const gradient = allocate(backend, inputShape);
    const [W, dY, dX] = [floatsOf(backend, filter), floatsOf(backend, dy), floatsOf(backend, gradient)];
    dX.fill(0);
    forEachTap(sizes, (ofInput, ofOutput, ofFilter) => {
      dX[ofInput] = (dX[ofInput] ?? 0) + (W[ofFilter] ?? 0) * (dY[ofOutput] ?? 0);
    });
    return gradient;
  };
}

function depthwiseSizes(
  tf: Tf,
  { attrs }: Call,
  inputShape: readonly number[],
  filterShape: readonly number[],
): ConvolutionSizes {
  const sizes = sizesOf(tf, attrs, inputShape, filterShape, true);
  if (sizes === undefined) throw new Error('convolutions are trained with channels last only');
  return sizes;
}

/** Every product of the convolution: which element of the input, which of the output, which of the filter. */
function forEachTap(
  sizes: ConvolutionSizes,
  use: (ofInput: number, ofOutput: number, ofFilter: number) => void,
): void {
  const { batch, height, width, inputs, outputs, outputHeight, outputWidth } = sizes;
  const multiplier = outputs / inputs;
  for (let sample = 0; sample < batch; sample++) {
    for (let y = 0; y < outputHeight; y++) {
      for (let x = 0; x < outputWidth; x++) {
        const output = ((sample * outputHeight + y) * outputWidth + x) * outputs;
        for (let ky = 0; ky < sizes.kernelHeight; ky++) {
          const row = y * sizes.strideHeight + ky - sizes.top;
          if (row < 0 || row >= height) continue;
          for (let kx = 0; kx < sizes.kernelWidth; kx++) {
            const column = x * sizes.strideWidth + kx - sizes.left;
            if (column < 0 || column >= width) continue;
            const input = ((sample * height + row) * width + column) * inputs;
            const tap = (ky * sizes.kernelWidth + kx) * outputs;
            for (let o = 0; o < outputs; o++) use(input + Math.floor(o / multiplier), output + o, tap + o);
          }
        }
      }
    }
  }
}
