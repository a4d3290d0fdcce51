import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint } from '../checkpoint';
import { CheckpointError } from '../errors';
import { ioError } from '../file';
import { type OpenFile, type ShardSet, findShardSets, openShardedIndex, openShards } from './sharded';

/** Files looked at in one folder and the folders directly in it. */
const MAX_FILES = 20_000;

interface Listing {
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

interface ShardedModel {
  readonly index?: string;
  readonly shards?: ShardSet;
}

/**
 * A folder that is one model in shards: by its `*.index.json`, or by the names of its files.
 *
 * @throws CheckpointError `unsupported` when it is not; then `listCheckpointFiles` tells what is in it.
 */
export async function openDirectory(
  folder: string,
  openFile: OpenFile,
  signal?: AbortSignal,
): Promise<Checkpoint> {
  const { files } = await list(folder);
  const { index, shards } = shardedModel(files) ?? {};
  if (index !== undefined)
    return { ...(await openShardedIndex(path.join(folder, index), openFile, signal)), path: folder };
  if (shards !== undefined) return openShards(folder, shards, openFile, signal);
  throw new CheckpointError('unsupported', 'a folder that is not one model in shards', { file: folder });
}

/** The sharded model of a folder, if there is exactly one; safetensors before the same model for PyTorch. */
function shardedModel(files: readonly string[]): ShardedModel | undefined {
  const indexes = files.filter((name) => /\.(safetensors|bin|pt|pth)\.index\.json$/.test(name));
  const index = indexes.find((name) => name.includes('.safetensors.')) ?? indexes[0];
  if (index !== undefined) return { index };
  const sets = findShardSets(files);
  const shards = sets.find(({ names }) => names[0]?.endsWith('.safetensors') === true) ?? sets[0];
  return shards === undefined ? undefined : { shards };
}

/**
 * The checkpoints in a folder, in order of their names: what `openCheckpoint` takes, each once. That is the folder
 * itself when it is a sharded model; otherwise its files that are checkpoints, and the same of the folders directly in
 * it, no deeper. Hidden files and everything that is no checkpoint are left out.
 *
 * @param isCheckpoint looks at a file's content; given by open.ts.
 * @throws CheckpointError of kind `io`.
 */
export async function listCheckpoints(
  folder: string,
  isCheckpoint: (file: string) => Promise<boolean>,
): Promise<string[]> {
  const { files, folders } = await list(folder);
  const found = await listOne(folder, files, isCheckpoint);
  let looked = files.length;
  for (const name of folders) {
    const inner = path.join(folder, name);
    const listing = await list(inner).catch(() => undefined);
    if (listing === undefined) continue;
    looked += listing.files.length;
    if (looked > MAX_FILES)
      throw new CheckpointError('unsupported', `more than ${MAX_FILES} files`, { file: folder });
    found.push(...(await listOne(inner, listing.files, isCheckpoint)));
  }
  return found;
}

async function listOne(
  folder: string,
  files: readonly string[],
  isCheckpoint: (file: string) => Promise<boolean>,
): Promise<string[]> {
  if (files.length > MAX_FILES)
    throw new CheckpointError('unsupported', `more than ${MAX_FILES} files`, { file: folder });
  if (shardedModel(files) !== undefined) return [folder];
  const found: string[] = [];
  for (const name of files) {
    const file = path.join(folder, name);
    if (await isCheckpoint(file)) found.push(file);
  }
  return found;
}

async function list(folder: string): Promise<Listing> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const visible = entries.filter(({ name }) => !name.startsWith('.'));
    const names = (wanted: typeof visible): string[] => wanted.map(({ name }) => name).sort();
    return {
      files: names(visible.filter((entry) => entry.isFile() || entry.isSymbolicLink())),
      folders: names(visible.filter((entry) => entry.isDirectory())),
    };
  } catch (error) {
    throw ioError(error, folder);
  }
}
