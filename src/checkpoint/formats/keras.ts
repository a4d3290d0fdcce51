import { inflateRawSync } from 'node:zlib';
import type { Checkpoint } from '../checkpoint';
import { fileWindow, memoryWindow, type Hdf5Window } from '../hdf5/window';
import { MAX_CONFIG_BYTES } from '../keras/config';
import { openKerasWeights } from '../keras/weights';
import type { ZipArchive, ZipEntry } from '../zip';

/** Weights that are compressed are inflated as a whole, since HDF5 reads them here and there; Keras never compresses them. */
const MAX_INFLATED_BYTES = 256 * 1024 * 1024;

/**
 * A Keras 3 model: an archive of its configuration and its weights, which are read in place where they are stored as they
 * are.
 *
 * @throws CheckpointError
 */
export function openKeras(archive: ZipArchive, weights: ZipEntry): Promise<Checkpoint> {
  return Promise.resolve().then(() => {
    const { path, size } = archive.file;
    const config = configOf(archive);
    const facts = { path, bytes: size, format: 'Keras (.keras)' };
    return openKerasWeights(windowOf(archive, weights), {
      ...facts,
      ...(config !== undefined && { config }),
    });
  });
}

function configOf(archive: ZipArchive): Uint8Array | undefined {
  const entry = archive.entries.get('config.json');
  if (entry === undefined) return undefined;
  if (entry.byteLength > MAX_CONFIG_BYTES)
    throw archive.error('unsupported', entry, `a configuration of ${entry.byteLength} bytes`);
  return archive.read(entry);
}

function windowOf(archive: ZipArchive, entry: ZipEntry): Hdf5Window {
  const place = archive.locate(entry);
  if (place.encoding !== 'deflate') return fileWindow(archive.file, place.offset, place.byteLength);
  const { byteLength } = entry;
  if (byteLength > MAX_INFLATED_BYTES) {
    const reason = `${byteLength} bytes of compressed weights, more than ${MAX_INFLATED_BYTES}: store them uncompressed`;
    throw archive.error('unsupported', entry, reason);
  }
  const compressed = archive.file.readSync(place.offset, place.compressedLength);
  try {
    const bytes = inflateRawSync(compressed, { maxOutputLength: Math.max(1, byteLength) });
    if (bytes.length === byteLength) return memoryWindow(bytes, archive.file.path);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw archive.error('malformed', entry, `does not inflate (${detail})`);
  }
  throw archive.error('malformed', entry, `does not inflate to its ${byteLength} bytes`);
}
