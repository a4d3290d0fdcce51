import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import type { DecodedBytes, FileBytes, Tensor } from '../checkpoint';
import { CheckpointError } from '../errors';
import { RandomAccessFile, ioError } from '../file';
import type { WeightGroup } from './manifest';

/** Shards are four megabytes by default: more than forty gigabytes. */
const MAX_SHARDS = 10_000;

interface Shard {
  readonly path: string;
  readonly size: number;
  /** First byte among those of the group. */
  readonly begin: number;
}

/** The bytes of a group's files, one file after the other; of them only lengths of texts are ever read while opening. */
export class GroupBytes {
  private constructor(
    private readonly shards: readonly Shard[],
    readonly size: number,
    private readonly model: string,
  ) {}

  /**
   * @param model the path of `model.json`
   * @throws CheckpointError `malformed` naming a file that is missing or lies outside the model's folder
   */
  static async locate({ paths }: WeightGroup, model: string): Promise<GroupBytes> {
    if (paths.length > MAX_SHARDS)
      throw new CheckpointError('unsupported', `weights in ${paths.length} files`, { file: model });
    const shards: Shard[] = [];
    let size = 0;
    for (const shard of paths) {
      const bytes = await sizeOf(shard, model, paths.length);
      shards.push({ path: shard, size: bytes, begin: size });
      size += bytes;
    }
    return new GroupBytes(shards, size, model);
  }

  get files(): readonly string[] {
    return this.shards.map((shard) => shard.path);
  }

  /** Where bytes [begin, begin + byteLength) lie, which are inside: one range, or pieces of several files. */
  storage(begin: number, byteLength: number): FileBytes | DecodedBytes {
    const pieces: Extract<FileBytes, { encoding: 'raw' }>[] = [];
    for (let i = this.shardAt(begin); (this.shards[i]?.begin ?? Infinity) < begin + byteLength; i++) {
      const shard = this.shards[i];
      if (shard === undefined) break;
      const from = Math.max(begin, shard.begin);
      const to = Math.min(begin + byteLength, shard.begin + shard.size);
      if (from < to)
        pieces.push({ encoding: 'raw', path: shard.path, offset: from - shard.begin, byteLength: to - from });
    }
    const [first, ...others] = pieces;
    if (first === undefined) return { encoding: 'raw', path: this.model, offset: 0, byteLength: 0 };
    if (others.length === 0) return first;
    const sources: readonly Tensor[] = pieces.map((storage, i) => ({
      name: `piece ${i}`,
      shape: [storage.byteLength],
      dtype: 'uint8',
      storage,
      role: 'model',
    }));
    return { encoding: 'decoded', path: first.path, sources, decoder: { kind: 'pieces' }, byteLength };
  }

  /**
   * Bytes that texts take: the length of each as 32 bits, then its UTF-8 (tfjs-core's io/io_utils.ts).
   *
   * @throws CheckpointError `malformed` when they reach beyond the group's files
   */
  async textBytes(begin: number, count: number): Promise<number> {
    const reader = new ShardReader();
    let at = begin;
    try {
      for (let i = 0; i < count; i++) {
        const length = Buffer.alloc(4);
        for (let k = 0; k < 4; k++) length[k] = await this.byte(at + k, reader);
        at += 4 + length.readUInt32LE();
      }
    } finally {
      await reader.close();
    }
    if (at > this.size) throw this.tooShort();
    return at - begin;
  }

  private async byte(at: number, reader: ShardReader): Promise<number> {
    const shard = this.shards[this.shardAt(at)];
    if (shard === undefined || at >= this.size) throw this.tooShort();
    return reader.byte(shard.path, at - shard.begin);
  }

  private tooShort(): CheckpointError {
    return new CheckpointError('malformed', 'its texts reach beyond the weight files', { file: this.model });
  }

  /** Index of the shard that holds a byte of the group: the last that begins at or before it. */
  private shardAt(at: number): number {
    let low = 0;
    let high = this.shards.length;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if ((this.shards[middle]?.begin ?? Infinity) <= at) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** Single bytes of files, one of which is open at a time. */
class ShardReader {
  private file: RandomAccessFile | undefined;

  async byte(path: string, offset: number): Promise<number> {
    if (this.file?.path !== path) {
      await this.close();
      this.file = await RandomAccessFile.open(path);
    }
    return this.file.readSync(offset, 1)[0] ?? 0;
  }

  async close(): Promise<void> {
    await this.file?.close();
    this.file = undefined;
  }
}

async function sizeOf(shard: string, model: string, count: number): Promise<number> {
  const folder = path.dirname(path.resolve(model));
  const name = path.relative(folder, shard);
  try {
    const [real, root] = [await realpath(shard), await realpath(folder)];
    if (!real.startsWith(root.endsWith(path.sep) ? root : root + path.sep))
      throw new CheckpointError(
        'malformed',
        `the weight file "${name}" is a link out of the model's folder`,
        { file: model },
      );
    const facts = await stat(real);
    if (!facts.isFile()) throw new CheckpointError('io', 'is not a regular file', { file: shard });
    return facts.size;
  } catch (error) {
    const reason = ioError(error, shard);
    if (reason.reason !== 'not found') throw reason;
    throw new CheckpointError('malformed', `the weight file "${name}" of ${count} is missing`, {
      file: model,
    });
  }
}
