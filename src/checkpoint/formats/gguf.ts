import type { Checkpoint } from '../checkpoint';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';

export function openGguf(file: RandomAccessFile): Promise<Checkpoint> {
  return Promise.reject(new CheckpointError('unsupported', 'GGUF is not read yet', { file: file.path }));
}
