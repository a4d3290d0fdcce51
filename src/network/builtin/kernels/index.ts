/** Kernels that training needs and a backend of TensorFlow.js lacks, or has only slow. */
import type { KernelConfig, KernelFunc } from '@tensorflow/tfjs-core';
import type { Tf } from '../architecture';
import { batchMatMul } from './batchMatMul';
import { conv2dBackpropFilter, conv2dBackpropInput } from './conv2dBackprop';
import { depthwiseBackpropFilter, depthwiseBackpropInput } from './depthwiseBackprop';
import { cast, identity } from './sharing';
import { slice } from './slice';
import { sum, unsortedSegmentSum } from './sums';
import type { Call, TensorInfo } from './wasmHeap';

type Kernel = (call: Call) => TensorInfo;

/** Those that are in place: a registry may be reached through several copies of a library's names. */
const ours = new WeakSet<KernelFunc>();

/**
 * Supplies a backend with what the gradients of the built-in networks need: on `wasm`, gradients of convolutions and of
 * tables, products as fast transposed and in batches as plain, faster sums and slices, and no copies of what gradients keep. The other backends have all they
 * need. To be called once the backend is there; more calls change nothing.
 */
export function supplyKernels(tf: Tf, backendName: string): void {
  if (backendName !== 'wasm') return;
  replace(tf, 'BatchMatMul', (original) => batchMatMul(tf, original));
  replace(tf, 'Conv2DBackpropInput', (original) => conv2dBackpropInput(tf, original));
  replace(tf, 'Identity', identity);
  replace(tf, 'Cast', cast);
  replace(tf, 'Slice', (original) => slice(tf, original));
  replace(tf, 'Sum', sum);
  add(tf, 'Conv2DBackpropFilter', conv2dBackpropFilter(tf));
  add(tf, 'DepthwiseConv2dNativeBackpropFilter', depthwiseBackpropFilter(tf));
  add(tf, 'DepthwiseConv2dNativeBackpropInput', depthwiseBackpropInput(tf));
  add(tf, 'UnsortedSegmentSum', unsortedSegmentSum);
}

function add(tf: Tf, kernelName: string, kernel: Kernel): void {
  // A later TensorFlow.js may bring its own.
  if (configOf(tf, kernelName) !== undefined) return;
  tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc: asKernelFunc(kernel) });
}

function replace(tf: Tf, kernelName: string, kernelOf: (original: Kernel) => Kernel): void {
  const config = configOf(tf, kernelName);
  if (config === undefined || ours.has(config.kernelFunc)) return;
  // The registry's type leaves open what the backend is; those of this backend are called with it.
  const original = config.kernelFunc as unknown as Kernel;
  tf.unregisterKernel(kernelName, 'wasm');
  // Whatever sets the backend's own kernel up stays.
  tf.registerKernel({ ...config, kernelFunc: asKernelFunc(kernelOf(original)) });
}

/** The type of `getKernel` leaves out that there may be none. */
function configOf(tf: Tf, kernelName: string): KernelConfig | undefined {
  return tf.getKernel(kernelName, 'wasm');
}

function asKernelFunc(kernel: Kernel): KernelFunc {
  const kernelFunc: KernelFunc = ({ inputs, backend, attrs = {} }) =>
    // Kernels registered for a backend are called with it.
    kernel({ inputs, backend: backend as unknown as Call['backend'], attrs });
  ours.add(kernelFunc);
  return kernelFunc;
}
