/** Where in a checkpoint something went wrong; every part is optional because not every reader knows all. */
export interface ErrorLocation {
  readonly file?: string;
  readonly tensor?: string;
  /** Byte offset into `file`. */
  readonly offset?: number;
}

/**
 * A checkpoint that cannot be read, with a one-line reason that names file, tensor and byte offset.
 *
 * `malformed`: the bytes break their own format; trying again gives the same answer.
 * `unsupported`: well-formed as far as read, but not something Rankscope reads.
 * `io`: the operating system refused; trying again may work.
 */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';

  constructor(
    readonly kind: 'malformed' | 'unsupported' | 'io',
    readonly reason: string,
    readonly location: ErrorLocation = {},
    options?: ErrorOptions,
  ) {
    super(describe(reason, location), options);
  }

  /** The same error with what an outer reader knows filled in; inner knowledge wins. */
  at(outer: ErrorLocation): CheckpointError {
    return new CheckpointError(this.kind, this.reason, { ...outer, ...this.location }, { cause: this });
  }
}

function describe(reason: string, { file, tensor, offset }: ErrorLocation): string {
  const parts: string[] = [];
  if (file !== undefined) parts.push(printable(file));
  if (tensor !== undefined) parts.push(`tensor "${printable(tensor)}"`);
  if (offset !== undefined) parts.push(`byte ${String(offset)}`);
  return parts.length === 0 ? printable(reason) : `${parts.join(', ')}: ${printable(reason)}`;
}

/** Longest piece of hostile text repeated in a message; a name of a megabyte helps nobody. */
const MAX_PRINTED = 300;

/** Text from a file made safe for one line of a terminal: no control or bidirectional characters, bounded length. */
export function printable(text: string): string {
  const clean = text.replace(
    // eslint-disable-next-line no-control-regex -- these are the characters to remove
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return clean.length <= MAX_PRINTED ? clean : `${clean.slice(0, MAX_PRINTED)}…`;
}
