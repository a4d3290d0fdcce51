import { CheckpointError } from '../../checkpoint/errors';
import { withFile } from '../../checkpoint/file';

/** A file that is read as a whole, in bounded memory. @throws CheckpointError `unsupported` when it is larger than `most` bytes */
export function readWholeFile(file: string, most: number, what: string): Promise<Uint8Array> {
  return withFile(file, (opened) => {
    if (opened.size <= most) return opened.read(0, opened.size);
    const reason = `${what} of ${opened.size} bytes: at most ${most} are read`;
    throw new CheckpointError('unsupported', reason, { file });
  });
}
