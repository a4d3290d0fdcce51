/** What is fuzzed: one entry a reader. */
import type { Random } from './random';

/** A file of a seed. */
export interface SeedFile {
  /** Relative to the case's folder, with `/`. */
  readonly path: string;
  readonly bytes: Buffer;
}

/** A checkpoint that opens as it is. */
export interface Seed {
  readonly files: readonly SeedFile[];
  /** What is given to the reader: one of the files, or '' for their folder. */
  readonly open: string;
  /** The reader refuses it as it is, by design; still a good place to begin. */
  readonly isRefused?: true;
}

/** What else a mutator may use. */
export interface MutatorContext {
  /** The same file of other seeds. */
  readonly others: readonly Buffer[];
}

/** Other bytes of these, never these themselves changed; undefined where it does not apply to them. */
export type Mutator = (bytes: Buffer, random: Random, context: MutatorContext) => Buffer | undefined;

/** Adding a reader takes one of these in `readers/all.ts`. */
export interface FuzzReader {
  readonly name: string;
  /** Small files, at least one. */
  readonly seeds: () => readonly Seed[];
  /** Those that know the format of a file, besides those that change any bytes. */
  readonly mutators: (file: string) => readonly Mutator[];
  /** Makes right again what stops a reader at the door, such as a checksum; done after most cases' mutations. */
  readonly repair?: Mutator;
  /**
   * Reads the case; passes when it returns or throws a CheckpointError, and returns whether it opened.
   * Absent: `exerciseCheckpoint`.
   */
  readonly exercise?: (given: string, folder: string) => Promise<void>;
}

/** A seed of one file. */
export function oneFile(path: string, bytes: Buffer): Seed {
  return { files: [{ path, bytes }], open: path };
}
