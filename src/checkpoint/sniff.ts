import { looksLikeNpy } from './formats/numpy';
import { looksLikeSafetensors } from './formats/safetensors';
import { looksLikeTar } from './tar';

/** Bytes of the head of a file that tell its format: a tar header. */
export const HEAD_BYTES = 512;

export type Sniffed =
  | { readonly format: 'safetensors' | 'zip' | 'npy' | 'tar' | 'json' | 'pickle' }
  /** Known, but not a checkpoint that is read. */
  | { readonly format: 'other'; readonly description: string }
  /** Nothing known; it may yet be a pickle of the oldest protocols, which has no signature. */
  | { readonly format: 'unknown' };

interface Signature {
  readonly offset?: number;
  readonly bytes: string;
  readonly description: string;
}

/** Bytes as one character each. */
const OTHERS: readonly Signature[] = [
  { bytes: '\x89HDF\r\n\x1a\n', description: 'HDF5 (Keras .h5), which is not read yet' },
  { bytes: 'GGUF', description: 'GGUF, which is not read yet' },
  { bytes: 'TFL3', offset: 4, description: 'TensorFlow Lite, which is not read yet' },
  { bytes: '\x08\x03\x12', description: 'ONNX, which is not read yet' },
  {
    bytes: 'version https://git-lfs',
    description: 'a Git LFS pointer: the real file has not been downloaded',
  },
  { bytes: '\x89PNG', description: 'a PNG picture' },
  { bytes: '\xff\xd8\xff', description: 'a JPEG picture' },
  { bytes: 'GIF8', description: 'a GIF picture' },
  { bytes: '7z\xbc\xaf\x27\x1c', description: 'a 7z archive' },
  { bytes: 'Rar!', description: 'a RAR archive' },
  { bytes: '\x1f\x8b', description: 'gzip-compressed: decompress it first' },
  { bytes: '\x28\xb5\x2f\xfd', description: 'zstd-compressed: decompress it first' },
  { bytes: '\xfd7zXZ', description: 'xz-compressed: decompress it first' },
  { bytes: 'BZh', description: 'bzip2-compressed: decompress it first' },
  { bytes: '%PDF', description: 'a PDF document' },
  { bytes: '\x7fELF', description: 'a program' },
  { bytes: '#!', description: 'a script' },
  { bytes: 'RIFF', description: 'sound, a picture or a film' },
  { bytes: '<', description: 'XML or HTML' },
];

/** How pickles begin since protocol 2. */
const PROTO = 0x80;
const MAX_PROTOCOL = 5;

/** ONNX begins with its version field; versions of the format so far. */
const MAX_ONNX_VERSION = 20;

/** What the head of a file looks like. Content decides; `extension` (with its dot) only breaks ties. */
export function sniff(head: Uint8Array, extension: string): Sniffed {
  const text = Buffer.from(head).toString('latin1');
  if (text.startsWith('PK\x03\x04') || text.startsWith('PK\x05\x06')) return { format: 'zip' };
  if (looksLikeNpy(head)) return { format: 'npy' };
  // Before the signatures: the length that a safetensors file begins with may look like any of the short ones.
  if (looksLikeSafetensors(head)) return { format: 'safetensors' };
  const other = OTHERS.find(({ bytes, offset = 0 }) => text.startsWith(bytes, offset));
  if (other !== undefined) return { format: 'other', description: other.description };
  if (looksLikeTar(head)) return { format: 'tar' };
  if (extension === '.safetensors') return { format: 'safetensors' };
  if (/^\s*[{[]/.test(text)) return { format: 'json' };
  if (head[0] === PROTO && (head[1] ?? 0xff) <= MAX_PROTOCOL) return { format: 'pickle' };
  if (isOnnx(head, extension)) return { format: 'other', description: 'ONNX, which is not read yet' };
  return { format: 'unknown' };
}

function isOnnx(head: Uint8Array, extension: string): boolean {
  return extension === '.onnx' && head[0] === 0x08 && (head[1] ?? 0xff) <= MAX_ONNX_VERSION;
}
