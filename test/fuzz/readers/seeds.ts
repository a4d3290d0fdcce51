/** Where seeds come from: small files of the tests, and those of the shared data where it is there. */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ROOT, sharedData } from '../../reference/references';
import { type Seed, oneFile } from '../reader';

/** Larger files make slow cases and hold the same structures. */
const MAX_SEED_BYTES = 200_000;

const FIXTURES = path.join(ROOT, 'test/fixtures');

/** Files of `test/fixtures` by their names. */
export function fixtures(pattern: RegExp): Seed[] {
  const names = readdirSync(FIXTURES).filter((name) => pattern.test(name));
  if (names.length === 0) throw new Error(`no fixture is called like ${String(pattern)}`);
  return names.sort().map((name) => oneFile(name, readFileSync(path.join(FIXTURES, name))));
}

/** A folder of `test/fixtures` with all files in it as one seed, or none where it is not there. */
export function fixtureFolder(folder: string, open: string, only = /^[^]/): Seed[] {
  const root = path.join(FIXTURES, folder);
  if (!existsSync(root)) return [];
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((name) => name.split(path.sep).join('/'))
    .filter((name) => only.test(name) && statSync(path.join(root, name)).isFile());
  if (names.length === 0) throw new Error(`${folder} holds nothing like ${String(only)}`);
  return [
    { files: names.sort().map((name) => ({ path: name, bytes: readFileSync(path.join(root, name)) })), open },
  ];
}

/** Each small file of a folder of `test/fixtures` by itself, unpacked where it ends in `.gz`. */
export function fixtureFiles(folder: string, pattern: RegExp): Seed[] {
  const root = path.join(FIXTURES, folder);
  if (!existsSync(root)) return [];
  const names = readdirSync(root).filter((name) => pattern.test(name));
  const seeds = names.sort().map((name) => {
    const bytes = readFileSync(path.join(root, name));
    return name.endsWith('.gz') ? oneFile(name.slice(0, -3), gunzipSync(bytes)) : oneFile(name, bytes);
  });
  return seeds.filter(({ files }) => files.every(({ bytes }) => bytes.length <= MAX_SEED_BYTES));
}

/** Small files of the shared data whose path matches; none where there is no such data. */
export function sharedFiles(pattern: RegExp, isRefused?: (name: string) => boolean): Seed[] {
  const root = sharedData();
  if (root === undefined) return [];
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => pattern.test(name));
  return names
    .map((name) => path.join(root, name))
    .filter((file) => existsSync(file) && statSync(file).isFile() && statSync(file).size <= MAX_SEED_BYTES)
    .sort()
    .map((file) => {
      const seed = oneFile(path.basename(file), readFileSync(file));
      return isRefused?.(file) === true ? { ...seed, isRefused: true } : seed;
    });
}
