import { elementCount, type Tensor } from '../../checkpoint/checkpoint';
import { bytesPerElement } from '../../checkpoint/dtype';
import { CheckpointError } from '../../checkpoint/errors';
import { RandomAccessFile } from '../../checkpoint/file';
import { byteRange, isContiguousRaw, readTensorBytes } from '../../checkpoint/tensorData';
import { toFloat32, toNumbers } from './elements';
import { MAX_HELD_BYTES } from './sampleSource';

/** An array whose first axis counts samples; read by ranges where the file allows it, else held in memory. */
export class NumberArray {
  private constructor(
    readonly tensor: Tensor,
    private readonly bytes: (offset: number, length: number) => Promise<Uint8Array>,
    private readonly closeFile: () => Promise<void>,
  ) {}

  /** @throws CheckpointError for complex numbers, and for compressed arrays that are too large to be held */
  static async open(tensor: Tensor): Promise<NumberArray> {
    requireReal(tensor);
    if (isContiguousRaw(tensor)) {
      const { path, offset: start } = byteRange(tensor);
      const file = await RandomAccessFile.open(path);
      return new NumberArray(
        tensor,
        (offset, length) => file.read(start + offset, length),
        () => file.close(),
      );
    }
    const held = await readHeld(tensor);
    return new NumberArray(
      tensor,
      (offset, length) => Promise.resolve(held.subarray(offset, offset + length)),
      () => Promise.resolve(),
    );
  }

  get samples(): number {
    return this.tensor.shape[0] ?? 0;
  }

  get sampleShape(): readonly number[] {
    return this.tensor.shape.slice(1);
  }

  /** Samples from … to−1 as float32. */
  async read(from: number, to: number): Promise<Float32Array> {
    const { dtype } = this.tensor;
    const size = elementCount(this.sampleShape) * bytesPerElement(dtype);
    const bytes = await this.bytes(from * size, (to - from) * size);
    return toFloat32(bytes, dtype) ?? new Float32Array(0);
  }

  close(): Promise<void> {
    return this.closeFile();
  }
}

/** All elements as exact numbers. @throws CheckpointError */
export async function readNumbers(tensor: Tensor): Promise<Float64Array> {
  requireReal(tensor);
  return toNumbers(await readHeld(tensor), tensor.dtype) ?? new Float64Array(0);
}

async function readHeld(tensor: Tensor): Promise<Uint8Array> {
  const bytes = elementCount(tensor.shape) * bytesPerElement(tensor.dtype);
  if (bytes > MAX_HELD_BYTES) {
    const reason = `${bytes} bytes are too many to be held in memory: save the array uncompressed, in C order`;
    throw new CheckpointError('unsupported', reason, { file: tensor.storage.path, tensor: tensor.name });
  }
  return readTensorBytes(tensor);
}

function requireReal({ dtype, name, storage }: Tensor): void {
  if (toFloat32(new Uint8Array(0), dtype) !== undefined) return;
  throw new CheckpointError('unsupported', `elements of type ${dtype} are no data of a network`, {
    file: storage.path,
    tensor: name,
  });
}
