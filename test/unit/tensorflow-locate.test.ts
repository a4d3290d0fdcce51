/** Where TensorFlow is looked for, what is said when it is not whole, and what CUDA it needs. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import { openTensorflow } from '../../src/compute/tensorflow/device';
import { gpuName, whyNoGpu } from '../../src/compute/tensorflow/cuda';
import { locateTensorflow } from '../../src/compute/tensorflow/locate';
import { requirements, whyUnsupported } from '../../src/compute/tensorflow/requirements';

const root = mkdtempSync(path.join(tmpdir(), 'rankscope-locate-'));
after(() => {
  rmSync(root, { recursive: true });
});

let folders = 0;
let folder = '';
beforeEach(() => {
  folder = path.join(root, String(folders++));
  mkdirSync(folder);
});

function file(at: string, text = ''): void {
  mkdirSync(path.dirname(at), { recursive: true });
  writeFileSync(at, text);
}

const BINDING = 'lib/napi-v8/tfjs_binding.node';
const ON_LINUX = ['deps/lib/libtensorflow.so.2.9.1', BINDING];

/** A package as npm and its install script leave it. */
function install(place: string, name: string, parts: readonly string[] = ON_LINUX): string {
  const at = path.join(place, 'node_modules', name);
  file(path.join(at, 'package.json'), JSON.stringify({ name, version: '4.22.0', main: 'dist/index.js' }));
  for (const part of parts) file(path.join(at, part));
  return at;
}

const [GPU, CPU] = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];

function reasonOf(settings: Parameters<typeof locateTensorflow>[0]): string {
  const located = locateTensorflow(settings);
  assert.ok(located.kind === 'missing');
  assert.doesNotMatch(located.reason, /\n/);
  return located.reason;
}

describe('a package is found', () => {
  for (const [name, variant] of [
    [GPU, 'gpu'],
    [CPU, 'cpu'],
  ] as const)
    test(`${name}: by its own folder, by the folder that has it, among folders`, () => {
      const at = install(folder, name);
      const expected = { kind: 'found', folder: at, variant, version: '4.22.0' };
      assert.deepEqual(locateTensorflow({ tensorflow: at }), expected);
      assert.deepEqual(locateTensorflow({ tensorflow: folder }), expected);
      assert.deepEqual(locateTensorflow({ folders: [path.join(root, 'none'), folder] }), expected);
    });

  for (const [system, parts] of [
    ['Linux', ['deps/lib/libtensorflow.so', BINDING]],
    ['macOS', ['deps/lib/libtensorflow.2.9.1.dylib', BINDING]],
    ['Windows', ['lib/napi-v8/tensorflow.dll', BINDING]],
    ['Windows, before its library was moved', ['deps/lib/tensorflow.dll', BINDING]],
  ] as const)
    test(`with the files of ${system}`, () => {
      install(folder, CPU, parts);
      assert.equal(locateTensorflow({ folders: [folder] }).kind, 'found');
    });

  test('the one with CUDA before the other, and whole before broken', () => {
    const cpu = install(folder, CPU);
    const broken = install(folder, GPU, []);
    const found = locateTensorflow({ folders: [folder] });
    assert.equal(found.kind === 'found' && found.folder, cpu);
    for (const part of ON_LINUX) file(path.join(broken, part));
    const both = locateTensorflow({ folders: [folder] });
    assert.equal(both.kind === 'found' && both.folder, broken);
  });

  test('an empty setting is no setting', () => {
    install(folder, GPU);
    assert.equal(locateTensorflow({ tensorflow: '', folders: [folder] }).kind, 'found');
  });
});

describe('what is missing is said in one line', () => {
  test('nothing at the place of the setting, though elsewhere', () => {
    const other = path.join(folder, 'other');
    install(other, GPU);
    const reason = reasonOf({ tensorflow: folder, folders: [other] });
    assert.ok(reason.startsWith(`${folder} holds no TensorFlow`));
  });

  test('another package under that name, a broken manifest', () => {
    file(path.join(folder, 'node_modules', GPU, 'package.json'), '{"name":"other","version":"1.0.0"}');
    file(path.join(folder, 'node_modules', CPU, 'package.json'), '{"name":');
    assert.match(reasonOf({ tensorflow: folder }), /holds no TensorFlow/);
  });

  test('no library', () => {
    const at = install(folder, GPU, [BINDING]);
    const reason = reasonOf({ folders: [folder] });
    assert.ok(reason.startsWith(`${at} is installed without its library, libtensorflow`));
    assert.ok(reason.includes(`npm rebuild ${GPU} --ignore-scripts=false`));
  });

  test('no binding', () => {
    install(folder, CPU, ['deps/lib/libtensorflow.so.2']);
    assert.match(reasonOf({ folders: [folder] }), /without its native binding, tfjs_binding\.node/);
  });

  test('a link to a library that is gone', { skip: process.platform === 'win32' }, () => {
    const at = install(folder, GPU, [BINDING, 'deps/lib/README']);
    symlinkSync('libtensorflow.so.2.9.1', path.join(at, 'deps/lib/libtensorflow.so'));
    assert.match(reasonOf({ folders: [folder] }), /without its library/);
  });

  test('opening says the same', async () => {
    await assert.rejects(openTensorflow({ tensorflow: folder }), {
      message: reasonOf({ tensorflow: folder }),
    });
  });

  test('a package that cannot be loaded', async () => {
    const at = install(folder, GPU);
    file(
      path.join(at, 'dist/index.js'),
      'throw new Error("libtensorflow.so.2: cannot open\\nRequire stack")',
    );
    await assert.rejects(openTensorflow({ tensorflow: folder }), {
      message: `TensorFlow cannot be loaded: libtensorflow.so.2: cannot open; install ${GPU} anew`,
    });
  });
});

describe('why there is no GPU', () => {
  /** Lines of /proc/self/maps. */
  const maps = (...libraries: readonly string[]): string =>
    libraries
      .map((library) => `7f0000000000-7f0000001000 r--p 00000000 00:1f 123   /usr/lib/x86_64/${library}\n`)
      .join('');
  const driver = 'libcuda.so.580.159.04';
  const cuda = [
    'libcudart.so.11.2.152',
    'libcublas.so.11.4.1.1043',
    'libcublasLt.so.11.4.1.1043',
    'libcufft.so.10.4.1.152',
    'libcurand.so.10.2.3.152',
    'libcusolver.so.11.1.0.152',
    'libcusparse.so.11.4.1.1152',
  ];
  const cudnn = 'libcudnn.so.8.1.1';

  test('no driver', () => {
    assert.equal(whyNoGpu(maps('libc.so.6', ...cuda, cudnn)), 'no NVIDIA driver');
  });
  test('another CUDA', () => {
    const twelve = cuda.map((name) => name.replace(/\.so\.1[01].*/, '.so.12.4'));
    assert.equal(whyNoGpu(maps(driver, ...twelve, cudnn)), 'libcudart.so.11 of CUDA 11 is missing');
  });
  test('no cuDNN', () => {
    assert.equal(whyNoGpu(maps(driver, ...cuda)), 'libcudnn.so.8 of cuDNN 8 is missing');
  });
  test('all of it, and no GPU', () => {
    assert.equal(whyNoGpu(maps(driver, ...cuda, cudnn)), 'no NVIDIA GPU');
  });
});

describe('the name of the GPU', () => {
  const information = (model: string): string =>
    `Model: \t\t ${model}\nIRQ:   \t\t 42\nGPU UUID: \t GPU-00000000\nVideo BIOS: \t 96.00.74.00.01\n`;

  test('is what the driver says', () => {
    file(path.join(folder, '0000:01:00.0/information'), information('NVIDIA H200'));
    file(path.join(folder, '0000:02:00.0/information'), information('NVIDIA H200'));
    assert.equal(gpuName(folder), 'NVIDIA H200');
  });
  test('is not told where there are different ones, or none', () => {
    file(path.join(folder, '0000:01:00.0/information'), information('NVIDIA H200'));
    file(path.join(folder, '0000:02:00.0/information'), information('NVIDIA T4'));
    assert.equal(gpuName(folder), undefined);
    assert.equal(gpuName(path.join(folder, 'none')), undefined);
  });
});

test('requirements and platforms', () => {
  assert.equal(whyUnsupported('gpu', 'linux', 'x64'), undefined);
  assert.equal(whyUnsupported('gpu', 'win32', 'x64'), undefined);
  assert.match(whyUnsupported('gpu', 'darwin', 'arm64') ?? '', /darwin-arm64: use the webgpu backend/);
  assert.match(whyUnsupported('gpu', 'linux', 'arm64') ?? '', /linux-arm64/);
  assert.equal(whyUnsupported('cpu', 'darwin', 'arm64'), undefined);
  assert.match(whyUnsupported('cpu', 'win32', 'arm64') ?? '', /win32-arm64/);
  for (const platform of ['linux', 'win32'] as const) {
    const text = requirements(platform).join('\n');
    for (const word of ['NVIDIA', 'CUDA 11.2', 'cuDNN 8.1', 'x64', 'npm'])
      assert.ok(text.includes(word), word);
  }
  assert.match(requirements('darwin').join(), /webgpu/);
});
