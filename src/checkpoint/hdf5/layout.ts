import type { Cursor } from './cursor';

/** Where the chunks of a dataset are listed. */
export type ChunkIndex =
  | { readonly kind: 'tree1'; readonly address: number | undefined }
  | {
      readonly kind: 'single';
      readonly address: number | undefined;
      /** Bytes as stored, where there are filters. */
      readonly stored?: number;
      readonly mask: number;
    }
  | { readonly kind: 'implicit' | 'fixed' | 'extensible' | 'tree2'; readonly address: number | undefined };

/** How a dataset's values lie in the file. */
export type DataLayout =
  | { readonly kind: 'compact'; readonly address: number; readonly byteLength: number }
  | { readonly kind: 'contiguous'; readonly address: number | undefined }
  | {
      readonly kind: 'chunked';
      readonly chunk: readonly number[];
      readonly index: ChunkIndex;
      /** Chunks that reach beyond the dataset are not filtered. */
      readonly plainEdges: boolean;
    }
  | { readonly kind: 'unread'; readonly reason: string };

const CLASSES = ['compact', 'contiguous', 'chunked', 'virtual'] as const;
const INDICES = ['single', 'implicit', 'fixed', 'extensible', 'tree2'] as const;

/** The format's own bound on axes, and one for the element's size. */
const MAX_SIZES = 33;

/** A data layout message (specification IV.A.2.i), versions 1 to 4. */
export function parseLayout(body: Cursor): DataLayout {
  const version = body.u8();
  if (version === 1 || version === 2) return oldLayout(body);
  if (version !== 3 && version !== 4)
    return { kind: 'unread', reason: `a layout of version ${version} is not read` };
  const kind = CLASSES[body.u8()];
  switch (kind) {
    case 'compact': {
      const byteLength = body.u16();
      return { kind, address: body.address + body.position, byteLength };
    }
    case 'contiguous':
      return { kind, address: body.offset() };
    case 'chunked':
      return version === 3 ? chunkedByTree(body) : chunked(body);
    case 'virtual':
      return {
        kind: 'unread',
        reason: 'its values are put together from other files, which are never followed',
      };
    default:
      return { kind: 'unread', reason: 'a layout of an unknown class' };
  }
}

/** HDF5 before 1.6.3. */
function oldLayout(body: Cursor): DataLayout {
  const rank = sizeCount(body);
  const kind = CLASSES[body.u8()];
  body.skip(5);
  const address = kind === 'compact' ? undefined : body.offset();
  const sizes = Array.from({ length: rank }, () => body.u32());
  if (kind === 'contiguous') return { kind, address };
  if (kind === 'compact') {
    const byteLength = body.u32();
    return { kind, address: body.address + body.position, byteLength };
  }
  if (kind !== 'chunked') return { kind: 'unread', reason: 'a layout of an unknown class' };
  return { kind, chunk: sizes.slice(0, -1), index: { kind: 'tree1', address }, plainEdges: false };
}

function chunkedByTree(body: Cursor): DataLayout {
  const rank = sizeCount(body);
  const address = body.offset();
  const sizes = Array.from({ length: rank }, () => body.u32());
  // The last size is the element's.
  return { kind: 'chunked', chunk: sizes.slice(0, -1), index: { kind: 'tree1', address }, plainEdges: false };
}

function chunked(body: Cursor): DataLayout {
  const flags = body.u8();
  const rank = sizeCount(body);
  const width = body.u8();
  if (width === 0 || width > 8) throw body.error(`sizes of ${width} bytes`);
  const sizes = Array.from({ length: rank }, () => body.uint(width));
  const kind = INDICES[body.u8() - 1];
  const chunk = sizes.slice(0, -1);
  const plainEdges = (flags & 1) !== 0;
  if (kind === undefined) return { kind: 'unread', reason: 'chunks listed in an unknown way' };
  if (kind === 'single') {
    const isFiltered = (flags & 2) !== 0;
    const stored = isFiltered ? body.length() : undefined;
    const mask = isFiltered ? body.u32() : 0;
    const index = { kind, address: body.offset(), mask, ...(stored !== undefined && { stored }) } as const;
    return { kind: 'chunked', chunk, plainEdges, index };
  }
  // How the index is built, which its own header repeats.
  body.skip({ implicit: 0, fixed: 1, extensible: 5, tree2: 6 }[kind]);
  return { kind: 'chunked', chunk, plainEdges, index: { kind, address: body.offset() } };
}

function sizeCount(body: Cursor): number {
  const count = body.u8();
  if (count > MAX_SIZES) throw body.error(`${count} sizes of a chunk`);
  return count;
}
