import { availableParallelism } from 'node:os';
import { elementCount, type Tensor } from '../../checkpoint/checkpoint';
import { bytesPerElement } from '../../checkpoint/dtype';
import type { ComputeBackend, OnFraction, SpectrumRequest, SpectrumResult, SymmetricEigen } from '../backend';
import { chooseBuild, compileKernels, KERNEL_VERSION } from './kernels';
import { workBytes } from './matrixSpectrum';
import { symmetricEigenBytes } from './symmetricEigen';
import { WorkerPool } from './pool';
import { BLOCK_BYTES } from './tensorElements';

/**
 * Workers started unless told otherwise: beyond eight, the fixed cost of each (about 15 MB) would break the promised
 * 300 MB, and audits of ordinary checkpoints end in seconds anyway.
 */
const DEFAULT_MAX_THREADS = 8;

/**
 * The embedded backend: float64 Gram matrix → tridiagonal → root-free QL in WebAssembly, one layer per worker thread.
 * @param threads worker threads; by default the cores this process may use, at most eight.
 */
export function createWasmBackend(threads?: number): ComputeBackend {
  const build = chooseBuild();
  const size = threads ?? Math.min(availableParallelism(), DEFAULT_MAX_THREADS);
  const pool = new WorkerPool(size, compileKernels(build));
  return {
    name: 'wasm',
    build: `wasm ${build} ${KERNEL_VERSION}`,
    concurrency: size,
    digest: (tensor: Tensor, signal: AbortSignal): Promise<string> =>
      pool.run('digest', tensor, { bytes: 0, storedBytes: storedBytes(tensor) }, signal),
    singularValues: (
      request: SpectrumRequest,
      signal: AbortSignal,
      onFraction?: OnFraction,
    ): Promise<SpectrumResult> => pool.run('singularValues', request, footprint(request), signal, onFraction),
    symmetricEigen: (matrix: Float64Array, n: number, signal: AbortSignal): Promise<SymmetricEigen> =>
      pool.run(
        'symmetricEigen',
        { matrix, n },
        { bytes: symmetricEigenBytes(n), storedBytes: matrix.byteLength },
        signal,
      ),
    dispose: () => pool.dispose(),
  };
}

function storedBytes(tensor: Tensor): number {
  return elementCount(tensor.shape) * bytesPerElement(tensor.dtype);
}

function footprint({ tensor, matrices }: SpectrumRequest): { bytes: number; storedBytes: number } {
  const decoded = elementCount(tensor.shape) * Math.max(4, bytesPerElement(tensor.dtype));
  const blocks = 2 * Math.min(decoded, BLOCK_BYTES);
  return {
    bytes: blocks + workBytes(matrices),
    storedBytes: storedBytes(tensor),
  };
}
