import { randomUUID } from 'node:crypto';
import {
  open,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
  type FileHandle,
} from 'node:fs/promises';
import path from 'node:path';
import type { Eigenbasis } from '../../utilization';
import { ensureFolder } from '../../checkpoint/write/ensureFolder';
import { sha256 } from '../cache';
import { decodeSpectra, encodeSpectra } from '../cacheEntries';
import type { UtilizationDocument } from '../utilizationDocument';
import { TOOL } from '../version';

/** Raised when the files below, or what decides their numbers, change. */
const STATE_VERSION = 1;

/** What is kept of networks is pruned down to this: the subspaces of two ViT-B. */
const MAX_BYTES = 2 * 2 ** 30;

/** Searches on a network touched more recently than this may be running. */
const RUNNING_MS = 24 * 3600 * 1000;

/** What decides every number of a search. */
export interface SearchIdentity {
  /** `NetworkFacts.identity`: weights and data by content. */
  readonly network: string;
  /** Build of the backend. */
  readonly build: string;
  /** Mode, δ, energies, names of the measured layers: whatever the caller's search depends on. */
  readonly settings: unknown;
}

/**
 * How far a search is, on disk, so that it goes on after it was killed at any moment: an append-only log of values, each
 * written through to the disk before the next one is asked for, and the input subspaces, which are the same for every
 * search on the same network and data. What cannot be written is held in memory instead: the search then goes on, but
 * cannot be resumed.
 */
export class SearchState {
  private readonly inMemory = new Map<string, readonly Eigenbasis[]>();
  private log: FileHandle | undefined;
  private failure: string | undefined;

  private constructor(
    private readonly folder: string,
    private readonly name: string,
    private readonly values: Map<string, number>,
    /** Probes of an earlier search that this one does not use. */
    readonly ignoredProbes: number,
  ) {}

  /**
   * @param root folder of all searches
   * @param resume use what an earlier search found; otherwise it is set aside, and still there for a later `resume`
   */
  static async open(root: string, identity: SearchIdentity, resume: boolean): Promise<SearchState> {
    const folder = path.join(root, sha256(JSON.stringify([STATE_VERSION, identity.network, identity.build])));
    const name = sha256(JSON.stringify(identity.settings)).slice(0, 32);
    const log = path.join(folder, `${name}.log`);
    const aside = `${log}.aside`;
    const [latest, earlier] = [await readLog(log), await readLog(aside)];
    if (resume) {
      await truncateTornLine(log, latest.bytes);
      return new SearchState(folder, name, new Map([...earlier.values, ...latest.values]), 0);
    }
    // The longer log is the one worth resuming.
    if (latest.values.size >= earlier.values.size) await rename(log, aside).catch(ignore);
    else await rm(log, { force: true }).catch(ignore);
    return new SearchState(
      folder,
      name,
      new Map(),
      Math.max(probesOf(latest.values), probesOf(earlier.values)),
    );
  }

  /** Probes known from an earlier run, or recorded by this one. */
  get probes(): number {
    return probesOf(this.values);
  }

  /** Why the search cannot be resumed, when it cannot. */
  get cannotResume(): string | undefined {
    return this.failure;
  }

  value(at: string): number | undefined {
    return this.values.get(at);
  }

  /** Returns when the value is on the disk. */
  async record(at: string, value: number): Promise<void> {
    this.values.set(at, value);
    try {
      if (this.log === undefined) {
        await ensureFolder(this.folder);
        this.log = await open(path.join(this.folder, `${this.name}.log`), 'a');
      }
      // As text, numbers come back to the last bit, NaN and infinity too.
      await this.log.appendFile(`${JSON.stringify([at, String(value)])}\n`);
      await this.log.datasync();
    } catch (error) {
      this.failure ??= reasonOf(error);
    }
  }

  /** Input subspaces of a layer, one basis a group. */
  async inputs(layer: string): Promise<readonly Eigenbasis[] | undefined> {
    const held = this.inMemory.get(layer);
    if (held !== undefined) return held;
    const bytes = await readFile(this.inputsFile(layer)).catch(ignore);
    const arrays = bytes === undefined ? undefined : decodeSpectra(bytes);
    if (arrays === undefined) return undefined;
    const bases: Eigenbasis[] = [];
    for (let i = 0; i + 1 < arrays.length; i += 2) {
      const [energies, vectors] = arrays.slice(i, i + 2);
      if (energies !== undefined && vectors !== undefined) bases.push({ energies, vectors });
    }
    return bases;
  }

  async hasInputs(layer: string): Promise<boolean> {
    return this.inMemory.has(layer) || (await stat(this.inputsFile(layer)).catch(ignore)) !== undefined;
  }

  async keepInputs(layer: string, bases: readonly Eigenbasis[]): Promise<void> {
    try {
      await ensureFolder(this.folder);
      const arrays = bases.flatMap(({ energies, vectors }) => [energies, vectors]);
      await writeWhole(this.inputsFile(layer), encodeSpectra(arrays));
    } catch (error) {
      this.failure ??= reasonOf(error);
      this.inMemory.set(layer, bases);
    }
  }

  /** The document of a search that came to its end, with its spectra. */
  async finished(): Promise<UtilizationDocument | undefined> {
    try {
      // Written in one piece by `finish`; what another version wrote may lack a field.
      const document = JSON.parse(await readFile(this.documentFile, 'utf8')) as UtilizationDocument;
      return document.tool.version === TOOL.version ? document : undefined;
    } catch {
      return undefined;
    }
  }

  /** Keeps the document of a search that nothing is left of; the subspaces stay for searches with other settings. */
  async finish(document: UtilizationDocument): Promise<void> {
    await writeWhole(this.documentFile, JSON.stringify(document)).catch(ignore);
    await pruneSearches(path.dirname(this.folder), this.folder);
  }

  async close(): Promise<void> {
    await this.log?.close().catch(ignore);
    this.log = undefined;
  }

  private inputsFile(layer: string): string {
    return path.join(this.folder, `${INPUTS}${sha256(layer).slice(0, 32)}`);
  }

  private get documentFile(): string {
    return path.join(this.folder, `${this.name}.json`);
  }
}

const INPUTS = 'inputs-';

/** Name of a probe in the log: a layer's weight projected to these dimensions, on top of what was chosen before it. */
export function probeAt(layer: string, kS: number, kT: number): string {
  return PROBE + JSON.stringify([layer, kS, kT]);
}

const PROBE = 'probe ';

function probesOf(values: ReadonlyMap<string, number>): number {
  return [...values.keys()].filter((at) => at.startsWith(PROBE)).length;
}

interface Log {
  readonly values: ReadonlyMap<string, number>;
  /** Length of the lines that are whole. */
  readonly bytes: number;
}

/** The whole lines of a log: what was being written when the process died is not there. */
async function readLog(file: string): Promise<Log> {
  const bytes = await readFile(file).catch(() => Buffer.alloc(0));
  const values = new Map<string, number>();
  let start = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
    const entry = entryOf(bytes.toString('utf8', start, end));
    if (entry === undefined) break;
    values.set(...entry);
    start = end + 1;
  }
  return { values, bytes: start };
}

function entryOf(line: string): [string, number] | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    if (!Array.isArray(parsed)) return undefined;
    // The elements of what JSON.parse gives are unknown until looked at.
    const [at, value] = parsed as readonly unknown[];
    return typeof at === 'string' && typeof value === 'string' && value !== ''
      ? [at, Number(value)]
      : undefined;
  } catch {
    return undefined;
  }
}

/** So that the next line does not begin in the middle of another. */
async function truncateTornLine(file: string, bytes: number): Promise<void> {
  const facts = await stat(file).catch(ignore);
  if (facts !== undefined && facts.size > bytes) await truncate(file, bytes).catch(ignore);
}

/** @throws the file system's error, leaving nothing behind */
async function writeWhole(file: string, contents: Uint8Array | string): Promise<void> {
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    await writeFile(temporary, contents);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true }).catch(ignore);
    throw error;
  }
}

/**
 * Removes what is kept of networks, those untouched longest first, while all together take too much; of the current one
 * only its subspaces, when they alone do.
 */
async function pruneSearches(root: string, current: string): Promise<void> {
  const names = await readdir(root).catch(() => []);
  const networks = await Promise.all(names.map((name) => sizeOf(path.join(root, name))));
  let bytes = networks.reduce((sum, network) => sum + network.bytes, 0);
  for (const network of networks.sort((a, b) => a.touched - b.touched)) {
    if (bytes <= MAX_BYTES) return;
    if (network.folder === current || Date.now() - network.touched < RUNNING_MS) continue;
    await rm(network.folder, { recursive: true, force: true }).catch(ignore);
    bytes -= network.bytes;
  }
  if ((networks.find(({ folder }) => folder === current)?.bytes ?? 0) <= MAX_BYTES) return;
  for (const name of await readdir(current).catch(() => []))
    if (name.startsWith(INPUTS)) await rm(path.join(current, name), { force: true }).catch(ignore);
}

async function sizeOf(folder: string): Promise<{ folder: string; bytes: number; touched: number }> {
  const names = await readdir(folder).catch(() => []);
  let [bytes, touched] = [0, 0];
  for (const name of names) {
    const facts = await stat(path.join(folder, name)).catch(ignore);
    bytes += facts?.size ?? 0;
    touched = Math.max(touched, facts?.mtimeMs ?? 0);
  }
  return { folder, bytes, touched };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Failing to read or write the state is never an error of the job: it only costs time. */
function ignore(): undefined {
  return undefined;
}
