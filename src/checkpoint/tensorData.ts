import { closeSync, openSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { multiplyOut, productSizes, type ProductFactors } from './activatedProduct';
import { type FileBytes, type ProductBytes, type Tensor, elementCount } from './checkpoint';
import { type DType, bytesPerElement } from './dtype';
import { CheckpointError } from './errors';
import { allocateBytes, ioError, readFullySync, withFile } from './file';
import { isRowMajor, reach, rowMajorStrides } from './layout';

/**
 * A part of a storage read in one go need not be smaller than this, however little of it is used: a few system
 * calls more cost as much as these bytes.
 */
const MIN_BLOCK_BYTES = 1024 * 1024;

/** Multiply-adds of a product done before anything else may run: some tens of milliseconds. */
const MULTIPLY_ADDS_PER_TURN = 2 ** 24;

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
  const { storage, layout, dtype, shape } = tensor;
  if (storage.encoding !== 'raw' || !isContiguousRaw(tensor)) {
    throw new CheckpointError('unsupported', 'its values are not one range of the file', {
      file: storage.path,
      tensor: tensor.name,
    });
  }
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
    const { storage } = tensor;
    if (storage.encoding === 'memory') return rearrange(tensor, storage.bytes);
    if (storage.encoding === 'product') {
      const [U, V] = [await readTensorBytes(storage.product.U), await readTensorBytes(storage.product.V)];
      return rearrange(tensor, await productInTurns(storage, U, V));
    }
    return await withFile(storage.path, async (file) => {
      const parts: Uint8Array[] = [];
      const reads = readsOf(tensor, storage);
      for (const { offset, length } of reads) parts.push(await file.read(offset, length));
      return assemble(tensor, storage, reads, parts);
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
    const { storage } = tensor;
    if (storage.encoding === 'memory') return rearrange(tensor, storage.bytes);
    if (storage.encoding === 'product') {
      const { U, V } = storage.product;
      const turns = productTurns(storage, readTensorBytesSync(U, files), readTensorBytesSync(V, files));
      for (const turn of turns.turns) turn();
      return rearrange(tensor, turns.bytes);
    }
    const { path } = storage;
    const fd = files.get(path);
    const reads = readsOf(tensor, storage);
    const parts = reads.map(({ offset, length }) => {
      const bytes = allocateBytes(length, path);
      readFullySync(fd, bytes, path, offset);
      return bytes;
    });
    return assemble(tensor, storage, reads, parts);
  } catch (error) {
    throw named(error, tensor);
  }
}

/** The product, with a pause between its parts in which timers and messages are served. */
async function productInTurns(storage: ProductBytes, U: Uint8Array, V: Uint8Array): Promise<Uint8Array> {
  const { bytes, turns } = productTurns(storage, U, V);
  for (const turn of turns) {
    turn();
    await new Promise((resume) => setImmediate(resume));
  }
  return bytes;
}

/** The bytes of a product, to be filled by calling all turns in order. */
function productTurns(
  { product, byteLength, path }: ProductBytes,
  U: Uint8Array,
  V: Uint8Array,
): { readonly bytes: Uint8Array; readonly turns: Iterable<() => void> } {
  const sizes = productSizes(product);
  const { groups, rows, columns, rank } = sizes;
  if (groups * rows * columns * 4 !== byteLength) {
    throw new CheckpointError(
      'malformed',
      `factors of ${groups * rows * columns * 4} bytes, not ${byteLength}`,
    );
  }
  const bytes = allocateBytes(byteLength, path);
  const [all, allU, allV] = [floats(bytes), factorValues(product.U, U), factorValues(product.V, V)];
  const rowsPerTurn = Math.max(1, Math.floor(MULTIPLY_ADDS_PER_TURN / (columns * rank)));
  function* turns(): Generator<() => void> {
    for (let g = 0; g < groups; g++) {
      const factors: ProductFactors = {
        ...sizes,
        activation: product.activation,
        omega: product.omega,
        gain: product.gains[g] ?? NaN,
        U: allU.subarray(g * rows * rank, (g + 1) * rows * rank),
        V: allV.subarray(g * columns * rank, (g + 1) * columns * rank),
        transposed: product.transposed,
      };
      const target = all.subarray(g * rows * columns, (g + 1) * rows * columns);
      for (let from = 0; from < rows; from += rowsPerTurn) {
        const to = Math.min(rows, from + rowsPerTurn);
        yield () => {
          multiplyOut(factors, target, { from, to });
        };
      }
    }
  }
  return { bytes, turns: turns() };
}

function factorValues({ name, dtype }: Tensor, bytes: Uint8Array): Float32Array {
  if (dtype === 'float32') return floats(bytes);
  throw new CheckpointError('unsupported', `a factor of ${dtype} elements: float32 is read`, {
    tensor: name,
  });
}

/** Bytes as the little-endian float32 values they are. */
function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** A computed storage's elements in the tensor's order, in an array of their own. */
function rearrange(tensor: Tensor, bytes: Uint8Array): Uint8Array {
  const size = bytesPerElement(tensor.dtype);
  const block = wholeOf(tensor);
  if (!tensor.shape.includes(0)) requireInside(bytes.length, (block.start + spanOf(block)) * size);
  const result = allocateBytes(elementCount(tensor.shape) * size, tensor.storage.path);
  if (!tensor.shape.includes(0)) gather(bytes, block, result, size);
  swapBytes(result, swapWidth(tensor));
  return result;
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

function readsOf(tensor: Tensor, storage: FileBytes): Read[] {
  const size = bytesPerElement(tensor.dtype);
  const whole = wholeOf(tensor);
  if (tensor.shape.includes(0)) return [];
  requireInside(storage.byteLength, (whole.start + spanOf(whole)) * size);
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

/** All of a tensor as one block. */
function wholeOf({ shape, layout }: Tensor): Block {
  const strides = layout?.strides ?? rowMajorStrides(shape);
  return {
    shape,
    strides,
    resultStrides: rowMajorStrides(shape),
    start: layout?.offset ?? 0,
    resultStart: 0,
  };
}

function requireInside(byteLength: number, end: number): void {
  if (end > byteLength) {
    throw new CheckpointError('malformed', `needs ${end} bytes of a storage of ${byteLength}`);
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
function assemble(
  tensor: Tensor,
  storage: FileBytes,
  reads: readonly Read[],
  parts: readonly Uint8Array[],
): Uint8Array {
  const size = bytesPerElement(tensor.dtype);
  const [only] = parts;
  // A packed raw tensor was read as exactly its bytes.
  const isDone = storage.encoding === 'raw' && isPacked(tensor) && only !== undefined && parts.length === 1;
  const result = isDone ? only : allocateBytes(elementCount(tensor.shape) * size, storage.path);
  if (!isDone) {
    reads.forEach(({ block }, index) => {
      const part = parts[index];
      if (part !== undefined) gather(decode(part, storage), block, result, size);
    });
  }
  swapBytes(result, swapWidth(tensor));
  return result;
}

function decode(bytes: Uint8Array, storage: FileBytes): Uint8Array {
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
