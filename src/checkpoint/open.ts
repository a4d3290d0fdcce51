import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint } from './checkpoint';
import { CheckpointError } from './errors';
import { type RandomAccessFile, ioError, withFile } from './file';
import { listCheckpoints, openDirectory } from './formats/directory';
import { findNpyEntries, openNpy, openNpz } from './formats/numpy';
import { openSafetensors } from './formats/safetensors';
import { openShardedIndex } from './formats/sharded';
import { openPickleFile } from './formats/torchLegacy';
import { openTorchTar } from './formats/torchTar';
import { findTorchPickle, openTorchZip } from './formats/torchZip';
import { HEAD_BYTES, type Sniffed, sniff } from './sniff';
import { ZipArchive } from './zip';

/** Extensions under which a file without any signature is taken for a pickle of the oldest protocols. */
const PICKLE_EXTENSIONS: ReadonlySet<string> = new Set([
  '.pkl',
  '.pickle',
  '.pt',
  '.pth',
  '.th',
  '.ckpt',
  '.p',
]);

/** Names listed from an archive that is not a checkpoint. */
const NAMED_ENTRIES = 3;

/**
 * Opens a checkpoint: its tensors by name, none of them read. The content decides on the format.
 *
 * @param given a file, or a folder that is one model in shards.
 * @throws CheckpointError with one line that names the file, and the tensor and byte where it can.
 * @throws the signal's reason when it is aborted.
 */
export async function openCheckpoint(given: string, signal?: AbortSignal): Promise<Checkpoint> {
  signal?.throwIfAborted();
  if (await isFolder(given)) return openDirectory(given, openFile, signal);
  const { format } = await withFile(given, sniffFile);
  if (format === 'json') return openShardedIndex(given, openFile, signal);
  return openFile(given);
}

/** The checkpoints in a folder that is not one itself; see `listCheckpoints`. @throws CheckpointError of kind `io`. */
export async function listCheckpointFiles(folder: string): Promise<string[]> {
  return listCheckpoints(folder, looksLikeCheckpoint);
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
      case 'unknown':
        return openUnknown(opened);
      case 'json':
        throw new CheckpointError('unsupported', 'an index of shards among the shards', { file });
      case 'other':
        throw new CheckpointError('unsupported', `not a checkpoint that is read: ${sniffed.description}`, {
          file,
        });
    }
  });
}

async function sniffFile(file: RandomAccessFile): Promise<Sniffed> {
  if (file.size === 0) throw new CheckpointError('malformed', 'the file is empty', { file: file.path });
  const head = await file.read(0, Math.min(HEAD_BYTES, file.size));
  const sniffed = sniff(head, path.extname(file.path).toLowerCase());
  if (sniffed.format !== 'json') return sniffed;
  return describeJson(file, head);
}

/** Of all JSON only an index of shards is read. */
async function describeJson(file: RandomAccessFile, head: Uint8Array): Promise<Sniffed> {
  const text = Buffer.from(await file.read(0, Math.min(file.size, JSON_SAMPLE_BYTES))).toString('utf8');
  if (text.includes('"weight_map"') || file.path.endsWith('.index.json')) return { format: 'json' };
  if (/"(?:modelTopology|weightsManifest)"/.test(text)) {
    return { format: 'other', description: 'a TensorFlow.js model, which is not read yet' };
  }
  return { format: 'other', description: head[0] === 0x7b ? 'JSON, but not an index of shards' : 'JSON' };
}

/** Enough of a JSON file to know it by its first keys. */
const JSON_SAMPLE_BYTES = 1024 * 1024;

function openZip(archive: ZipArchive): Checkpoint {
  const pickle = findTorchPickle(archive);
  if (pickle !== undefined) return openTorchZip(archive, pickle);
  const arrays = findNpyEntries(archive);
  if (arrays !== undefined) return openNpz(archive, arrays);
  throw new CheckpointError('unsupported', describeZip(archive), { file: archive.file.path });
}

function describeZip({ entries }: ZipArchive): string {
  if (entries.has('model.weights.h5'))
    return 'not a checkpoint that is read: Keras (.keras), which is not read yet';
  if (entries.size === 0) return 'an empty ZIP archive';
  const names = [...entries.keys()];
  const shown = names.slice(0, NAMED_ENTRIES).map((name) => `"${name}"`);
  const others = names.length > NAMED_ENTRIES ? ` and ${names.length - NAMED_ENTRIES} more` : '';
  return `a ZIP archive that is no checkpoint: it holds ${shown.join(', ')}${others}`;
}

/** Pickles of protocols 0 and 1 begin with their first opcode: try, but do not blame the file for not being one. */
function openUnknown(file: RandomAccessFile): Checkpoint {
  try {
    return openPickleFile(file);
  } catch (error) {
    const isPickle = PICKLE_EXTENSIONS.has(path.extname(file.path).toLowerCase());
    if (!(error instanceof CheckpointError) || error.kind !== 'malformed' || isPickle) throw error;
    throw new CheckpointError(
      'unsupported',
      'not a checkpoint of a known format',
      { file: file.path },
      { cause: error },
    );
  }
}

/** Whether a file in a folder is worth opening: everything with the mark of a format that is read. */
async function looksLikeCheckpoint(file: string): Promise<boolean> {
  try {
    return await withFile(file, async (opened) => {
      const { format } = await sniffFile(opened);
      if (format === 'zip') {
        const archive = await ZipArchive.open(opened);
        return findTorchPickle(archive) !== undefined || findNpyEntries(archive) !== undefined;
      }
      if (format === 'unknown') return PICKLE_EXTENSIONS.has(path.extname(file).toLowerCase());
      return format !== 'other' && format !== 'json';
    });
  } catch {
    // A damaged file is reported when it is opened by its name; one in a folder is reported if it claims to be one.
    return path.extname(file) !== '' && CHECKPOINT_EXTENSIONS.has(path.extname(file).toLowerCase());
  }
}

/** Extensions that say by themselves that a file is meant to be a checkpoint. */
const CHECKPOINT_EXTENSIONS: ReadonlySet<string> = new Set([
  '.safetensors',
  '.pt',
  '.pth',
  '.th',
  '.ckpt',
  '.npz',
  '.npy',
]);

async function isFolder(given: string): Promise<boolean> {
  try {
    return (await stat(given)).isDirectory();
  } catch (error) {
    throw ioError(error, given);
  }
}
