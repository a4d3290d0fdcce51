import type { Cursor } from './cursor';

/** The format's own bound on axes. */
const MAX_RANK = 32;

export interface Dataspace {
  /** Undefined: there is no value at all, not even one (a null dataspace). */
  readonly shape: readonly number[] | undefined;
  /** The sizes that the axes may grow to, undefined for unlimited ones; chunks are numbered by these. */
  readonly limits: readonly (number | undefined)[];
}

/** A dataspace message (specification IV.A.2.b), versions 1 and 2. */
export function parseDataspace(body: Cursor): Dataspace {
  const version = body.u8();
  if (version !== 1 && version !== 2) throw body.error(`a dataspace of version ${version}`);
  const rank = body.u8();
  const flags = body.u8();
  const kind = body.u8();
  if (version === 1) body.skip(4);
  if (rank > MAX_RANK) throw body.error(`${rank} axes`);
  if (version === 2 && kind === 2) return { shape: undefined, limits: [] };
  const shape = Array.from({ length: rank }, () => body.length());
  const limits = (flags & 1) === 0 ? shape : Array.from({ length: rank }, () => body.limit());
  return { shape, limits };
}
