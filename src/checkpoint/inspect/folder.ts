import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ioError, withFile } from '../file';
import { claimsCheckpoint, claimsPickle } from '../recognise';
import { rangeOfFile } from './byteRange';
import { kindOf } from './kind';
import { isOldPickle } from './pickles';

/** Folders below the given one, as deep as checkpoints are looked for. */
const MAX_DEPTH = 12;
/** Files and folders looked at, a few seconds' work. */
const MAX_ENTRIES = 20_000;

/** JSON that says how a model is loaded. */
const MODEL_JSON = /^(?:model|config|tokenizer_config)\.json$|\.index\.json$/i;

export interface InspectedFolder {
  /** Files that a program may load as a model, whatever they are called, in order of path. */
  readonly files: readonly string[];
  /** Python files beside them: programs may run them, and nobody looked at them. */
  readonly pythonFiles: number;
  /** Why not everything was looked at; undefined when all was. */
  readonly incomplete: string | undefined;
}

/**
 * Looks through a folder and those in it for files worth inspecting: by their content, not by their names, since a
 * pickle may be called anything. Links to folders are not followed.
 *
 * @throws CheckpointError of kind `io` when the folder itself cannot be read; the signal's reason.
 */
export async function listInspected(folder: string, signal?: AbortSignal): Promise<InspectedFolder> {
  const files: string[] = [];
  const pending = [{ folder, depth: 0 }];
  let incomplete: string | undefined;
  let entries = 0;
  let pythonFiles = 0;
  for (let next = pending.shift(); next !== undefined && entries <= MAX_ENTRIES; next = pending.shift()) {
    for (const entry of await entriesOf(next.folder, next.folder === folder)) {
      signal?.throwIfAborted();
      if (++entries > MAX_ENTRIES) {
        incomplete = `only the first ${MAX_ENTRIES} files and folders were looked at`;
        break;
      }
      const full = path.join(next.folder, entry.name);
      if (entry.isDirectory()) {
        if (next.depth >= MAX_DEPTH) incomplete ??= `folders deeper than ${MAX_DEPTH} were not looked at`;
        else if (entry.name !== '.git') pending.push({ folder: full, depth: next.depth + 1 });
      } else if (entry.name.endsWith('.py')) pythonFiles++;
      else if (await isWorthInspecting(full)) files.push(full);
    }
  }
  return { files: files.sort(), pythonFiles, incomplete };
}

async function entriesOf(folder: string, isRoot: boolean) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isRoot) throw ioError(error, folder);
    return [];
  }
}

/** Reads the beginning of a file. Never throws: what cannot be read is left to the inspection to say. */
async function isWorthInspecting(file: string): Promise<boolean> {
  const name = path.basename(file);
  const facts = await stat(file).catch(() => undefined);
  if (facts?.isFile() !== true || facts.size === 0) return false;
  if (claimsCheckpoint(name) || claimsPickle(name)) return true;
  return withFile(file, (opened) => {
    const part = { range: rangeOfFile(opened), where: '', name, depth: 0 };
    const kind = kindOf(part);
    if (kind === 'json') return Promise.resolve(MODEL_JSON.test(name));
    if (kind === 'nothing' || typeof kind === 'object') return Promise.resolve(isOldPickle(part));
    return Promise.resolve(kind !== 'zlib');
  }).catch(() => true);
}
