import type { Chunks } from '../decoders/chunkGrid';
import type { Cursor } from './cursor';

export type Filter = Chunks['filters'][number];

/** Filters that are not read, by the numbers registered with the HDF Group, for people. */
const UNREAD: ReadonlyMap<number, string> = new Map([
  [4, 'SZIP'],
  [5, 'N-bit'],
  [6, 'scale-offset'],
  [32000, 'LZF'],
  [32001, 'Blosc'],
  [32004, 'LZ4'],
  [32008, 'Bitshuffle'],
  [32013, 'ZFP'],
  [32015, 'Zstandard'],
  [32026, 'Blosc2'],
]);

/** The format's own bound. */
const MAX_FILTERS = 32;

/**
 * A filter pipeline message (specification IV.A.2.l), in the order in which chunks were written.
 *
 * @returns or, for a filter that is not read, its name
 */
export function parseFilters(body: Cursor): readonly Filter[] | { readonly unread: string } {
  const version = body.u8();
  const count = body.u8();
  if ((version !== 1 && version !== 2) || count > MAX_FILTERS) throw body.error(`${count} filters`);
  if (version === 1) body.skip(6);
  const filters: Filter[] = [];
  for (let i = 0; i < count; i++) {
    const id = body.u16();
    const nameBytes = version === 1 || id >= 256 ? body.u16() : 0;
    body.skip(2);
    const values = body.u16();
    body.skip(version === 1 ? Math.ceil(nameBytes / 8) * 8 : nameBytes);
    const [first = 0] = Array.from({ length: values }, () => body.u32());
    if (version === 1 && values % 2 === 1) body.skip(4);
    if (id === 1) filters.push({ kind: 'deflate' });
    else if (id === 2) filters.push({ kind: 'shuffle', elementBytes: first });
    else if (id === 3) filters.push({ kind: 'fletcher32' });
    else return { unread: UNREAD.get(id) ?? `filter ${id}` };
  }
  return filters;
}
