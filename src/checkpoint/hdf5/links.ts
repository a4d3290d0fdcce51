import { Cursor } from './cursor';
import type { Hdf5File } from './file';
import { FractalHeap } from './fractalHeap';
import { LocalHeap } from './heaps';
import { MESSAGE, type Message } from './objectHeader';
import { leavesOf } from './tree1';
import { recordsOf } from './tree2';

/** Where a name of a group leads. */
export type LinkTarget =
  | { readonly kind: 'hard'; readonly address: number }
  | { readonly kind: 'soft'; readonly path: string }
  | { readonly kind: 'external'; readonly file: string; readonly path: string }
  | { readonly kind: 'user' };

export interface Link {
  readonly name: string;
  readonly target: LinkTarget;
}

/** Cache type of a symbol table entry that is a soft link. */
const SOFT_ENTRY = 2;

/** Whether an object is a group, by its messages. */
export function isGroup(messages: readonly Message[]): boolean {
  return messages.some(({ type }) => type === MESSAGE.symbolTable || type === MESSAGE.linkInfo);
}

/** The links of a group, however it keeps them, in the file's order. */
export function linksOf(file: Hdf5File, messages: readonly Message[]): Link[] {
  const links: Link[] = [];
  for (const { type, body } of messages) {
    if (type === MESSAGE.symbolTable) links.push(...oldLinks(file, body));
    else if (type === MESSAGE.link) links.push(parseLink(file, body));
    else if (type === MESSAGE.linkInfo) links.push(...denseLinks(file, body));
  }
  return links;
}

/** Groups as of old: a tree of symbol tables, names in a heap (specification III.B and III.C). */
function* oldLinks(file: Hdf5File, body: Cursor): Generator<Link> {
  const tree = body.place('the links of a group');
  const heap = LocalHeap.read(file, body.place('the names of a group'));
  const { offset, length } = file.sizes;
  for (const { address } of leavesOf(file, tree, 0, length)) {
    const count = file.read(address, 8).signature('SNOD').skip(2).u16();
    const entries = file.read(address + 8, count * (2 * offset + 24));
    for (let i = 0; i < count; i++) {
      const name = heap.text(entries.uint(offset));
      const target = entries.offset();
      const cacheType = entries.u32();
      const scratch = entries.skip(4).part(16);
      if (cacheType === SOFT_ENTRY) {
        yield { name, target: { kind: 'soft', path: heap.text(scratch.u32()) } };
      } else if (target === undefined) throw file.error('malformed', 'a link without an address', address);
      else yield { name, target: { kind: 'hard', address: target } };
    }
  }
}

/** Groups of many links, in a heap of their own (specification IV.A.2.c). */
function* denseLinks(file: Hdf5File, body: Cursor): Generator<Link> {
  const flags = body.skip(1).u8();
  if ((flags & 1) !== 0) body.skip(8);
  const heapAddress = body.offset();
  const tree = body.offset();
  if (heapAddress === undefined || tree === undefined) return;
  const heap = FractalHeap.read(file, heapAddress);
  for (const record of recordsOf(file, tree, 5)) {
    const id = record.skip(4).take(record.remaining);
    yield parseLink(file, cursorOver(file, heap.object(id), heapAddress));
  }
}

/** A cursor over bytes that were found in a heap. */
export function cursorOver(file: Hdf5File, bytes: Uint8Array, address: number): Cursor {
  return new Cursor(bytes, file.sizes, address, (reason) => file.error('malformed', reason, address));
}

/** A link message (specification IV.A.2.g). */
function parseLink(file: Hdf5File, body: Cursor): Link {
  const version = body.u8();
  if (version !== 1) throw file.error('unsupported', `a link of version ${version}`, body.address);
  const flags = body.u8();
  const kind = (flags & 8) === 0 ? 0 : body.u8();
  if ((flags & 4) !== 0) body.skip(8);
  if ((flags & 16) !== 0) body.skip(1);
  const name = body.text(body.uint(2 ** (flags & 3)));
  if (kind === 0) return { name, target: { kind: 'hard', address: body.place('a link') } };
  const value = body.part(body.u16());
  if (kind === 1) return { name, target: { kind: 'soft', path: value.text(value.remaining) } };
  if (kind !== 64) return { name, target: { kind: 'user' } };
  value.skip(1);
  return { name, target: { kind: 'external', file: value.terminated(), path: value.terminated() } };
}
