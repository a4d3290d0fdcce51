/** Runs one case in this process. */
import path from 'node:path';
import { BrokenPromise, exerciseCheckpoint, requireProper } from './exercise';
import type { FuzzCase } from './fuzzCase';
import type { FuzzReader } from './reader';

/**
 * @param folder where the files of the case lie
 * @throws whatever is a finding
 */
export async function runCase(
  reader: FuzzReader,
  made: FuzzCase,
  folder: string,
): Promise<'opened' | 'refused'> {
  const given = path.join(folder, made.open);
  try {
    await (reader.exercise ?? exerciseCheckpoint)(given, folder);
  } catch (error) {
    requireProper(error, folder);
    if (made.isHonest) throw new BrokenPromise(`a seed does not open: ${error.message}`, { cause: error });
    return 'refused';
  } finally {
    requireCleanPrototypes();
  }
  return 'opened';
}

const NAMES_OF_OBJECTS = Object.getOwnPropertyNames(Object.prototype).length;

function requireCleanPrototypes(): void {
  if (Object.getOwnPropertyNames(Object.prototype).length === NAMES_OF_OBJECTS) return;
  for (const name of Object.keys(Object.prototype)) Reflect.deleteProperty(Object.prototype, name);
  throw new BrokenPromise('the prototype of all objects was changed');
}
