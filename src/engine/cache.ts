import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile, realpath, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { ensureFolder } from '../checkpoint/write/ensureFolder';
import type { Fitted } from '../lowrank';
import { decodeFit, decodeSpectra, encodeFit, encodeSpectra } from './cacheEntries';

/** Raised when the layout of the files below changes; older ones are then left unread and pruned by age. */
const FORMAT = 'v1';

/** The cache is pruned down to this, oldest first: about ten thousand large layers. */
const MAX_BYTES = 512 << 20;

/** Pruning looks at every file, so it happens at most this often. */
const PRUNE_EVERY_MS = 24 * 3600 * 1000;

/**
 * A file changed less than this before it was hashed may change again without its time stamps telling
 * (file systems round them, by up to two seconds): its digests are not remembered.
 */
const SETTLED_MS = 2000;

/** Digests of the tensors of one file, trusted while size, inode and time stamps stay the same. */
export interface FileDigests {
  get(tensorKey: string): string | undefined;
  set(tensorKey: string, digest: string): void;
  save(): Promise<void>;
}

/**
 * Spectra and fits by content: a key names the bytes of a tensor and everything that decides its singular values or its
 * factors, so that an entry never goes stale. Failing to read or write it is never an error of the job: it only costs time.
 */
export interface ResultCache {
  spectra(key: string): Promise<readonly Float64Array[] | undefined>;
  storeSpectra(key: string, spectra: readonly Float64Array[]): Promise<void>;
  /** A fit of one matrix; its key names everything that decides it. */
  fit(key: string): Promise<Fitted | undefined>;
  storeFit(key: string, fit: Fitted): Promise<void>;
  fileDigests(file: string): Promise<FileDigests>;
  /** Removes the oldest entries when there are too many; cheap when called often. */
  prune(): Promise<void>;
}

/** Where results are kept: RANKSCOPE_CACHE, or the platform's folder for caches. */
export function cacheDirectory(): string {
  const { env } = process;
  if (env.RANKSCOPE_CACHE) return path.resolve(env.RANKSCOPE_CACHE);
  if (process.platform === 'darwin') return path.join(homedir(), 'Library', 'Caches', 'rankscope');
  if (process.platform === 'win32')
    return path.join(env.LOCALAPPDATA ?? path.join(homedir(), 'AppData', 'Local'), 'rankscope', 'cache');
  // The XDG specification: a relative path there is to be ignored.
  const xdg = env.XDG_CACHE_HOME;
  const base = xdg !== undefined && path.isAbsolute(xdg) ? xdg : path.join(homedir(), '.cache');
  return path.join(base, 'rankscope');
}

/** Where the searches for utilized ranks keep how far they are. */
export function searchesFolder(directory = cacheDirectory()): string {
  return path.join(directory, FORMAT, 'searches');
}

/** Removes everything the cache holds (and nothing else that may lie in its folder). */
export async function clearCache(directory = cacheDirectory()): Promise<void> {
  await rm(path.join(directory, FORMAT), { recursive: true, force: true });
}

/** @param directory made when the first result is stored. */
export function openCache(directory = cacheDirectory()): ResultCache {
  return new DiskCache(path.join(directory, FORMAT));
}

class DiskCache implements ResultCache {
  private readonly spectraFolder: string;
  private readonly fitsFolder: string;
  private readonly filesFolder: string;

  constructor(private readonly root: string) {
    this.spectraFolder = path.join(root, 'spectra');
    this.fitsFolder = path.join(root, 'fits');
    this.filesFolder = path.join(root, 'files');
  }

  async spectra(key: string): Promise<readonly Float64Array[] | undefined> {
    const bytes = await readFile(entryFile(this.spectraFolder, key)).catch(() => undefined);
    return bytes === undefined ? undefined : decodeSpectra(bytes);
  }

  async storeSpectra(key: string, spectra: readonly Float64Array[]): Promise<void> {
    await writeAtomically(entryFile(this.spectraFolder, key), encodeSpectra(spectra));
  }

  async fit(key: string): Promise<Fitted | undefined> {
    const bytes = await readFile(entryFile(this.fitsFolder, key)).catch(() => undefined);
    return bytes === undefined ? undefined : decodeFit(bytes);
  }

  async storeFit(key: string, fit: Fitted): Promise<void> {
    await writeAtomically(entryFile(this.fitsFolder, key), encodeFit(fit));
  }

  async fileDigests(file: string): Promise<FileDigests> {
    const identity = await identityOf(file);
    const memo = path.join(this.filesFolder, `${sha256(identity?.path ?? file)}.json`);
    const known =
      identity === undefined ? new Map<string, string>() : await readDigests(memo, identity.stamp);
    let changed = false;
    return {
      get: (tensorKey) => known.get(tensorKey),
      set: (tensorKey, digest) => {
        changed = true;
        known.set(tensorKey, digest);
      },
      save: async () => {
        if (!changed || !identity?.settled) return;
        // A file that changed while it was hashed must not be remembered by its old stamp.
        if ((await identityOf(file))?.stamp !== identity.stamp) return;
        await writeAtomically(
          memo,
          JSON.stringify({ stamp: identity.stamp, digests: Object.fromEntries(known) }),
        );
      },
    };
  }

  async prune(): Promise<void> {
    const mark = path.join(this.root, 'pruned');
    const last = await stat(mark).catch(() => undefined);
    if (last !== undefined && Date.now() - last.mtimeMs < PRUNE_EVERY_MS) return;
    if (last === undefined) await writeAtomically(mark, '');
    else await utimes(mark, new Date(), new Date()).catch(() => undefined);
    const entries = await listFiles([this.spectraFolder, this.fitsFolder, this.filesFolder]);
    let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    for (const { file, bytes: size } of entries.sort((a, b) => a.modified - b.modified)) {
      if (bytes <= MAX_BYTES) return;
      await rm(file, { force: true }).catch(() => undefined);
      bytes -= size;
    }
  }
}

function entryFile(folder: string, key: string): string {
  return path.join(folder, key.slice(0, 2), key);
}

interface FileIdentity {
  readonly path: string;
  readonly stamp: string;
  readonly settled: boolean;
}

async function identityOf(file: string): Promise<FileIdentity | undefined> {
  try {
    const resolved = await realpath(file);
    const facts = await stat(resolved, { bigint: true });
    const newest = Math.max(Number(facts.mtimeMs), Number(facts.ctimeMs));
    return {
      path: resolved,
      stamp: [facts.dev, facts.ino, facts.size, facts.mtimeNs, facts.ctimeNs].join(' '),
      settled: Date.now() - newest > SETTLED_MS,
    };
  } catch {
    return undefined;
  }
}

async function readDigests(memo: string, stamp: string): Promise<Map<string, string>> {
  try {
    const parsed: unknown = JSON.parse(await readFile(memo, 'utf8'));
    if (
      typeof parsed === 'object' &&
      parsed !== null &&
      'stamp' in parsed &&
      'digests' in parsed &&
      parsed.stamp === stamp &&
      typeof parsed.digests === 'object' &&
      parsed.digests !== null
    )
      return new Map(
        Object.entries(parsed.digests).filter(
          (entry): entry is [string, string] =>
            typeof entry[1] === 'string' && /^[0-9a-f]{64}$/.test(entry[1]),
        ),
      );
  } catch {
    // Not there, or cut short: hashed again.
  }
  return new Map();
}

/** Complete or absent, never in part, whoever else writes the same entry. */
async function writeAtomically(file: string, contents: Uint8Array | string): Promise<void> {
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    await ensureFolder(path.dirname(file));
    await writeFile(temporary, contents);
    await rename(temporary, file);
  } catch {
    // A full disk or a read-only home costs the next audit its time, not this one its result.
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

async function listFiles(
  folders: readonly string[],
): Promise<{ file: string; bytes: number; modified: number }[]> {
  const files: { file: string; bytes: number; modified: number }[] = [];
  for (const folder of folders) {
    const names = await readdir(folder, { recursive: true }).catch(() => []);
    for (const name of names) {
      const file = path.join(folder, name);
      const facts = await stat(file).catch(() => undefined);
      if (facts?.isFile()) files.push({ file, bytes: facts.size, modified: facts.mtimeMs });
    }
  }
  return files;
}

/** Hexadecimal sha256 of a text. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
