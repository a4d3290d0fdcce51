// Builds everything into dist/: kernels (AssemblyScript → wasm), CLI, engine, worker, extension host, tests.
//   node esbuild.mjs [--tests] [--production] [--quiet]
import { execFile } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import esbuild from 'esbuild';
import { writeThirdPartyLicenses } from './scripts/third-party-licenses.mjs';

const root = path.dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const flags = new Set(process.argv.slice(2));
const production = flags.has('--production');
const say = flags.has('--quiet') ? () => undefined : console.log;

/** Two builds of the same kernels: fused multiply-add where the engine has it, plain SIMD everywhere else. */
const KERNEL_BUILDS = [
  { name: 'kernels-simd', features: 'simd', relaxed: 0 },
  { name: 'kernels-relaxed', features: 'simd,relaxed-simd', relaxed: 1 },
];

async function buildKernels() {
  const source = path.join(root, 'src/compute/wasm/kernels');
  const newestSource = Math.max(
    statSync(fileURLToPath(import.meta.url)).mtimeMs,
    ...readdirSync(source).map((name) => statSync(path.join(source, name)).mtimeMs),
  );
  const asc = path.join(path.dirname(require.resolve('assemblyscript/package.json')), 'bin/asc.js');
  await Promise.all(
    KERNEL_BUILDS.map(async ({ name, features, relaxed }) => {
      const out = path.join(root, 'dist', `${name}.wasm`);
      // Compiling takes seconds and the kernels change rarely.
      if (existsSync(out) && statSync(out).mtimeMs > newestSource) return;
      await promisify(execFile)(process.execPath, [
        asc,
        path.join(source, 'index.ts'),
        ...['--outFile', out, '-O3', '--noAssert', '--runtime', 'stub', '--importMemory'],
        ...['--initialMemory', '16', '--maximumMemory', '65536'],
        ...['--enable', features, '--use', `RELAXED=${relaxed}`],
      ]);
      say(`dist/${name}.wasm`);
    }),
  );
}

/** Entry points that exist; a process or thread each. */
const NODE_ENTRIES = {
  cli: 'src/cli/main.ts',
  engine: 'src/engine/server.ts',
  worker: 'src/compute/wasm/worker.ts',
  extension: 'src/extension/extension.ts',
};

const NODE_OPTIONS = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: ['vscode'],
  absWorkingDir: root,
  logLevel: 'warning',
};

async function buildNode() {
  const entries = Object.entries(NODE_ENTRIES).filter(([, file]) => existsSync(path.join(root, file)));
  const { metafile } = await esbuild.build({
    ...NODE_OPTIONS,
    entryPoints: Object.fromEntries(entries),
    outdir: 'dist',
    minify: production,
    sourcemap: production ? false : 'linked',
    metafile: true,
    define: {
      RANKSCOPE_VERSION: JSON.stringify(require(path.join(root, 'package.json')).version),
    },
  });
  // npx runs the file itself, by its first line.
  chmodSync(path.join(root, 'dist/cli.js'), 0o755);
  say(entries.map(([name]) => `dist/${name}.js`).join('\n'));
  return metafile;
}

/** The embedded ONNX Runtime: its script starts the binary, and itself again in every thread, so it stays a file. */
function copyOnnxRuntime() {
  for (const name of ['ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm']) {
    copyFileSync(require.resolve(`onnxruntime-web/${name}`), path.join(root, 'dist', name));
    say(`dist/${name}`);
  }
}

/** Files that packages start by themselves: the JPEG decoder, and TensorFlow.js's WebAssembly backend. */
const PACKAGE_WASM = [
  ['@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm', 'jpeg.wasm'],
  ['@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm', 'tfjs-backend-wasm-simd.wasm'],
];

/** TensorFlow.js, a bundle of its own: loaded when a network needs it. */
async function buildTensorFlow() {
  for (const [file, name] of PACKAGE_WASM)
    copyFileSync(path.join(root, 'node_modules', file), path.join(root, 'dist', name));
  const { metafile } = await esbuild.build({
    ...NODE_OPTIONS,
    entryPoints: { tfjs: 'src/network/tfjs/library.ts' },
    outdir: 'dist',
    // Their modules lose what is not used; the files for Node come as a whole.
    mainFields: ['module', 'main'],
    // Asked for only when a model is fetched from the web, which never happens here.
    external: ['node-fetch'],
    minify: production,
    sourcemap: production ? false : 'linked',
    metafile: true,
  });
  say(['dist/tfjs.js', ...PACKAGE_WASM.map(([, name]) => `dist/${name}`)].join('\n'));
  return metafile;
}

/** A program with TensorFlow.js in it. What TensorFlow and Dawn need besides, it finds where they are installed. */
async function buildWithTensors(name, entry) {
  const { metafile } = await esbuild.build({
    ...NODE_OPTIONS,
    entryPoints: { [name]: entry },
    outdir: 'dist',
    mainFields: ['module', 'main'],
    external: ['webgpu', '@tensorflow/tfjs-node', '@tensorflow/tfjs-node-gpu', 'node-fetch'],
    minify: production,
    sourcemap: production ? false : 'linked',
    metafile: true,
  });
  say(`dist/${name}.js`);
  return metafile;
}

/** The process that holds a graphics card. */
function buildDevice() {
  return buildWithTensors('device', 'src/compute/device/host.ts');
}

/** What makes one run of training, in a process of its own that outlives whoever started it. */
function buildTrainer() {
  copyFileSync(path.join(root, 'media/rankscope_log.py'), path.join(root, 'dist/rankscope_log.py'));
  say('dist/rankscope_log.py');
  return buildWithTensors('trainer', 'src/training/runner/main.ts');
}

/** The panel's page: one script, one style sheet, nothing fetched. */
async function buildWebview() {
  const { metafile } = await esbuild.build({
    entryPoints: [
      { in: 'webview/main.ts', out: 'webview' },
      { in: 'webview/style/panel.css', out: 'webview' },
    ],
    outdir: 'dist',
    bundle: true,
    alias: { '@microsoft/fast-web-utilities': path.join(root, 'webview/toolkitFocus.ts') },
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    absWorkingDir: root,
    logLevel: 'warning',
    minify: production,
    sourcemap: production ? false : 'linked',
    metafile: true,
  });
  say('dist/webview.js\ndist/webview.css');
  return metafile;
}

/** Tests; what VS Code starts its tests with; the fuzzer's two programs. */
function isTestEntry(name, directory) {
  if (directory === 'test/fuzz') return name === 'main.ts' || name === 'worker.ts';
  return name.endsWith('.test.ts') || name === 'index.ts';
}

function testFiles(directory) {
  return readdirSync(path.join(root, directory), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && isTestEntry(entry.name, directory))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

/** Tests are bundled beside dist/worker.js so that the code under test finds its worker and kernels where users have them. */
async function buildTests() {
  for (const suite of ['unit', 'slow', 'host', 'fuzz']) {
    if (!existsSync(path.join(root, 'test', suite))) continue;
    await esbuild.build({
      ...NODE_OPTIONS,
      entryPoints: testFiles(`test/${suite}`),
      outbase: 'test',
      outdir: 'dist/test',
      sourcemap: 'inline',
      packages: 'external',
      define: { RANKSCOPE_VERSION: JSON.stringify(require(path.join(root, 'package.json')).version) },
    });
  }
  say('dist/test/');
}

mkdirSync(path.join(root, 'dist'), { recursive: true });
if (production) rmSync(path.join(root, 'dist/test'), { recursive: true, force: true });
copyOnnxRuntime();
const [metafiles] = await Promise.all([
  Promise.all([buildNode(), buildTensorFlow(), buildDevice(), buildTrainer(), buildWebview()]),
  buildKernels(),
  ...(flags.has('--tests') ? [buildTests()] : []),
]);
writeThirdPartyLicenses(root, metafiles, path.join(root, 'dist/THIRD_PARTY_LICENSES.txt'));
