import {
  type Checkpoint,
  type FileBytes,
  type Tensor,
  type UnreadableTensor,
  elementCount,
} from '../checkpoint';
import { bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { columnMajorStrides, isRowMajor, requireShape } from '../layout';
import { numpyDtype } from '../numpyDtype';
import { roleInStateDict, stateNotes } from '../roles';
import type { ZipArchive, ZipEntry } from '../zip';
import { type Literal, LiteralDict, LiteralSequence, parsePythonLiteral } from './pythonLiteral';
import { stemOf } from './stem';

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
/** Magic, version and the header's length (two bytes in version 1, four later). */
const MAX_PREFIX_BYTES = 12;
/** Plain arrays need about a hundred bytes; records of many fields a few thousand. */
const MAX_HEADER_BYTES = 1024 * 1024;

export function looksLikeNpy(head: Uint8Array): boolean {
  return MAGIC.every((byte, index) => head[index] === byte);
}

/** A single array. Its name is the file's. @throws CheckpointError `malformed` or `unsupported`. */
export async function openNpy(file: RandomAccessFile): Promise<Checkpoint> {
  const name = stemOf(file.path);
  try {
    const prefix = await file.read(0, Math.min(MAX_PREFIX_BYTES, file.size));
    const dataStart = headerEnd(prefix);
    const header = await file.read(0, dataStart);
    const place: FileBytes = { encoding: 'raw', path: file.path, offset: 0, byteLength: file.size };
    return checkpointOf(file, 'NumPy (.npy)', [arrayOf(name, header, dataStart, place)]);
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file: file.path, tensor: name }) : error;
  }
}

/** The `.npy` entries of an archive, if it holds nothing else. */
export function findNpyEntries(archive: ZipArchive): readonly ZipEntry[] | undefined {
  const entries = [...archive.entries.values()];
  return entries.length > 0 && entries.every(({ name }) => name.endsWith('.npy')) ? entries : undefined;
}

/** An archive of arrays, stored or compressed. @throws CheckpointError `malformed` or `unsupported`. */
export function openNpz(archive: ZipArchive, entries: readonly ZipEntry[]): Checkpoint {
  const arrays = entries.map((entry) => {
    const name = entry.name.slice(0, -'.npy'.length);
    try {
      const place = archive.locate(entry);
      const dataStart = headerEnd(archive.readStart(entry, MAX_PREFIX_BYTES));
      const array = arrayOf(name, archive.readStart(entry, dataStart), dataStart, place);
      return 'reason' in array ? array : { ...array, role: roleInStateDict(name, array.shape) };
    } catch (error) {
      throw error instanceof CheckpointError
        ? error.at({ file: archive.file.path, tensor: name, offset: entry.localHeader })
        : error;
    }
  });
  return checkpointOf(archive.file, 'NumPy (.npz)', arrays);
}

function checkpointOf(
  file: RandomAccessFile,
  format: string,
  arrays: readonly (Tensor | UnreadableTensor)[],
): Checkpoint {
  const tensors = arrays.flatMap((array) => ('reason' in array ? [] : [array]));
  return {
    path: file.path,
    format,
    files: [file.path],
    bytes: file.size,
    tensors,
    unreadable: arrays.flatMap((array) => ('reason' in array ? [array] : [])),
    notes: stateNotes(tensors),
  };
}

/** Where the values begin. */
function headerEnd(prefix: Uint8Array): number {
  const major = prefix[6];
  if (!looksLikeNpy(prefix) || major === undefined) throw new CheckpointError('malformed', 'no NumPy array');
  if (major < 1 || major > 3)
    throw new CheckpointError('unsupported', `version ${major} of the NumPy format`);
  const prefixBytes = major === 1 ? 10 : 12;
  if (prefix.length < prefixBytes) throw new CheckpointError('malformed', 'a NumPy array that is cut off');
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.length);
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_HEADER_BYTES) throw new CheckpointError('malformed', `a NumPy header of ${length} bytes`);
  return prefixBytes + length;
}

/** `start` holds at least the header; `place` the whole array with its header. */
function arrayOf(
  name: string,
  start: Uint8Array,
  dataStart: number,
  place: FileBytes,
): Tensor | UnreadableTensor {
  if (start.length < dataStart) throw new CheckpointError('malformed', 'a NumPy header that is cut off');
  const isLatin1 = (start[6] ?? 0) < 3;
  const text = Buffer.from(start.subarray(start[6] === 1 ? 10 : 12, dataStart)).toString(
    isLatin1 ? 'latin1' : 'utf8',
  );
  const header = parsePythonLiteral(text);
  const sizes = header instanceof LiteralDict ? header.entries.get('shape') : undefined;
  if (!(header instanceof LiteralDict) || !(sizes instanceof LiteralSequence)) {
    throw new CheckpointError('malformed', 'a NumPy header without a shape');
  }
  const descr = header.entries.get('descr');
  const type = typeof descr === 'string' ? numpyDtype(descr) : undefined;
  if (type === undefined) return unreadable(name, sizes.items, descr);
  const shape = requireShape(sizes.items, bytesPerElement(type.dtype));
  const needed = elementCount(shape) * bytesPerElement(type.dtype);
  if (place.byteLength - dataStart !== needed) {
    const reason = `its shape needs ${needed} bytes, but ${place.byteLength - dataStart} follow the header`;
    throw new CheckpointError('malformed', reason);
  }
  const strides = columnMajorStrides(shape);
  const isColumnMajor = header.entries.get('fortran_order') === true && !isRowMajor(shape, strides);
  return {
    name,
    shape,
    dtype: type.dtype,
    storage: afterHeader(place, dataStart, needed),
    ...(isColumnMajor ? { layout: { offset: 0, strides } } : {}),
    ...(type.byteOrder === undefined ? {} : { byteOrder: type.byteOrder }),
    role: 'model',
  };
}

function afterHeader(place: FileBytes, dataStart: number, byteLength: number): FileBytes {
  return place.encoding === 'deflate'
    ? { ...place, skip: dataStart, byteLength }
    : { encoding: 'raw', path: place.path, offset: place.offset + dataStart, byteLength };
}

function unreadable(name: string, sizes: readonly Literal[], descr: Literal | undefined): UnreadableTensor {
  const shape = sizes.slice(0, 64).flatMap((size) => (typeof size === 'number' ? [size] : []));
  if (typeof descr !== 'string')
    return { name, shape, dtype: 'structured', reason: 'it is an array of records' };
  // 'O': pickled Python objects, which are never loaded.
  if (/^[|<>=]?O/.test(descr))
    return { name, shape, dtype: 'object', reason: 'it holds Python objects, not numbers' };
  return { name, shape, dtype: descr, reason: `elements of type ${descr} are not read` };
}
