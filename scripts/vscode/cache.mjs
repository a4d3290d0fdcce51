import os from 'node:os';
import path from 'node:path';

/**
 * Where downloaded development tools live: outside the clone, so that every clone and every CI run shares them.
 * RANKSCOPE_DEV_CACHE, else $XDG_CACHE_HOME/rankscope-dev, else ~/.cache/rankscope-dev.
 */
export function cacheFolder() {
  const { RANKSCOPE_DEV_CACHE: chosen, XDG_CACHE_HOME: xdg } = process.env;
  if (chosen) return path.resolve(chosen);
  return path.join(xdg || path.join(os.homedir(), '.cache'), 'rankscope-dev');
}
