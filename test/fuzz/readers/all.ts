/** Every reader that is fuzzed. */
import type { FuzzReader, Seed } from '../reader';
import { ARRAYS } from './arrays';
import { inspection } from './inspect';
import { MODELS } from './models';
import { ONNX } from './onnx';
import { PLANTED } from './planted';
import { TORCH } from './torch';

export interface ReaderEntry extends FuzzReader {
  /** More seeds, where the shared data is there: a reader of its own, so that a case does not depend on what is there. */
  readonly sharedSeeds?: () => readonly Seed[];
}

const READERS: readonly ReaderEntry[] = [...ARRAYS, ...TORCH, ...ONNX, ...MODELS];

const ENTRIES: readonly ReaderEntry[] = [...READERS, inspection(READERS)];

/** Readers in the order in which they are fuzzed. */
export function allReaders(): FuzzReader[] {
  return ENTRIES.flatMap((entry): FuzzReader[] => {
    const { name, seeds, sharedSeeds = () => [] } = entry;
    const shared = { ...entry, name: `${name}-shared`, seeds: sharedSeeds };
    return [...(seeds().length > 0 ? [entry] : []), ...(sharedSeeds().length > 0 ? [shared] : [])];
  });
}

/** @throws Error for an unknown name */
export function readerOf(name: string): FuzzReader {
  const found = [...allReaders(), ...PLANTED].find((reader) => reader.name === name);
  if (found === undefined) throw new Error(`no reader is called "${name}"`);
  return found;
}
