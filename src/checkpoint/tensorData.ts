import { closeSync, openSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { type FileBytes, type Tensor, elementCount } from './checkpoint';
import { decodedBytes, productInTurns, productTurns, rearrange, stackOf } from './computedData';
import { bytesPerElement } from './dtype';
import { CheckpointError } from './errors';
import { allocateBytes, ioError, readFullySync, withFile } from './file';
import { type Read, gather, isPacked, readsOf, swapBytes, swapWidth } from './tensorBlocks';

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

/**
 * The canonical bytes of a tensor: contiguous, row-major, little-endian, whatever the file keeps.
 * The array starts at byte 0 of its own ArrayBuffer.
 *
 * @throws CheckpointError naming the tensor.
 */
export async function readTensorBytes(tensor: Tensor): Promise<Uint8Array> {
  const { storage } = tensor;
  try {
    switch (storage.encoding) {
      case 'memory':
        return rearrange(tensor, storage.bytes);
      case 'product': {
        const [U, V] = [await readTensorBytes(storage.product.U), await readTensorBytes(storage.product.V)];
        return rearrange(tensor, await productInTurns(storage, U, V));
      }
      case 'stack': {
        const parts: Uint8Array[] = [];
        for (const part of storage.parts) parts.push(await readTensorBytes(part));
        return rearrange(tensor, stackOf(storage, parts));
      }
      case 'decoded': {
        const parts: Uint8Array[] = [];
        for (const source of storage.sources) parts.push(await readTensorBytes(source));
        return rearrange(tensor, decodedBytes(storage, parts));
      }
      case 'raw':
      case 'deflate':
      case 'utf8':
        return await withFile(storage.path, async (file) => {
          const parts: Uint8Array[] = [];
          const reads = readsOf(tensor, storage);
          for (const { offset, length } of reads) parts.push(await file.read(offset, length));
          return assemble(tensor, storage, reads, parts);
        });
    }
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
  const { storage } = tensor;
  const read = (part: Tensor): Uint8Array => readTensorBytesSync(part, files);
  try {
    switch (storage.encoding) {
      case 'memory':
        return rearrange(tensor, storage.bytes);
      case 'product': {
        const { bytes, turns } = productTurns(storage, read(storage.product.U), read(storage.product.V));
        for (const turn of turns) turn();
        return rearrange(tensor, bytes);
      }
      case 'stack':
        return rearrange(tensor, stackOf(storage, storage.parts.map(read)));
      case 'decoded':
        return rearrange(tensor, decodedBytes(storage, storage.sources.map(read)));
      case 'raw':
      case 'deflate':
      case 'utf8':
        return readFileBytesSync(tensor, storage, files);
    }
  } catch (error) {
    throw named(error, tensor);
  }
}

function readFileBytesSync(tensor: Tensor, storage: FileBytes, files: FileDescriptors): Uint8Array {
  const { path } = storage;
  const fd = files.get(path);
  const reads = readsOf(tensor, storage);
  const parts = reads.map(({ offset, length }) => {
    const bytes = allocateBytes(length, path);
    readFullySync(fd, bytes, path, offset);
    return bytes;
  });
  return assemble(tensor, storage, reads, parts);
}

function named(error: unknown, { name, storage }: Tensor): unknown {
  return error instanceof CheckpointError ? error.at({ file: storage.path, tensor: name }) : error;
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
