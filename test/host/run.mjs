// Runs the suite of dist/test/host inside a real extension host:
//   node test/host/run.mjs [--vsix FILE] [--gpu] [--electron] [--minimum] [--filter TEXT]
// By default in a VS Code server with Chromium before it, from a package registry alone; with --electron in a desktop VS
// Code, which @vscode/test-electron downloads (VSCODE_EXECUTABLE: one that is there already).
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { softwareGpu } from '../../scripts/software-gpu.mjs';
import { cacheFolder } from '../../scripts/vscode/cache.mjs';
import {
  installExtension,
  makeProfile,
  removeProfile,
  startServer,
  workbenchUrl,
} from '../../scripts/vscode/server.mjs';
import { artifact, launchChromium, ROOT, SAMPLE } from '../ui/harness.mjs';

const SUITE = path.join(ROOT, 'dist/test/host/index.js');
const FIXTURES = path.join(ROOT, 'test/fixtures');
const SUITE_MINUTES = 15;

/** The folder the suite finds open: the sample and every checkpoint fixture. */
function fillWorkspace(folder) {
  mkdirSync(folder, { recursive: true });
  copyFileSync(SAMPLE, path.join(folder, path.basename(SAMPLE)));
  for (const entry of readdirSync(FIXTURES, { withFileTypes: true })) {
    const { name } = entry;
    if (entry.isFile() && !/\.(ts|py|json)$/.test(name))
      copyFileSync(path.join(FIXTURES, name), path.join(folder, name));
  }
  return folder;
}

/** Where a packaged extension was unpacked in a profile. */
function installedExtension(profile) {
  const folder = path.join(profile.folder, 'extensions');
  const name = readdirSync(folder).find((entry) => existsSync(path.join(folder, entry, 'package.json')));
  if (name === undefined) throw new Error(`no extension in ${folder}`);
  return path.join(folder, name);
}

/** VS Code's own way for web workbenches: a payload names extension and suite, the page reports how it ended. */
async function runInServer({ profile, extension, workspace, environment, edition }) {
  const server = await startServer(profile, {
    edition,
    env: environment,
    // Without it a built workbench ignores the payload.
    args: ['--enable-smoke-test-driver'],
  });
  const log = [];
  const browser = await launchChromium();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const remote = (file) => `vscode-remote://${new URL(server.url).host}${file}`;
    await page.exposeFunction('codeAutomationLog', (type, words) => log.push(`${type}: ${words.join(' ')}`));
    const ended = new Promise((resolve) => {
      page.exposeFunction('codeAutomationExit', (code) => resolve(code));
    });
    await page.goto(
      workbenchUrl(server, workspace, [
        ['extensionDevelopmentPath', remote(extension)],
        ['extensionTestsPath', remote(SUITE)],
        ['skipWelcome', 'true'],
      ]),
    );
    const code = await withinMinutes(ended, SUITE_MINUTES);
    if (code !== 0) await page.screenshot({ path: artifact('host-suite-failed.png') });
    return code;
  } finally {
    writeFileSync(artifact('host-suite.log'), `${log.join('\n')}\n${server.log}`);
    await browser.close();
    await server.stop();
  }
}

/** The promise's value, or undefined when it takes too long. */
async function withinMinutes(promise, minutes) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, minutes * 60_000);
  });
  const value = await Promise.race([promise, late]);
  clearTimeout(timer);
  return value;
}

async function runInElectron({ profile, extension, workspace, environment, edition }) {
  const { runTests } = await import('@vscode/test-electron');
  const { VSCODE_EXECUTABLE: executable } = process.env;
  return runTests({
    ...(executable ? { vscodeExecutablePath: executable } : {}),
    version: edition === 'minimum' ? minimumVersion() : 'stable',
    extensionDevelopmentPath: extension,
    extensionTestsPath: SUITE,
    extensionTestsEnv: environment,
    cachePath: path.join(cacheFolder(), 'vscode-desktop'),
    launchArgs: [
      workspace,
      '--disable-extensions',
      '--disable-workspace-trust',
      `--user-data-dir=${path.join(profile.folder, 'data')}`,
      `--extensions-dir=${path.join(profile.folder, 'extensions')}`,
    ],
  });
}

function minimumVersion() {
  const { engines } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  return engines.vscode.replace(/^\D+/, '');
}

function sharedFolder() {
  const shared = process.env.RANKSCOPE_SHARED ?? path.join(ROOT, '../shared');
  return existsSync(shared) ? { RANKSCOPE_SHARED: path.resolve(shared) } : {};
}

const MARKS = { passed: '✔', failed: '✖', skipped: '﹣ skipped' };

function printResults(file) {
  const results = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
  for (const { title, state, milliseconds, error } of results) {
    console.log(`${MARKS[state]} ${title} (${milliseconds} ms)`);
    if (error !== undefined) console.log(error.replace(/^/gm, '    '));
  }
  const count = (state) => results.filter((result) => result.state === state).length;
  const [passed, failed, skipped] = ['passed', 'failed', 'skipped'].map(count);
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return { passed, failed };
}

async function main() {
  const { values } = parseArgs({
    options: {
      vsix: { type: 'string' },
      // With a graphics card that the processor plays.
      gpu: { type: 'boolean', default: false },
      electron: { type: 'boolean', default: false },
      minimum: { type: 'boolean', default: false },
      filter: { type: 'string' },
    },
  });
  if (values.electron && values.vsix !== undefined) {
    throw new Error('--electron runs the extension in development; --vsix is for the server');
  }
  if (!existsSync(SUITE)) throw new Error(`${SUITE} is missing: node esbuild.mjs --tests builds it`);
  const edition = values.minimum ? 'minimum' : 'newest';
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'rankscope-host-'));
  const profile = makeProfile();
  const resultsFile = path.join(scratch, 'results.json');
  try {
    const workspace = fillWorkspace(path.join(scratch, 'workspace'));
    if (values.vsix !== undefined) await installExtension(profile, path.resolve(values.vsix), edition);
    const job = {
      profile,
      workspace,
      edition,
      extension: values.vsix === undefined ? ROOT : installedExtension(profile),
      environment: {
        ...sharedFolder(),
        RANKSCOPE_HOST_RESULTS: resultsFile,
        RANKSCOPE_CLI: path.join(ROOT, 'dist/cli.js'),
        ...(values.gpu && { ...softwareGpu().env, RANKSCOPE_HOST_GPU: '1' }),
        ...(values.filter !== undefined && { RANKSCOPE_HOST_FILTER: values.filter }),
      },
    };
    const code = await (values.electron ? runInElectron(job) : runInServer(job));
    const { passed, failed } = printResults(resultsFile);
    if (code === undefined) console.error(`the suite did not end within ${SUITE_MINUTES} minutes`);
    // A suite that found no test has not shown anything.
    if (code !== 0 || failed > 0 || passed === 0) process.exitCode = 1;
  } finally {
    removeProfile(profile);
    rmSync(scratch, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
