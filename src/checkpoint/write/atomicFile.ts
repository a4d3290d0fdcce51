import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import path from 'node:path';

/**
 * Writes a file in one piece or not at all: to a temporary name beside it, to the disk, then renamed.
 * Synchronous on purpose: no signal can come between, so nothing is ever left behind.
 * What is no regular file (a pipe, /dev/null) cannot be renamed over and is written as it is.
 *
 * @throws the file system's error, after removing the temporary file
 */
export function writeFileAtomically(file: string, text: string): void {
  const existing = fs.statSync(file, { throwIfNoEntry: false });
  if (existing !== undefined && !existing.isFile()) {
    fs.writeFileSync(file, text);
    return;
  }
  // A link stays one: what it points to is replaced.
  const target = existing === undefined ? file : fs.realpathSync(file);
  const temporary = path.join(path.dirname(target), `.${path.basename(target)}.${randomUUID()}.tmp`);
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(temporary, 'wx', existing?.mode ?? 0o666);
    fs.writeFileSync(descriptor, text);
    fs.fsyncSync(descriptor);
    fs.closeSync(descriptor);
    descriptor = undefined;
    fs.renameSync(temporary, target);
  } catch (error) {
    if (descriptor !== undefined) fs.closeSync(descriptor);
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * Why a file could not be written in the end, told before the work begins: a reason in words, or undefined.
 */
export function cannotWrite(file: string): string | undefined {
  const existing = fs.statSync(file, { throwIfNoEntry: false });
  if (existing?.isDirectory() === true) return 'it is a folder';
  if (existing !== undefined && !existing.isFile()) return undefined;
  try {
    fs.accessSync(path.dirname(path.resolve(file)), fs.constants.W_OK);
    return undefined;
  } catch {
    return 'its folder does not exist or cannot be written to';
  }
}
