import { elementCount, type Tensor } from '../checkpoint';
import { bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import { readsOf } from '../tensorBlocks';
import { FileDescriptors, readTensorBytesSync } from '../tensorData';

/**
 * Bytes read altogether: settings of a hundred bytes for each of the hundred thousand weights of a mixture of experts,
 * twice over.
 */
const MAX_TOTAL_BYTES = 32 * 1024 * 1024;

/** Reads the few tensors that are settings rather than values, while a checkpoint is opened. */
export class SmallTensors {
  private readonly files = new FileDescriptors();
  private total = 0;

  /** @throws CheckpointError when it has more bytes, or getting at them needs more */
  read(tensor: Tensor, mostBytes: number): Uint8Array {
    const { storage, shape, dtype } = tensor;
    const isOfFile =
      storage.encoding === 'raw' || storage.encoding === 'deflate' || storage.encoding === 'utf8';
    const size = elementCount(shape) * bytesPerElement(dtype);
    if (!isOfFile || size > mostBytes) throw tooLarge(size);
    const needed = readsOf(tensor, storage).reduce((sum, { length }) => sum + length, 0);
    // Compressed bytes may be a little more than what they hold, and inflate to no more than the storage.
    const inflated = storage.encoding === 'deflate' ? storage.skip + storage.byteLength : 0;
    if (Math.max(needed, inflated) > 2 * mostBytes + HEADER_BYTES) throw tooLarge(needed);
    this.total += needed + inflated;
    if (this.total > MAX_TOTAL_BYTES)
      throw new CheckpointError(
        'unsupported',
        `beyond the ${MAX_TOTAL_BYTES} bytes of settings that are read`,
      );
    return readTensorBytesSync(tensor, this.files);
  }

  close(): void {
    this.files.closeAll();
  }
}

/** Of an array in an archive. */
const HEADER_BYTES = 256;

function tooLarge(bytes: number): CheckpointError {
  return new CheckpointError('unsupported', `with settings of ${bytes} bytes`);
}
