import { elementCount, type Tensor } from '../../checkpoint/checkpoint';
import { bytesPerElement } from '../../checkpoint/dtype';
import { readFullySync } from '../../checkpoint/file';
import {
  byteRange,
  isContiguousRaw,
  readTensorBytesSync,
  type FileDescriptors,
} from '../../checkpoint/tensorData';
import type { MatrixView } from '../../checkpoint/matrixView';
import type { NonFinite } from '../backend';
import type { KernelInstance } from './kernels';

/**
 * Decoded elements held at once. A tensor that fits is read in one go; a larger one streams through a buffer of this
 * size, so that a worker's memory is the Gram matrix and little else, whatever the tensor's size.
 */
export const BLOCK_BYTES = 16 << 20;

/** Where a block of elements lies in the kernels' memory: element (i, j) at `address + (i·ld + j)·bytes`. */
export interface Block {
  readonly address: number;
  readonly ld: number;
}

/**
 * A tensor's elements, decoded to float32 (float64 tensors stay as they are) block by block in a kernel's memory.
 * Synchronous: it runs in a worker thread, straight from the file.
 */
export class TensorElements {
  /** Elements are float64, to be multiplied by `factor`; otherwise float32. */
  readonly wide: boolean;
  /** Power of two that keeps squares of float64 elements within range; 1 otherwise. */
  factor = 1;
  private readonly count: number;
  private readonly storedBytes: number;
  private readonly decodedBytes: number;
  private readonly bytes: Uint8Array | undefined;
  private readonly fd: number | undefined;
  private readonly start: number = 0;
  private readonly buffer: number;
  private readonly staging: number;
  private readonly resident: boolean;

  constructor(
    private readonly tensor: Tensor,
    private readonly instance: KernelInstance,
    files: FileDescriptors,
  ) {
    this.count = elementCount(tensor.shape);
    this.wide = tensor.dtype === 'float64';
    this.storedBytes = bytesPerElement(tensor.dtype);
    this.decodedBytes = this.wide ? 8 : 4;
    if (isContiguousRaw(tensor)) {
      this.start = byteRange(tensor).offset;
      this.fd = files.get(tensor.storage.path);
    } else {
      this.bytes = readTensorBytesSync(tensor, files);
    }
    this.resident = this.count * this.decodedBytes <= BLOCK_BYTES;
    const held = this.resident ? this.count : largestBlock(tensor, this.decodedBytes);
    this.buffer = instance.allocate(held * this.decodedBytes);
    this.staging = this.isStoredDecoded ? this.buffer : instance.allocate(held * this.storedBytes);
    if (this.resident) this.load(0, this.count, this.buffer, this.staging);
  }

  /** Bytes of one decoded element. */
  get elementBytes(): number {
    return this.decodedBytes;
  }

  /** Rows or columns of a block when each of its other dimension is `across` elements: a multiple of `step`. */
  blockLength(across: number, step: number): number {
    return blockLength(across, step, this.decodedBytes);
  }

  /** Rows r … r+rows−1, columns c … c+columns−1 of a view; valid until the next call. */
  block(view: MatrixView, r: number, rows: number, c: number, columns: number): Block {
    const first = view.offset + r * view.rowStride + c;
    if (this.resident) return { address: this.buffer + first * this.decodedBytes, ld: view.rowStride };
    if (columns === view.rowStride) {
      this.load(first, rows * columns, this.buffer, this.staging);
    } else {
      for (let i = 0; i < rows; i++) {
        const done = i * columns;
        this.load(
          first + i * view.rowStride,
          columns,
          this.buffer + done * this.decodedBytes,
          this.staging + done * this.storedBytes,
        );
      }
    }
    return { address: this.buffer, ld: columns };
  }

  /** Looks at every element of a float64 tensor: sets `factor`; false when one of them is NaN or infinite. */
  scaleToRange(): boolean {
    let largest = 0;
    this.forEachRun((address, n) => {
      const here = this.instance.kernels.largestMagnitude64(n, address);
      largest = Number.isNaN(here) || Number.isNaN(largest) ? NaN : Math.max(largest, here);
    });
    if (!Number.isFinite(largest)) return false;
    // 2^±400: the squares and their sums stay far inside float64's 2^±1022.
    if (largest > 2 ** 400 || (largest > 0 && largest < 2 ** -400))
      this.factor = 2 ** -Math.max(-1000, Math.floor(Math.log2(largest)));
    return true;
  }

  /** Counts the elements that are not finite. */
  countNonFinite(): NonFinite {
    let nan = 0;
    let infinite = 0;
    let firstIndex = -1;
    this.forEachRun((address, n, first) => {
      const bytes = this.instance.uint8(address, n * this.decodedBytes);
      const values = this.wide
        ? new Float64Array(bytes.buffer, bytes.byteOffset, n)
        : new Float32Array(bytes.buffer, bytes.byteOffset, n);
      values.forEach((value, i) => {
        if (Number.isFinite(value)) return;
        if (Number.isNaN(value)) nan++;
        else infinite++;
        if (firstIndex < 0) firstIndex = first + i;
      });
    });
    return { nan, infinite, firstIndex };
  }

  /** All elements in storage order, in runs that fit the buffer. */
  private forEachRun(visit: (address: number, n: number, first: number) => void): void {
    const all = { offset: 0, rows: 1, columns: this.count, rowStride: this.count };
    const step = this.resident ? this.count : Math.floor(BLOCK_BYTES / this.decodedBytes);
    for (let first = 0; first < this.count; first += step) {
      const n = Math.min(step, this.count - first);
      visit(this.block(all, 0, 1, first, n).address, n, first);
    }
  }

  private get isStoredDecoded(): boolean {
    return this.storedBytes === this.decodedBytes;
  }

  /** Reads and decodes n elements from index `first` to `to`, through `staging` when they are stored otherwise. */
  private load(first: number, n: number, to: number, staging: number): void {
    const target = this.instance.uint8(this.isStoredDecoded ? to : staging, n * this.storedBytes);
    this.read(first * this.storedBytes, target);
    const { kernels } = this.instance;
    switch (this.tensor.dtype) {
      case 'float64':
      case 'float32':
        return;
      case 'float16':
        kernels.decodeFloat16(n, staging, to);
        return;
      case 'bfloat16':
        kernels.decodeBfloat16(n, staging, to);
        return;
      case 'float8_e4m3fn':
        kernels.decodeFloat8E4M3(n, staging, to);
        return;
      case 'float8_e5m2':
        kernels.decodeFloat8E5M2(n, staging, to);
        return;
      default:
        throw new Error(`no spectrum is taken of ${this.tensor.dtype} elements`);
    }
  }

  private read(position: number, target: Uint8Array): void {
    if (this.bytes !== undefined) target.set(this.bytes.subarray(position, position + target.length));
    else if (this.fd !== undefined)
      readFullySync(this.fd, target, this.tensor.storage.path, this.start + position);
  }
}

function blockLength(across: number, step: number, elementBytes: number): number {
  return Math.max(1, Math.floor(BLOCK_BYTES / (across * elementBytes * step))) * step;
}

/** Elements of the largest block that a matrix of this tensor may ask for. */
function largestBlock(tensor: Tensor, elementBytes: number): number {
  // A block is at most BLOCK_BYTES, or one step of 256 summands across the smaller side when that alone is larger.
  const across = Math.ceil(Math.sqrt(elementCount(tensor.shape)));
  return Math.max(BLOCK_BYTES / elementBytes, across * 256);
}
