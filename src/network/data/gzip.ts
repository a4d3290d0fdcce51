import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { CheckpointError } from '../../checkpoint/errors';
import type { RandomAccessFile } from '../../checkpoint/file';
import { MAX_HELD_BYTES } from './sampleSource';

const inflate = promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.gunzip);

/** DEFLATE cannot shrink data by more than this. */
const MAX_RATIO = 1032;
/** Compressed bytes in which the first few plain ones are looked for: a gzip header may carry a name and a comment. */
const START_BYTES = 4096;

export function isGzip(start: Uint8Array): boolean {
  return start[0] === 0x1f && start[1] === 0x8b;
}

/** The first `length` bytes of a gzipped file, fewer when it is shorter. @throws CheckpointError `malformed` */
export async function gunzipStart(file: RandomAccessFile, length: number): Promise<Uint8Array> {
  const compressed = await file.read(0, Math.min(START_BYTES, file.size));
  const start = await attempt(file, () =>
    inflate(compressed, {
      // Gives what there is where the input stops early.
      finishFlush: zlib.constants.Z_SYNC_FLUSH,
      maxOutputLength: START_BYTES * MAX_RATIO,
    }),
  );
  return start.subarray(0, length);
}

/**
 * A gzipped file as a whole.
 *
 * @param byteLength what it must hold: neither more is inflated, nor less taken
 * @throws CheckpointError
 */
export async function gunzip(file: RandomAccessFile, byteLength: number): Promise<Uint8Array> {
  if (byteLength > MAX_HELD_BYTES || file.size > MAX_HELD_BYTES)
    throw new CheckpointError('unsupported', 'too large to be gunzipped in memory', { file: file.path });
  if (byteLength > file.size * MAX_RATIO) {
    const reason = `${byteLength} bytes cannot come of ${file.size} compressed ones`;
    throw new CheckpointError('malformed', reason, { file: file.path });
  }
  const compressed = await file.read(0, file.size);
  const plain = await attempt(file, () => inflate(compressed, { maxOutputLength: Math.max(1, byteLength) }));
  if (plain.length === byteLength) return plain;
  const reason = `gunzips to ${plain.length} bytes instead of the ${byteLength} that its header asks for`;
  throw new CheckpointError('malformed', reason, { file: file.path });
}

async function attempt(file: RandomAccessFile, action: () => Promise<Uint8Array>): Promise<Uint8Array> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const detail = error instanceof Error ? error.message : String(error);
    const reason =
      code === 'ERR_BUFFER_TOO_LARGE'
        ? 'gunzips to more than its header asks for'
        : `does not gunzip (${detail})`;
    throw new CheckpointError('malformed', reason, { file: file.path }, { cause: error });
  }
}
