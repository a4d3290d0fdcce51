import path from 'node:path';
import { CheckpointError } from '../checkpoint/errors';
import { openCheckpoint } from '../checkpoint/open';
import { writeDense } from '../checkpoint/write/materialize';
import { StagedFiles } from '../checkpoint/write/staging';
import { denseOnly, requireFree } from './conversion/targets';

export interface DensifyOptions {
  /** A file of factors that a conversion wrote. */
  readonly path: string;
  /** Folder for the file; absent: beside the factors. */
  readonly out?: string | undefined;
  readonly signal: AbortSignal;
}

/** Whether a file keeps weights as factors, so that they can be multiplied out. @throws CheckpointError */
export async function keepsFactors(file: string, signal: AbortSignal): Promise<boolean> {
  return (await openCheckpoint(file, signal)).factored !== undefined;
}

/**
 * Writes the weights of a file of factors back dense, each in the element type that it had before the conversion.
 *
 * @returns the file written, `<name>.dense.safetensors`, and how many weights were multiplied out
 * @throws CheckpointError for a file that keeps no factors, and when one cannot be read or written
 */
export async function densify({
  path: file,
  out,
  signal,
}: DensifyOptions): Promise<{ readonly path: string; readonly weights: number }> {
  const checkpoint = await openCheckpoint(file, signal);
  if (checkpoint.factored === undefined && checkpoint.adapters !== undefined) {
    throw new CheckpointError(
      'unsupported',
      'its low-rank adapters are changes of a base model: merge them into that model, which is dense then',
      { file },
    );
  }
  if (checkpoint.factored === undefined) {
    throw new CheckpointError('unsupported', 'its weights are dense already: it keeps no factors', { file });
  }
  const staged = new StagedFiles();
  try {
    const targets = denseOnly(
      checkpoint,
      out === undefined ? path.dirname(path.resolve(file)) : path.resolve(out),
    );
    if (out !== undefined) await staged.folder(targets.folder);
    await requireFree(targets, checkpoint);
    await writeDense(checkpoint, new Map(), targets.dense.path, staged, signal);
    signal.throwIfAborted();
    await staged.commit();
    return { path: targets.dense.path, weights: checkpoint.factored.size };
  } finally {
    await staged.discard();
  }
}
