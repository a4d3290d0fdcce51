import { looksLikeNpy } from './formats/numpy';
import { looksLikeSafetensors } from './formats/safetensors';
import { looksLikeTar } from './tar';

/** Bytes of the head of a file that tell its format: a tar header. */
export const HEAD_BYTES = 512;

export type Sniffed =
  | {
      readonly format:
        | 'safetensors'
        | 'zip'
        | 'npy'
        | 'tar'
        | 'json'
        | 'pickle'
        | 'hdf5'
        | 'gguf'
        | 'onnx'
        | 'tflite'
        | 'tensorflow'
        | 'tensorflow-js';
    }
  /** A model in a format that is known and not read; `name` is part of a sentence: "ONNX", "a TensorFlow SavedModel". */
  | { readonly format: 'unread'; readonly name: string }
  /** What Git leaves in the place of a large file that it has not fetched. */
  | { readonly format: 'pointer' }
  /** Known, and no model; `reason` says what it is instead. */
  | { readonly format: 'other'; readonly reason: string }
  /** Nothing known; it may yet be a pickle of the oldest protocols, which has no signature. */
  | { readonly format: 'unknown' };

interface Signature {
  readonly offset?: number;
  /** One character each. */
  readonly bytes: string;
  readonly is: Sniffed;
}

const unread = (name: string): Sniffed => ({ format: 'unread', name });
const noCheckpoint = (what: string): Sniffed => ({ format: 'other', reason: `${what}, not a checkpoint` });
const compressed = (how: string): Sniffed => ({
  format: 'other',
  reason: `${how}-compressed: decompress it first`,
});

const SIGNATURES: readonly Signature[] = [
  { bytes: '\x89HDF\r\n\x1a\n', is: { format: 'hdf5' } },
  { bytes: 'GGUF', is: { format: 'gguf' } },
  // ggml, ggmf, ggjt and ggla, which are written as numbers.
  { bytes: 'lmgg', is: unread('GGML (before GGUF)') },
  { bytes: 'fmgg', is: unread('GGML (before GGUF)') },
  { bytes: 'tjgg', is: unread('GGML (before GGUF)') },
  { bytes: 'algg', is: unread('GGML (before GGUF)') },
  { bytes: 'TFL3', offset: 4, is: { format: 'tflite' } },
  { bytes: '\x08\x03\x12', is: { format: 'onnx' } },
  { bytes: 'version https://git-lfs', is: { format: 'pointer' } },
  { bytes: '\x89PNG', is: noCheckpoint('a PNG picture') },
  { bytes: '\xff\xd8\xff', is: noCheckpoint('a JPEG picture') },
  { bytes: 'GIF8', is: noCheckpoint('a GIF picture') },
  { bytes: '7z\xbc\xaf\x27\x1c', is: noCheckpoint('a 7z archive') },
  { bytes: 'Rar!', is: noCheckpoint('a RAR archive') },
  { bytes: '\x1f\x8b', is: compressed('gzip') },
  { bytes: '\x28\xb5\x2f\xfd', is: compressed('zstd') },
  { bytes: '\xfd7zXZ', is: compressed('xz') },
  { bytes: 'BZh', is: compressed('bzip2') },
  { bytes: '%PDF', is: noCheckpoint('a PDF document') },
  { bytes: '\x7fELF', is: noCheckpoint('a program') },
  { bytes: '#!', is: noCheckpoint('a script') },
  { bytes: 'RIFF', is: noCheckpoint('sound, a picture or a film') },
  { bytes: '<', is: noCheckpoint('XML or HTML') },
];

/** Models whose files have no signature and are known by their names alone, as their own tools know them. */
const NAMES: readonly (readonly [RegExp, Sniffed])[] = [
  [/^saved_model\.pb$/, { format: 'tensorflow' }],
  [
    /^(?:keras_metadata|fingerprint)\.pb$/,
    { format: 'other', reason: 'part of a TensorFlow SavedModel: open its folder or its saved_model.pb' },
  ],
  [/^saved_model\.pbtxt$/, unread('a TensorFlow SavedModel as text')],
  [/\.(?:index|data-\d{5}-of-\d{5})$/, { format: 'tensorflow' }],
  [/\.pb$/, unread('a TensorFlow graph (.pb)')],
  [/\.msgpack$/, unread('Flax (.msgpack)')],
];

/** How pickles begin since protocol 2. */
const PROTO = 0x80;
const MAX_PROTOCOL = 5;

/** ONNX begins with its version field; versions of the format so far. */
const MAX_ONNX_VERSION = 20;

/** What the head of a file looks like. Content decides; the file's name, without its folder, only where that is mute. */
export function sniff(head: Uint8Array, fileName: string): Sniffed {
  const name = fileName.toLowerCase();
  const text = Buffer.from(head).toString('latin1');
  if (text.startsWith('PK\x03\x04') || text.startsWith('PK\x05\x06')) return { format: 'zip' };
  if (looksLikeNpy(head)) return { format: 'npy' };
  // Before the signatures: the length that a safetensors file begins with may look like any of the short ones.
  if (looksLikeSafetensors(head)) return { format: 'safetensors' };
  // These begin with anything, a weight's own bytes or a short signature among it.
  const named = NAMES.find(([pattern]) => pattern.test(name));
  if (named !== undefined) return named[1];
  const signature = SIGNATURES.find(({ bytes, offset = 0 }) => text.startsWith(bytes, offset));
  if (signature !== undefined) return signature.is;
  if (looksLikeTar(head)) return { format: 'tar' };
  if (name.endsWith('.safetensors')) return { format: 'safetensors' };
  if (/^\s*[{[]/.test(text)) return { format: 'json' };
  if (head[0] === PROTO && (head[1] ?? 0xff) <= MAX_PROTOCOL) return { format: 'pickle' };
  return { format: isOnnx(head, name) ? 'onnx' : 'unknown' };
}

function isOnnx(head: Uint8Array, name: string): boolean {
  return name.endsWith('.onnx') && head[0] === 0x08 && (head[1] ?? 0xff) <= MAX_ONNX_VERSION;
}
