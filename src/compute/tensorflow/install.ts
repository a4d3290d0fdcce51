/** Installs TensorFlow on a person's request: the one thing here that uses the network, through npm. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { abortReason } from '../abort';
import { folderBytes } from './folderBytes';
import { locateTensorflow, packageOf, type InstalledTensorflow, type TensorflowVariant } from './locate';
import { whyUnsupported } from './requirements';

/** The version whose operations this project is tested with; its TensorFlow is 2.9.1. */
export const PACKAGE_VERSION = '4.22.0';

export interface InstallStage {
  /** `packages`: the JavaScript from the registry; `library`: TensorFlow itself, by the package's own script. */
  readonly kind: 'packages' | 'library';
  /** On disk so far, of this stage. */
  readonly bytes: number;
}

export interface InstallOptions {
  /** Where `node_modules` will lie: made where it is missing, replaced once the new one is complete. */
  readonly folder: string;
  readonly variant: TensorflowVariant;
  readonly signal: AbortSignal;
  /** About once a second. */
  readonly onProgress: (stage: InstallStage) => void;
  /** What npm and the package say, for a log. */
  readonly onLine: (line: string) => void;
  /** Defaults to this process'. */
  readonly env?: NodeJS.ProcessEnv;
}

const PROGRESS_MS = 1000;

/**
 * Installs a variant with npm, in a folder beside that takes the place of `folder` when all is there: an install that
 * fails or is cancelled leaves what was before.
 *
 * @throws Error in one line: not for this platform, no npm, or what npm said
 * @throws the signal's reason, within a second of it
 */
export async function installTensorflow(options: InstallOptions): Promise<InstalledTensorflow> {
  const { folder, variant, signal } = options;
  signal.throwIfAborted();
  const unsupported = whyUnsupported(variant, process.platform, process.arch);
  if (unsupported !== undefined) throw new Error(unsupported);
  const env = options.env ?? process.env;
  const npm = findNpm(env);
  if (npm === undefined)
    throw new Error('npm was not found: install Node.js (it brings npm), and start this program anew');
  await removeLeftovers(folder);
  const staging = `${folder}${STAGING}${process.pid}`;
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true });
  try {
    await fill(staging, npm, { ...options, env });
    const located = locateTensorflow({ tensorflow: staging });
    if (located.kind === 'missing') throw new Error(located.reason.replaceAll(staging, folder));
    await replace(folder, staging);
    return { ...located, folder: path.join(folder, 'node_modules', packageOf(variant)) };
  } finally {
    await rm(staging, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Between the folder's name and the number of the process that fills it. */
const STAGING = '.installing-';

/** Of installs whose process was killed. */
async function removeLeftovers(folder: string): Promise<void> {
  const parent = path.dirname(folder);
  if (!existsSync(parent)) return;
  const prefix = path.basename(folder) + STAGING;
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix) || isRunning(Number(name.slice(prefix.length)))) continue;
    await rm(path.join(parent, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return Number.isInteger(pid) && pid > 0 && process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function fill(staging: string, npm: Npm, options: InstallOptions): Promise<void> {
  const { variant } = options;
  const name = packageOf(variant);
  await writeFile(
    path.join(staging, 'package.json'),
    JSON.stringify({
      name: 'tensorflow-of-rankscope',
      private: true,
      dependencies: { [name]: PACKAGE_VERSION },
      // npm 12 runs the install scripts of those that are named, and of no others.
      allowScripts: { [name]: true },
    }),
  );
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  const modules = path.join(staging, 'node_modules');
  await run(npm, ['install', '--ignore-scripts', '--omit=dev', ...quiet, '--prefix', staging], staging, {
    ...options,
    stage: 'packages',
    grows: modules,
  });
  options.signal.throwIfAborted();
  // Its own script alone, whatever npm allows others: it downloads TensorFlow and the binding.
  await run(
    npm,
    ['rebuild', name, '--ignore-scripts=false', '--foreground-scripts', ...quiet, '--prefix', staging],
    staging,
    { ...options, stage: 'library', grows: path.join(modules, name) },
  );
}

interface Npm {
  readonly command: string;
  readonly args: readonly string[];
}

/** npm on PATH. On Windows it is a batch file, which needs a shell: Node beside it runs its script without one. */
function findNpm(env: NodeJS.ProcessEnv): Npm | undefined {
  const onWindows = process.platform === 'win32';
  const folders = (env.PATH ?? env.Path ?? '').split(path.delimiter).filter((folder) => folder !== '');
  for (const folder of folders) {
    const npm = path.join(folder, 'npm');
    if (!onWindows && existsSync(npm)) return { command: npm, args: [] };
    const script = path.join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js');
    const node = path.join(folder, 'node.exe');
    if (onWindows && existsSync(script) && existsSync(node)) return { command: node, args: [script] };
  }
  return undefined;
}

interface RunOptions extends InstallOptions {
  readonly stage: InstallStage['kind'];
  readonly grows: string;
}

/** Runs npm; a cancel ends it and all that it started. */
function run(
  npm: Npm,
  args: readonly string[],
  cwd: string,
  { signal, env, variant, onLine, onProgress, stage, grows }: RunOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(npm.command, [...npm.args, ...args], {
      cwd,
      env: environment(env),
      // A group of its own, so that the scripts that it runs end with it.
      detached: process.platform !== 'win32',
      windowsHide: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        if (line.trim() === '') return;
        said.push(line.trim());
        onLine(line);
      });
    const progress = setInterval(() => {
      onProgress({ kind: stage, bytes: folderBytes(grows) });
    }, PROGRESS_MS);
    onProgress({ kind: stage, bytes: 0 });
    const onAbort = (): void => {
      endGroup(child);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const end = (error: Error | undefined): void => {
      clearInterval(progress);
      signal.removeEventListener('abort', onAbort);
      if (signal.aborted) reject(abortReason(signal));
      else if (error === undefined) resolve();
      else reject(error);
    };
    child.on('error', (error) => {
      end(new Error(`npm did not start: ${error.message}`));
    });
    child.on('close', (code) => {
      end(code === 0 ? undefined : new Error(failure(packageOf(variant), said, code)));
    });
  });
}

/** Without what would make npm's Node behave as the editor's, or npm take another project's folder for its own. */
function environment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const foreign =
    /^(ELECTRON_|VSCODE_|NODE_OPTIONS$|npm_config_(local_)?prefix$|npm_package_|npm_lifecycle_)/i;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !foreign.test(name)));
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  if (process.platform === 'win32') {
    spawn('taskkill', ['/pid', String(pid), '/T', '/F'], { stdio: 'ignore', windowsHide: true });
    return;
  }
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** What tells most in the words of npm and of the package's script, the best first. */
const TELLING = [/Error: /, /\bE[A-Z]{4,}\b/, /\b40[134]\b/, /failed|not found/i];

/** npm's most telling line: not where its log is, nor what it ran. */
function failure(name: string, said: readonly string[], code: number | null): string {
  const lines = said
    .map((line) => line.replace(/^npm (error|ERR!)\s*/, ''))
    .filter((line) => !/^($|A complete log|code |path |command |errno )/.test(line));
  const telling = TELLING.map((words) => lines.find((line) => words.test(line))).find(
    (line) => line !== undefined,
  );
  const why = telling ?? lines.at(-1) ?? `it ended with ${code}`;
  return `npm could not install ${name}: ${why.slice(0, 300)}; see the log, and check the network (a proxy goes into HTTPS_PROXY)`;
}

/** The new one takes the old one's place; the old one comes back when that fails. */
async function replace(folder: string, staging: string): Promise<void> {
  const old = `${staging}-old`;
  const hadOne = existsSync(folder);
  try {
    if (hadOne) await rename(folder, old);
  } catch (error) {
    throw new Error(
      `${folder} cannot be replaced while it is in use: end the programs that use TensorFlow, and install again`,
      { cause: error },
    );
  }
  try {
    await rename(staging, folder);
  } catch (error) {
    if (hadOne) await rename(old, folder);
    throw error;
  }
  if (hadOne) await rm(old, { recursive: true, force: true });
}
