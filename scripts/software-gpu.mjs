// A graphics card played by the processor, for tests of the WebGPU backend on machines without one:
//   node scripts/software-gpu.mjs [--json]     prints what was chosen, and the environment that a process needs for it
//
// Mesa's lavapipe is the faster one. It is taken from the system where that is new enough, else from Debian's packages,
// unpacked beside the other development tools (21 MB, once, no root); failing that, Chromium's SwiftShader.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from './vscode/cache.mjs';
import { findChromium } from './vscode/chromium.mjs';

const folder = path.join(cacheFolder(), 'software-gpu');

/** Debian's own Mesa of these releases is refused by Dawn; their backports are not. */
const BACKPORTED = ['bookworm'];

/** What Debian's packages are signed by. */
const DEBIAN_KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Prints the adapter's identifier; ends with 1 when there is none. */
const PROBE = `
  const { create, globals } = require(process.argv[1]);
  Object.assign(globalThis, globals);
  const gpu = (globalThis.gpu = create([]));
  const adapter = gpu.requestAdapter();
  adapter.then((found) => {
    process.stdout.write(found === null ? '' : found.info.device || found.info.description);
    process.exit(found === null ? 1 : 0);
  });
`;

function dawnAddon() {
  const arch = process.platform === 'darwin' ? 'universal' : process.arch;
  try {
    const entry = createRequire(import.meta.url).resolve('webgpu');
    const addon = path.join(path.dirname(entry), 'dist', `${process.platform}-${arch}`, 'dawn.node');
    return existsSync(addon) ? addon : undefined;
  } catch {
    return undefined;
  }
}

/** What Dawn finds in a process with this environment; undefined when nothing. */
function adapterWith(addon, env) {
  const { status, stdout } = spawnSync(process.execPath, ['-e', PROBE, addon], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 30_000,
  });
  return status === 0 && stdout !== '' ? stdout : undefined;
}

/** The environment for one driver; `libraries` are folders in which libvulkan and the driver's libraries are. */
function environment(driver, libraries) {
  const runtime = path.join(folder, 'runtime');
  mkdirSync(runtime, { recursive: true, mode: 0o700 });
  const search = [...libraries, process.env.LD_LIBRARY_PATH ?? ''].filter((entry) => entry !== '');
  return {
    VK_DRIVER_FILES: driver,
    // The name that loaders before 1.3.207 know.
    VK_ICD_FILENAMES: driver,
    ...(search.length === 0 ? {} : { LD_LIBRARY_PATH: search.join(path.delimiter) }),
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? runtime,
    // Compiled kernels are kept: the first use of each takes a second or two.
    MESA_SHADER_CACHE_DIR: path.join(folder, 'shaders'),
  };
}

function filesIn(directory, pattern) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => pattern.test(name))
    .map((name) => path.join(directory, name));
}

/** lavapipe in a tree of Debian's layout: the system's, or packages unpacked elsewhere. */
function lavapipeIn(root) {
  const [driver] = filesIn(path.join(root, 'usr/share/vulkan/icd.d'), /^lvp_icd.*\.json$/);
  if (driver === undefined) return undefined;
  if (root === '/') return environment(driver, []);
  // Named in the driver's own file by name alone, so that the loader looks for it along the library path.
  const libraries = filesIn(path.join(root, 'usr/lib'), /-linux-gnu/);
  return environment(driver, libraries);
}

function run(program, args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const { status, stdout, stderr, error } = spawnSync(program, args, { env, encoding: 'utf8' });
  if (status === 0) return stdout;
  const why = error?.message ?? stderr.trim().split('\n').at(-1);
  throw new Error(`${program} ${args.find((arg) => !arg.startsWith('-')) ?? ''}: ${why}`);
}

/** Where this machine has Debian from, in the form of a source list. */
function debianSources(release) {
  const format = '$(REPO_URI) $(CODENAME)';
  const targets = run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']).split('\n');
  const found = targets.map((line) => line.split(' ')).find(([, codename]) => codename === release);
  if (found === undefined) throw new Error(`no package source for ${release}`);
  const [uri] = found;
  const option = existsSync(DEBIAN_KEYS) ? `[signed-by=${DEBIAN_KEYS}] ` : '';
  const suites = BACKPORTED.includes(release) ? [release, `${release}-backports`] : [release];
  return { suites, text: suites.map((suite) => `deb ${option}${uri} ${suite} main\n`).join('') };
}

/** Downloads Mesa's packages by apt, in folders of their own, and unpacks them; the system stays as it is. */
function downloadLavapipe(into) {
  if (!existsSync('/etc/debian_version')) throw new Error('not a Debian system');
  const release = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  const { suites, text } = debianSources(release);
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(path.join(folder, 'download-'));
  try {
    for (const name of ['lists/partial', 'cache/archives/partial', 'root'])
      mkdirSync(path.join(work, name), { recursive: true });
    writeFileSync(path.join(work, 'sources.list'), text);
    const options = [
      `Dir::Etc::sourcelist=${work}/sources.list`,
      'Dir::Etc::sourceparts=/dev/null',
      `Dir::State::Lists=${work}/lists`,
      `Dir::Cache=${work}/cache`,
      // These folders are nobody else's, and apt's own user may not see into them.
      'Debug::NoLocking=1',
      'APT::Sandbox::User=root',
    ].map((option) => `-o${option}`);
    run('apt-get', [...options, 'update']);
    const wanted = ['install', '-y', '--download-only', '--no-install-recommends', '-t', suites.at(-1)];
    run('apt-get', [...options, ...wanted, 'mesa-vulkan-drivers']);
    for (const archive of filesIn(path.join(work, 'cache/archives'), /\.deb$/))
      run('dpkg', ['-x', archive, path.join(work, 'root')]);
    renameSync(path.join(work, 'root'), into);
  } catch (error) {
    // Somebody else was quicker.
    if (!existsSync(into)) throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Folders of Chromium-like browsers, which carry SwiftShader and the Vulkan loader. */
function chromiumFolders() {
  const program = findChromium();
  const home = process.env.PLAYWRIGHT_BROWSERS_PATH ?? path.join(os.homedir(), '.cache/ms-playwright');
  const playwright = filesIn(home, /^chromium/).flatMap((each) => filesIn(each, /^chrome-/));
  return [
    ...(program === undefined ? [] : [path.dirname(realpathSync(program))]),
    '/usr/lib/chromium',
    '/usr/lib/chromium-browser',
    '/opt/google/chrome',
    '/opt/microsoft/msedge',
    ...playwright,
  ];
}

function swiftShader() {
  for (const each of chromiumFolders()) {
    const driver = path.join(each, 'vk_swiftshader_icd.json');
    const loader = path.join(each, 'libvulkan.so.1');
    if (!existsSync(driver) || !existsSync(loader)) continue;
    // Alone in a folder: the browser's other libraries are for the browser.
    const alone = path.join(folder, 'loader');
    mkdirSync(alone, { recursive: true });
    const link = path.join(alone, 'libvulkan.so.1');
    // Replaced in one step: other tests may be loading it.
    symlinkSync(loader, `${link}.${process.pid}`);
    renameSync(`${link}.${process.pid}`, link);
    return environment(driver, [alone]);
  }
  throw new Error('no Chromium here');
}

/** In order of speed; each gives an environment, or undefined, or throws. */
function candidates(download) {
  if (process.platform !== 'linux') return [["the system's own", () => ({})]];
  const unpacked = path.join(folder, `mesa-${process.arch}`);
  return [
    ['lavapipe of the system', () => lavapipeIn('/')],
    ['lavapipe', () => (existsSync(unpacked) ? lavapipeIn(unpacked) : undefined)],
    [
      'lavapipe downloaded',
      () => {
        if (!download) return undefined;
        // Packages that this system had when it was unpacked may be gone.
        rmSync(unpacked, { recursive: true, force: true });
        downloadLavapipe(unpacked);
        return lavapipeIn(unpacked);
      },
    ],
    ["Chromium's SwiftShader", swiftShader],
  ];
}

/**
 * A software adapter that Dawn really opens: its name, and the variables that a process must be started with to have it.
 * @throws {Error} in one line, with what was tried, when there is none.
 */
export function softwareGpu({ download = true } = {}) {
  const addon = dawnAddon();
  if (addon === undefined)
    throw new Error('no software GPU: the package "webgpu" is not installed (npm install)');
  const tried = [];
  for (const [name, find] of candidates(download)) {
    try {
      const env = find();
      const adapter = env === undefined ? undefined : adapterWith(addon, env);
      if (adapter !== undefined) return { name, adapter, env, tried };
      tried.push(`${name}: ${env === undefined ? 'not there' : 'refused'}`);
    } catch (error) {
      tried.push(`${name}: ${error.message}`);
    }
  }
  throw new Error(`no software GPU: ${tried.join('; ')}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = softwareGpu({ download: !process.argv.includes('--no-download') });
  const variables = Object.entries(found.env).map((pair) => pair.join('='));
  const line = `${found.name} (${found.adapter}): ${variables.join(' ')}`;
  console.log(process.argv.includes('--json') ? JSON.stringify(found) : line);
}
