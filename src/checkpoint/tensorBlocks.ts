/** Where the elements of a tensor lie in its storage, cut into blocks that are read, or written, in one go. */
import { type FileBytes, type Tensor, elementCount } from './checkpoint';
import { type DType, bytesPerElement } from './dtype';
import { CheckpointError } from './errors';
import { isRowMajor, reach, rowMajorStrides } from './layout';

/**
 * A part of a storage read in one go need not be smaller than this, however little of it is used: a few system
 * calls more cost as much as these bytes.
 */
const MIN_BLOCK_BYTES = 1024 * 1024;

/** One read of a file, and the block of the tensor that it holds. */
export interface Read {
  readonly offset: number;
  readonly length: number;
  readonly block: Block;
}

/** A block of a tensor: some axes fixed, the others whole. */
export interface Block {
  readonly shape: readonly number[];
  /** Elements between neighbours in the bytes read. */
  readonly strides: readonly number[];
  /** Elements between neighbours in the result. */
  readonly resultStrides: readonly number[];
  /** First element in the bytes read; those before it belong to the storage only. */
  readonly start: number;
  readonly resultStart: number;
}

export function readsOf(tensor: Tensor, storage: FileBytes): Read[] {
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
export function wholeOf({ shape, layout }: Tensor): Block {
  const strides = layout?.strides ?? rowMajorStrides(shape);
  return {
    shape,
    strides,
    resultStrides: rowMajorStrides(shape),
    start: layout?.offset ?? 0,
    resultStart: 0,
  };
}

export function requireInside(byteLength: number, end: number): void {
  if (end > byteLength) {
    throw new CheckpointError('malformed', `needs ${end} bytes of a storage of ${byteLength}`);
  }
}

/** Elements of the storage from the first to the last of a block. */
export function spanOf(block: Block): number {
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

/** Whether the elements follow one another in row-major order, wherever they start. */
export function isPacked({ layout, shape }: Tensor): boolean {
  return layout === undefined || isRowMajor(shape, layout.strides);
}

/** Copies a block to its place in the result. */
export function gather(source: Uint8Array, block: Block, result: Uint8Array, size: number): void {
  const { shape, start, resultStart } = block;
  if (isRowMajor(shape, block.strides) && isRowMajor(shape, block.resultStrides)) {
    const bytes = elementCount(shape) * size;
    result.set(source.subarray(start * size, start * size + bytes), resultStart * size);
    return;
  }
  const wordSize = size >= 4 ? 4 : size === 2 ? 2 : 1;
  gatherWords(wordsOf(source, wordSize), block, wordsOf(result, wordSize), size / wordSize);
}

/** The opposite of `gather`: canonical elements back to their places in the bytes of a block. */
export function scatter(canonical: Uint8Array, block: Block, target: Uint8Array, size: number): void {
  const { shape, strides, resultStrides, start, resultStart } = block;
  const back = {
    shape,
    strides: resultStrides,
    resultStrides: strides,
    start: resultStart,
    resultStart: start,
  };
  gather(canonical, back, target, size);
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
export function swapWidth({
  byteOrder,
  dtype,
}: {
  readonly byteOrder?: 'big';
  readonly dtype: DType;
}): number {
  if (byteOrder === undefined) return 1;
  const isComplex = dtype === 'complex64' || dtype === 'complex128';
  return isComplex ? bytesPerElement(dtype) / 2 : bytesPerElement(dtype);
}

export function swapBytes(bytes: Uint8Array, width: number): void {
  for (let start = 0; width > 1 && start + width <= bytes.length; start += width) {
    bytes.subarray(start, start + width).reverse();
  }
}
