import type { Checkpoint } from '../checkpoint';
import type { RandomAccessFile } from '../file';
import { fileWindow } from '../hdf5/window';
import { openKerasWeights } from '../keras/weights';

/**
 * An HDF5 file: a Keras model or its weights, or anything else, by the paths of its datasets.
 *
 * @throws CheckpointError
 */
export function openHdf5(file: RandomAccessFile): Promise<Checkpoint> {
  const { path, size } = file;
  return Promise.resolve().then(() => openKerasWeights(fileWindow(file), { path, bytes: size }));
}
