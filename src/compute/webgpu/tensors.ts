/** TensorFlow.js on a device of ours. Loaded when it is first needed, after Dawn's names have become global. */
import { webgpu_util, WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import type { DeviceMatrix } from '../device/device';

/** Ours is not the backend that the package registers itself, which would open a device of its own. */
const BACKEND = 'rankscope-webgpu';

/** What tfjs-core is here: all of it, and its memory of buffers. */
export interface Tensors {
  readonly tf: typeof tf;
  /**
   * Gives buffers that no tensor uses back to the device. TensorFlow.js keeps them for tensors of the same size, and
   * layers rarely are.
   */
  readonly release: () => void;
}

/** The part of TensorFlow.js's buffer manager that it declares private. */
interface BufferPool {
  readonly freeBuffers: Map<string, GPUBuffer[]>;
  numFreeBuffers: number;
  numBytesAllocated: number;
}

/** tfjs-core with its backend on this device. One device a process. */
export async function tensorsOn(device: GPUDevice, info: GPUAdapterInfo): Promise<Tensors> {
  tf.enableProdMode();
  // Chosen freely, products with long inner sides add up by atomics, in whatever order: other bits every time.
  tf.env().set('WEBGPU_MATMUL_PROGRAM_TYPE', webgpu_util.MatMulProgramType.MatMulPackedProgram);
  const backend = new WebGPUBackend(device, info);
  tf.registerBackend(BACKEND, () => backend);
  // Kernels are found by the name of their backend.
  for (const kernel of tf.getKernelsForBackend('webgpu'))
    tf.registerKernel({ ...kernel, backendName: BACKEND });
  if (!(await tf.setBackend(BACKEND))) throw new Error('TensorFlow.js cannot use the WebGPU device');
  // Its fields are declared private, and there is no other way to them.
  const pool = backend.bufferManager as unknown as BufferPool;
  return {
    tf,
    release: () => {
      releaseFree(pool);
    },
  };
}

function releaseFree(pool: BufferPool): void {
  for (const free of pool.freeBuffers.values())
    for (const buffer of free.splice(0)) {
      pool.numFreeBuffers--;
      pool.numBytesAllocated -= buffer.size;
      buffer.destroy();
    }
}

function tensorOf({ rows, columns, values }: DeviceMatrix): tf.Tensor2D {
  const float32 = values instanceof Float32Array ? values : Float32Array.from(values);
  return tf.tensor2d(float32, [rows, columns], 'float32');
}

/** Float32 product, row-major. */
export async function matrixProduct(A: DeviceMatrix, B: DeviceMatrix): Promise<Float32Array> {
  if (A.rows * B.columns === 0 || A.columns === 0) return new Float32Array(A.rows * B.columns);
  const [a, b] = [tensorOf(A), tensorOf(B)];
  const product = tf.matMul(a, b);
  try {
    return await product.data<'float32'>();
  } finally {
    tf.dispose([a, b, product]);
  }
}
