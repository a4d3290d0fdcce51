import type { Checkpoint } from '../checkpoint';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';

export function openTflite(file: RandomAccessFile): Promise<Checkpoint> {
  return Promise.reject(
    new CheckpointError('unsupported', 'TensorFlow Lite is not read yet', { file: file.path }),
  );
}
