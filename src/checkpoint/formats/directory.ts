import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint } from '../checkpoint';
import { ioError } from '../file';
import { openGgufShards } from './gguf';
import { type OpenFile, type ShardSet, findShardSets, openShardedIndex, openShards } from './sharded';
import { openTensorflowFolder } from './tensorflowFolder';

interface ShardedModel {
  readonly index?: string;
  readonly shards?: ShardSet;
}

/**
 * A folder that is one model in shards: by its `*.index.json`, or by the names of its files; or a model of TensorFlow,
 * which is always several files. Undefined when it is neither; then `listCheckpointFiles` tells what is in it.
 *
 * @throws CheckpointError of kind `io`, and for shards that are missing or cannot be read.
 */
export async function openDirectory(
  folder: string,
  openFile: OpenFile,
  signal?: AbortSignal,
): Promise<Checkpoint | undefined> {
  const files = await listNames(folder);
  const { index, shards } = shardedModel(files) ?? {};
  if (index !== undefined)
    return { ...(await openShardedIndex(path.join(folder, index), openFile, signal)), path: folder };
  if (shards !== undefined) {
    return isGguf(shards)
      ? openGgufShards(folder, shards.names, signal)
      : openShards(folder, shards, openFile, signal);
  }
  return openTensorflowFolder(folder, files, openFile);
}

async function listNames(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  } catch (error) {
    throw ioError(error, folder);
  }
}

/** Whether a folder with files of these names, hidden ones left out, is one model in shards. */
export function isShardedModel(files: readonly string[]): boolean {
  return shardedModel(files) !== undefined;
}

/** The sharded model of a folder, if there is exactly one; safetensors before the same model for PyTorch. */
function shardedModel(files: readonly string[]): ShardedModel | undefined {
  const indexes = files.filter((name) => /\.(safetensors|bin|pt|pth)\.index\.json$/.test(name));
  const index = indexes.find((name) => name.includes('.safetensors.')) ?? indexes[0];
  if (index !== undefined) return { index };
  const sets = findShardSets(files);
  const shards = sets.find(({ names }) => names[0]?.endsWith('.safetensors') === true) ?? sets[0];
  // Repositories keep one model quantised in several ways side by side: which one, the user has to say.
  if (shards === undefined || (isGguf(shards) && sets.length > 1)) return undefined;
  return { shards };
}

function isGguf({ names }: ShardSet): boolean {
  return names[0]?.endsWith('.gguf') === true;
}
