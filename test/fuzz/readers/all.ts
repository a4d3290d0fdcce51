/** Every reader that is fuzzed. */
import type { FuzzReader, Seed } from '../reader';
import { ARRAYS } from './arrays';
import { ONNX } from './onnx';
import { PLANTED } from './planted';
import { TORCH } from './torch';

export interface ReaderEntry extends FuzzReader {
  /** More seeds, where the shared data is there: a reader of its own, so that a case does not depend on what is there. */
  readonly sharedSeeds?: () => readonly Seed[];
}

const ENTRIES: readonly ReaderEntry[] = [...ARRAYS, ...TORCH, ...ONNX];

/** Readers in the order in which they are fuzzed. */
export function allReaders(): FuzzReader[] {
  return ENTRIES.flatMap((entry): FuzzReader[] => {
    const { sharedSeeds } = entry;
    if (sharedSeeds === undefined || sharedSeeds().length === 0) return [entry];
    return [entry, { ...entry, name: `${entry.name}-shared`, seeds: sharedSeeds }];
  });
}

/** @throws Error for an unknown name */
export function readerOf(name: string): FuzzReader {
  const found = [...allReaders(), ...PLANTED].find((reader) => reader.name === name);
  if (found === undefined) throw new Error(`no reader is called "${name}"`);
  return found;
}
