/** A worker thread: one kernel instance, one request at a time, everything synchronous. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { Tensor } from '../../checkpoint/checkpoint';
import { CheckpointError } from '../../checkpoint/errors';
import { byteRange, isContiguousRaw, readTensorBytesSync } from '../../checkpoint/tensorData';
import type { SpectrumRequest, SpectrumResult } from '../backend';
import { KernelInstance } from './kernels';
import { NonFiniteMatrix, singularValues } from './matrixSpectrum';
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
  port.postMessage(answer(request));
});

function answer(request: WorkerRequest): WorkerReply {
  instance.reset();
  try {
    return { kind: 'result', result: dispatch(request) };
  } catch (error) {
    return { kind: 'failure', message: error instanceof Error ? error.message : String(error) };
  }
}

function dispatch(request: WorkerRequest): WorkerCalls[CallName]['result'] {
  switch (request.call) {
    case 'digest':
      return digest(request.argument);
    case 'singularValues':
      return spectra(request.argument);
    case 'symmetricEigen':
      return symmetricEigen(request.argument.matrix, request.argument.n, instance);
  }
}

function spectra({ tensor, matrices }: SpectrumRequest): SpectrumResult {
  const elements = new TensorElements(tensor, instance);
  try {
    if (elements.wide && !elements.scaleToRange())
      return { kind: 'nonFinite', nonFinite: elements.countNonFinite() };
    const reporter = throttledReporter(matrices.length);
    return {
      kind: 'spectra',
      singularValues: matrices.map((view, i) => singularValues(view, elements, instance, reporter(i))),
    };
  } catch (error) {
    if (error instanceof NonFiniteMatrix)
      return { kind: 'nonFinite', nonFinite: elements.countNonFinite() };
    if (error instanceof RangeError) return { kind: 'tooLarge', reason: error.message };
    throw error;
  } finally {
    elements.close();
  }
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

/** sha256 of the tensor's values as contiguous row-major little-endian bytes, whatever file format holds them. */
function digest(tensor: Tensor): string {
  const hash = createHash('sha256');
  if (!isContiguousRaw(tensor)) return hash.update(readTensorBytesSync(tensor)).digest('hex');
  const { path, offset, byteLength } = byteRange(tensor);
  const chunk = new Uint8Array(Math.min(HASH_CHUNK, byteLength));
  const fd = openSync(path, 'r');
  try {
    for (let done = 0; done < byteLength; ) {
      const n = readSync(fd, chunk, 0, Math.min(chunk.length, byteLength - done), offset + done);
      if (n === 0)
        throw new CheckpointError('io', 'the file became shorter while it was read', {
          file: path,
          tensor: tensor.name,
          offset: offset + done,
        });
      hash.update(chunk.subarray(0, n));
      done += n;
    }
  } finally {
    closeSync(fd);
  }
  return hash.digest('hex');
}
