import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { ioError } from './file';
import { isShardedModel } from './formats/directory';
import { isSavedModel, savedModelFolders } from './formats/tensorflowFolder';
import { type Recognised, claimsCheckpoint } from './recognise';
import { inARow } from './wording';

/** Folders below the given one: `runs/project/user/date/time/version/checkpoints` is seven, a sweep a few more. */
const MAX_DEPTH = 12;
/** Files and folders looked at, a few seconds' work; a folder of runs has hundreds, one of pictures millions. */
const MAX_ENTRIES = 20_000;

/** Folders of other people's code, which hold test files that look like checkpoints. */
const CODE_FOLDERS: ReadonlySet<string> = new Set(['node_modules', '__pycache__', 'site-packages']);

/** The checkpoints in a folder. */
export interface FolderListing {
  /**
   * What `openCheckpoint` takes, in order of path, each once: files that are checkpoints, and folders that are one model
   * in shards. Of several names of one file, links among them, the first that says it is a checkpoint.
   */
  readonly files: readonly string[];
  /** Formats met that are known and not read, each once, in alphabetical order: "ONNX", "a TensorFlow SavedModel". */
  readonly notRead: readonly string[];
  /** Why not everything in the folder was looked at; undefined when all was. */
  readonly incomplete: string | undefined;
}

/** What to tell a person of a folder without checkpoints. */
export function nothingFound({ notRead }: FolderListing): string {
  if (notRead.length === 0) return 'no checkpoints in this folder';
  return `no checkpoints in this folder: ${inARow(notRead)} ${notRead.length === 1 ? 'is' : 'are'} not read yet`;
}

/**
 * Looks through a folder and the folders in it, breadth first and by name, so that what is left out beyond the bounds is
 * the same each time and lies deepest. Hidden files and folders, code and virtual environments are left out. Links to
 * folders are followed when all else is done; no folder is looked at twice, and none that leads back up.
 *
 * @param recognise looks at one file's content.
 * @throws CheckpointError of kind `io` when the folder itself cannot be read; the signal's reason.
 */
export async function listFolder(
  folder: string,
  recognise: (file: string) => Promise<Recognised>,
  signal?: AbortSignal,
): Promise<FolderListing> {
  const walk = new FolderWalk(folder, await realPath(folder));
  const found: string[] = [];
  const notRead = new Set<string>();
  const parts = new Set<string>();
  for await (const group of walk.groups(signal)) {
    if (parts.has(group.folder)) continue;
    if (isSavedModel(group.files)) {
      found.push(group.folder);
      for (const part of savedModelFolders(group.folder)) parts.add(part);
      continue;
    }
    if (isShardedModel(group.files)) {
      found.push(group.folder);
      continue;
    }
    for (const name of group.files) {
      signal?.throwIfAborted();
      const file = path.join(group.folder, name);
      const recognised = await recognise(file);
      if (recognised === 'checkpoint') found.push(file);
      else if (recognised !== 'nothing') notRead.add(recognised.notRead);
    }
  }
  return { files: await eachOnce(found), notRead: [...notRead].sort(), incomplete: walk.incomplete };
}

interface Folder {
  readonly path: string;
  readonly depth: number;
}

/** The files of one folder, by name. */
interface Group {
  readonly folder: string;
  readonly files: readonly string[];
}

class FolderWalk {
  incomplete: string | undefined;
  private entries = 0;
  private readonly visited = new Set<string>();
  /** In the order in which they are looked at. */
  private readonly folders: Folder[];
  private readonly links: Folder[] = [];

  constructor(
    private readonly root: string,
    private readonly realRoot: string,
  ) {
    this.folders = [{ path: root, depth: 0 }];
  }

  async *groups(signal: AbortSignal | undefined): AsyncGenerator<Group> {
    for (;;) {
      signal?.throwIfAborted();
      const isLink = this.folders.length === 0;
      const next = this.folders.shift() ?? this.links.shift();
      if (next === undefined || this.entries > MAX_ENTRIES) return;
      const files = (await this.isNew(next, isLink)) ? await this.look(next) : undefined;
      if (files !== undefined) yield { folder: next.path, files };
    }
  }

  private async isNew({ path: folder }: Folder, isLink: boolean): Promise<boolean> {
    const real = await realPath(folder);
    const leadsUp = this.realRoot.startsWith(real.endsWith(path.sep) ? real : real + path.sep);
    if (this.visited.has(real) || (isLink && leadsUp)) return false;
    this.visited.add(real);
    return true;
  }

  /** The files in a folder; the folders in it are put in line. Undefined when it is not to be searched. */
  private async look(folder: Folder): Promise<string[] | undefined> {
    const entries = await this.read(folder);
    // A virtual environment of Python.
    if (folder.depth > 0 && entries.some(({ name }) => name === 'pyvenv.cfg')) return undefined;
    const files: string[] = [];
    for (const entry of entries) {
      if (++this.entries > MAX_ENTRIES) {
        this.incomplete ??= `only the first ${MAX_ENTRIES} files and folders were looked at`;
        break;
      }
      if (await this.isFile(folder, entry)) files.push(entry.name);
    }
    return files;
  }

  private async isFile(folder: Folder, entry: Dirent): Promise<boolean> {
    const full = path.join(folder.path, entry.name);
    const isLink = entry.isSymbolicLink();
    if (!(isLink ? await leadsToFolder(full) : entry.isDirectory())) return isLink || entry.isFile();
    if (CODE_FOLDERS.has(entry.name)) return false;
    if (folder.depth >= MAX_DEPTH) this.incomplete ??= `folders deeper than ${MAX_DEPTH} were not looked at`;
    else (isLink ? this.links : this.folders).push({ path: full, depth: folder.depth + 1 });
    return false;
  }

  private async read(folder: Folder): Promise<Dirent[]> {
    try {
      const entries = await readdir(folder.path, { withFileTypes: true });
      return entries.filter(({ name }) => !name.startsWith('.')).sort(byName);
    } catch (error) {
      const reason = ioError(error, folder.path);
      if (folder.path === this.root) throw reason;
      this.incomplete ??= reason.message;
      return [];
    }
  }
}

function byName(a: Dirent, b: Dirent): number {
  return a.name < b.name ? -1 : 1;
}

/** Without links; the path as it is when it leads nowhere, which whoever opens it will say. */
function realPath(file: string): Promise<string> {
  return realpath(file).catch(() => path.resolve(file));
}

function leadsToFolder(link: string): Promise<boolean> {
  return stat(link).then(
    (facts) => facts.isDirectory(),
    () => false,
  );
}

/** Runs and caches keep one file under several names (`last.ckpt`, the Hugging Face cache's blobs). */
async function eachOnce(found: readonly string[]): Promise<string[]> {
  const chosen = new Map<string, string>();
  for (const file of [...found].sort()) {
    const real = await realPath(file);
    const other = chosen.get(real);
    if (other === undefined || (!claimsCheckpoint(other) && claimsCheckpoint(file))) chosen.set(real, file);
  }
  return [...chosen.values()].sort();
}
