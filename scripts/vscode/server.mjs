// A real VS Code server on this machine's loopback address, with a profile of its own.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { installEdition } from './install.mjs';

const START_SECONDS = 60;
/** After a polite request to end; the extension host then has stored what it wants to. */
const STOP_SECONDS = 5;

/** A quiet workbench: nothing that asks, advertises or reaches out. */
const QUIET_SETTINGS = {
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'extensions.autoUpdate': false,
  'extensions.autoCheckUpdates': false,
  'extensions.ignoreRecommendations': true,
  'chat.disableAIFeatures': true,
  'git.enabled': false,
  'workbench.tips.enabled': false,
  'workbench.startupEditor': 'none',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.enableExperiments': false,
  'window.commandCenter': false,
  'security.workspace.trust.enabled': false,
};

/**
 * A fresh profile in a temporary folder: settings, extensions, home, temporary and runtime folders, so that neither the
 * user's own VS Code nor the cache of another run is touched.
 */
export function makeProfile(settings = {}) {
  // The real path: the server names files by it, and on macOS the temporary folder is a link.
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-vscode-'));
  for (const name of ['home', 'tmp', 'run', 'extensions', 'data/User']) {
    mkdirSync(path.join(folder, name), { recursive: true, mode: 0o700 });
  }
  const profile = { folder, settings: {} };
  changeSettings(profile, { ...QUIET_SETTINGS, ...settings });
  return profile;
}

/** Adds user settings. */
function changeSettings(profile, settings) {
  Object.assign(profile.settings, settings);
  const text = JSON.stringify(profile.settings, null, 2);
  // A web workbench keeps user settings with the server, under the data folder.
  writeFileSync(path.join(profile.folder, 'data/User/settings.json'), text);
}

export function removeProfile({ folder }) {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}

function profileArguments({ folder }) {
  return [
    '--accept-server-license-terms',
    ...['--telemetry-level', 'off'],
    ...['--server-data-dir', folder],
    ...['--user-data-dir', path.join(folder, 'data')],
    ...['--extensions-dir', path.join(folder, 'extensions')],
  ];
}

function profileEnvironment({ folder }, extra) {
  const home = path.join(folder, 'home');
  return {
    ...process.env,
    HOME: home,
    XDG_CACHE_HOME: path.join(home, '.cache'),
    XDG_CONFIG_HOME: path.join(home, '.config'),
    XDG_DATA_HOME: path.join(home, '.local/share'),
    XDG_RUNTIME_DIR: path.join(folder, 'run'),
    TMPDIR: path.join(folder, 'tmp'),
    // No marketplace: nothing is asked of the network.
    EXTENSIONS_GALLERY: '{}',
    ...extra,
  };
}

/** Installs a packaged extension into the profile, as the Extensions view would. */
export async function installExtension(profile, vsix, edition = 'newest') {
  const { node, server } = await installEdition(edition);
  const child = spawn(node, [server, ...profileArguments(profile), '--install-extension', vsix], {
    env: profileEnvironment(profile, {}),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { code, output } = await outcome(child);
  if (code !== 0 || !output.includes('successfully installed')) {
    throw new Error(`VS Code did not install ${vsix}:\n${output}`);
  }
}

function outcome(child) {
  return new Promise((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (text) => (output += text));
    child.stderr.on('data', (text) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

/**
 * Starts the server; it is ready when this resolves.
 * @param options.edition see EDITIONS in install.mjs
 * @param options.port 0 lets the system choose
 * @param options.trust true: Workspace Trust asks as it does for everyone
 * @param options.args further arguments of the server
 * @param options.env further environment of the server and its extension hosts
 */
export async function startServer(profile, options = {}) {
  const { edition = 'newest', port = 0, trust = false, args = [], env = {} } = options;
  const { node, server } = await installEdition(edition);
  const child = spawn(
    node,
    [
      server,
      ...profileArguments(profile),
      ...['--host', '127.0.0.1', '--port', String(port), '--without-connection-token'],
      ...(trust ? [] : ['--disable-workspace-trust']),
      ...args,
    ],
    // A process group of its own, so that the extension hosts and what they started can be ended with it.
    { env: profileEnvironment(profile, env), stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  const running = new RunningServer(child);
  await running.started();
  return running;
}

class RunningServer {
  url = '';
  #log = '';
  #child;
  #kill = () => {
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  };

  constructor(child) {
    this.#child = child;
    // The group is detached and would outlive a test run that throws.
    process.once('exit', this.#kill);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (this.#log += text));
  }

  get pid() {
    return this.#child.pid;
  }

  /** What the server has written so far. */
  get log() {
    return this.#log;
  }

  async started() {
    const child = this.#child;
    await new Promise((resolve, reject) => {
      const fail = (why) => {
        this.#kill();
        reject(new Error(`the VS Code server ${why}:\n${this.#log}`));
      };
      const timer = setTimeout(() => fail(`was not ready after ${START_SECONDS} s`), START_SECONDS * 1000);
      const look = () => {
        const port = /Server bound to 127\.0\.0\.1:(\d+)/.exec(this.#log)?.[1];
        if (port === undefined) return;
        this.url = `http://127.0.0.1:${port}`;
        clearTimeout(timer);
        child.stdout.off('data', look);
        resolve();
      };
      child.stdout.on('data', look);
      child.once('error', (error) => fail(error.message));
      child.once('exit', (code) => {
        clearTimeout(timer);
        fail(`ended with ${code}`);
      });
    });
  }

  /** Resolves when the server has ended, for whatever reason. */
  ended() {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => child.once('exit', resolve));
  }

  async stop() {
    let timer;
    try {
      process.kill(-this.#child.pid, 'SIGTERM');
    } catch {
      // Gone already.
    }
    const patience = new Promise((resolve) => {
      timer = setTimeout(resolve, STOP_SECONDS * 1000);
    });
    await Promise.race([this.ended(), patience]);
    clearTimeout(timer);
    // Also what the server left of its group.
    this.#kill();
    process.off('exit', this.#kill);
  }
}

/**
 * The workbench's address with a folder open in it.
 * @param payload [key, value] pairs for the workbench, such as ['extensionDevelopmentPath', …]
 */
export function workbenchUrl(server, folder, payload = []) {
  const url = new URL(server.url);
  url.searchParams.set('folder', folder);
  if (payload.length > 0) url.searchParams.set('payload', JSON.stringify(payload));
  return url.href;
}
