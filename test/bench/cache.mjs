import { mkdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Folder of generated files and Python environments, outside the project and kept between runs. */
export function benchFolder() {
  const base = process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache');
  const folder = path.join(base, 'rankscope-bench');
  mkdirSync(folder, { recursive: true });
  return folder;
}
