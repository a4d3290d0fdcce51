import type { Checkpoint } from '../checkpoint';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';

export function openHdf5(file: RandomAccessFile): Promise<Checkpoint> {
  return Promise.reject(
    new CheckpointError('unsupported', 'HDF5 (Keras .h5) is not read yet', { file: file.path }),
  );
}
