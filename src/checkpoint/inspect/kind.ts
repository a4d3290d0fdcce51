import { looksLikeNpy } from '../formats/numpy';
import { looksLikeSafetensors } from '../formats/safetensors';
import { looksLikeTar } from '../tar';
import { latin1 } from './byteRange';
import type { Part } from './context';
import { beginsPickle } from './pickles';

/** What a part's content is, as far as its beginning tells. */
export type Kind =
  | 'zip'
  | 'tar'
  | '7z'
  | 'gzip'
  | 'zlib'
  | 'npy'
  | 'safetensors'
  | 'gguf'
  | 'hdf5'
  | 'onnx'
  | 'tensorflow'
  | 'tflite'
  | 'json'
  | 'pickle'
  /** Known, and no model; the text continues "it is …". */
  | { readonly other: string; readonly isCode: boolean }
  | 'nothing';

const HEAD_BYTES = 512;

/** A local header, the end of an empty archive, and the first part of a split one. */
const ZIP_RECORDS = ['PK\x03\x04', 'PK\x05\x06', 'PK\x07\x08'];

/** Beginnings of what is no model. Code among models is told. */
const OTHERS: readonly (readonly [string, string, isCode: boolean])[] = [
  ['\x89PNG', 'a PNG picture', false],
  ['\xff\xd8\xff', 'a JPEG picture', false],
  ['GIF8', 'a GIF picture', false],
  ['%PDF', 'a PDF document', false],
  ['RIFF', 'sound, a picture or a film', false],
  ['version https://git-lfs', 'a pointer of Git LFS, not the file itself', false],
  ['\x7fELF', 'a program (ELF)', true],
  ['MZ', 'a program (Windows)', true],
  ['\xcf\xfa\xed\xfe', 'a program (macOS)', true],
  ['\xca\xfe\xba\xbe', 'a program (macOS) or Java code', true],
  ['#!', 'a script', true],
  ['Rar!', 'a RAR archive, which is not looked into', true],
  ['\x28\xb5\x2f\xfd', 'zstd-compressed and not looked into', true],
  ['\xfd7zXZ', 'xz-compressed and not looked into', true],
  ['BZh', 'bzip2-compressed and not looked into', true],
  ['\x04\x22\x4d\x18', 'LZ4-compressed and not looked into', true],
];

const MAX_ONNX_VERSION = 20;
/** Fields of a model that may follow its version: producer, graph, operators … */
const AFTER_ONNX_VERSION: ReadonlySet<number> = new Set([0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42]);

export function kindOf({ range, name }: Part): Kind {
  const head = range.read(0, HEAD_BYTES);
  const text = latin1(head);
  const lower = name.toLowerCase();
  if (ZIP_RECORDS.some((record) => text.startsWith(record))) return 'zip';
  if (looksLikeNpy(head)) return 'npy';
  if (looksLikeSafetensors(head)) return 'safetensors';
  if (text.startsWith('7z\xbc\xaf\x27\x1c')) return '7z';
  if (text.startsWith('\x1f\x8b\x08')) return 'gzip';
  if (text.startsWith('GGUF')) return 'gguf';
  if (text.startsWith('\x89HDF\r\n\x1a\n')) return 'hdf5';
  if (text.startsWith('TFL3', 4)) return 'tflite';
  if (/(?:^|\/)saved_model\.pb$|\.pb$/.test(lower)) return 'tensorflow';
  if (beginsPickle(range, 0)) return 'pickle';
  const [first, second, third] = head;
  if (first === 0x08 && second === 1 && third === 0x12 && !lower.endsWith('.onnx')) return 'tensorflow';
  if (first === 0x08 && second !== undefined && second <= MAX_ONNX_VERSION)
    if (lower.endsWith('.onnx') || AFTER_ONNX_VERSION.has(third ?? 0)) return 'onnx';
  const other = OTHERS.find(([beginning]) => text.startsWith(beginning));
  if (other !== undefined) return { other: other[1], isCode: other[2] };
  if (looksLikeTar(head)) return 'tar';
  if (lower.endsWith('.safetensors')) return 'safetensors';
  if (/^\s*[{[]/.test(text)) return 'json';
  // The two bytes of a zlib stream are a number that 31 divides.
  if (first === 0x78 && second !== undefined && (first * 256 + second) % 31 === 0) return 'zlib';
  return 'nothing';
}
