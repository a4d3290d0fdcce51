/**
 * Audits on a graphics card against the embedded backend and PyTorch on the same card; runs from a checkout
 * (npm run bench -- gpu) and from the archive that npm run bench:gpu makes, which needs nothing installed.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { benchFolder } from './cache.mjs';
import { measure, median } from './measure.mjs';
import { vitCheckpoint } from './vit.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '../..');
const cli = path.join(root, 'dist/cli.js');
const BACKENDS = ['wasm', 'webgpu', 'tensorflow'];
const WAYS = ['svdvals', 'eigvalsh'];
/** Promised of every backend: error of a singular value ÷ σ₁. */
const LARGEST_ERROR = 2e-8;

/** Shapes of each file; the ViT-B-shaped one is the other bench's. */
const FILES = {
  'vit-b': { make: vitCheckpoint },
  'wide-4096': {
    layers: [
      [4096, 11008],
      [4096, 4096],
      [4096, 4096],
      [11008, 4096],
    ],
  },
  // For trying the bench where a processor plays the graphics card.
  smoke: {
    layers: [
      [192, 96],
      [128, 256],
      [256, 256],
    ],
  },
};
const DEFAULT_FILES = ['vit-b', 'wide-4096'];
/** Goes into files' names: change it with what is written. */
const VERSION = 1;

/** Independent entries whose columns fall as a power: spectra of trained layers, roughly. */
function safetensors(name, layers) {
  const file = path.join(benchFolder(), `${name}-${VERSION}.safetensors`);
  if (existsSync(file)) return file;
  console.log(`making ${file} …`);
  const header = {};
  let end = 0;
  layers.forEach(([rows, columns], i) => {
    header[`layers.${i}.weight`] = {
      dtype: 'F32',
      shape: [rows, columns],
      data_offsets: [end, end + 4 * rows * columns],
    };
    end += 4 * rows * columns;
  });
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const output = openSync(`${file}.partial`, 'w');
  writeSync(output, Buffer.concat([length, json]));
  let state = 20240607;
  for (const [rows, columns] of layers) {
    const values = new Float32Array(rows * columns);
    for (let k = 0; k < values.length; k++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      values[k] = (state / 2 ** 31) * (1 + (k % columns)) ** -0.3;
    }
    writeSync(output, new Uint8Array(values.buffer));
  }
  closeSync(output);
  renameSync(`${file}.partial`, file);
  return file;
}

function fileOf(name) {
  const { make, layers } = FILES[name];
  return make === undefined ? safetensors(name, layers) : make();
}

/** Backends that work here, by the program's own word. */
function usableBackends(env) {
  const { stdout, status } = spawnSync(process.execPath, [cli, 'backends', '--again'], {
    encoding: 'utf8',
    env,
  });
  if (status !== 0) throw new Error('rankscope backends failed');
  console.log(stdout);
  return BACKENDS.filter((name) => new RegExp(`^${name} +usable`, 'm').test(stdout));
}

function audit(backend, file, scratch, env) {
  const json = path.join(scratch, `${backend}.json`);
  const args = [cli, 'audit', file, '--backend', backend, '--no-cache', '--spectra', '--json', json];
  return {
    label: `rankscope audit, ${backend}`,
    run: async () => {
      const result = await measure(process.execPath, args, env);
      if (result.code !== 0) throw new Error(`${backend}: ${result.stderr.trim()}`);
      if (result.stderr.includes('the processor')) console.log(`  ${result.stderr.trim()}`);
      const document = JSON.parse(readFileSync(json, 'utf8'));
      return {
        seconds: result.seconds,
        inside: document.seconds,
        build: document.backend.build,
        // Fused layers come with their parts, which the peers do not take.
        values: document.layers.map(({ singularValues }) => singularValues),
      };
    },
  };
}

function torch(python, way, file, scratch) {
  const values = path.join(scratch, `${way}.f64`);
  return {
    label: `torch.linalg.${way}${way === 'eigvalsh' ? ' of the float64 Gram matrix' : ', float32'}`,
    run: async () => {
      const args = [path.join(here, 'peer_torch_gpu.py'), file, way, values];
      const result = await measure(python, args);
      if (result.code !== 0) throw new Error(`${way}: ${result.stderr.trim().split('\n').at(-1)}`);
      const { seconds, whole, device, torch: version } = JSON.parse(result.stdout.trim().split('\n').at(-1));
      const bytes = readFileSync(values);
      return {
        seconds: result.seconds,
        inside: whole,
        solving: seconds,
        build: `torch ${version}, ${device}`,
        flat: new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8),
      };
    },
  };
}

/** A PyTorch that has a graphics card, unless any will do. */
function torchPython(anyDevice) {
  const asks = anyDevice ? 'import torch, numpy' : 'import torch, numpy; assert torch.cuda.is_available()';
  return [process.env.RANKSCOPE_PYTHON, 'python3', '/usr/bin/python3']
    .filter(Boolean)
    .find((python) => spawnSync(python, ['-c', asks]).status === 0);
}

/** Largest |σ − σ_ref| ÷ σ₁ over all matrices. */
function errorOf(values, reference) {
  let [largest, at] = [0, 0];
  for (const layer of values) {
    const expected = reference.slice(at, at + layer.length);
    at += layer.length;
    layer.forEach((value, i) => {
      largest = Math.max(largest, Math.abs(value - expected[i]) / expected[0]);
    });
  }
  if (at !== reference.length) throw new Error(`${at} singular values against ${reference.length}`);
  return largest;
}

async function benchFile(name, { runs, anyDevice }, scratch, env, backends) {
  const file = fileOf(name);
  const python = torchPython(anyDevice);
  if (python === undefined) console.log('SKIPPED PyTorch: none here has a graphics card');
  const subjects = [
    ...backends.map((backend) => audit(backend, file, scratch, env)),
    ...(python === undefined ? [] : WAYS.map((way) => torch(python, way, file, scratch))),
  ];
  const results = subjects.map(() => []);
  for (let run = 0; run < runs; run++)
    for (const [i, { label, run: once }] of subjects.entries()) {
      const result = await once();
      results[i].push(result);
      console.log(`${name}, run ${run + 1}: ${label}  ${result.seconds.toFixed(2)} s (${result.build})`);
    }
  const ours = results[0].at(-1).values;
  // float64 on the card where PyTorch is there, the embedded backend otherwise.
  const exact = results.at(-1).at(-1).flat ?? Float64Array.from(ours.flat());
  const lines = subjects.map(({ label }, i) => {
    const last = results[i].at(-1);
    const layers = last.values ?? split(last.flat, ours);
    return {
      label,
      build: last.build,
      seconds: median(results[i].map(({ seconds }) => seconds)),
      inside: median(results[i].map(({ inside }) => inside)),
      ...(last.solving !== undefined && { solving: median(results[i].map(({ solving }) => solving)) }),
      error: errorOf(layers, exact),
    };
  });
  return { file: name, reference: results.at(-1).at(-1).flat === undefined ? 'wasm' : 'eigvalsh', lines };
}

function split(flat, like) {
  let at = 0;
  return like.map(({ length }) => flat.slice(at, (at += length)));
}

function print({ file, reference, lines }) {
  const [wasm] = lines;
  console.log(`\n${file}; errors against ${reference}`);
  for (const { label, seconds, inside, solving, error } of lines) {
    const own = solving === undefined ? '' : `, solving alone ${solving.toFixed(2)} s`;
    console.log(
      `  ${label}: ${seconds.toFixed(2)} s whole process, ${inside.toFixed(2)} s inside${own};` +
        ` ${(wasm.inside / inside).toFixed(2)} × wasm's speed; largest error ${error.toExponential(1)}`,
    );
  }
  const wrong = lines.filter(
    ({ label, error }) => label.startsWith('rankscope') && !(error <= LARGEST_ERROR),
  );
  for (const { label } of wrong) console.log(`  WRONG: ${label} is beyond ${LARGEST_ERROR}`);
  return wrong.length === 0;
}

function machine() {
  const { stdout } = spawnSync('nvidia-smi', ['--query-gpu=name,driver_version', '--format=csv,noheader'], {
    encoding: 'utf8',
  });
  return {
    processor: os.cpus()[0]?.model ?? 'unknown',
    cores: os.cpus().length,
    graphics: (stdout ?? '').trim() || 'none that nvidia-smi knows',
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
}

function parse(args) {
  const { values } = parseArgs({
    args,
    options: {
      runs: { type: 'string', default: '3' },
      files: { type: 'string', default: DEFAULT_FILES.join(',') },
      backends: { type: 'string' },
      // PyTorch on a processor counts, too: to try the bench.
      'any-device': { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs}: not a number of runs`);
  const files = values.files.split(',');
  const unknown = files.find((name) => !Object.hasOwn(FILES, name));
  if (unknown !== undefined)
    throw new Error(`--files ${unknown}: not one of ${Object.keys(FILES).join(', ')}`);
  const wanted = values.backends?.split(',');
  return { runs, files, wanted, anyDevice: values['any-device'], out: values.out };
}

/** @returns {Promise<number>} exit code */
export async function run(args) {
  let options;
  try {
    options = parse(args);
  } catch (error) {
    console.error(error.message);
    return 2;
  }
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'rankscope-bench-gpu-'));
  const env = {
    ...process.env,
    RANKSCOPE_CACHE: path.join(scratch, 'cache'),
    ...(options.anyDevice && { BENCH_ANY_DEVICE: '1' }),
  };
  if (options.anyDevice) process.env.BENCH_ANY_DEVICE = '1';
  try {
    const usable = usableBackends(env);
    // The embedded one is what the others are measured against.
    const backends = ['wasm', ...usable.filter((name) => name !== 'wasm')].filter(
      (name) => name === 'wasm' || options.wanted === undefined || options.wanted.includes(name),
    );
    const missing = options.wanted?.find((name) => !backends.includes(name));
    if (missing !== undefined) {
      console.error(`${missing} cannot be used here`);
      return 1;
    }
    const about = machine();
    console.log(JSON.stringify(about));
    const results = [];
    for (const name of options.files) results.push(await benchFile(name, options, scratch, env, backends));
    const isRight = results.map(print).every(Boolean);
    const out = options.out ?? path.join(root, 'test/bench/results');
    mkdirSync(out, { recursive: true });
    const name = about.graphics
      .split(',')[0]
      .replace(/[^\w-]+/g, '-')
      .toLowerCase();
    const target = path.join(out, `gpu-${name}.json`);
    writeFileSync(target, `${JSON.stringify({ machine: about, runs: options.runs, results }, null, 2)}\n`);
    console.log(`\nwritten: ${target}`);
    return isRight ? 0 : 3;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await run(process.argv.slice(2));
