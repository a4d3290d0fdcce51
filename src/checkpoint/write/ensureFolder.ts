import { mkdir } from 'node:fs/promises';
import path from 'node:path';

/**
 * Makes a folder and those above it. Not `mkdir`'s own recursive mode: on file systems that answer "no such file" under
 * a folder that exists (/proc, some automounters), Node 20 tries it for ever.
 */
export async function ensureFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || path.dirname(folder) === folder) throw error;
    await ensureFolder(path.dirname(folder));
    await mkdir(folder).catch((again: unknown) => {
      // Somebody else made it in between.
      if (!(again instanceof Error && 'code' in again && again.code === 'EEXIST')) throw again;
    });
  }
}
