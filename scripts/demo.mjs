// npm run demo: the rank audit of the bundled sample. Anything after `--` is handed to `rankscope audit`.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const [cli, sample] = [path.join(root, 'dist/cli.js'), path.join('media', 'sample', 'sample.safetensors')];
const { status } = spawnSync(process.execPath, [cli, 'audit', sample, ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? 1);
