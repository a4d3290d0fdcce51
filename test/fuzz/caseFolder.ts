/** The folder in which a case's files lie while it runs. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { SeedFile } from './reader';

export class CaseFolder {
  private present = new Set<string>();

  /** @param folder made where it is missing */
  constructor(readonly folder: string) {
    mkdirSync(folder, { recursive: true });
  }

  /** Writes the files of a case in place of those of the one before. */
  put(files: readonly SeedFile[]): void {
    const next = new Set(files.map((file) => file.path));
    for (const old of this.present) if (!next.has(old)) rmSync(path.join(this.folder, old), { force: true });
    for (const { path: name, bytes } of files) {
      const target = path.join(this.folder, name);
      if (!this.present.has(name)) mkdirSync(path.dirname(target), { recursive: true });
      writeFileSync(target, bytes);
    }
    this.present = next;
  }
}
