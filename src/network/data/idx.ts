/** Data in IDX files, as MNIST and its relatives come: images in one, labels in another, often gzipped. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Tensor } from '../../checkpoint/checkpoint';
import { bytesPerElement, type DType } from '../../checkpoint/dtype';
import { CheckpointError } from '../../checkpoint/errors';
import { withFile, type RandomAccessFile } from '../../checkpoint/file';
import { source } from './arrays';
import { gunzip, gunzipStart, isGzip } from './gzip';
import { MAX_HELD_BYTES, type SampleSource } from './sampleSource';

/** Third byte of the magic number. */
const TYPES: ReadonlyMap<number, DType> = new Map<number, DType>([
  [0x08, 'uint8'],
  [0x09, 'int8'],
  [0x0b, 'int16'],
  [0x0c, 'int32'],
  [0x0d, 'float32'],
  [0x0e, 'float64'],
]);

/** Samples and labels have one to four axes. */
const MAX_AXES = 8;
/** Magic number and sizes. */
const MAX_HEADER_BYTES = 4 + 4 * MAX_AXES;

/** Whether a file, gunzipped where it has to be, begins as IDX does. */
export function looksLikeIdx(start: Uint8Array): boolean {
  const [a, b, type = 0, axes = 0] = start;
  return a === 0 && b === 0 && TYPES.has(type) && axes >= 1 && axes <= MAX_AXES;
}

/**
 * @param labels absolute path of the labels' file; absent: looked for beside the images, by the usual names
 * @throws CheckpointError naming file and byte
 */
export async function openIdxData(file: string, labels: string | undefined): Promise<SampleSource> {
  const input = await openIdx(file);
  const labelFile = labels ?? labelsBeside(file);
  const label = labelFile === undefined ? undefined : await openIdx(labelFile);
  return source(input, label, labelFile === undefined ? [file] : [file, labelFile]);
}

/** `t10k-images-idx3-ubyte.gz` → `t10k-labels-idx1-ubyte.gz`, with or without the last ending. */
function labelsBeside(file: string): string | undefined {
  const name = path.basename(file);
  const plain = name
    .replace(/images?/i, 'labels')
    .replace(/idx\d/i, 'idx1')
    .replace(/\.gz$/i, '');
  if (plain === name.replace(/\.gz$/i, '')) return undefined;
  const candidates = [plain, `${plain}.gz`].map((one) => path.join(path.dirname(file), one));
  return candidates.find((candidate) => existsSync(candidate));
}

interface IdxHeader {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** Of the values. */
  readonly byteLength: number;
}

async function openIdx(file: string): Promise<Tensor> {
  return withFile(file, async (opened) => {
    const start = await opened.read(0, Math.min(opened.size, MAX_HEADER_BYTES));
    if (isGzip(start)) return openGzipped(opened);
    const header = parseHeader(start, file);
    if (opened.size !== header.bytes + header.byteLength) {
      const reason = `its header asks for ${header.byteLength} bytes, but ${opened.size - header.bytes} follow it`;
      throw new CheckpointError('malformed', reason, { file, offset: header.bytes });
    }
    const { byteLength } = header;
    return tensorOf(file, header, { encoding: 'raw', path: file, offset: header.bytes, byteLength });
  });
}

async function openGzipped(opened: RandomAccessFile): Promise<Tensor> {
  const file = opened.path;
  const header = parseHeader(await gunzipStart(opened, MAX_HEADER_BYTES), file);
  const all = await gunzip(opened, header.bytes + header.byteLength);
  const { byteLength } = header;
  const bytes = all.subarray(header.bytes);
  return tensorOf(file, header, { encoding: 'memory', path: file, bytes, byteLength });
}

function tensorOf(file: string, { dtype, shape }: IdxHeader, storage: Tensor['storage']): Tensor {
  const name = path.basename(file);
  return { name, shape, dtype, storage, byteOrder: 'big', role: 'model' };
}

function parseHeader(start: Uint8Array, file: string): IdxHeader {
  const dtype = TYPES.get(start[2] ?? 0);
  const axes = start[3] ?? 0;
  const bytes = 4 + 4 * axes;
  if (!looksLikeIdx(start) || dtype === undefined)
    throw new CheckpointError('malformed', 'no IDX file: it does not begin as one', { file, offset: 0 });
  if (start.length < bytes)
    throw new CheckpointError('malformed', 'an IDX header that is cut off', { file, offset: start.length });
  const view = new DataView(start.buffer, start.byteOffset, start.length);
  const shape = Array.from({ length: axes }, (_, axis) => view.getUint32(4 + 4 * axis));
  const byteLength = shape.reduce((product, size) => product * size, bytesPerElement(dtype));
  if (byteLength > MAX_HELD_BYTES) {
    const reason = `its header asks for ${shape.join(' × ')} values: more than ${MAX_HELD_BYTES} bytes are not read`;
    throw new CheckpointError('unsupported', reason, { file, offset: 4 });
  }
  return { dtype, shape, bytes, byteLength };
}
