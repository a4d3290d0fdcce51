/** Rankscope's audit against plain Python: whole processes, interleaved, medians and their ratios. */
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measure, median } from './measure.mjs';
import { DEFAULT_PEERS, PEER_NAMES, findPeers } from './peers.mjs';
import { vitCheckpoint } from './vit.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const cli = path.join(here, '../../dist/cli.js');

/** What is measured: each has a label, a command for a file, and a way to get compute seconds from a finished run. */
function rankscope(folder) {
  const document = path.join(folder, 'audit.json');
  return {
    name: 'rankscope',
    label: 'rankscope audit',
    env: {},
    command: (file) => [process.execPath, [cli, 'audit', file, '--json', document, '--no-cache']],
    computeSeconds: () => JSON.parse(readFileSync(document, 'utf8')).seconds,
  };
}

/** A peer's report is one line of its output; libraries may print around it. */
const peerSubject = (peer) => ({
  ...peer,
  computeSeconds: ({ stdout }) => JSON.parse(/^\{"computeSeconds".*$/m.exec(stdout)[0]).computeSeconds,
});

async function once(subject, file) {
  const [command, args] = subject.command(file);
  const result = await measure(command, args, subject.env);
  if (result.code !== 0) throw new Error(`${subject.label} failed (${result.code}): ${result.stderr.trim()}`);
  return { ...result, computeSeconds: subject.computeSeconds(result) };
}

/** A B C A B C …, so that a noisy minute on a shared machine falls on all of them. */
async function interleaved(subjects, file, runs) {
  const results = new Map(subjects.map(({ name }) => [name, []]));
  for (let run = 0; run < runs; run++) {
    for (const subject of subjects.filter(({ name }) => results.has(name))) {
      const result = await once(subject, file).catch((error) => {
        // A peer that cannot read the file is no reason to measure nothing; Rankscope failing is.
        if (subject.name === 'rankscope') throw error;
        console.log(`LEFT OUT: ${error.message.split('\n').at(-1)}`);
      });
      if (result === undefined) {
        results.delete(subject.name);
        continue;
      }
      results.get(subject.name).push(result);
      console.log(`run ${run + 1}: ${subject.label}  ${result.seconds.toFixed(2)} s`);
    }
  }
  return results;
}

const megabytes = (bytes) => (bytes === undefined ? 'not measured' : `${(bytes / 2 ** 20).toFixed(0)} MiB`);
const seconds = (value) => (value === undefined ? 'not measured' : `${value.toFixed(2)} s`);

function medians(results) {
  const of = (key) =>
    results.some((r) => r[key] === undefined) ? undefined : median(results.map((r) => r[key]));
  return {
    seconds: of('seconds'),
    // On a shared machine the fastest run is the one that was disturbed least.
    fastest: Math.min(...results.map((r) => r.seconds)),
    computeSeconds: of('computeSeconds'),
    cpuSeconds: of('cpuSeconds'),
    peakBytes: Math.max(...results.map((r) => r.peakBytes ?? NaN)),
  };
}

function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('   '),
    );
  }
}

function printResults(subjects, results, runs) {
  const measured = subjects.filter(({ name }) => results.has(name));
  const summary = measured.map((subject) => ({ ...subject, ...medians(results.get(subject.name)) }));
  const [ours] = summary;
  console.log(`\nMedians of ${runs}, interleaved; ratios are Rankscope ÷ peer.`);
  printTable([
    ['', 'whole process', 'ratio', 'fastest', 'ratio', 'compute only', 'ratio', 'CPU', 'peak memory'],
    ...summary.map((row) => [
      row.label,
      seconds(row.seconds),
      row === ours ? '' : (ours.seconds / row.seconds).toFixed(2),
      seconds(row.fastest),
      row === ours ? '' : (ours.fastest / row.fastest).toFixed(2),
      seconds(row.computeSeconds),
      row === ours ? '' : (ours.computeSeconds / row.computeSeconds).toFixed(2),
      seconds(row.cpuSeconds),
      megabytes(Number.isNaN(row.peakBytes) ? undefined : row.peakBytes),
    ]),
  ]);
  console.log(
    'compute only: the whole audit job, reading included, for Rankscope; the SVD calls alone for the peers',
  );
}

function printMachine(peers) {
  console.log(
    `${os.cpus()[0]?.model ?? 'unknown processor'}, ${os.cpus().length} cores, ${os.type()} ${os.release()}`,
  );
  console.log(`node ${process.version}`);
  for (const { label, facts, env } of peers) {
    const core = env.OPENBLAS_CORETYPE === undefined ? '' : `, OPENBLAS_CORETYPE=${env.OPENBLAS_CORETYPE}`;
    const versions = `python ${facts.python}, numpy ${facts.numpy}${facts.torch === null ? '' : `, torch ${facts.torch}`}`;
    console.log(`${label}: ${versions}${core}`);
    const fast = facts.blas.some((library) => /openblas|mkl/i.test(library));
    if (facts.blas.length > 0 && !fast)
      console.log(`  WARNING: a slow BLAS, ${facts.blas.join(', ')}; ratios flatter Rankscope`);
  }
}

/** Errors against a float64 SVD on a few layers, ours beside the float32 peers'. */
async function printAccuracy(peers, file, folder) {
  const host = peers.find(({ facts }) => facts.torch !== null) ?? peers[0];
  if (host === undefined) return;
  const document = path.join(folder, 'spectra.json');
  const audit = await measure(process.execPath, [cli, 'audit', file, '--json', document, '--spectra']);
  if (audit.code !== 0) throw new Error(`rankscope audit --spectra failed: ${audit.stderr.trim()}`);
  const check = await measure(
    host.facts.executable,
    [path.join(here, 'accuracy.py'), file, document],
    host.env,
  );
  if (check.code !== 0) {
    console.log(`\nLEFT OUT: accuracy: ${check.stderr.trim().split('\n').at(-1)}`);
    return;
  }
  const rows = JSON.parse(check.stdout);
  console.log('\nLargest |σ − σ₆₄| ÷ σ₁ against numpy’s float64 SVD');
  const cell = (value) => (value === undefined ? '' : value.toExponential(1));
  printTable([
    ['', 'shape', 'rankscope', 'torch float32', 'numpy, float32 given'],
    ...rows.map((r) => [r.name, r.shape.join('×'), cell(r.rankscope), cell(r.torch32), cell(r.numpy32)]),
  ]);
}

function parse(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '5' },
      peers: { type: 'string', default: DEFAULT_PEERS.join(',') },
      'trust-file': { type: 'boolean', default: false },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs}: not a number of runs`);
  const names = values.peers.split(',').filter(Boolean);
  const unknown = names.find((name) => !PEER_NAMES.includes(name));
  if (unknown !== undefined) throw new Error(`--peers ${unknown}: not one of ${PEER_NAMES.join(', ')}`);
  return { runs, names, file: positionals[0], trustsFile: values['trust-file'] };
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
  if (!existsSync(cli)) {
    console.error('dist/cli.js is not built: npm run build');
    return 1;
  }
  const file = path.resolve(options.file ?? vitCheckpoint());
  const peers = findPeers(options.names, options.trustsFile);
  printMachine(peers);
  // Read once, so that the first process does not pay for the disk.
  const { size } = statSync(file);
  if (size < os.freemem()) await finished(createReadStream(file, { highWaterMark: 2 ** 20 }).resume());
  console.log(`${file}, ${(size / 2 ** 20).toFixed(1)} MiB\n`);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-bench-'));
  try {
    const subjects = [rankscope(folder), ...peers.map(peerSubject)];
    printResults(subjects, await interleaved(subjects, file, options.runs), options.runs);
    await printAccuracy(peers, file, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
  return 0;
}
