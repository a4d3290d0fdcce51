import { readSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { CheckpointError } from './errors';

/** Largest single read asked of the operating system; Linux and Node both refuse 2 GiB or more in one call. */
const MAX_READ_BYTES = 2 ** 30;

/** What a person is told for the error codes that happen. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'not found',
  ENOTDIR: 'not found (part of the path is not a folder)',
  EISDIR: 'is a folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the path is too long',
  EMFILE: 'too many open files',
  EIO: 'the disk reported an error',
  ERR_INVALID_ARG_VALUE: 'not a valid path',
};

/** An error of the file system as a CheckpointError of kind `io` with a reason for people. */
export function ioError(error: unknown, file: string, offset?: number): CheckpointError {
  if (error instanceof CheckpointError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = REASONS[code] ?? (error instanceof Error ? error.message : String(error));
  const location = offset === undefined ? { file } : { file, offset };
  return new CheckpointError('io', reason, location, { cause: error });
}

/** Fills `target` from a descriptor; a file that became shorter since it was opened is an `io` error. */
export function readFullySync(fd: number, target: Uint8Array, path: string, offset: number): void {
  let done = 0;
  while (done < target.length) {
    const ask = Math.min(target.length - done, MAX_READ_BYTES);
    const got = attempt(() => readSync(fd, target, done, ask, offset + done), path, offset);
    if (got === 0)
      throw new CheckpointError('io', 'the file became shorter while it was read', { file: path, offset });
    done += got;
  }
}

/** A buffer of its own, at byte 0 of its ArrayBuffer, so that typed arrays of any element can be laid over it. */
export function allocateBytes(length: number, file: string): Uint8Array {
  try {
    return Buffer.allocUnsafeSlow(length);
  } catch (error) {
    throw new CheckpointError(
      'unsupported',
      `${length} bytes in one piece are more than this computer can hold`,
      { file },
      {
        cause: error,
      },
    );
  }
}

function attempt<T>(action: () => T, path: string, offset: number): T {
  try {
    return action();
  } catch (error) {
    throw ioError(error, path, offset);
  }
}

/** A file read by ranges, never as a whole. */
export class RandomAccessFile {
  private constructor(
    readonly path: string,
    readonly size: number,
    private readonly handle: FileHandle,
  ) {}

  /** @throws CheckpointError of kind `io` when it is not there, not a regular file or not readable. */
  static async open(path: string): Promise<RandomAccessFile> {
    try {
      const facts = await stat(path);
      // Opening a pipe or a device could wait for ever.
      if (facts.isDirectory()) throw new CheckpointError('io', 'is a folder', { file: path });
      if (!facts.isFile()) throw new CheckpointError('io', 'is not a regular file', { file: path });
      return new RandomAccessFile(path, facts.size, await open(path, 'r'));
    } catch (error) {
      throw ioError(error, path);
    }
  }

  /** Bytes [offset, offset + length). @throws CheckpointError `malformed` when they are not all inside the file. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    this.requireInside(offset, length);
    const bytes = allocateBytes(length, this.path);
    let done = 0;
    while (done < length) {
      const ask = Math.min(length - done, MAX_READ_BYTES);
      let bytesRead: number;
      try {
        ({ bytesRead } = await this.handle.read(bytes, done, ask, offset + done));
      } catch (error) {
        throw ioError(error, this.path, offset);
      }
      if (bytesRead === 0) {
        throw new CheckpointError('io', 'the file became shorter while it was read', {
          file: this.path,
          offset,
        });
      }
      done += bytesRead;
    }
    return bytes;
  }

  /** The same without waiting: pickles are walked byte by byte, where a promise a byte would cost more than the read. */
  readSync(offset: number, length: number): Uint8Array {
    this.requireInside(offset, length);
    const bytes = allocateBytes(length, this.path);
    readFullySync(this.handle.fd, bytes, this.path, offset);
    return bytes;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  private requireInside(offset: number, length: number): void {
    if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length)) || offset < 0 || length < 0) {
      throw new CheckpointError('malformed', 'a position beyond any file', { file: this.path });
    }
    if (offset + length > this.size) {
      throw new CheckpointError(
        'malformed',
        `needs ${length} bytes here, but the file ends at byte ${this.size}`,
        {
          file: this.path,
          offset,
        },
      );
    }
  }
}

/** Opens, uses and closes a file, whatever happens. */
export async function withFile<T>(path: string, use: (file: RandomAccessFile) => Promise<T>): Promise<T> {
  const file = await RandomAccessFile.open(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}
