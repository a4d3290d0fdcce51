// Gives every reader of checkpoints broken files: each has to open or to refuse in one line, in good time, in little memory.
//   node scripts/fuzz.mjs [--reader gguf,hdf5…] [--cases 20000] [--seconds 120] [--seed 1] [--jobs 2]
//   node scripts/fuzz.mjs --case <reader>:<seed>:<number> [--write <folder>]
// Cases follow from reader, seed and number alone. `--cases` are of each reader; `--seconds` are of all together.
//
// The mutators are our own: Jazzer.js, which would follow the code's coverage, is a native library for each platform that
// watches one process and ends with its first finding. Mutators that know the formats come as deep, and each case has
// its process watched for time, memory and open files.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

/* global AbortController */

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const built = path.join(root, 'dist/test/fuzz');
const workerPath = path.join(built, 'worker.js');
// Seeds are found from the project's root.
process.chdir(root);

const OPTIONS = {
  options: {
    help: { type: 'boolean', short: 'h' },
    reader: { type: 'string' },
    cases: { type: 'string', default: '20000' },
    seconds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    case: { type: 'string' },
    write: { type: 'string' },
  },
};

const values = given();
if (values.help) {
  console.log(`npm run fuzz -- [--reader gguf,hdf5…] [--cases 20000] [--seconds 120] [--seed 1] [--jobs 2]
npm run fuzz -- --case <reader>:<seed>:<number> [--write <folder>]`);
  process.exit(0);
}

function given() {
  try {
    return parseArgs(OPTIONS).values;
  } catch (error) {
    return fail(error.message);
  }
}

function fail(message) {
  console.error(message);
  process.exit(2);
}

function wholeNumber(name, least) {
  const number = Number(values[name]);
  if (!Number.isSafeInteger(number) || number < least) fail(`--${name} is a whole number from ${least} on`);
  return number;
}

if (!existsSync(workerPath)) fail('not built yet: node esbuild.mjs --tests');
const { allReaders, fuzzReader, makeCase, readerOf } = await import(
  pathToFileURL(path.join(built, 'main.js'))
);

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
process.once('SIGTERM', () => stop.abort());

const reports = values.case === undefined ? await fuzzAll() : [await replay(values.case)];
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
tell(reports);
if (stop.signal.aborted) process.exit(130);
process.exit(reports.some(({ findings }) => findings.length > 0) ? 1 : 0);

async function fuzzAll() {
  const known = allReaders().map(({ name }) => name);
  const names = values.reader?.split(',') ?? known;
  for (const name of names) if (!known.includes(name)) fail(`--reader is one of: ${known.join(', ')}`);
  const cases = wholeNumber('cases', 1);
  const seed = wholeNumber('seed', 0);
  const jobs = wholeNumber('jobs', 1);
  const end = values.seconds === undefined ? Infinity : Date.now() + 1000 * wholeNumber('seconds', 1);
  const reports = [];
  for (const [i, reader] of names.entries()) {
    if (stop.signal.aborted) break;
    // What earlier readers left over is shared among the later ones.
    const milliseconds = Math.max(500, (end - Date.now()) / (names.length - i));
    const begun = Date.now();
    const onProgress = (done) => {
      const spent = Date.now() - begun;
      const left = Math.min((spent / Math.max(1, done)) * (cases - done), milliseconds - spent);
      const later = (spent + left) * (names.length - 1 - i);
      progress(
        `${i + 1}/${names.length} ${reader}: ${done} of ${cases} cases, about ${Math.ceil((left + later) / 1000)} s left`,
      );
    };
    const request = { reader, seed, from: 0, to: cases, jobs, milliseconds, workerPath, onProgress };
    reports.push({ seed, ...(await fuzzReader({ ...request, signal: stop.signal })) });
  }
  return reports;
}

async function replay(id) {
  const [, reader, seedText, numberText] =
    /^([\w-]+):(\d+):(\d+)$/.exec(id) ?? fail('--case is <reader>:<seed>:<number>');
  const [seed, number] = [Number(seedText), Number(numberText)];
  if (values.write !== undefined) {
    const entry = readerOf(reader);
    for (const { path: name, bytes } of makeCase(entry, entry.seeds(), seed, number).files) {
      const target = path.join(values.write, name);
      mkdirSync(path.dirname(target), { recursive: true });
      writeFileSync(target, bytes);
      console.log(`${target}: ${bytes.length} bytes`);
    }
  }
  const request = { reader, seed, from: number, to: number + 1, jobs: 1, milliseconds: 60_000, workerPath };
  return { seed, ...(await fuzzReader({ ...request, signal: stop.signal })) };
}

function progress(line) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

function tell(all) {
  const columns = ['reader', 'cases', 'opened', 'refused', 'cases/s', 'slowest', 'memory', 'findings'];
  const rows = all.map((report) => [
    report.reader,
    report.cases,
    report.opened,
    report.refused,
    Math.round(report.cases / report.seconds),
    `${report.slowest.milliseconds.toFixed(0)} ms (${report.slowest.case})`,
    `${Math.round(report.peak.bytes / 2 ** 20)} MB (${report.peak.case})`,
    report.findings.length,
  ]);
  const table = [columns, ...rows].map((row) => row.map(String));
  const widths = columns.map((_, at) => Math.max(...table.map((row) => row[at].length)));
  for (const row of table)
    console.log(
      row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join('  '),
    );
  for (const { reader, seed, findings, unrepeated } of all) {
    for (const { case: number, reason, count } of findings)
      console.log(
        `\n${reader} (${count} ${count === 1 ? 'case' : 'cases'}): ${reason}\n  node scripts/fuzz.mjs --case ${reader}:${seed}:${number} --write <folder>`,
      );
    for (const { case: number, reason } of unrepeated)
      console.log(`\n${reader}, once and not again when run alone: ${reason} (${reader}:${seed}:${number})`);
  }
}
