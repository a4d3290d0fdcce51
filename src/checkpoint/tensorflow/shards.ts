import { stat } from 'node:fs/promises';
import path from 'node:path';
import { CheckpointError } from '../errors';
import { ioError } from '../file';
import type { BundleEntry } from './bundle';

/** A file with the values of variables, never read while opening. */
export interface Shard {
  readonly path: string;
  readonly size: number;
}

/** The index beside a file of a checkpoint, that file itself if it is one; undefined for other names. */
export function indexOf(file: string): string | undefined {
  if (file.endsWith('.index')) return file;
  const [, prefix] = /^([^]+)\.data-\d{5}-of-\d{5}$/.exec(file) ?? [];
  return prefix === undefined ? undefined : `${prefix}.index`;
}

/**
 * The shards beside an index, whose names follow from its own: none is named in the file.
 *
 * @throws CheckpointError `malformed` naming the first that is missing
 */
export async function findShards(index: string, count: number): Promise<Shard[]> {
  const prefix = index.replace(/\.index$/, '');
  const total = String(count).padStart(5, '0');
  const shards: Shard[] = [];
  for (let i = 0; i < count; i++) {
    const shard = `${prefix}.data-${String(i).padStart(5, '0')}-of-${total}`;
    shards.push({ path: shard, size: await sizeOf(shard, index, count) });
  }
  return shards;
}

async function sizeOf(shard: string, index: string, count: number): Promise<number> {
  try {
    const facts = await stat(shard);
    if (!facts.isFile()) throw new CheckpointError('io', 'is not a regular file', { file: shard });
    return facts.size;
  } catch (error) {
    const reason = ioError(error, shard);
    if (reason.reason !== 'not found') throw reason;
    const name = path.basename(shard);
    throw new CheckpointError('malformed', `the shard "${name}" of ${count} is missing`, { file: index });
  }
}

/** Requires that what entries say lies in their shards, each in bytes of its own. @throws CheckpointError `malformed` */
export function requireRanges(
  entries: readonly BundleEntry[],
  shards: readonly Shard[],
  index: string,
): void {
  const fail = ({ key, offset }: BundleEntry, reason: string, file = index): CheckpointError =>
    new CheckpointError('malformed', reason, {
      file,
      tensor: key.toString('utf8'),
      ...(file !== index && { offset }),
    });
  const byShard: BundleEntry[][] = shards.map(() => []);
  for (const entry of entries) {
    const { shard, offset, size } = entry;
    const inShard = byShard[shard];
    const file = shards[shard];
    if (inShard === undefined || file === undefined)
      throw fail(entry, `is in shard ${shard} of ${shards.length}`);
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(size) || offset < 0 || size < 0)
      throw fail(entry, `${size} bytes at byte ${offset} of its shard`);
    if (offset + size > file.size)
      throw fail(entry, `its bytes end at ${offset + size}, but the shard ends at ${file.size}`, file.path);
    if (size > 0) inShard.push(entry);
  }
  byShard.forEach((inShard, i) => {
    let end = 0;
    for (const entry of inShard.sort((a, b) => a.offset - b.offset)) {
      if (entry.offset < end)
        throw fail(entry, 'its bytes overlap those of another variable', shards[i]?.path);
      end = entry.offset + entry.size;
    }
  });
}
