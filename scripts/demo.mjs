// npm run demo: the rank audit of the bundled sample. Anything after `--` is handed to `rankscope audit`.
// npm run demo -- train: a small network trained dense, low-rank and sine-low-rank on data made on the spot.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const sample = path.join('media', 'sample', 'sample.safetensors');
const [job, ...rest] = process.argv.slice(2);

/** Runs are folders beside their recipe: a copy, so that the sample's own folder stays as it is. */
function trainingArguments() {
  const folder = path.join(root, 'dist', 'demo');
  const recipe = path.join(folder, 'spheres.rankscope.json');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(path.join(root, 'media', 'sample', 'spheres.rankscope.json'), recipe);
  return ['train', recipe, '--compare', '--figure', path.join(folder, 'spheres.svg'), ...rest];
}

const args = job === 'train' ? trainingArguments() : ['audit', sample, ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, [path.join(root, 'dist/cli.js'), ...args], {
  cwd: root,
  stdio: 'inherit',
});
if (job === 'train' && status === 0) console.log(`\nCurves: ${path.join('dist', 'demo', 'spheres.svg')}`);
process.exit(status ?? 1);
