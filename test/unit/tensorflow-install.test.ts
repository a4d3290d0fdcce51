/** The guided install with the real npm, from a registry on this machine that serves a package of the same name. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import {
  installTensorflow,
  PACKAGE_VERSION,
  type InstallOptions,
  type InstallStage,
} from '../../src/compute/tensorflow/install';
import { locateTensorflow, packageOf } from '../../src/compute/tensorflow/locate';
import { whyUnsupported } from '../../src/compute/tensorflow/requirements';

const variant = whyUnsupported('gpu', process.platform, process.arch) === undefined ? 'gpu' : 'cpu';
const name = packageOf(variant);
const root = mkdtempSync(path.join(tmpdir(), 'rankscope-install-'));

/** Does what the real script does, with files of no content. */
const GOOD = `
const { mkdirSync, writeFileSync } = require('node:fs');
mkdirSync('deps/lib', { recursive: true });
mkdirSync('lib/napi-v8', { recursive: true });
writeFileSync('deps/lib/libtensorflow.so.2.9.1', '');
writeFileSync('lib/napi-v8/tfjs_binding.node', '');
console.log('* Building TensorFlow Node.js bindings');
`;

/** What the registry does with the next requests. */
let registry: { readonly script: string } | 'missing' | 'hangs' = { script: GOOD };
let server: Server;
let asked = 0;
let folders = 0;
/** Where to install to, alone in its folder. */
let folder = '';

before(async () => {
  server = createServer((request, response) => {
    asked++;
    if (registry === 'hangs') return;
    if (registry === 'missing') {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}');
      return;
    }
    const tarball = tarballOf(registry.script);
    if (request.url?.endsWith('.tgz') === true) response.end(tarball);
    else response.setHeader('content-type', 'application/json').end(JSON.stringify(packument()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(root, { recursive: true, maxRetries: 3 });
});
beforeEach(() => {
  asked = 0;
  folder = path.join(root, String(folders++), 'tensorflow');
  mkdirSync(path.dirname(folder));
});

const address = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function packument(): object {
  const tarball = `${address()}/package-${folders}.tgz`;
  const scripts = { install: 'node scripts/install.js' };
  const version = { name, version: PACKAGE_VERSION, scripts, hasInstallScript: true, dist: { tarball } };
  return { name, 'dist-tags': { latest: PACKAGE_VERSION }, versions: { [PACKAGE_VERSION]: version } };
}

function tarballOf(script: string): Buffer {
  const at = mkdtempSync(path.join(root, 'package-'));
  mkdirSync(path.join(at, 'package/scripts'), { recursive: true });
  const scripts = { install: 'node scripts/install.js' };
  writeFileSync(
    path.join(at, 'package/package.json'),
    JSON.stringify({ name, version: PACKAGE_VERSION, scripts }),
  );
  writeFileSync(path.join(at, 'package/scripts/install.js'), script);
  return execFileSync('tar', ['-czf', '-', '-C', at, 'package']);
}

interface Heard {
  readonly stages: InstallStage[];
  readonly lines: string[];
}

function install(
  { stages, lines }: Heard = { stages: [], lines: [] },
  options: Partial<InstallOptions> = {},
): ReturnType<typeof installTensorflow> {
  const userconfig = path.join(root, 'npmrc');
  // A person who lets no package run scripts has asked for this one.
  writeFileSync(userconfig, 'ignore-scripts=true\n');
  return installTensorflow({
    folder,
    variant,
    signal: new AbortController().signal,
    onProgress: (stage) => stages.push(stage),
    onLine: (line) => lines.push(line),
    env: {
      ...process.env,
      npm_config_registry: address(),
      npm_config_cache: path.join(root, 'cache', String(folders)),
      npm_config_userconfig: userconfig,
      npm_config_fetch_retries: '0',
    },
    ...options,
  });
}

/** What lies where the folder is to be, its neighbours included. */
const left = (): string[] => readdirSync(path.dirname(folder));

/** An earlier install, which must outlive what fails. */
function installedBefore(): string {
  const mark = path.join(folder, 'before');
  mkdirSync(folder);
  writeFileSync(mark, '');
  return mark;
}

const whenSupported = {
  skip: whyUnsupported(variant, process.platform, process.arch) ?? false,
  timeout: 60_000,
};

describe('an install', whenSupported, () => {
  test('runs the script of the package, replaces an earlier one, and is found', async () => {
    registry = { script: GOOD };
    const mark = installedBefore();
    const heard: Heard = { stages: [], lines: [] };
    const installed = await install(heard);
    const at = path.join(folder, 'node_modules', name);
    assert.deepEqual(installed, { kind: 'found', folder: at, variant, version: PACKAGE_VERSION });
    assert.deepEqual(locateTensorflow({ folders: [folder] }), installed);
    assert.equal(existsSync(mark), false);
    assert.deepEqual(left(), ['tensorflow']);
    assert.deepEqual([...new Set(heard.stages.map(({ kind }) => kind))], ['packages', 'library']);
    assert.ok(heard.lines.some((line) => line.includes('Building TensorFlow')));
  });

  test('removes what a killed one left, and nothing of a running one', async () => {
    registry = { script: GOOD };
    const ended = execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }).trim();
    mkdirSync(`${folder}.installing-${ended}`);
    mkdirSync(`${folder}.installing-${process.ppid}`);
    await install();
    assert.deepEqual(left(), ['tensorflow', `tensorflow.installing-${process.ppid}`]);
  });
});

describe('an install that fails leaves what was before, and says why in one line', whenSupported, () => {
  const fails = async (expected: RegExp, options: Partial<InstallOptions> = {}): Promise<void> => {
    const mark = installedBefore();
    await assert.rejects(install(undefined, options), (error: Error) => {
      assert.match(error.message, expected);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
    assert.ok(existsSync(mark));
    assert.deepEqual(left(), ['tensorflow']);
  };

  test('no npm', () => fails(/^npm was not found: install Node\.js/, { env: { PATH: root } }));

  test('a registry without the package', async () => {
    registry = 'missing';
    await fails(/^npm could not install @tensorflow\/tfjs-node.*404/);
  });

  test('no registry', async () => {
    const env = { ...process.env, npm_config_registry: 'http://127.0.0.1:9', npm_config_fetch_retries: '0' };
    await fails(/^npm could not install .*ECONNREFUSED/, { env });
  });

  test('a script that fails', async () => {
    registry = { script: 'console.error("Error: the download failed"); process.exit(1)' };
    await fails(/^npm could not install .*the download failed/);
  });

  test('a script that finds no host', async () => {
    registry = { script: 'setImmediate(() => { throw new Error("getaddrinfo ENOTFOUND files.invalid") })' };
    await fails(/^npm could not install .*: Error: getaddrinfo ENOTFOUND files\.invalid; see the log/);
  });

  test('a script that ends well and brings nothing', async () => {
    registry = { script: '' };
    await fails(/is installed without its library/);
  });
});

describe('a cancelled install ends within a second and leaves nothing', whenSupported, () => {
  const cancels = async (isUnderWay: () => boolean): Promise<void> => {
    const controller = new AbortController();
    const reason = new Error('not any more');
    const installing = install(undefined, { signal: controller.signal });
    const ended = assert.rejects(installing, reason);
    while (!isUnderWay()) await pause(10);
    const start = performance.now();
    controller.abort(reason);
    await ended;
    assert.ok(performance.now() - start < 1000);
    assert.deepEqual(left(), []);
  };

  test('before it begins', async () => {
    const reason = new Error('not any more');
    await assert.rejects(install(undefined, { signal: AbortSignal.abort(reason) }), reason);
    assert.deepEqual(left(), []);
  });

  test('while the registry is silent', async () => {
    registry = 'hangs';
    await cancels(() => asked > 0);
  });

  test('in the script, with what it has started', async () => {
    const pidFile = path.join(root, 'pid');
    registry = {
      script: `require('node:child_process').spawnSync(process.execPath, ['-e', ${JSON.stringify(
        `require('node:fs').writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); setTimeout(() => {}, 60000)`,
      )}])`,
    };
    const started = (): string => (existsSync(pidFile) ? readFileSync(pidFile, 'utf8') : '');
    await cancels(() => started() !== '');
    const pid = Number(started());
    // It ends at once; the system may take a moment to say so.
    for (let k = 0; k < 50 && isRunning(pid); k++) await pause(10);
    assert.equal(isRunning(pid), false);
  });
});

/** One that has ended and waits to be collected is not running. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !(existsSync('/proc/self/stat') && readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '));
  } catch {
    return false;
  }
}
