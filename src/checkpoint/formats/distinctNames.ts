import { CheckpointError } from '../errors';

/** Characters of all names that had to be made longer; honest files have a few such names. */
const MAX_CHARACTERS = 64 * 1024 * 1024;

export interface Named {
  readonly name: string;
  /** Parts of the file that the name belongs to, outermost first; empty for the main one. */
  readonly path: readonly string[];
}

/**
 * Names as a file has them where each is there once. Where several parts of the file use one name, it is kept for the
 * first of them, and their path is put before it for the others; a number comes after what is still not distinct.
 *
 * @throws CheckpointError `unsupported` for names that would not end.
 */
export function distinctNames(named: readonly Named[], file: string): string[] {
  const taken = new Set<string>();
  const last = new Map<string, number>();
  let characters = 0;
  return named.map(({ name, path }) => {
    let distinct = name;
    if (taken.has(distinct)) {
      const full = [...path, name].join('/');
      distinct = full;
      let number = last.get(full) ?? 1;
      while (taken.has(distinct)) distinct = `${full} #${++number}`;
      last.set(full, number);
      characters += distinct.length;
      if (characters > MAX_CHARACTERS)
        throw new CheckpointError('unsupported', 'too many tensors of one name', { file });
    }
    taken.add(distinct);
    return distinct;
  });
}
