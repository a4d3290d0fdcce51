/** Finds, or where it may installs, the Python programs that Rankscope is measured against. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchFolder } from './cache.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
/** Installing from a package index takes minutes on a slow line. */
const INSTALL_TIMEOUT_MILLISECONDS = 10 * 60_000;

/** Every peer: which packages it needs, and the program with what follows the file's name. */
const PEERS = {
  torch32: {
    label: 'torch.linalg.svdvals, float32',
    needs: ['torch', 'numpy'],
    args: ['peer_torch.py'],
  },
  numpy32: {
    // numpy casts to float64 for LAPACK and back, whatever it is given.
    label: 'numpy.linalg.svd, float32 given',
    needs: ['numpy'],
    args: ['peer_numpy.py', 'float32'],
  },
  numpy64: {
    label: 'numpy.linalg.svd, float64 given',
    needs: ['numpy'],
    args: ['peer_numpy.py', 'float64'],
  },
  weightwatcher: {
    label: 'WeightWatcher analyze()',
    needs: ['weightwatcher', 'torch', 'numpy'],
    args: ['peer_weightwatcher.py'],
  },
};
export const PEER_NAMES = Object.keys(PEERS);
export const DEFAULT_PEERS = ['torch32', 'numpy32'];

function probe(python) {
  try {
    const text = execFileSync(python, [path.join(here, 'probe.py')], { stdio: ['ignore', 'pipe', 'ignore'] });
    return JSON.parse(text.toString());
  } catch {
    return undefined;
  }
}

/**
 * Debian's OpenBLAS does not know every newer processor and then falls back to kernels several times slower: name the
 * best that the processor's flags allow. PyPI's numpy brings an OpenBLAS of its own that chooses well by itself.
 */
function openblasCore(facts) {
  if (process.env.OPENBLAS_CORETYPE !== undefined) return process.env.OPENBLAS_CORETYPE;
  if (!facts.blas.some((library) => /^\/usr\/lib\/.*openblas/.test(library))) return undefined;
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  if (/\bavx512f\b/.test(flags) && /\bavx512dq\b/.test(flags)) return 'SkylakeX';
  return /\bavx2\b/.test(flags) ? 'Haswell' : undefined;
}

const venvPython = () => path.join(benchFolder(), 'venv/bin/python');

function attempt(what, steps) {
  console.log(`installing ${what} …`);
  try {
    for (const [command, ...args] of steps) {
      execFileSync(command, args, {
        stdio: ['ignore', 'ignore', 'pipe'],
        timeout: INSTALL_TIMEOUT_MILLISECONDS,
      });
    }
  } catch (error) {
    const lines = String(error.stderr ?? error.message)
      .trim()
      .split('\n');
    console.log(`  not possible: ${lines.at(-1)}`);
  }
}

/** An environment of the bench's own with numpy and safetensors; PyPI's torch brings gigabytes of CUDA, so not that. */
function installNumpy() {
  const venv = path.join(benchFolder(), 'venv');
  attempt('numpy and safetensors from PyPI', [
    ['python3', '-m', 'venv', venv],
    [venvPython(), '-m', 'pip', 'install', '--quiet', 'numpy', 'safetensors'],
  ]);
}

function installTorch() {
  const isDebianRoot = existsSync('/usr/bin/apt-get') && process.getuid?.() === 0;
  if (!isDebianRoot) {
    console.log('PyTorch is not installed, and only Debian’s package (as root) is installed from here');
    return;
  }
  attempt('python3-torch from Debian', [
    ['apt-get', 'install', '-y', '-q', 'python3-torch', 'python3-numpy'],
  ]);
}

/** WeightWatcher's dependencies ask for PyTorch: it goes where PyTorch already is, without them, or not at all. */
function installWeightWatcher(pythons) {
  const host = pythons.find((facts) => facts.torch !== null);
  if (host === undefined) {
    console.log('WeightWatcher needs PyTorch, which is not installed');
    return;
  }
  const venv = path.join(benchFolder(), 'venv-weightwatcher');
  const light = [
    'pandas',
    'matplotlib',
    'matplotlib-inline',
    'powerlaw',
    'scikit-learn',
    'tqdm',
    'safetensors',
  ];
  const pip = [path.join(venv, 'bin/python'), '-m', 'pip', 'install', '--quiet'];
  attempt('WeightWatcher from PyPI', [
    [host.executable, '-m', 'venv', '--system-site-packages', venv],
    // A PyTorch works with the numpy it was built for, and a newer pandas would bring another.
    [...pip, ...light, `numpy==${host.numpy}`],
    [...pip, '--no-deps', 'weightwatcher'],
  ]);
}

/** Pythons to try, best first. */
function candidates() {
  const own = process.env.RANKSCOPE_PYTHON;
  const others = ['venv', 'venv-weightwatcher'].map((name) => path.join(benchFolder(), name, 'bin/python'));
  return [...(own === undefined ? [] : [own]), 'python3', '/usr/bin/python3', ...others];
}

function findPythons() {
  const found = candidates()
    .map(probe)
    .filter((facts) => facts !== undefined);
  return found.filter((facts, i) => found.findIndex((other) => other.executable === facts.executable) === i);
}

/**
 * A Python with these packages, as it is, and the environment to run it in; undefined where there is none.
 * @param {string[]} needs
 */
export function findPython(needs) {
  const facts = findPythons().find(has(needs));
  if (facts === undefined) return undefined;
  const core = openblasCore(facts);
  return { facts, env: { ...(core !== undefined && { OPENBLAS_CORETYPE: core }) } };
}

const has = (needs) => (facts) => needs.every((name) => facts[name] !== null);

/**
 * The peers that can run here. What is missing is installed where that is possible, and left out aloud where not.
 * @param {string[]} names of PEERS
 * @param {boolean} trustsFile whether torch.load may execute what a pickle says; older versions read little without
 */
export function findPeers(names, trustsFile = false) {
  const pythons = findPythons();
  const missing = (...needs) => !pythons.some(has(needs));
  const wants = (name) => names.some((peer) => PEERS[peer].needs.includes(name));
  if (missing('numpy')) installNumpy();
  if (wants('torch') && missing('torch', 'numpy')) installTorch();
  if (wants('weightwatcher') && missing('weightwatcher', 'torch')) installWeightWatcher(findPythons());
  const now = findPythons();
  return names.flatMap((name) => {
    const { label, needs, args } = PEERS[name];
    const facts = now.find(has(needs));
    if (facts === undefined) {
      console.log(`SKIPPED ${label}: no Python here has ${needs.join(' and ')}`);
      return [];
    }
    const core = openblasCore(facts);
    const env = {
      ...(core !== undefined && { OPENBLAS_CORETYPE: core }),
      ...(trustsFile && { BENCH_TRUSTS_FILE: '1' }),
    };
    const [script, ...rest] = args;
    const command = (file) => [facts.executable, [path.join(here, script), file, ...rest]];
    return [{ name, label, facts, env, command }];
  });
}
