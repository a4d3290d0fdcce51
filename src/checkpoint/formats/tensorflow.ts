import type { Checkpoint } from '../checkpoint';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';

export function openTensorflow(file: RandomAccessFile): Promise<Checkpoint> {
  return Promise.reject(
    new CheckpointError('unsupported', 'a TensorFlow checkpoint is not read yet', { file: file.path }),
  );
}
