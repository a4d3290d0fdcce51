import { access } from 'node:fs/promises';
import path from 'node:path';

/** The PyTorch loader, in the installation's folder for what is not code of ours. */
const LOADER = path.join('media', 'python', 'sine_lowrank.py');

/** Folders from the running file up to the installation: dist/, or dist/test/unit/ in tests. */
const MAX_UP = 3;

/** Path of the loader that is written beside factors. @throws {Error} when the installation is not complete */
export async function loaderSource(): Promise<string> {
  for (let up = 1; up <= MAX_UP; up++) {
    const file = path.join(__dirname, ...Array.from({ length: up }, () => '..'), LOADER);
    const isThere = await access(file).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  throw new Error(`${LOADER} is missing from the installation`);
}
