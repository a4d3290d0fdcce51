import { closeSync, openSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { type StorageBytes, type Tensor, elementCount } from './checkpoint';
import { type DType, bytesPerElement } from './dtype';
import { CheckpointError } from './errors';
import { allocateBytes, ioError, readFullySync, withFile } from './file';
import { isRowMajor, reach, rowMajorStrides } from './layout';

/**
 * A part of a storage read in one go need not be smaller than this, however little of it is used: a few system
 * calls more cost as much as these bytes.
 */
const MIN_BLOCK_BYTES = 1024 * 1024;

/** Bytes of a tensor that stand in the file exactly as `readTensorBytes` gives them. */
export interface ByteRange {
  readonly path: string;
  readonly offset: number;
  readonly byteLength: number;
}

/** Files held open between reads; one for each thread that reads. */
export class FileDescriptors {
  private readonly open = new Map<string, number>();

  /** @throws CheckpointError of kind `io`. */
  get(path: string): number {
    const known = this.open.get(path);
    if (known !== undefined) return known;
    try {
      const fd = openSync(path, 'r');
      this.open.set(path, fd);
      return fd;
    } catch (error) {
      throw ioError(error, path);
    }
  }

  closeAll(): void {
    for (const fd of this.open.values()) closeSync(fd);
    this.open.clear();
  }
}

/** Whether the values stand in the file row by row, little-endian, uncompressed, so that ranges of them can be read. */
export function isContiguousRaw(tensor: Tensor): boolean {
  return tensor.storage.encoding === 'raw' && swapWidth(tensor) === 1 && isPacked(tensor);
}

/** The range of a contiguous raw tensor. @throws CheckpointError for all others: ask `isContiguousRaw` first. */
export function byteRange(tensor: Tensor): ByteRange {
  if (!isContiguousRaw(tensor)) {
    throw new CheckpointError('unsupported', 'its values are not one range of the file', {
      file: tensor.storage.path,
      tensor: tensor.name,
    });
  }
  const { storage, layout, dtype, shape } = tensor;
  const size = bytesPerElement(dtype);
  const offset = storage.offset + (layout?.offset ?? 0) * size;
  return { path: storage.path, offset, byteLength: elementCount(shape) * size };
}

/** Whether the elements follow one another in row-major order, wherever they start. */
function isPacked({ layout, shape }: Tensor): boolean {
  return layout === undefined || isRowMajor(shape, layout.strides);
}

/**
 * The canonical bytes of a tensor: contiguous, row-major, little-endian, whatever the file keeps.
 * The array starts at byte 0 of its own ArrayBuffer.
 *
 * @throws CheckpointError naming the tensor.
 */
export async function readTensorBytes(tensor: Tensor): Promise<Uint8Array> {
  try {
    return await withFile(tensor.storage.path, async (file) => {
      const parts: Uint8Array[] = [];
      const reads = readsOf(tensor);
      for (const { offset, length } of reads) parts.push(await file.read(offset, length));
      return assemble(tensor, reads, parts);
    });
  } catch (error) {
    throw named(error, tensor);
  }
}

/**
 * The same without waiting, for worker threads that do nothing else.
 *
 * @param files kept open by the caller over many reads; without it the file is opened and closed for this one.
 * @throws CheckpointError naming the tensor.
 */
export function readTensorBytesSync(tensor: Tensor, files?: FileDescriptors): Uint8Array {
  if (files === undefined) {
    const own = new FileDescriptors();
    try {
      return readTensorBytesSync(tensor, own);
    } finally {
      own.closeAll();
    }
  }
  try {
    const { path } = tensor.storage;
    const fd = files.get(path);
    const reads = readsOf(tensor);
    const parts = reads.map(({ offset, length }) => {
      const bytes = allocateBytes(length, path);
      readFullySync(fd, bytes, path, offset);
      return bytes;
    });
    return assemble(tensor, reads, parts);
  } catch (error) {
    throw named(error, tensor);
  }
}

function named(error: unknown, { name, storage }: Tensor): unknown {
  return error instanceof CheckpointError ? error.at({ file: storage.path, tensor: name }) : error;
}

/** One read of a file, and the block of the tensor that it holds. */
interface Read {
  readonly offset: number;
  readonly length: number;
  readonly block: Block;
}

/** A block of a tensor: some axes fixed, the others whole. */
interface Block {
  readonly shape: readonly number[];
  /** Elements between neighbours in the bytes read. */
  readonly strides: readonly number[];
  /** Elements between neighbours in the result. */
  readonly resultStrides: readonly number[];
  /** First element in the bytes read; those before it belong to the storage only. */
  readonly start: number;
  readonly resultStart: number;
}

function readsOf(tensor: Tensor): Read[] {
  const { storage, shape, dtype } = tensor;
  const size = bytesPerElement(dtype);
  const strides = tensor.layout?.strides ?? rowMajorStrides(shape);
  const start = tensor.layout?.offset ?? 0;
  const whole: Block = { shape, strides, resultStrides: rowMajorStrides(shape), start, resultStart: 0 };
  if (shape.includes(0)) return [];
  requireInside(tensor, (start + spanOf(whole)) * size);
  switch (storage.encoding) {
    case 'raw':
      return blocksOf(whole, size).map((block) => ({
        offset: storage.offset + block.start * size,
        length: spanOf(block) * size,
        block: { ...block, start: 0 },
      }));
    case 'deflate':
      return [{ offset: storage.offset, length: storage.compressedLength, block: whole }];
    case 'utf8':
      return [{ offset: storage.offset, length: storage.encodedLength, block: whole }];
  }
}

function requireInside({ storage }: Tensor, end: number): void {
  if (end > storage.byteLength) {
    throw new CheckpointError('malformed', `needs ${end} bytes of a storage of ${storage.byteLength}`);
  }
}

/** Elements of the storage from the first to the last of a block. */
function spanOf(block: Block): number {
  return reach(block.shape, { offset: 0, strides: block.strides });
}

/** Cuts a view with wide gaps into blocks, so that no more than about twice its bytes are read. */
function blocksOf(block: Block, size: number): Block[] {
  const span = spanOf(block) * size;
  const axis = widestAxis(block);
  if (axis < 0 || span <= MIN_BLOCK_BYTES || span <= 2 * elementCount(block.shape) * size) return [block];
  const blocks: Block[] = [];
  const without = (values: readonly number[]): number[] => values.filter((_, other) => other !== axis);
  for (let i = 0; i < (block.shape[axis] ?? 0); i++) {
    const slice: Block = {
      shape: without(block.shape),
      strides: without(block.strides),
      resultStrides: without(block.resultStrides),
      start: block.start + i * (block.strides[axis] ?? 0),
      resultStart: block.resultStart + i * (block.resultStrides[axis] ?? 0),
    };
    for (const part of blocksOf(slice, size)) blocks.push(part);
  }
  return blocks;
}

function widestAxis({ strides, shape }: Block): number {
  let widest = -1;
  strides.forEach((stride, axis) => {
    if ((shape[axis] ?? 1) > 1 && stride > (strides[widest] ?? 0)) widest = axis;
  });
  return widest;
}

/** Puts the parts read in their places and in the canonical byte order. */
function assemble(tensor: Tensor, reads: readonly Read[], parts: readonly Uint8Array[]): Uint8Array {
  const size = bytesPerElement(tensor.dtype);
  const [only] = parts;
  // A packed raw tensor was read as exactly its bytes.
  const isDone =
    tensor.storage.encoding === 'raw' && isPacked(tensor) && only !== undefined && parts.length === 1;
  const result = isDone ? only : allocateBytes(elementCount(tensor.shape) * size, tensor.storage.path);
  if (!isDone) {
    reads.forEach(({ block }, index) => {
      const part = parts[index];
      if (part !== undefined) gather(decode(part, tensor.storage), block, result, size);
    });
  }
  swapBytes(result, swapWidth(tensor));
  return result;
}

function decode(bytes: Uint8Array, storage: StorageBytes): Uint8Array {
  switch (storage.encoding) {
    case 'raw':
      return bytes;
    case 'deflate':
      return inflate(bytes, storage.skip, storage.byteLength);
    case 'utf8': {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
      const decoded = Buffer.from(text, 'latin1');
      if (decoded.length !== storage.byteLength) {
        throw new CheckpointError(
          'malformed',
          `${decoded.length} bytes kept as text where ${storage.byteLength} belong`,
        );
      }
      return decoded;
    }
  }
}

/** Inflates no more than a storage is said to hold. @throws CheckpointError when the stream holds anything else. */
function inflate(compressed: Uint8Array, skip: number, byteLength: number): Uint8Array {
  let inflated: Uint8Array;
  try {
    inflated = inflateRawSync(compressed, { maxOutputLength: Math.max(1, skip + byteLength) });
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(
      'malformed',
      `compressed data that does not inflate (${detail})`,
      {},
      { cause: error },
    );
  }
  if (inflated.length !== skip + byteLength) {
    throw new CheckpointError(
      'malformed',
      `inflates to ${inflated.length} bytes instead of ${skip + byteLength}`,
    );
  }
  return inflated.subarray(skip);
}

/** Copies a block to its place in the result. */
function gather(source: Uint8Array, block: Block, result: Uint8Array, size: number): void {
  const { shape, start, resultStart } = block;
  if (isRowMajor(shape, block.strides) && isRowMajor(shape, block.resultStrides)) {
    const bytes = elementCount(shape) * size;
    result.set(source.subarray(start * size, start * size + bytes), resultStart * size);
    return;
  }
  const wordSize = size >= 4 ? 4 : size === 2 ? 2 : 1;
  gatherWords(wordsOf(source, wordSize), block, wordsOf(result, wordSize), size / wordSize);
}

/** Bytes as units that are moved at once; integers, because moving floating-point numbers may change a NaN. */
function wordsOf(bytes: Uint8Array, wordSize: 1 | 2 | 4): Uint8Array | Uint16Array | Uint32Array {
  if (wordSize === 1) return bytes;
  const { buffer, byteOffset } = bytes.byteOffset % wordSize === 0 ? bytes : Uint8Array.from(bytes);
  const length = Math.floor(bytes.length / wordSize);
  return wordSize === 2
    ? new Uint16Array(buffer, byteOffset, length)
    : new Uint32Array(buffer, byteOffset, length);
}

type Words = Uint8Array | Uint16Array | Uint32Array;

/** Element by element, row by row, each of `words` units. */
function gatherWords(source: Words, block: Block, result: Words, words: number): void {
  const { shape, strides, resultStrides } = block;
  const last = shape.length - 1;
  const rowLength = shape[last] ?? 1;
  const step = (strides[last] ?? 1) * words;
  const resultStep = (resultStrides[last] ?? 1) * words;
  const rows = elementCount(shape.slice(0, Math.max(0, last)));
  const index = new Array<number>(Math.max(0, last)).fill(0);
  let from = block.start * words;
  let to = block.resultStart * words;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < rowLength; i++) {
      const a = from + i * step;
      const b = to + i * resultStep;
      for (let word = 0; word < words; word++) result[b + word] = source[a + word] ?? 0;
    }
    // The next row, counting up from the innermost of the outer axes.
    for (let axis = last - 1; axis >= 0; axis--) {
      const i = (index[axis] ?? 0) + 1;
      const isWithin = i < (shape[axis] ?? 1);
      const moved = isWithin ? 1 : 1 - i;
      from += moved * (strides[axis] ?? 0) * words;
      to += moved * (resultStrides[axis] ?? 0) * words;
      index[axis] = isWithin ? i : 0;
      if (isWithin) break;
    }
  }
}

/** Width of the units whose bytes are to be reversed; complex numbers are two of them. */
function swapWidth({ byteOrder, dtype }: { readonly byteOrder?: 'big'; readonly dtype: DType }): number {
  if (byteOrder === undefined) return 1;
  const isComplex = dtype === 'complex64' || dtype === 'complex128';
  return isComplex ? bytesPerElement(dtype) / 2 : bytesPerElement(dtype);
}

function swapBytes(bytes: Uint8Array, width: number): void {
  for (let start = 0; width > 1 && start + width <= bytes.length; start += width) {
    bytes.subarray(start, start + width).reverse();
  }
}
