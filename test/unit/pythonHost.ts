/** A real Python with torch for the tests of the Python host, and networks opened through it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type RunnableNetwork } from '../../src/network/network';
import { openPythonNetwork } from '../../src/network/python';
import { ROOT } from '../reference/references';

export const MODELS = path.join(ROOT, 'test/fixtures/python_host/models.py');
const EXPECTED = path.join(ROOT, 'test/fixtures/python_host/expected.py');

process.env.PYTHONDONTWRITEBYTECODE = '1';
// Debian's OpenBLAS does not know every virtual CPU.
process.env.OPENBLAS_CORETYPE ??= 'SkylakeX';

// A folder of its own for what the tests of this process leave behind: other tests run at the same time.
const temporary = mkdtempSync(path.join(os.tmpdir(), 'rankscope-test-'));
process.env[process.platform === 'win32' ? 'TEMP' : 'TMPDIR'] = temporary;
process.on('exit', () => {
  rmSync(temporary, { recursive: true, force: true });
});

function hasTorch(program: string): boolean {
  return spawnSync(program, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0;
}

/** The first Python that has torch; undefined where there is none (an error when it is required). */
export function pythonWithTorch(): string | undefined {
  const { RANKSCOPE_PYTHON: own, RANKSCOPE_REQUIRE_PYTHON: required } = process.env;
  const found = [...(own === undefined ? [] : [own]), 'python3', '/usr/bin/python3'].find(hasTorch);
  if (found === undefined && required === '1') throw new Error('no Python with torch here');
  return found;
}

export const PYTHON = pythonWithTorch();
export const NEEDS_TORCH = { skip: PYTHON === undefined && 'no Python with torch here' };
export const NEVER = new AbortController().signal;

export interface OpenOptions {
  readonly arguments?: Readonly<Record<string, string | number | boolean>>;
  readonly signal?: AbortSignal;
  readonly log?: string[];
}

/** Opens the model that a function of `models.py` returns. */
export function open(name: string, options: OpenOptions = {}): Promise<RunnableNetwork> {
  return openPythonNetwork({
    python: PYTHON,
    file: MODELS,
    function: name,
    arguments: options.arguments,
    signal: options.signal ?? NEVER,
    onLog: (line) => options.log?.push(line),
  });
}

/** Opens it, and closes it after the work. */
export async function using<T>(
  name: string,
  work: (network: RunnableNetwork) => Promise<T>,
  options: OpenOptions = {},
): Promise<T> {
  const network = await open(name, options);
  try {
    return await work(network);
  } finally {
    await network.dispose();
  }
}

/** What `expected.py` computes. */
export function expected(...args: readonly string[]): unknown {
  const { status, stdout, stderr } = spawnSync(PYTHON ?? '', [EXPECTED, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/** Folders that networks exchange numbers through, left behind. */
export function exchangeFolders(): readonly string[] {
  return readdirSync(os.tmpdir()).filter((name) => name.startsWith('rankscope-python-'));
}
