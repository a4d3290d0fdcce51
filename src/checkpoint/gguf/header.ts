import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { MAX_AXES } from '../layout';
import { Cursor, type Writing } from './cursor';
import { type MetadataValue, readMetadata } from './metadata';

/** `GGUF`, then the version. */
const PREAMBLE_BYTES = 8;
const VERSIONS: ReadonlySet<number> = new Set([1, 2, 3]);
/** Each takes some kilobyte of memory; the largest published models have a few thousand. */
const MAX_TENSORS = 100_000;
/** ggml allows 64 bytes, or as many as it was compiled with; names of other programs are a little longer. */
const MAX_NAME_BYTES = 1024;
/** Of the values where the file does not say otherwise. */
const DEFAULT_ALIGNMENT = 32;

/** A tensor as the header describes it. */
export interface TensorInfo {
  readonly name: string;
  /** Row-major: the file has the innermost axis first. */
  readonly shape: readonly number[];
  /** Number of the element type in ggml. */
  readonly type: number;
  /** First byte in the file. */
  readonly offset: number;
  /** Where the header describes it, for messages. */
  readonly infoOffset: number;
}

export interface GgufHeader {
  readonly path: string;
  readonly fileBytes: number;
  readonly bigEndian: boolean;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** In file order. */
  readonly tensors: readonly TensorInfo[];
}

/**
 * The header of a GGUF file, of versions 1 to 3 ("GGUF specification", section "File structure").
 *
 * @throws CheckpointError `malformed` for a header that breaks the specification, `unsupported` for later versions
 */
export function readHeader(file: RandomAccessFile): GgufHeader {
  const writing = readWriting(file);
  const cursor = new Cursor(file, writing, PREAMBLE_BYTES);
  const countOffset = cursor.position;
  const count = cursor.length();
  if (count > MAX_TENSORS) {
    throw new CheckpointError('unsupported', `${count} tensors, more than ${MAX_TENSORS}`, {
      file: file.path,
      offset: countOffset,
    });
  }
  const metadata = readMetadata(cursor, cursor.length());
  const alignment = alignmentOf(metadata, cursor);
  const infos = readInfos(cursor, count);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = infos.map((info) => placed(info, dataStart, alignment, cursor));
  return { path: file.path, fileBytes: file.size, bigEndian: writing.bigEndian, metadata, tensors };
}

/** How the file is written, as its version tells: in the wrong byte order its lower half is zero. */
function readWriting(file: RandomAccessFile): Writing {
  const head = file.readSync(0, PREAMBLE_BYTES);
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  if (view.getUint32(0) !== 0x47475546) {
    throw new CheckpointError('malformed', 'does not begin with GGUF', { file: file.path, offset: 0 });
  }
  const bigEndian = (view.getUint32(4, true) & 0xffff) === 0;
  const version = view.getUint32(4, !bigEndian);
  if (!VERSIONS.has(version)) {
    const reason = `GGUF of version ${version}: versions 1 to 3 are read`;
    throw new CheckpointError('unsupported', reason, { file: file.path, offset: 4 });
  }
  return { wideLengths: version > 1, bigEndian };
}

function alignmentOf(metadata: ReadonlyMap<string, MetadataValue>, cursor: Cursor): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  const isPowerOfTwo = typeof alignment === 'number' && Number.isInteger(Math.log2(alignment));
  if (!isPowerOfTwo || alignment < 1 || alignment > 2 ** 31) {
    throw cursor.malformed(`general.alignment is ${String(alignment)}, not a power of two`);
  }
  return alignment;
}

function readInfos(cursor: Cursor, count: number): TensorInfo[] {
  const infos: TensorInfo[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const infoOffset = cursor.position;
    const name = cursor.text(MAX_NAME_BYTES, 'the name of a tensor');
    if (names.has(name)) throw cursor.malformed('is given twice', infoOffset).at({ tensor: name });
    names.add(name);
    try {
      const shape = readShape(cursor);
      infos.push({ name, shape, type: cursor.uint32(), offset: cursor.uint64(), infoOffset });
    } catch (error) {
      throw error instanceof CheckpointError ? error.at({ tensor: name }) : error;
    }
  }
  return infos;
}

function readShape(cursor: Cursor): number[] {
  const start = cursor.position;
  const axes = cursor.uint32();
  if (axes > MAX_AXES) throw cursor.malformed(`${axes} axes, more than ${MAX_AXES}`, start);
  return Array.from({ length: axes }, () => cursor.length()).reverse();
}

/** With its offset from the start of the file; the header gives it from the first value. */
function placed(info: TensorInfo, dataStart: number, alignment: number, cursor: Cursor): TensorInfo {
  if (info.offset % alignment !== 0) {
    const reason = `its values begin at ${info.offset}, which is no multiple of the alignment ${alignment}`;
    throw cursor.malformed(reason, info.infoOffset).at({ tensor: info.name });
  }
  return { ...info, offset: dataStart + info.offset };
}
