// Runs the built unit tests with Node's own runner: node scripts/test.mjs [suite] [name filter…] [!name to leave out…]
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const [suite = 'unit', ...names] = process.argv.slice(2);
const filters = names.filter((name) => !name.startsWith('!'));
const leftOut = names.filter((name) => name.startsWith('!')).map((name) => name.slice(1));
const directory = path.join(root, 'dist/test', suite);
const files = readdirSync(directory)
  .filter(
    (name) =>
      name.endsWith('.test.js') &&
      !leftOut.some((one) => name.includes(one)) &&
      (filters.length === 0 || filters.some((one) => name.includes(one))),
  )
  .map((name) => path.join(directory, name));
if (files.length === 0) {
  console.error(`no tests in ${suite} match ${filters.join(' ')}`);
  process.exit(1);
}
// Many tests wait for processes that they start: two files at a time, also on two cores. Memory is measured alone.
const concurrency = suite === 'slow' ? 1 : 2;
const flags = ['--test', `--test-concurrency=${concurrency}`];
const { status } = spawnSync(process.execPath, [...flags, ...files], { stdio: 'inherit' });
process.exit(status ?? 1);
