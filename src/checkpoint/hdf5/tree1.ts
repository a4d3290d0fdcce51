import type { Cursor } from './cursor';
import type { Hdf5File } from './file';

/** A version 1 B-tree of chunks of a terabyte has some four levels. */
const MAX_LEVELS = 32;

/** What the leaves of a tree lead to. */
export interface Leaf {
  /** The key before it. */
  readonly key: Cursor;
  readonly address: number;
}

/**
 * What the leaves of a version 1 B-tree lead to, in order (specification III.A.1).
 *
 * @param type 0: groups; 1: chunks
 * @throws CheckpointError `malformed` for a node that is met twice, or a level that is not one below its parent's
 */
export function* leavesOf(file: Hdf5File, root: number, type: 0 | 1, keyBytes: number): Generator<Leaf> {
  const { offset } = file.sizes;
  const headBytes = 8 + 2 * offset;
  const seen = new Set<number>();
  const open: { readonly address: number; readonly level?: number }[] = [{ address: root }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { address } = next;
    if (seen.has(address)) throw file.error('malformed', 'a tree that leads back to itself', address);
    seen.add(address);
    const head = file.read(address, headBytes).signature('TREE');
    const isType = head.u8() === type;
    const level = head.u8();
    const entries = head.u16();
    if (!isType || level > MAX_LEVELS || (next.level !== undefined && next.level !== level))
      throw file.error('malformed', 'a tree of another kind or level', address);
    const body = file.read(address + headBytes, entries * (keyBytes + offset));
    const children: { readonly address: number; readonly level: number }[] = [];
    for (let i = 0; i < entries; i++) {
      const key = body.part(keyBytes);
      const child = body.place('a part of a tree');
      if (level === 0) yield { key, address: child };
      else children.push({ address: child, level: level - 1 });
    }
    open.push(...children.reverse());
  }
}
