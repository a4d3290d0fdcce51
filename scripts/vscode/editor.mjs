// npm run editor: a real VS Code in the browser, on this machine only, with the packaged extension and its sample.
//   npm run editor -- [folder] [--port N] [--minimum]
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installExtension, makeProfile, removeProfile, startServer, workbenchUrl } from './server.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const VSIX = path.join(ROOT, 'dist/rankscope.vsix');

function npm(...args) {
  const { status } = spawnSync('npm', args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`npm ${args.join(' ')} ended with ${status}`);
}

/** A fresh clone has no packages yet. */
function packageExtension() {
  if (!existsSync(path.join(ROOT, 'node_modules/.bin/vsce'))) npm('ci', '--no-audit', '--no-fund');
  npm('run', '--silent', 'package');
}

/** The folder that was asked for, else a copy of the sample: trying things out must not change the clone. */
function workspace(profile, asked) {
  if (asked !== undefined) {
    const folder = path.resolve(asked);
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw new Error(`${asked} is no folder`);
    return folder;
  }
  const folder = path.join(profile.folder, 'rankscope');
  mkdirSync(folder);
  cpSync(path.join(ROOT, 'media/sample'), folder, { recursive: true });
  return folder;
}

function interruption() {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, resolve);
  });
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { port: { type: 'string', default: '0' }, minimum: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const edition = values.minimum ? 'minimum' : 'newest';
  const interrupted = interruption();
  packageExtension();
  const profile = makeProfile();
  let server;
  try {
    const folder = workspace(profile, positionals[0]);
    await installExtension(profile, VSIX, edition);
    server = await startServer(profile, { edition, port: Number(values.port) });
    console.log(`\nRankscope in VS Code: ${workbenchUrl(server, folder)}\nCtrl-C ends it.`);
    await Promise.race([interrupted, server.ended()]);
  } finally {
    await server?.stop();
    removeProfile(profile);
  }
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
