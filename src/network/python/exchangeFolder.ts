/** Numbers that are too many for lines of text go from process to process through files in a folder of their own. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

/** Tries to remove the folder: on Windows a process that was just killed holds its files for a moment. */
const REMOVE_TRIES = 5;

export class ExchangeFolder {
  private constructor(readonly folder: string) {}

  static async make(): Promise<ExchangeFolder> {
    return new ExchangeFolder(await mkdtemp(path.join(os.tmpdir(), 'rankscope-python-')));
  }

  async write(name: string, values: Float64Array): Promise<void> {
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    await writeFile(path.join(this.folder, name), bytes);
  }

  /** @throws {Error} when the file has another length than `count` numbers */
  async read(name: string, count: number): Promise<Float64Array> {
    const file = path.join(this.folder, name);
    const bytes = await readFile(file);
    if (bytes.length !== 8 * count)
      throw new Error(`${name} has ${bytes.length} bytes where ${8 * count} are due`);
    await rm(file);
    // Small files come as a part of a larger buffer that need not begin at a multiple of 8.
    const values = new Float64Array(count);
    Buffer.from(values.buffer).set(bytes);
    return values;
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: REMOVE_TRIES });
  }
}
