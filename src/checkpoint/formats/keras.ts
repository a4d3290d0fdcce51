import type { Checkpoint } from '../checkpoint';
import { CheckpointError } from '../errors';
import type { ZipArchive, ZipEntry } from '../zip';

export function openKeras(archive: ZipArchive, _weights: ZipEntry): Promise<Checkpoint> {
  const location = { file: archive.file.path };
  return Promise.reject(new CheckpointError('unsupported', 'Keras (.keras) is not read yet', location));
}
