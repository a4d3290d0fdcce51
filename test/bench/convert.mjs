/** Fitting sine-low-rank factors to one large layer: `rankscope convert` against the same algorithm in plain PyTorch. */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { benchFolder } from './cache.mjs';
import { measure, median } from './measure.mjs';
import { findPython } from './peers.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const cli = path.join(here, '../../dist/cli.js');
/** What the fit is to take of the peer's time, whole processes. */
const WANTED_RATIO = 1;
/** Errors closer than this count as equal; both descents are driven by noise of their own. */
const EQUAL_ERROR = 0.01;
/** Both may use as many threads as a small laptop has cores. */
const THREADS = 2;
const [ROWS, COLUMNS] = [768, 3072];
const STEPS = 600;
/** Goes into the file's name: change it with the matrices, or an older file is used. */
const VERSION = 1;

/** σ of entry (i, j): equal, as PyTorch initialises a layer, or falling along both sides, so that the spectrum decays. */
const MATRICES = {
  kaiming: () => 1,
  decaying: (i, j) => ((1 + i) * (1 + j)) ** -0.25,
};

function layer(kind) {
  const file = path.join(benchFolder(), `layer-${kind}-${ROWS}x${COLUMNS}-${VERSION}.safetensors`);
  if (existsSync(file)) return file;
  const values = new Float32Array(ROWS * COLUMNS);
  let state = 20240607;
  for (let k = 0; k < values.length; k++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    // PyTorch's bound for a layer of so many inputs: uniform in ±1/√n.
    const uniform = state / 2 ** 31 / Math.sqrt(COLUMNS);
    values[k] = uniform * MATRICES[kind](Math.floor(k / COLUMNS), k % COLUMNS);
  }
  const entry = { dtype: 'F32', shape: [ROWS, COLUMNS], data_offsets: [0, values.byteLength] };
  const json = Buffer.from(JSON.stringify({ 'layer.weight': entry }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(`${file}.partial`, Buffer.concat([length, json, Buffer.from(values.buffer)]));
  renameSync(`${file}.partial`, file);
  return file;
}

function rankscope(file, rank, folder) {
  const document = path.join(folder, 'conversion.json');
  const fixed = ['--to', 'sine', '--no-cache', '--threads', String(THREADS)];
  return {
    label: 'rankscope convert',
    command: process.execPath,
    args: [cli, 'convert', file, ...fixed, '--rank', String(rank), '--out', folder, '--json', document],
    outcome: () => {
      const [{ relativeError, svdRelativeError, seconds }] = JSON.parse(
        readFileSync(document, 'utf8'),
      ).layers;
      return { seconds, error: relativeError, svdError: svdRelativeError };
    },
  };
}

function peer(python, file, rank) {
  const script = path.join(here, 'peer_torch_sine.py');
  return {
    label: `plain PyTorch ${python.facts.torch}, ${THREADS} threads`,
    command: python.facts.executable,
    args: [script, file, String(rank), String(STEPS), String(THREADS)],
    outcome: ({ stdout }) => JSON.parse(/^\{"seconds".*$/m.exec(stdout)[0]),
  };
}

async function once(subject, env, run) {
  const result = await measure(subject.command, subject.args, env);
  if (result.code !== 0) throw new Error(`${subject.label} failed (${result.code}): ${result.stderr.trim()}`);
  const outcome = subject.outcome(result);
  console.log(
    `run ${run + 1}: ${subject.label}  ${result.seconds.toFixed(1)} s (the fit ${outcome.seconds.toFixed(1)} s,` +
      ` CPU ${result.cpuSeconds?.toFixed(1) ?? '?'} s)  error ${outcome.error.toFixed(4)},` +
      ` truncated SVD ${outcome.svdError.toFixed(4)}`,
  );
  return { ...result, outcome };
}

function report(subjects, results) {
  const of = (i, pick) => median(results[i].map(pick));
  const [ours, theirs] = [0, 1].map((i) => of(i, (result) => result.seconds));
  const [fit, theirFit] = [0, 1].map((i) => of(i, (result) => result.outcome.seconds));
  const [error, theirError] = [0, 1].map((i) => of(i, (result) => result.outcome.error));
  const ratio = ours / theirs;
  const isEqual = error <= theirError + EQUAL_ERROR;
  console.log(`\nMedians of ${results[0].length}, interleaved.`);
  console.log(`${subjects[0].label}: ${ours.toFixed(1)} s against ${theirs.toFixed(1)} s of plain PyTorch`);
  console.log(
    `  ratio ${ratio.toFixed(2)}, at most ${WANTED_RATIO} wanted: ${ratio <= WANTED_RATIO ? 'as wanted' : 'MISSED'}`,
  );
  console.log(
    `  the fit alone: ratio ${(fit / theirFit).toFixed(2)} (ours takes spectra before and after with it)`,
  );
  console.log(
    `  error ${error.toFixed(4)} against ${theirError.toFixed(4)}: ${isEqual ? 'equal or better' : 'WORSE'}`,
  );
  return ratio <= WANTED_RATIO && isEqual ? 0 : 3;
}

function parse(args) {
  const { values } = parseArgs({
    args,
    options: {
      matrix: { type: 'string', default: 'kaiming' },
      rank: { type: 'string', default: '64' },
      runs: { type: 'string', default: '3' },
    },
  });
  const [rank, runs] = [Number(values.rank), Number(values.runs)];
  if (!Object.hasOwn(MATRICES, values.matrix))
    throw new Error(`--matrix ${values.matrix}: not one of ${Object.keys(MATRICES).join(', ')}`);
  if (!Number.isInteger(rank) || rank < 1 || rank > ROWS)
    throw new Error(`--rank ${values.rank}: not a rank`);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs}: not a number of runs`);
  return { matrix: values.matrix, rank, runs };
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
  const python = findPython(['torch', 'numpy']);
  if (python === undefined) {
    console.error('no Python here has torch and numpy');
    return 1;
  }
  console.log(
    `${os.cpus()[0]?.model ?? 'unknown processor'}, ${os.cpus().length} cores; node ${process.version}`,
  );
  console.log(
    `${options.matrix} ${ROWS} × ${COLUMNS}, k = ${options.rank}, at most ${STEPS} steps a descent`,
  );
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-bench-'));
  try {
    const file = layer(options.matrix);
    const subjects = [rankscope(file, options.rank, folder), peer(python, file, options.rank)];
    const results = subjects.map(() => []);
    for (let i = 0; i < options.runs; i++)
      for (const [s, subject] of subjects.entries()) results[s].push(await once(subject, python.env, i));
    return report(subjects, results);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
