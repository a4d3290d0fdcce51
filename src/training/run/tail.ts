import { open, stat } from 'node:fs/promises';

/** Read at once; a long history comes in several pieces. */
const MAX_CHUNK = 1 << 20;

/** A line longer than this is no event and no line for people: it is cut. */
const MAX_LINE = 1 << 16;

export interface Tailed {
  /** The file is another one, or shorter, than before: what was told is void. */
  readonly reset: boolean;
  /** Whole lines that are new. */
  readonly lines: readonly string[];
  /** There is more to be read at once. */
  readonly more: boolean;
}

/** What is appended to a text file, line by line; a file that is not there yet is empty. */
export class Tail {
  private offset = 0;
  private inode: number | bigint | undefined;
  private rest = Buffer.alloc(0);

  constructor(private readonly file: string) {}

  /** What is new since the last time. @throws the file system's error, but for a file that is missing */
  async read(): Promise<Tailed> {
    const facts = await stat(this.file).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (facts === undefined) return { reset: this.forget(), lines: [], more: false };
    const isAnother = this.inode !== undefined && (facts.ino !== this.inode || facts.size < this.offset);
    const reset = isAnother && this.forget();
    this.inode = facts.ino;
    const wanted = Math.min(MAX_CHUNK, facts.size - this.offset);
    if (wanted <= 0) return { reset, lines: [], more: false };
    const lines = this.take(await this.bytes(wanted));
    return { reset, lines, more: this.offset < facts.size };
  }

  /** What stands after the last line's end: of a file that nobody writes any more. */
  get unfinished(): string {
    return this.rest.toString('utf8');
  }

  /** @returns whether there was anything to forget */
  private forget(): boolean {
    const had = this.offset > 0;
    this.offset = 0;
    this.inode = undefined;
    this.rest = Buffer.alloc(0);
    return had;
  }

  private async bytes(count: number): Promise<Buffer> {
    const handle = await open(this.file, 'r');
    try {
      const buffer = Buffer.alloc(count);
      const { bytesRead } = await handle.read(buffer, 0, count, this.offset);
      this.offset += bytesRead;
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  }

  private take(bytes: Buffer): string[] {
    const all = Buffer.concat([this.rest, bytes]);
    const end = all.lastIndexOf(0x0a);
    this.rest = Buffer.from(all.subarray(end + 1, end + 1 + MAX_LINE));
    if (end < 0) return [];
    return all
      .subarray(0, end)
      .toString('utf8')
      .split('\n')
      .map((line) => line.slice(0, MAX_LINE));
  }
}
