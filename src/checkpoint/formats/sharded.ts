import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint } from '../checkpoint';
import { countOf } from '../wording';
import { CheckpointError } from '../errors';
import { type RandomAccessFile, ioError, withFile } from '../file';
import { JsonReader } from '../json';

/** A hundred bytes a tensor; a mixture of experts has a hundred thousand. */
const MAX_INDEX_BYTES = 64 * 1024 * 1024;
/** The largest published models have about two hundred. */
const MAX_SHARDS = 4096;

/** Opens a single file; given by open.ts, which knows all formats. */
export type OpenFile = (path: string) => Promise<Checkpoint>;

/** `model-00001-of-00003.safetensors`, and what the shards of PyTorch and llama.cpp are called. */
const SHARD_NAME = /^([^]+)-(\d{5})-of-(\d{5})\.(safetensors|bin|pt|pth|gguf)$/;

/**
 * A model in several files, named by an index: `*.index.json` with a `weight_map` from tensor to file.
 *
 * @throws CheckpointError `malformed` when a shard is missing, lies outside the folder or lacks a tensor of the index.
 */
export async function openShardedIndex(
  indexPath: string,
  openFile: OpenFile,
  signal?: AbortSignal,
): Promise<Checkpoint> {
  const { weightMap, bytes } = await readIndex(indexPath);
  const folder = path.dirname(indexPath);
  const names = [...new Set(weightMap.values())].sort();
  if (names.length > MAX_SHARDS) {
    throw new CheckpointError('unsupported', `an index of ${names.length} shards`, { file: indexPath });
  }
  for (const name of names) requirePlainName(name, indexPath);
  await requirePresent(folder, names, indexPath);
  const shards = await openAll(folder, names, openFile, signal);
  const present = new Set(
    shards.flatMap((shard) => [...shard.tensors, ...shard.unreadable].map(({ name }) => name)),
  );
  for (const [tensor, file] of weightMap) {
    if (!present.has(tensor))
      throw new CheckpointError('malformed', `is not in its shard "${file}"`, { file: indexPath, tensor });
  }
  const unlisted = present.size - weightMap.size;
  const notes =
    unlisted > 0
      ? [`${countOf(unlisted, 'tensor of the shards is', 'tensors of the shards are')} not in the index`]
      : [];
  return join(indexPath, [indexPath], bytes, shards, notes);
}

/** Shards with the usual names but without an index. @throws CheckpointError `malformed` when one is missing. */
export async function openShards(
  folder: string,
  shards: ShardSet,
  openFile: OpenFile,
  signal?: AbortSignal,
): Promise<Checkpoint> {
  await requirePresent(folder, shards.names, folder);
  const opened = await openAll(folder, shards.names, openFile, signal);
  return join(folder, [], 0, opened, ['The shards have no index; all that their names announce are there']);
}

export interface ShardSet {
  readonly stem: string;
  /** Of all the files that belong together, there or not. */
  readonly names: readonly string[];
}

/** The sets of shards that file names announce. */
export function findShardSets(fileNames: readonly string[]): ShardSet[] {
  const sets = new Map<string, ShardSet>();
  for (const name of fileNames) {
    const [, stem = '', , total = '', extension = ''] = SHARD_NAME.exec(name) ?? [];
    const count = Number(total);
    const key = `${stem}-of-${total}.${extension}`;
    if (count === 0 || count > MAX_SHARDS || sets.has(key)) continue;
    const names = Array.from(
      { length: count },
      (_, i) => `${stem}-${String(i + 1).padStart(5, '0')}-of-${total}.${extension}`,
    );
    sets.set(key, { stem, names });
  }
  return [...sets.values()];
}

async function readIndex(
  indexPath: string,
): Promise<{ weightMap: ReadonlyMap<string, string>; bytes: number }> {
  const text = await withFile(indexPath, async (file: RandomAccessFile) => {
    if (file.size > MAX_INDEX_BYTES)
      throw new CheckpointError('unsupported', `an index of ${file.size} bytes`, { file: indexPath });
    return file.read(0, file.size);
  });
  const weightMap = new Map<string, string>();
  try {
    const json = new JsonReader(text);
    json.object((key) => {
      if (key !== 'weight_map') {
        json.skip();
        return;
      }
      json.object((tensor) => {
        weightMap.set(tensor, json.string());
      });
    });
    json.end();
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file: indexPath }) : error;
  }
  if (weightMap.size === 0)
    throw new CheckpointError('malformed', 'an index without a weight_map', { file: indexPath });
  return { weightMap, bytes: text.length };
}

/** A shard is a file beside the index: its name must not lead anywhere else. */
function requirePlainName(name: string, indexPath: string): void {
  if (name === '' || name === '.' || name === '..' || /[/\\\0]|^[A-Za-z]:/.test(name)) {
    throw new CheckpointError('malformed', `the shard "${name}" does not lie beside the index`, {
      file: indexPath,
    });
  }
}

/** @throws CheckpointError `malformed` when one of the files is not in the folder; `named` is blamed. */
export async function requirePresent(folder: string, names: readonly string[], named: string): Promise<void> {
  let present: ReadonlySet<string>;
  try {
    present = new Set(await readdir(folder));
  } catch (error) {
    throw ioError(error, folder);
  }
  const missing = names.filter((name) => !present.has(name));
  const [first] = missing;
  if (first === undefined) return;
  const others = missing.length === 1 ? '' : ` and ${missing.length - 1} more`;
  throw new CheckpointError('malformed', `the shard "${first}"${others} of ${names.length} is missing`, {
    file: named,
  });
}

async function openAll(
  folder: string,
  names: readonly string[],
  openFile: OpenFile,
  signal: AbortSignal | undefined,
): Promise<Checkpoint[]> {
  const shards: Checkpoint[] = [];
  for (const name of names) {
    signal?.throwIfAborted();
    shards.push(await openFile(path.join(folder, name)));
  }
  return shards;
}

function join(
  given: string,
  before: readonly string[],
  bytesBefore: number,
  shards: readonly Checkpoint[],
  notes: readonly string[],
): Checkpoint {
  const formats = [...new Set(shards.map(({ format }) => format))].join(', ');
  const tensors = shards.flatMap((shard) => shard.tensors);
  const seen = new Set<string>();
  for (const { name, storage } of tensors) {
    if (seen.has(name))
      throw new CheckpointError('malformed', 'is in two shards', { file: storage.path, tensor: name });
    seen.add(name);
  }
  return {
    path: given,
    format: `${formats} (${shards.length} ${shards.length === 1 ? 'shard' : 'shards'})`,
    files: [...before, ...shards.flatMap(({ files }) => files)],
    bytes: shards.reduce((sum, { bytes }) => sum + bytes, bytesBefore),
    tensors,
    unreadable: shards.flatMap((shard) => shard.unreadable),
    notes: [...new Set([...notes, ...shards.flatMap((shard) => shard.notes)])],
  };
}
