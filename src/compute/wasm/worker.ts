/** A worker thread: one kernel instance, one request at a time, everything synchronous. */
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { elementCount, type Tensor } from '../../checkpoint/checkpoint';
import { CheckpointError } from '../../checkpoint/errors';
import { readFullySync } from '../../checkpoint/file';
import {
  byteRange,
  FileDescriptors,
  isContiguousRaw,
  readTensorBytesSync,
} from '../../checkpoint/tensorData';
import type { NonFinite, SineFit, SpectrumRequest, SpectrumResult, TruncatedSvd } from '../backend';
import { factoredRequest, type FactoredRequest } from '../factoredProduct';
import { accumulateGram, product } from './denseProducts';
import { fitSine, fitTruncatedSvd, turnOfSine, type SineTurn } from './fits';
import { factoredSingularValues } from './factoredSpectrum';
import { gramSingularValues } from './gramPath';
import { KernelInstance } from './kernels';
import { singularValues } from './matrixSpectrum';
import { NonFiniteMatrix } from './nonFinite';
import { symmetricEigen } from './symmetricEigen';
import { TensorElements } from './tensorElements';
import type { CallName, WorkerCalls, WorkerReply, WorkerRequest, WorkerSetup } from './workerProtocol';

/** Progress reports are at least this far apart, in milliseconds. */
const REPORT_EVERY = 100;

/** Bytes read and hashed at once. */
const HASH_CHUNK = 1 << 20;

if (parentPort === null) throw new Error('worker.js runs as a worker thread only');
const port = parentPort;
// The pool starts workers with exactly this.
const { module } = workerData as WorkerSetup;
const instance = new KernelInstance(module);

port.on('message', (request: WorkerRequest) => {
  const reply = answer(request);
  port.postMessage(reply, transferable(reply));
});

/** Matrices are handed over, not copied. */
function transferable(reply: WorkerReply): ArrayBuffer[] {
  if (reply.kind !== 'result' || typeof reply.result === 'string') return [];
  // Arrays were made by this worker, or handed over to it, over plain ArrayBuffers.
  if (reply.result instanceof Float64Array) return [reply.result.buffer as ArrayBuffer];
  if ('fit' in reply.result) return factorsOf(reply.result.fit).map(({ buffer }) => buffer as ArrayBuffer);
  if (!('values' in reply.result)) return [];
  const { values, ...rest } = reply.result;
  const vectors = 'vectors' in rest ? [rest.vectors.buffer as ArrayBuffer] : [];
  return [values.buffer as ArrayBuffer, ...vectors];
}

function factorsOf(fit: TruncatedSvd | SineFit | SineTurn): Float32Array[] {
  if ('U' in fit) return [fit.U, fit.V];
  if (fit.kind === 'done') return [fit.fit.U, fit.fit.V];
  const { W, descent, progress } = fit;
  return [W.values, descent.U, descent.V, progress.U, progress.V];
}

function answer(request: WorkerRequest): WorkerReply {
  instance.reset();
  const files = new FileDescriptors();
  try {
    return { kind: 'result', result: dispatch(request, files) };
  } catch (error) {
    return { kind: 'failure', message: error instanceof Error ? error.message : String(error) };
  } finally {
    files.closeAll();
  }
}

function dispatch(request: WorkerRequest, files: FileDescriptors): WorkerCalls[CallName]['result'] {
  switch (request.call) {
    case 'digest':
      return digest(request.argument, files);
    case 'singularValues':
      return spectra(request.argument, files);
    case 'gramEigenvalues':
      return gramSingularValues(request.argument.gram, request.argument.n, instance, throttledReporter(1)(0));
    case 'symmetricEigen':
      return symmetricEigen(request.argument.matrix, request.argument.n, instance);
    case 'truncatedSvd':
      return fitTruncatedSvd(
        request.argument.target,
        request.argument.rank,
        instance,
        files,
        throttledReporter(1)(0),
      );
    case 'sineFit':
      return fitSine(
        request.argument.target,
        request.argument.options,
        instance,
        files,
        throttledReporter(1)(0),
      );
    case 'sineTurn':
      return turnOfSine(
        request.argument.target,
        request.argument.options,
        request.argument.answer,
        instance,
        files,
        throttledReporter(1)(0),
      );
    case 'accumulateGram':
      return accumulateGram(request.argument, instance);
    case 'product':
      return product(request.argument, instance);
  }
}

function spectra(request: SpectrumRequest, files: FileDescriptors): SpectrumResult {
  const { tensor, matrices } = request;
  try {
    const factored = factoredRequest(request);
    if (factored !== undefined) return factoredSpectra(factored, files);
    const elements = new TensorElements(tensor, instance, files);
    const report = throttledReporter(matrices.length);
    try {
      if (elements.wide && !elements.scaleToRange()) throw new NonFiniteMatrix();
      return {
        kind: 'spectra',
        singularValues: singularValues(matrices, elements, instance, report),
      };
    } catch (error) {
      if (!(error instanceof NonFiniteMatrix)) throw error;
      return { kind: 'nonFinite', nonFinite: elements.countNonFinite() };
    }
  } catch (error) {
    if (error instanceof RangeError) return { kind: 'tooLarge', reason: error.message };
    if (error instanceof CheckpointError) throw error.at({ tensor: tensor.name });
    throw error;
  }
}

function factoredSpectra(request: FactoredRequest, files: FileDescriptors): SpectrumResult {
  const report = throttledReporter(request.matrices.length);
  try {
    return { kind: 'spectra', singularValues: factoredSingularValues(request, instance, files, report) };
  } catch (error) {
    if (!(error instanceof NonFiniteMatrix)) throw error;
    return { kind: 'nonFinite', nonFinite: nonFiniteFactors(request, files) };
  }
}

/** Counted in the factors, U before V: multiplied out, one of them would be a whole row or column. */
function nonFiniteFactors({ product: { U, V } }: FactoredRequest, files: FileDescriptors): NonFinite {
  const [ofU, ofV] = [U, V].map((factor) => {
    instance.reset();
    return new TensorElements(factor, instance, files).countNonFinite();
  });
  if (ofU === undefined || ofV === undefined) throw new RangeError('a product of two factors');
  const firstIndex = ofU.firstIndex >= 0 ? ofU.firstIndex : elementCount(U.shape) + ofV.firstIndex;
  return { nan: ofU.nan + ofV.nan, infinite: ofU.infinite + ofV.infinite, firstIndex };
}

function throttledReporter(matrices: number): (index: number) => (fraction: number) => void {
  let last = Date.now();
  return (index) => (fraction) => {
    const now = Date.now();
    if (now - last < REPORT_EVERY) return;
    last = now;
    const reply: WorkerReply = { kind: 'fraction', fraction: (index + fraction) / matrices };
    port.postMessage(reply);
  };
}

/**
 * sha256 of the tensor's values as contiguous row-major little-endian bytes, whatever file format holds them. Of a product,
 * of its factors' digests and of what makes it of them: multiplying it out would take longer than its spectrum.
 */
function digest(tensor: Tensor, files: FileDescriptors): string {
  const hash = createHash('sha256');
  const { storage } = tensor;
  if (storage.encoding === 'product') {
    const { U, V, ...how } = storage.product;
    const sides = [U, V].map((side) => [digest(side, files), side.dtype, side.shape]);
    return hash.update(JSON.stringify([sides, how, tensor.layout ?? null])).digest('hex');
  }
  if (!isContiguousRaw(tensor)) return hash.update(readTensorBytesSync(tensor, files)).digest('hex');
  const { path, offset, byteLength } = byteRange(tensor);
  const fd = files.get(path);
  const chunk = new Uint8Array(Math.min(HASH_CHUNK, byteLength));
  for (let done = 0; done < byteLength; done += chunk.length) {
    const here = chunk.subarray(0, Math.min(chunk.length, byteLength - done));
    readFullySync(fd, here, path, offset + done);
    hash.update(here);
  }
  return hash.digest('hex');
}
