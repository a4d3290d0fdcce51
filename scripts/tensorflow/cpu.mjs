// Builds TensorFlow.js with a real TensorFlow for the processor, once per machine:
//   node scripts/tensorflow/cpu.mjs
//
// The package's own install downloads TensorFlow from a file host. Here the library and its C headers come out of the
// `tensorflow-cpu` wheel, so that package registries are all this needs, and the binding is compiled from its sources.
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { cacheFolder } from '../vscode/cache.mjs';

/** The binding is written for TensorFlow 2.9; 2.13 is the first wheel with a library of C functions, and the smallest. */
const TENSORFLOW = '2.13.1';
const PYTHON = '3.11';
const PACKAGE = '@tensorflow/tfjs-node';
const PACKAGE_VERSION = '4.22.0';

/** Node's C headers alone, so that no Node has to bring its own. */
const HEADERS = 'node-api-headers@1.9.0';

/** The newest version of Node's C interface that the package names. */
const NAPI = 8;

/** Raised when the way of building changes. */
const LAYOUT = 1;

function home() {
  return path.join(
    cacheFolder(),
    'tensorflow',
    `cpu-${TENSORFLOW}-tfjs-${PACKAGE_VERSION}-${process.platform}-${process.arch}-${LAYOUT}`,
  );
}

/** Folder of the built package; undefined where it has not been built. */
export function builtTensorflowCpu() {
  const folder = path.join(home(), 'node_modules', PACKAGE);
  return existsSync(folder) ? folder : undefined;
}

/** Builds it unless it is there, and returns its folder. */
export async function tensorflowCpu(say = () => undefined) {
  const built = builtTensorflowCpu();
  if (built !== undefined) return built;
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error(
      `TensorFlow for tests is built on linux-x64 alone, and this is ${process.platform}-${process.arch}`,
    );
  const parent = path.dirname(home());
  mkdirSync(parent, { recursive: true });
  const staging = mkdtempSync(path.join(parent, 'building-'));
  try {
    await build(staging, say);
    // Another process may have been faster; its build is as good.
    if (builtTensorflowCpu() === undefined) renameSync(staging, home());
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return path.join(home(), 'node_modules', PACKAGE);
}

async function build(staging, say) {
  say(`npm: ${PACKAGE} ${PACKAGE_VERSION}`);
  // A project of its own, so that npm looks for none in the folders above.
  writeFileSync(
    path.join(staging, 'package.json'),
    JSON.stringify({ name: 'tensorflow-cpu', private: true }),
  );
  await run(
    'npm',
    [
      ...['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', staging],
      ...[`${PACKAGE}@${PACKAGE_VERSION}`, HEADERS],
    ],
    staging,
  );
  const folder = path.join(staging, 'node_modules', PACKAGE);
  await unpackLibrary(staging, folder, say);
  say('g++: the binding');
  await compile(staging, folder);
}

/** What the binding includes and links, as the package's own download lays it out. */
async function unpackLibrary(staging, folder, say) {
  const wheels = path.join(staging, 'wheels');
  say(`pip: tensorflow-cpu ${TENSORFLOW}, 190 MB`);
  await run(
    'python3',
    [
      ...['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-cache-dir', '--no-deps'],
      ...['--only-binary=:all:', '--python-version', PYTHON, '--implementation', 'cp'],
      ...['--platform', 'manylinux2014_x86_64', '--dest', wheels, `tensorflow-cpu==${TENSORFLOW}`],
    ],
    staging,
  );
  const wheel = readdirSync(wheels).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw new Error(`pip downloaded no wheel of tensorflow-cpu ${TENSORFLOW}`);
  await run('python3', ['-c', UNPACK, path.join(wheels, wheel), staging], staging);
  rmSync(wheels, { recursive: true });
  const unpacked = path.join(staging, 'tensorflow');
  const lib = path.join(folder, 'deps', 'lib');
  mkdirSync(lib, { recursive: true });
  renameSync(path.join(unpacked, 'include'), path.join(folder, 'deps', 'include'));
  for (const [name, link] of [
    ['libtensorflow_cc.so.2', 'libtensorflow.so'],
    ['libtensorflow_framework.so.2', 'libtensorflow_framework.so'],
  ]) {
    renameSync(path.join(unpacked, name), path.join(lib, name));
    symlinkSync(name, path.join(lib, link));
  }
  rmSync(unpacked, { recursive: true });
}

/** The whole wheel is 800 MB; a quarter of it is of use only to Python. */
const UNPACK = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        if name.startswith(('tensorflow/include/tensorflow/c/', 'tensorflow/include/tensorflow/core/platform/',
                            'tensorflow/include/tensorflow/tsl/', 'tensorflow/libtensorflow')):
            wheel.extract(name, sys.argv[2])
`;

async function compile(staging, folder) {
  const out = path.join(folder, 'lib', `napi-v${NAPI}`);
  mkdirSync(out, { recursive: true });
  const include = [path.join(staging, 'node_modules/node-api-headers/include'), 'deps/include', '..'];
  await run(
    'g++',
    [
      ...['-shared', '-fPIC', '-std=c++17', '-O2', `-DNAPI_VERSION=${NAPI}`],
      ...include.map((at) => `-I${at}`),
      ...['binding/tfjs_backend.cc', 'binding/tfjs_binding.cc'],
      ...['-o', path.join(out, 'tfjs_binding.node')],
      ...['-Ldeps/lib', '-ltensorflow', '-ltensorflow_framework', '-Wl,-rpath,$ORIGIN/../../deps/lib'],
    ],
    folder,
  );
}

function run(program, args, cwd) {
  return new Promise((resolve, reject) => {
    let output = '';
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.on('data', (text) => (output += text));
    child.stderr.on('data', (text) => (output += text));
    child.on('error', (error) => {
      reject(new Error(`${program} is needed to build TensorFlow for tests: ${error.message}`));
    });
    child.on('close', (code) => {
      if (code === 0) resolve();
      else
        reject(
          new Error(`${program} ${args.slice(0, 3).join(' ')} ended with ${code}:\n${output.slice(-3000)}`),
        );
    });
  });
}

if (path.basename(process.argv[1] ?? '') === 'cpu.mjs') {
  // No `await` at the top level: tests carry this file in bundles that have none.
  tensorflowCpu((line) => process.stderr.write(`${line}\n`)).then(
    (folder) => console.log(`TensorFlow ${TENSORFLOW} for the processor: ${folder}`),
    (error) => {
      console.error(error.message);
      process.exitCode = 1;
    },
  );
}
