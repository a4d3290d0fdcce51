// npm run package [-- --target linux-x64]: the vsix. Without a target it runs everywhere and finds Dawn where the package
// webgpu is installed; with one it brings Dawn for that platform along.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { copyDawn, DAWN_TARGETS } from './dawn.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const vsce = path.join(path.dirname(require.resolve('@vscode/vsce/package.json')), 'vsce');

const { values } = parseArgs({ options: { target: { type: 'string' } } });
const { target } = values;
if (target !== undefined && !DAWN_TARGETS.includes(target)) {
  console.error(`--target ${target}: not one of ${DAWN_TARGETS.join(', ')}`);
  process.exit(2);
}
const run = (...argv) => execFileSync(process.execPath, argv, { cwd: root, stdio: 'inherit' });
run('esbuild.mjs', '--production');
const dawn = path.join(root, 'dist/webgpu');
rmSync(dawn, { recursive: true, force: true });
try {
  if (target !== undefined) {
    mkdirSync(dawn);
    copyDawn(target, dawn);
  }
  const out = `dist/rankscope${target === undefined ? '' : `-${target}`}.vsix`;
  const flags = ['--no-dependencies', '--allow-missing-repository', '--no-rewrite-relative-links'];
  run(vsce, 'package', ...flags, ...(target === undefined ? [] : ['--target', target]), '--out', out);
} finally {
  // The next vsix, or a run from here, is to find Dawn where it is installed.
  rmSync(dawn, { recursive: true, force: true });
}
