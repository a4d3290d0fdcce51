import { stat } from 'node:fs/promises';
import type { Checkpoint } from './checkpoint';
import { CheckpointError } from './errors';
import { type RandomAccessFile, ioError, withFile } from './file';
import { listFolder, nothingFound, type FolderListing } from './folder';
import { openDirectory } from './formats/directory';
import { openGguf } from './formats/gguf';
import { openHdf5 } from './formats/hdf5';
import { openKeras } from './formats/keras';
import { openNpy, openNpz } from './formats/numpy';
import { openOnnx } from './formats/onnx';
import { openSafetensors } from './formats/safetensors';
import { openShardedIndex } from './formats/sharded';
import { openTensorflow } from './formats/tensorflow';
import { openTensorflowJs } from './formats/tensorflowJs';
import { openTflite } from './formats/tflite';
import { openPickleFile } from './formats/torchLegacy';
import { openTorchTar } from './formats/torchTar';
import { openTorchZip } from './formats/torchZip';
import { withAdapters } from './packed/adapters';
import { withUnpackedWeights } from './packed';
import { claimsPickle, recogniseFile, sniffFile, sniffZip } from './recognise';
import { countOf } from './wording';
import { ZipArchive } from './zip';

export { nothingFound, type FolderListing } from './folder';

/**
 * Opens a checkpoint: its tensors by name, none of them read. The content decides on the format.
 *
 * @param given a file, or a folder that is one model in shards.
 * @throws CheckpointError with one line that names the file, and the tensor and byte where it can.
 * @throws the signal's reason when it is aborted.
 */
export async function openCheckpoint(given: string, signal?: AbortSignal): Promise<Checkpoint> {
  signal?.throwIfAborted();
  // Scales and factors may be in other shards than what they belong to, so these come last.
  return withAdapters(await withUnpackedWeights(await openStored(given, signal)));
}

/** A checkpoint as its files keep it. */
async function openStored(given: string, signal: AbortSignal | undefined): Promise<Checkpoint> {
  if (await isFolder(given)) return openFolder(given, signal);
  const { format } = await withFile(given, sniffFile);
  if (format === 'json') return openShardedIndex(given, openFile, signal);
  return openFile(given);
}

/**
 * The checkpoints in a folder and the folders in it: what `openCheckpoint` takes; see `FolderListing`.
 *
 * @throws CheckpointError of kind `io` when the folder cannot be read.
 * @throws the signal's reason when it is aborted.
 */
export async function listCheckpointFiles(folder: string, signal?: AbortSignal): Promise<FolderListing> {
  return listFolder(folder, recogniseFile, signal);
}

async function openFolder(folder: string, signal: AbortSignal | undefined): Promise<Checkpoint> {
  const model = await openDirectory(folder, openFile, signal);
  if (model !== undefined) return model;
  const listing = await listCheckpointFiles(folder, signal);
  const count = listing.files.length;
  const reason =
    count === 0
      ? nothingFound(listing)
      : `a folder of ${countOf(count, 'checkpoint')}, not one model in shards`;
  throw new CheckpointError('unsupported', reason, { file: folder });
}

async function openFile(file: string): Promise<Checkpoint> {
  return withFile(file, async (opened) => {
    const sniffed = await sniffFile(opened);
    switch (sniffed.format) {
      case 'safetensors':
        return openSafetensors(opened);
      case 'zip':
        return openZip(await ZipArchive.open(opened));
      case 'npy':
        return openNpy(opened);
      case 'tar':
        return openTorchTar(opened);
      case 'pickle':
        return openPickleFile(opened);
      case 'hdf5':
        return openHdf5(opened);
      case 'gguf':
        return openGguf(opened);
      case 'onnx':
        return openOnnx(opened);
      case 'tflite':
        return openTflite(opened);
      case 'tensorflow':
        return openTensorflow(opened);
      case 'tensorflow-js':
        return openTensorflowJs(opened);
      case 'unknown':
        return openUnknown(opened);
      case 'json':
        throw unsupported(file, 'an index of shards among the shards');
      case 'unread':
        throw unsupported(file, `${sniffed.name} is not read yet`);
      case 'pointer':
        throw unsupported(file, 'a Git LFS pointer: the real file has not been downloaded');
      case 'other':
        throw unsupported(file, sniffed.reason);
    }
  });
}

async function openZip(archive: ZipArchive): Promise<Checkpoint> {
  const content = sniffZip(archive);
  switch (content.format) {
    case 'torch':
      return openTorchZip(archive, content.pickle);
    case 'npz':
      return openNpz(archive, content.arrays);
    case 'keras':
      return openKeras(archive, content.weights);
    case 'unread':
      throw unsupported(archive.file.path, `${content.name} is not read yet`);
    case 'other':
      throw unsupported(archive.file.path, content.reason);
  }
}

/** Pickles of protocols 0 and 1 begin with their first opcode: try, but do not blame the file for not being one. */
function openUnknown(file: RandomAccessFile): Checkpoint {
  try {
    return openPickleFile(file);
  } catch (error) {
    if (!(error instanceof CheckpointError) || error.kind !== 'malformed' || claimsPickle(file.path))
      throw error;
    throw unsupported(file.path, 'not a checkpoint of a known format', { cause: error });
  }
}

function unsupported(file: string, reason: string, options?: ErrorOptions): CheckpointError {
  return new CheckpointError('unsupported', reason, { file }, options);
}

async function isFolder(given: string): Promise<boolean> {
  try {
    return (await stat(given)).isDirectory();
  } catch (error) {
    throw ioError(error, given);
  }
}
