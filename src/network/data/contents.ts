import { createReadStream } from 'node:fs';
import { ioError } from '../../checkpoint/file';

/** Bytes handed to the hash at once. */
const CHUNK_BYTES = 1024 * 1024;

/** The bytes of files, one after the other, each read when its turn comes. @throws CheckpointError `io` */
export async function* fileContents(files: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const file of files) {
    try {
      for await (const chunk of createReadStream(file, { highWaterMark: CHUNK_BYTES })) {
        // A stream without an encoding gives buffers.
        yield chunk as Buffer;
      }
    } catch (error) {
      throw ioError(error, file);
    }
  }
}
