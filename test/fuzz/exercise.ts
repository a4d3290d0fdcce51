/** What is done with every case, and what must hold however broken the file is. */
import path from 'node:path';
import {
  type Checkpoint,
  type StorageBytes,
  type Tensor,
  elementCount,
} from '../../src/checkpoint/checkpoint';
import { bytesPerElement } from '../../src/checkpoint/dtype';
import { CheckpointError } from '../../src/checkpoint/errors';
import { identityKey, listLayers, modelParameters, overlappingTensors } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { recogniseFile } from '../../src/checkpoint/recognise';
import { readTensorBytes, readTensorBytesSync } from '../../src/checkpoint/tensorData';

/** Tensors of a checkpoint whose values are read: some of the first, some of the last. */
const READ_TENSORS = 3;
/** Of a tensor that is read; larger ones are as they were in the seed. */
const MAX_READ_BYTES = 1024 * 1024;
/** A message is one line that a person reads. */
const MAX_MESSAGE = 3000;

/** Something that must hold of a checkpoint does not: always a finding. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

function require(holds: boolean, what: string): asserts holds {
  if (!holds) throw new BrokenPromise(what);
}

/** Recognises, opens, lists layers and reads a few values. */
export async function exerciseCheckpoint(given: string, folder: string): Promise<void> {
  if (given !== folder) await recogniseFile(given);
  const checkpoint = await openCheckpoint(given);
  requireSound(checkpoint, folder);
  const { layers, skipped } = listLayers(checkpoint);
  for (const { name, parameters } of layers)
    require(parameters >= 0, `layer ${name} of ${parameters} parameters`);
  const accounted = layers.length + skipped.length;
  require(accounted >=
    checkpoint.tensors.length, `${accounted} layers of ${checkpoint.tensors.length} tensors`);
  const parameters = modelParameters(checkpoint);
  require(parameters >= 0, `${parameters} parameters`);
  overlappingTensors(checkpoint);
  const { tensors } = checkpoint;
  const read = new Set([...tensors.slice(0, READ_TENSORS), ...tensors.slice(-READ_TENSORS)]);
  let failure: CheckpointError | undefined;
  for (const tensor of read) {
    // One that cannot be read says nothing of the next.
    try {
      await readValues(tensor);
    } catch (error) {
      requireProper(error, folder);
      failure = error;
    }
  }
  if (failure !== undefined) throw failure;
}

/** Requires a CheckpointError of one line that names the file. */
export function requireProper(error: unknown, folder: string): asserts error is CheckpointError {
  if (!(error instanceof CheckpointError)) throw error;
  const { message } = error;
  require(isOneLine(message), `a message of several lines: ${JSON.stringify(message)}`);
  require(message.includes(path.basename(folder)), `a message that names no file: ${message}`);
  require(message.length <= MAX_MESSAGE, `a message of ${message.length} characters`);
}

function requireSound(checkpoint: Checkpoint, folder: string): void {
  for (const file of checkpoint.files) requireInFolder(file, folder);
  require(Number.isSafeInteger(checkpoint.bytes), `${checkpoint.bytes} bytes`);
  const names = new Set<string>();
  for (const tensor of checkpoint.tensors) {
    const { name, shape, dtype, storage } = tensor;
    require(typeof name === 'string' && !names.has(name), `two tensors are called ${name}`);
    names.add(name);
    require(shape.every(isSize), `${name}: shape [${shape.join(', ')}]`);
    const needed = elementCount(shape) * bytesPerElement(dtype);
    require(isSize(needed), `${name}: ${needed} bytes`);
    requireSoundStorage(storage, folder);
    require(tensor.layout !== undefined ||
      needed <= storage.byteLength, `${name}: ${needed} bytes of ${storage.byteLength}`);
    identityKey(tensor);
  }
}

function requireSoundStorage(storage: StorageBytes, folder: string): void {
  require(isSize(storage.byteLength), `a storage of ${storage.byteLength} bytes`);
  if ('offset' in storage) {
    require(isSize(storage.offset), `a storage at byte ${storage.offset}`);
    requireInFolder(storage.path, folder);
  }
}

/** Without what moves a terminal's cursor or turns the direction of its text. */
function isOneLine(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- these are what must not be there
  return !/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/.test(text);
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function requireInFolder(file: string, folder: string): void {
  const inside = path.resolve(file);
  require(inside === folder ||
    inside.startsWith(folder + path.sep), `${file} is read, outside the checkpoint`);
}

async function readValues(tensor: Tensor): Promise<void> {
  const expected = elementCount(tensor.shape) * bytesPerElement(tensor.dtype);
  if (expected > MAX_READ_BYTES) return;
  const bytes = await readTensorBytes(tensor);
  require(bytes.length === expected, `${tensor.name}: ${bytes.length} bytes read instead of ${expected}`);
  const again = readTensorBytesSync(tensor);
  require(Buffer.compare(bytes, again) === 0, `${tensor.name}: other values when read without waiting`);
}
