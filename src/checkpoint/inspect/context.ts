import type { ByteRange } from './byteRange';
import type { Report } from './report';

/** Archives within archives that are opened: an archive in a tar in a gzip, and one more. */
export const MAX_DEPTH = 4;
/** Bytes decompressed and kept at once; pickles and headers are smaller by far, tensors are not looked at. */
export const MAX_INFLATED_BYTES = 128 * 1024 * 1024;
/** Bytes decompressed in all, a few seconds' work. */
export const MAX_ALL_INFLATED_BYTES = 512 * 1024 * 1024;
/** Parts looked into: the largest archives of tensors have some fifty thousand entries. */
export const MAX_PARTS = 200_000;

/** What all of an inspection shares. */
export interface Context {
  readonly report: Report;
  readonly signal: AbortSignal | undefined;
  /** Looks at what `part` holds, whatever it is. */
  readonly look: (part: Part) => Promise<void>;
  /** Bytes that may still be decompressed. */
  budget: { inflated: number };
}

/** A piece of the file: the file itself, an entry of an archive, what was decompressed. */
export interface Part {
  readonly range: ByteRange;
  /** Names of entries from the outside in; empty for the file itself. */
  readonly where: string;
  /** The name it goes by; decides only where the content is mute. */
  readonly name: string;
  readonly depth: number;
  /** What an archive says its bytes are, so that by chance they look like something else. */
  readonly tensor?: true;
}

export function inside(part: Part, name: string): string {
  return part.where === '' ? name : `${part.where} > ${name}`;
}

/** Lets the process hear a cancellation between two stretches of work. */
export async function pause(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  signal?.throwIfAborted();
}
