// npm run bench:gpu: one archive with Node, the program, Dawn and the bench, to be unpacked and run on a machine that has
// a graphics card and nothing else. With -- --try, the archive is unpacked and run on small layers, on a graphics card that
// the processor plays. tar -xzf rankscope-gpu-bench-<platform>.tar.gz && rankscope-gpu-bench/run.sh
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { copyDawn } from './dawn.mjs';
import { softwareGpu } from './software-gpu.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const platform = `${process.platform}-${process.arch}`;
const NAME = 'rankscope-gpu-bench';
const target = path.join(root, 'dist', `${NAME}-${platform}.tar.gz`);
const MOST_BYTES = 60_000_000;

const PROGRAM = ['cli.js', 'device.js', 'worker.js', 'kernels-simd.wasm', 'kernels-relaxed.wasm'];
const BENCH = ['gpu.mjs', 'measure.mjs', 'vit.mjs', 'vit.d.mts', 'cache.mjs', 'peer_torch_gpu.py'];

const RUN = `#!/bin/sh
# Audits on this machine's graphics card against the processor, and against PyTorch where it is installed with CUDA.
# Arguments: --runs 3 --files vit-b,wide-4096 --out FOLDER
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
exec "$here/node" "$here/test/bench/gpu.mjs" --out "$here/results" "$@"
`;

const scratch = mkdtempSync(path.join(os.tmpdir(), `${NAME}-`));
try {
  const folder = path.join(scratch, NAME);
  for (const name of ['dist/webgpu', 'test/bench']) mkdirSync(path.join(folder, name), { recursive: true });
  for (const name of PROGRAM) copyFileSync(path.join(root, 'dist', name), path.join(folder, 'dist', name));
  for (const name of BENCH)
    copyFileSync(path.join(root, 'test/bench', name), path.join(folder, 'test/bench', name));
  copyDawn(platform, path.join(folder, 'dist/webgpu'));
  copyFileSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
  cpSync(process.execPath, path.join(folder, 'node'));
  chmodSync(path.join(folder, 'node'), 0o755);
  writeFileSync(path.join(folder, 'run.sh'), RUN, { mode: 0o755 });
  rmSync(target, { force: true });
  execFileSync('tar', ['-C', scratch, '-I', 'gzip -9', '-cf', target, NAME]);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
const { size } = statSync(target);
console.log(`${path.relative(root, target)} (${(size / 1e6).toFixed(1)} MB)`);
if (size > MOST_BYTES) {
  console.error(`more than ${MOST_BYTES / 1e6} MB`);
  process.exitCode = 1;
}
if (process.argv.includes('--try')) tryIt();

/** As somebody who has the archive and nothing else. */
function tryIt() {
  const { env } = softwareGpu();
  const unpacked = mkdtempSync(path.join(os.tmpdir(), `${NAME}-`));
  try {
    execFileSync('tar', ['-C', unpacked, '-xzf', target]);
    const args = ['--files', 'smoke', '--backends', 'webgpu', '--runs', '1', '--any-device'];
    execFileSync(path.join(unpacked, NAME, 'run.sh'), args, {
      stdio: 'inherit',
      // No Node of this machine's.
      env: { PATH: '/usr/bin:/bin', HOME: unpacked, ...env },
    });
  } finally {
    rmSync(unpacked, { recursive: true, force: true });
  }
}
