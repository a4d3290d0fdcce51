/** Triangle meshes: Wavefront OBJ and Stanford PLY, by content. */
import { createHash } from 'node:crypto';
import { CheckpointError } from '../../../checkpoint/errors';
import { Pauses } from '../pauses';
import { readWholeFile } from '../wholeFile';
import { readObj } from './obj';
import { looksLikePly, readPly } from './ply';

/** A surface; nothing says that it is closed. */
export interface Mesh {
  /** x, y, z of each vertex. */
  readonly positions: Float64Array;
  /** Three vertices each. */
  readonly triangles: Uint32Array;
}

export interface MeshFile extends Mesh {
  /** Hex sha256 of the file. */
  readonly identity: string;
}

/** Lucy, the largest of the Stanford scans, has half of it. */
const MAX_FILE_BYTES = 2 ** 30;

/**
 * @throws CheckpointError with one line that names file and line or byte
 * @throws the signal's reason when it is aborted
 */
export async function openMesh(file: string, signal: AbortSignal): Promise<MeshFile> {
  signal.throwIfAborted();
  const bytes = await readWholeFile(file, MAX_FILE_BYTES, 'a mesh');
  const pauses = new Pauses(signal);
  try {
    const mesh = await (looksLikePly(bytes) ? readPly(bytes, pauses) : readObj(bytes, pauses));
    if (mesh.triangles.length === 0)
      throw new CheckpointError('malformed', 'no faces: an OBJ or PLY mesh of triangles is read');
    return { ...mesh, identity: createHash('sha256').update(bytes).digest('hex') };
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file }) : error;
  }
}
