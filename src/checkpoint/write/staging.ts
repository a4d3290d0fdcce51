import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, chmod, copyFile, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { allocateBytes, ioError } from '../file';

/** Tells computers that share a folder apart: process numbers mean something on one of them only. */
const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

/** `.name.host-pid-random.partial`. */
const TEMPORARY = /\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.partial$/;

const OWNER_MAY_WRITE = 0o200;

interface Staged {
  readonly target: string;
  readonly temporary: string;
}

/**
 * Files of one job, all written or none: each under a temporary name beside its target, then all renamed. What a killed
 * process left under temporary names is removed by the next one that writes into the folder.
 */
export class StagedFiles {
  readonly #staged: Staged[] = [];
  readonly #folders: string[] = [];
  readonly #scratch: { readonly path: string; readonly handle: FileHandle }[] = [];

  /** Writes a new file. @throws CheckpointError of kind `io`. */
  async write(target: string, fill: (handle: FileHandle) => Promise<void>): Promise<void> {
    const temporary = await this.#prepare(target);
    await this.#fill(target, temporary, 'wx', fill);
  }

  /** Writes a copy of a file, then changes made to it. @throws CheckpointError of kind `io`. */
  async copy(source: string, target: string, change: (handle: FileHandle) => Promise<void>): Promise<void> {
    const temporary = await this.#prepare(target);
    try {
      // Where the file system can, nothing is copied until it is changed.
      await copyFile(source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      // A checkpoint that is read-only gives copies that are.
      await chmod(temporary, (await stat(source)).mode | OWNER_MAY_WRITE);
    } catch (error) {
      throw ioError(error, target);
    }
    await this.#fill(target, temporary, 'r+', change);
  }

  /** A folder for files to come; removed again when they are discarded and it was not there before. */
  async folder(target: string): Promise<void> {
    try {
      const made = await mkdir(target).then(
        () => true,
        (error: unknown) => {
          if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
          throw error;
        },
      );
      if (made) this.#folders.push(target);
    } catch (error) {
      throw ioError(error, target);
    }
  }

  /**
   * A file for what is in the way until the others are written; it never gets a name of its own.
   *
   * @param beside target whose folder has the room
   */
  async scratch(beside: string): Promise<{ readonly path: string; readonly handle: FileHandle }> {
    const temporary = await temporaryFor(beside);
    try {
      const handle = await open(temporary, 'wx+');
      this.#scratch.push({ path: temporary, handle });
      return { path: temporary, handle };
    } catch (error) {
      throw ioError(error, temporary);
    }
  }

  /** Gives all files their names. When one cannot have it, none keeps it. @throws CheckpointError of kind `io`. */
  async commit(): Promise<void> {
    const done: string[] = [];
    for (const { target, temporary } of this.#staged) {
      try {
        await rename(temporary, target);
        done.push(target);
      } catch (error) {
        await Promise.all(done.map((file) => rm(file, { force: true })));
        await this.discard();
        throw ioError(error, target);
      }
    }
    this.#staged.length = 0;
    this.#folders.length = 0;
    await this.discard();
  }

  /** Removes everything that was not committed. */
  async discard(): Promise<void> {
    await Promise.all(
      this.#staged.map(({ temporary }) => rm(temporary, { force: true }).catch(() => undefined)),
    );
    this.#staged.length = 0;
    for (const { path: file, handle } of this.#scratch.splice(0)) {
      await handle.close().catch(() => undefined);
      await rm(file, { force: true }).catch(() => undefined);
    }
    for (const folder of this.#folders.reverse()) {
      // Not recursive: what somebody else put there stays.
      const names = await readdir(folder).catch(() => ['unknown']);
      if (names.length === 0) await rm(folder, { recursive: true }).catch(() => undefined);
    }
    this.#folders.length = 0;
  }

  async #prepare(target: string): Promise<string> {
    const temporary = await temporaryFor(target);
    this.#staged.push({ target, temporary });
    return temporary;
  }

  async #fill(
    target: string,
    temporary: string,
    flags: 'wx' | 'r+',
    fill: (handle: FileHandle) => Promise<void>,
  ): Promise<void> {
    try {
      const handle = await open(temporary, flags);
      try {
        await fill(handle);
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw ioError(error, target);
    }
  }
}

async function temporaryFor(target: string): Promise<string> {
  const folder = path.dirname(target);
  await removeLeftovers(folder, path.basename(target));
  const mark = `${HOST}-${process.pid}-${randomUUID().slice(0, 8)}`;
  return path.join(folder, `.${path.basename(target)}.${mark}.partial`);
}

/** Removes temporary files for the same target whose process on this computer has ended. */
async function removeLeftovers(folder: string, name: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const other of names) {
    if (!other.startsWith(`.${name}.`)) continue;
    const [, host, pid] = TEMPORARY.exec(other) ?? [];
    if (host !== HOST || pid === undefined) continue;
    // Jobs of this very process are at work.
    if (isRunning(Number(pid))) continue;
    await rm(path.join(folder, other), { force: true }).catch(() => undefined);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0); // no signal: only asks
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Writes all of some bytes at a position; a handle may take fewer at once. */
export async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(
      bytes,
      done,
      Math.min(bytes.length - done, 2 ** 30),
      position + done,
    );
    done += bytesWritten;
  }
}

/** Bytes of an open file, all of them. */
export async function readAt(handle: FileHandle, length: number, position: number): Promise<Uint8Array> {
  const bytes = allocateBytes(length, 'a file being written');
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(length - done, 2 ** 30), position + done);
    if (bytesRead === 0) throw new Error('it became shorter while it was written');
    done += bytesRead;
  }
  return bytes;
}
