import { lstatSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** Bytes of all files below a folder, which may be changing; 0 where there is none. */
export function folderBytes(folder: string): number {
  let bytes = 0;
  for (const name of namesIn(folder)) {
    const at = path.join(folder, name);
    const stat = lstatSync(at, { throwIfNoEntry: false });
    if (stat?.isDirectory() === true) bytes += folderBytes(at);
    else bytes += stat?.size ?? 0;
  }
  return bytes;
}

/** Names in a folder; none where there is no folder. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
