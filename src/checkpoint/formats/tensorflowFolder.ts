import path from 'node:path';
import type { Checkpoint } from '../checkpoint';
import { CheckpointError } from '../errors';
import { withFile } from '../file';
import { countOf } from '../wording';
import type { OpenFile } from './sharded';

/** Names the newest checkpoint of a folder, some hundred bytes for each that it remembers. */
const LATEST_FILE = 'checkpoint';
const MAX_LATEST_BYTES = 1024 * 1024;

/** Files beside a checkpoint that may be models of their own, so that it is not all there is in the folder. */
const OTHER_MODELS =
  /\.(?:safetensors|pt|pth|th|ckpt|bin|npz|npy|pkl|h5|hdf5|keras|pb|tflite|onnx|gguf|msgpack)$/i;

/** Folders of a SavedModel: its variables, and files that its graph reads. */
const SAVED_MODEL_FOLDERS = ['variables', 'assets', 'assets.extra'];

/** Whether a folder with files of these names is a SavedModel. */
export function isSavedModel(files: readonly string[]): boolean {
  return files.includes('saved_model.pb');
}

/** The folders that belong to a SavedModel, there or not. */
export function savedModelFolders(folder: string): string[] {
  return SAVED_MODEL_FOLDERS.map((name) => path.join(folder, name));
}

/**
 * A folder that is a SavedModel, or that holds one checkpoint of TensorFlow; of several, the one that the text file
 * `checkpoint` calls the latest. Undefined when it is neither, or there are models of other formats.
 *
 * @param files names in the folder, sorted
 */
export async function openTensorflowFolder(
  folder: string,
  files: readonly string[],
  openFile: OpenFile,
): Promise<Checkpoint | undefined> {
  if (isSavedModel(files)) return { ...(await openFile(path.join(folder, 'saved_model.pb'))), path: folder };
  const prefixes = [...new Set(files.flatMap((name) => prefixOf(name) ?? []))];
  const isMixed = files.some((name) => OTHER_MODELS.test(name));
  const [first] = prefixes;
  if (first === undefined || isMixed) return undefined;
  const prefix = prefixes.length === 1 ? first : await latest(folder, files, prefixes);
  if (prefix === undefined) return undefined;
  const given = files.includes(`${prefix}.index`) ? `${prefix}.index` : firstShard(prefix, files);
  const checkpoint = await openFile(path.join(folder, given));
  const note = `The latest of ${countOf(prefixes.length, 'checkpoint')} in the folder, "${prefix}", as its file "${LATEST_FILE}" says`;
  return {
    ...checkpoint,
    path: folder,
    ...(prefixes.length > 1 && { notes: [note, ...checkpoint.notes] }),
  };
}

/** What the files of one checkpoint have in common: `ckpt-3` of `ckpt-3.index`. */
function prefixOf(name: string): string | undefined {
  return /^([^]+)\.(?:index|data-\d{5}-of-\d{5})$/.exec(name)?.[1];
}

function firstShard(prefix: string, files: readonly string[]): string {
  return files.find((name) => name.startsWith(`${prefix}.data-`)) ?? `${prefix}.index`;
}

/** The prefix that the folder's own text file names. Only its last part counts, so that it leads nowhere else. */
async function latest(
  folder: string,
  files: readonly string[],
  prefixes: readonly string[],
): Promise<string | undefined> {
  if (!files.includes(LATEST_FILE)) return undefined;
  const text = await withFile(path.join(folder, LATEST_FILE), async (file) => {
    if (file.size > MAX_LATEST_BYTES)
      throw new CheckpointError('malformed', `${file.size} bytes of names`, { file: file.path });
    return Buffer.from(await file.read(0, file.size)).toString('utf8');
  });
  const [, named = ''] = /^\s*model_checkpoint_path\s*:\s*"((?:[^"\\]|\\.)*)"/m.exec(text) ?? [];
  const last = named.split(/[/\\]/).at(-1);
  return prefixes.find((prefix) => prefix === last);
}
