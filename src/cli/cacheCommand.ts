import { cacheDirectory, clearCache } from '../engine/cache';
import type { CliCommand } from './command';
import { UsageError } from './flags';
import { CACHE_HELP } from './help';

/** `rankscope cache`: where results are kept, and forgetting them. */
export const cacheCommand: CliCommand = {
  name: 'cache',
  usage: [['cache path|clear', 'where results are kept; forget them']],
  help: CACHE_HELP,
  parse([action, ...more]) {
    if (action === '--help' || action === '-h') return 'help';
    if (action === 'path' && more.length === 0)
      return ({ print }) => {
        print(`${cacheDirectory()}\n`);
        return 0;
      };
    if (action === 'clear' && more.length === 0)
      return async () => {
        await clearCache();
        return 0;
      };
    throw new UsageError('rankscope cache needs one of path and clear: try rankscope cache --help');
  },
};
