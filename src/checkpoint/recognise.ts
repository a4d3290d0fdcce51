import path from 'node:path';
import { CheckpointError } from './errors';
import { type RandomAccessFile, withFile } from './file';
import { findNpyEntries } from './formats/numpy';
import { isListedTensorflow } from './formats/tensorflow';
import { findTorchPickle } from './formats/torchZip';
import { HEAD_BYTES, type Sniffed, sniff } from './sniff';
import { ZipArchive, type ZipEntry } from './zip';

/** Enough of a JSON file to know it by its first keys. */
const JSON_SAMPLE_BYTES = 1024 * 1024;

/** Names listed from an archive that is not a checkpoint. */
const NAMED_ENTRIES = 3;

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

/** Extensions that say by themselves that a file is meant to be a checkpoint. */
const CHECKPOINT_EXTENSIONS: ReadonlySet<string> = new Set([
  '.safetensors',
  '.pt',
  '.pth',
  '.th',
  '.ckpt',
  '.npz',
  '.npy',
  '.gguf',
  '.keras',
  '.h5',
]);

/** What lies in folders of checkpoints and data by the thousand and is never one: not worth opening. */
const OTHER_EXTENSIONS: ReadonlySet<string> = new Set(
  [
    'png jpg jpeg gif webp bmp tif tiff svg ico wav mp3 flac ogg mp4 avi mov mkv webm', // pictures, sound, films
    'txt md rst csv tsv log yaml yml toml ini cfg json jsonl html css pdf parquet arrow', // text and tables
    'py pyc pyi ipynb sh js mjs ts map c cc cpp cu h hpp rs go java so o a dll', // code
  ].flatMap((line) => line.split(' ').map((extension) => `.${extension}`)),
);

/** JSON that is looked at in folders all the same: TensorFlow.js keeps a model's topology in it. */
const MODEL_JSON = 'model.json';

/** What a file is, by its head and, where that is mute, its name. @throws CheckpointError when it is empty. */
export async function sniffFile(file: RandomAccessFile): Promise<Sniffed> {
  if (file.size === 0) throw new CheckpointError('malformed', 'the file is empty', { file: file.path });
  const head = await file.read(0, Math.min(HEAD_BYTES, file.size));
  const sniffed = sniff(head, path.basename(file.path));
  return sniffed.format === 'json' ? describeJson(file) : sniffed;
}

/** Of all JSON only an index of shards is read. */
async function describeJson(file: RandomAccessFile): Promise<Sniffed> {
  const text = Buffer.from(await file.read(0, Math.min(file.size, JSON_SAMPLE_BYTES))).toString('utf8');
  if (text.includes('"weight_map"') || file.path.endsWith('.index.json')) return { format: 'json' };
  if (/"(?:modelTopology|weightsManifest)"/.test(text)) return { format: 'tensorflow-js' };
  return { format: 'other', reason: 'JSON, but not an index of shards' };
}

export type ZipContent =
  | { readonly format: 'torch'; readonly pickle: ZipEntry }
  | { readonly format: 'npz'; readonly arrays: readonly ZipEntry[] }
  | { readonly format: 'keras'; readonly weights: ZipEntry }
  | Extract<Sniffed, { format: 'unread' | 'other' }>;

/** What an archive holds. @throws CheckpointError when it holds two models. */
export function sniffZip(archive: ZipArchive): ZipContent {
  const pickle = findTorchPickle(archive);
  if (pickle !== undefined) return { format: 'torch', pickle };
  const arrays = findNpyEntries(archive);
  if (arrays !== undefined) return { format: 'npz', arrays };
  const { entries } = archive;
  const weights = entries.get('model.weights.h5');
  if (weights !== undefined) return { format: 'keras', weights };
  if (entries.size === 0) return { format: 'other', reason: 'an empty ZIP archive' };
  const names = [...entries.keys()];
  const shown = names.slice(0, NAMED_ENTRIES).map((name) => `"${name}"`);
  const others = names.length > NAMED_ENTRIES ? ` and ${names.length - NAMED_ENTRIES} more` : '';
  return {
    format: 'other',
    reason: `a ZIP archive that is no checkpoint: it holds ${shown.join(', ')}${others}`,
  };
}

/** Whether a file without a signature claims to be a pickle. */
export function claimsPickle(file: string): boolean {
  return PICKLE_EXTENSIONS.has(path.extname(file).toLowerCase());
}

/** Whether a file claims by its name to be a checkpoint, so that a person wants to hear why it is none. */
export function claimsCheckpoint(file: string): boolean {
  return CHECKPOINT_EXTENSIONS.has(path.extname(file).toLowerCase());
}

export type Recognised = 'checkpoint' | 'nothing' | { readonly notRead: string };

/**
 * Whether a file in a folder is worth opening: everything with the mark of a format that is read, and what claims to be
 * a checkpoint, which then says itself why it is none. Reads the head of files that can be one; never throws.
 */
export async function recogniseFile(file: string): Promise<Recognised> {
  const isOther = OTHER_EXTENSIONS.has(path.extname(file).toLowerCase());
  if (isOther && path.basename(file) !== MODEL_JSON) return 'nothing';
  const recognised = await withFile(file, recogniseContent).catch(() => 'nothing' as const);
  return recognised !== 'checkpoint' && claimsCheckpoint(file) ? 'checkpoint' : recognised;
}

async function recogniseContent(file: RandomAccessFile): Promise<Recognised> {
  const sniffed = await sniffFile(file);
  const content = sniffed.format === 'zip' ? sniffZip(await ZipArchive.open(file)) : sniffed;
  switch (content.format) {
    case 'unread':
      return { notRead: content.name };
    case 'pointer':
      // Shards and models of PyTorch are often called .bin, as much else is.
      return file.path.toLowerCase().endsWith('.bin') ? 'checkpoint' : 'nothing';
    case 'unknown':
      return claimsPickle(file.path) ? 'checkpoint' : 'nothing';
    case 'other':
    case 'json':
    case 'zip':
      return 'nothing';
    case 'safetensors':
    case 'npy':
    case 'tar':
    case 'pickle':
    case 'torch':
    case 'npz':
    case 'keras':
    case 'hdf5':
    case 'gguf':
    case 'onnx':
    case 'tflite':
    case 'tensorflow-js':
      return 'checkpoint';
    case 'tensorflow':
      return (await isListedTensorflow(file)) ? 'checkpoint' : 'nothing';
  }
}
