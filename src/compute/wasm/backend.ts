import { availableParallelism } from 'node:os';
import { elementCount, type Tensor } from '../../checkpoint/checkpoint';
import { bytesPerElement } from '../../checkpoint/dtype';
import type {
  ComputeBackend,
  FitResult,
  FitTarget,
  GramRequest,
  OnFraction,
  ProductRequest,
  SineFit,
  SineFitOptions,
  SpectrumRequest,
  SpectrumResult,
  SymmetricEigen,
  TruncatedSvd,
} from '../backend';
import { factorBytes, factoredRequest } from '../factoredProduct';
import { gramBandBytes, productBytes } from './denseProducts';
import { factoredWorkBytes } from './factoredSpectrum';
import { fitFootprint, type SineAnswer, type SineTurn } from './fits';
import { gramPathBytes, type GramSingularValues } from './gramPath';
import { chooseBuild, compileKernels, KERNEL_VERSION, MAX_MEMORY_BYTES } from './kernels';
import { workBytes } from './matrixSpectrum';
import { symmetricEigenBytes } from './symmetricEigen';
import { WorkerPool } from './pool';
import { BLOCK_BYTES } from './tensorElements';

/**
 * Workers started unless told otherwise: beyond eight, the fixed cost of each (about 15 MB) would break the promised
 * 300 MB, and audits of ordinary checkpoints end in seconds anyway.
 */
const DEFAULT_MAX_THREADS = 8;

/** The embedded backend does for the others what a graphics card does not: eigenvalues, in float64. */
export interface WasmBackend extends ComputeBackend {
  /**
   * Singular values of a matrix whose Gram matrix was summed elsewhere. The array is handed over, not copied.
   * @param gram lower triangle row by row, n·(n+1)/2 numbers.
   * @param storedBytes of the tensor in its file: large ones let more workers run at once.
   */
  gramEigenvalues(
    gram: Float64Array,
    n: number,
    signal: AbortSignal,
    storedBytes?: number,
  ): Promise<GramSingularValues>;
  /**
   * `sineFit` with the descents made elsewhere: asked first without an answer, then with the end of each descent that it
   * wants, until it is done.
   */
  sineTurn(
    target: FitTarget,
    options: SineFitOptions,
    answer: SineAnswer | undefined,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<FitResult<SineTurn>>;
}

/**
 * The embedded backend: float64 Gram matrix → tridiagonal → root-free QL in WebAssembly, one layer per worker thread.
 * @param threads worker threads; by default the cores this process may use, at most eight.
 */
export function createWasmBackend(threads?: number): WasmBackend {
  const build = chooseBuild();
  const size = threads ?? Math.min(availableParallelism(), DEFAULT_MAX_THREADS);
  const pool = new WorkerPool(size, compileKernels(build));
  return {
    name: 'wasm',
    build: `wasm ${build} ${KERNEL_VERSION}`,
    concurrency: size,
    digest: (tensor: Tensor, signal: AbortSignal): Promise<string> =>
      pool.run('digest', tensor, { bytes: 0, storedBytes: digestedBytes(tensor) }, signal),
    singularValues: (
      request: SpectrumRequest,
      signal: AbortSignal,
      onFraction?: OnFraction,
    ): Promise<SpectrumResult> => pool.run('singularValues', request, footprint(request), signal, onFraction),
    gramEigenvalues: (
      gram: Float64Array,
      n: number,
      signal: AbortSignal,
      stored?: number,
    ): Promise<GramSingularValues> => gramEigenvalues(gram, n, pool, signal, stored),
    symmetricEigen: (matrix: Float64Array, n: number, signal: AbortSignal): Promise<SymmetricEigen> =>
      pool.run(
        'symmetricEigen',
        { matrix, n },
        { bytes: symmetricEigenBytes(n), storedBytes: matrix.byteLength },
        signal,
      ),
    truncatedSvd: (
      target: FitTarget,
      rank: number,
      signal: AbortSignal,
      onFraction?: OnFraction,
    ): Promise<FitResult<TruncatedSvd>> =>
      pool.run('truncatedSvd', { target, rank }, fitFootprint(target, rank), signal, onFraction),
    sineFit: (
      target: FitTarget,
      options: SineFitOptions,
      signal: AbortSignal,
      onFraction?: OnFraction,
    ): Promise<FitResult<SineFit>> =>
      pool.run('sineFit', { target, options }, fitFootprint(target, options.rank), signal, onFraction),
    sineTurn: (
      target: FitTarget,
      options: SineFitOptions,
      answer: SineAnswer | undefined,
      signal: AbortSignal,
      onFraction?: OnFraction,
    ): Promise<FitResult<SineTurn>> =>
      pool.run(
        'sineTurn',
        { target, options, answer },
        fitFootprint(target, options.rank),
        signal,
        onFraction,
      ),
    accumulateGram: (request: GramRequest, signal: AbortSignal): Promise<Float64Array> =>
      accumulateGram(request, pool, signal),
    product: (request: ProductRequest, signal: AbortSignal): Promise<Float64Array> =>
      product(request, pool, signal),
    dispose: () => pool.dispose(),
  };
}

function gramEigenvalues(
  gram: Float64Array,
  n: number,
  pool: WorkerPool,
  signal: AbortSignal,
  stored: number | undefined,
): Promise<GramSingularValues> {
  if (gram.length !== (n * (n + 1)) / 2)
    return Promise.reject(new Error(`${gram.length} numbers are no lower triangle of ${n} rows`));
  const bytes = gramPathBytes(n);
  if (bytes > MAX_MEMORY_BYTES)
    return Promise.reject(
      new Error(`a Gram matrix of ${n} rows needs more than WebAssembly's 4 GiB of memory`),
    );
  const held = ownBuffer(gram);
  // As many bytes as the triangle has are those of the smallest matrix that it can come from, square, in float32.
  const footprint = { bytes, storedBytes: stored ?? gram.byteLength };
  return pool.run('gramEigenvalues', { gram: held.array, n }, footprint, signal, undefined, [held.buffer]);
}

function accumulateGram(
  { gram, n, rows }: GramRequest,
  pool: WorkerPool,
  signal: AbortSignal,
): Promise<Float64Array> {
  if (gram.length !== n * n || (n === 0 ? rows.length > 0 : rows.length % n !== 0))
    return Promise.reject(new Error(`a Gram matrix of ${n} inputs cannot take ${rows.length} values`));
  const held = ownBuffer(gram);
  const added = ownBuffer(rows);
  return pool.run(
    'accumulateGram',
    { gram: held.array, n, rows: added.array },
    { bytes: gramBandBytes(n), storedBytes: gram.byteLength },
    signal,
    undefined,
    [held.buffer, added.buffer],
  );
}

function product(request: ProductRequest, pool: WorkerPool, signal: AbortSignal): Promise<Float64Array> {
  const { rows, inner, columns } = request;
  if (request.A.length !== rows * inner || request.B.length !== inner * columns)
    return Promise.reject(
      new Error(`no product of ${rows} × ${inner} by ${inner} × ${columns}: sizes differ`),
    );
  // A message carries whole buffers: of a view only its own part is copied. The factors stay the caller's.
  const A = ownPart(request.A);
  const B = ownPart(request.B);
  const footprint = { bytes: productBytes(request), storedBytes: Math.max(A.byteLength, B.byteLength) };
  return pool.run('product', { ...request, A, B }, footprint, signal);
}

/** An array and the buffer that it alone fills, so that the buffer can be handed over; a view is copied. */
function ownBuffer<T extends Float64Array | Float32Array>(array: T): { array: T; buffer: ArrayBuffer } {
  if (array.buffer instanceof ArrayBuffer && array.byteLength === array.buffer.byteLength)
    return { array, buffer: array.buffer };
  // A slice of an array of this type is one of the same type, over a new plain buffer.
  const copy = array.slice() as T;
  return { array: copy, buffer: copy.buffer as ArrayBuffer };
}

function ownPart(array: Float64Array): Float64Array {
  return array.byteLength === array.buffer.byteLength ? array : array.slice();
}

function storedBytes(tensor: Tensor): number {
  return elementCount(tensor.shape) * bytesPerElement(tensor.dtype);
}

/** The digest of a product is made of its factors' ones. */
function digestedBytes(tensor: Tensor): number {
  const { storage } = tensor;
  return storage.encoding === 'product' ? factorBytes(storage.product) : storedBytes(tensor);
}

function footprint(request: SpectrumRequest): { bytes: number; storedBytes: number } {
  const { tensor, matrices } = request;
  const factored = factoredRequest(request);
  if (factored !== undefined) {
    const bytes = factoredWorkBytes(factored) + 4 * BLOCK_BYTES;
    return { bytes, storedBytes: factorBytes(factored.product) };
  }
  const decoded = elementCount(tensor.shape) * Math.max(4, bytesPerElement(tensor.dtype));
  const blocks = 2 * Math.min(decoded, BLOCK_BYTES);
  return {
    bytes: blocks + workBytes(matrices),
    storedBytes: storedBytes(tensor),
  };
}
