import path from 'node:path';
import type { Checkpoint } from '../checkpoint';
import { CheckpointError } from '../errors';
import { type RandomAccessFile, withFile } from '../file';
import { type GgufHeader, readHeader } from '../gguf/header';
import type { MetadataValue } from '../gguf/metadata';
import { type GgufTensors, tensorsOf } from '../gguf/tensors';
import { stateNotes } from '../roles';
import { countOf, inARow } from '../wording';
import { requirePresent } from './sharded';

/** Names of architectures are words; the format is shown in one line. */
const ARCHITECTURE = /^[\w.+-]{1,40}$/;

interface OpenedFile extends GgufTensors {
  readonly header: GgufHeader;
}

/**
 * A single GGUF file: a model, a LoRA adapter, or one of the shards of a model.
 *
 * @throws CheckpointError `malformed` for a file that breaks the specification: among others, ranges that overlap, are not
 * aligned or reach outside the file, and rows that are no whole blocks.
 */
export function openGguf(file: RandomAccessFile): Promise<Checkpoint> {
  // What is thrown here is the promise's.
  return new Promise((resolve) => {
    const opened = openOne(file);
    resolve(checkpointOf(file.path, [opened], shardNotes(opened.header.metadata)));
  });
}

/**
 * A model in shards, as llama.cpp's `gguf-split` writes it: the first has the metadata, each says which one it is.
 *
 * @param given what the user named: the shards' folder
 * @param names of all shards in it, in order
 * @throws CheckpointError `malformed` when a shard is missing, is not the one its name says, or a tensor is in two of them.
 */
export async function openGgufShards(
  given: string,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<Checkpoint> {
  await requirePresent(given, names, given);
  const files: OpenedFile[] = [];
  const seen = new Set<string>();
  for (const [index, name] of names.entries()) {
    signal?.throwIfAborted();
    const opened = await withFile(path.join(given, name), (file) => Promise.resolve(openOne(file)));
    requirePlace(opened.header, index, names.length);
    for (const { name: tensor } of opened.header.tensors) {
      if (seen.has(tensor)) {
        throw new CheckpointError('malformed', 'is in two shards', { file: opened.header.path, tensor });
      }
      seen.add(tensor);
    }
    files.push(opened);
  }
  requireComplete(files, given);
  return checkpointOf(given, files, []);
}

function openOne(file: RandomAccessFile): OpenedFile {
  const header = readHeader(file);
  return { header, ...tensorsOf(header) };
}

function requirePlace({ metadata, path: file }: GgufHeader, index: number, count: number): void {
  const number = metadata.get('split.no') ?? index;
  const of = metadata.get('split.count') ?? count;
  if (number === index && of === count) return;
  const reason = `says that it is shard ${Number(number) + 1} of ${of}, not ${index + 1} of ${count}`;
  throw new CheckpointError('malformed', reason, { file });
}

function requireComplete(files: readonly OpenedFile[], given: string): void {
  const stated = files[0]?.header.metadata.get('split.tensors.count');
  const found = files.reduce((sum, { header }) => sum + header.tensors.length, 0);
  if (stated === undefined || stated === found) return;
  throw new CheckpointError('malformed', `the shards have ${found} of ${stated} tensors`, { file: given });
}

function checkpointOf(
  given: string,
  files: readonly OpenedFile[],
  notes: readonly (string | undefined)[],
): Checkpoint {
  const tensors = files.flatMap((file) => file.tensors);
  const metadata = files[0]?.header.metadata ?? new Map<string, MetadataValue>();
  const alpha = metadata.get('adapter.lora.alpha');
  const known = [...notes, adapterNote(metadata), decodedNote(files), ...stateNotes(tensors)];
  return {
    path: given,
    format: formatOf(metadata, files.length),
    files: files.map(({ header }) => header.path),
    bytes: files.reduce((sum, { header }) => sum + header.fileBytes, 0),
    tensors,
    unreadable: files.flatMap((file) => file.unreadable),
    readOnly: true,
    ...(typeof alpha === 'number' && { adapterMetadata: { alpha } }),
    notes: known.filter((note) => note !== undefined),
  };
}

/** `GGUF (llama)`, `GGUF (llama, 3 shards)`. */
function formatOf(metadata: ReadonlyMap<string, MetadataValue>, shards: number): string {
  const architecture = metadata.get('general.architecture');
  const details = [
    ...(typeof architecture === 'string' && ARCHITECTURE.test(architecture) ? [architecture] : []),
    ...(shards > 1 ? [`${shards} shards`] : []),
  ];
  return details.length === 0 ? 'GGUF' : `GGUF (${details.join(', ')})`;
}

function shardNotes(metadata: ReadonlyMap<string, MetadataValue>): string[] {
  const [number, count] = [metadata.get('split.no'), metadata.get('split.count')];
  if (typeof number !== 'number' || typeof count !== 'number' || count < 2) return [];
  return [
    `Shard ${number + 1} of ${count}: the other tensors are in the other shards; a folder of all opens as one model`,
  ];
}

function adapterNote(metadata: ReadonlyMap<string, MetadataValue>): string | undefined {
  if (metadata.get('general.type') !== 'adapter') return undefined;
  const alpha = metadata.get('adapter.lora.alpha');
  return `A LoRA adapter${typeof alpha === 'number' ? ` with alpha ${alpha}` : ''}, not a whole model`;
}

/** `12 tensors are Q4_K and 1 is Q6_K: dequantised to float32 for analysis`. */
function decodedNote(files: readonly OpenedFile[]): string | undefined {
  const counts = new Map<string, number>();
  for (const [type, count] of files.flatMap(({ decoded }) => [...decoded])) {
    counts.set(type, (counts.get(type) ?? 0) + count);
  }
  if (counts.size === 0) return undefined;
  const parts = [...counts].map(([type, count], i) =>
    i === 0
      ? `${countOf(count, 'tensor is', 'tensors are')} ${type}`
      : `${countOf(count, 'is', 'are')} ${type}`,
  );
  return `${inARow(parts)}: dequantised to float32 for analysis`;
}
