/** A process that runs cases: node worker.js <folder> <progress file> <limits as JSON>. */
import { closeSync, openSync } from 'node:fs';
import { CaseFolder } from './caseFolder';
import { runCase } from './runCase';
import { type FuzzCase, makeCase } from './fuzzCase';
import {
  type Batch,
  EXIT_TOO_LARGE,
  type Limits,
  NO_PROGRESS,
  type Progress,
  type WorkerMessage,
  writeProgress,
} from './protocol';
import type { FuzzReader, Seed } from './reader';
import { readerOf } from './readers/all';

const [, , folderPath = '', progressPath = '', limitsText = ''] = process.argv;
// The parent's own words.
const limits = JSON.parse(limitsText) as Limits;
const folder = new CaseFolder(folderPath);
const progressFile = openSync(progressPath, 'r+');

let progress: Progress = NO_PROGRESS;
let reader: FuzzReader | undefined;
let seeds: readonly Seed[] = [];
let firstPeak = 0;
let lowestFree = 0;
let stray: Error | undefined;

process.on('unhandledRejection', (error) => {
  stray = error instanceof Error ? error : new Error('a rejection that is no Error');
});
process.on('uncaughtException', (error) => {
  stray = error;
});
process.on('disconnect', () => process.exit());
process.on('message', (batch: Batch) => void run(batch));

async function run(batch: Batch): Promise<void> {
  if (reader === undefined) await prepare(batch);
  let next = batch.from;
  for (; next < batch.to && (next === batch.from || Date.now() < batch.until); next++) {
    progress = { ...progress, case: next, begun: Date.now() };
    writeProgress(progressFile, progress);
    await runNumber(batch.seed, next);
  }
  progress = { ...progress, begun: 0 };
  writeProgress(progressFile, progress);
  send({ kind: 'done', next });
}

/** Loads seeds and code, so that what these take counts for no case. */
async function prepare(batch: Batch): Promise<void> {
  reader = readerOf(batch.reader);
  seeds = reader.seeds();
  for (const number of [0, 0]) {
    const made = makeCase(reader, seeds, batch.seed, number);
    folder.put(made.files);
    // Whatever is wrong with it is told when its turn comes.
    if (reader.exercise === undefined) await runCase(reader, made, folder.folder).catch(() => undefined);
  }
  firstPeak = peakBytes();
  lowestFree = lowestFreeDescriptor();
}

async function runNumber(seed: number, number: number): Promise<void> {
  if (reader === undefined) return;
  let made: FuzzCase;
  try {
    made = makeCase(reader, seeds, seed, number);
    folder.put(made.files);
  } catch (error) {
    report(number, new Error('the fuzzer could not make this case', { cause: error }));
    return;
  }
  const begun = performance.now();
  let outcome: 'opened' | 'refused' | undefined;
  try {
    outcome = await runCase(reader, made, folder.folder);
    // Rejections that nobody waits for come to light in the next turn.
    await new Promise((resume) => setImmediate(resume));
    if (stray !== undefined) throw stray;
  } catch (error) {
    report(number, error);
  }
  stray = undefined;
  account(number, outcome, performance.now() - begun);
  const free = lowestFreeDescriptor();
  if (free > lowestFree) {
    report(number, new Error(`${free - lowestFree} file descriptors left open`));
    lowestFree = free;
  }
}

function account(number: number, outcome: 'opened' | 'refused' | undefined, milliseconds: number): void {
  const { opened, refused, slowestMilliseconds, peakBytes: before } = progress;
  const grown = peakBytes() - firstPeak;
  progress = {
    ...progress,
    opened: opened + (outcome === 'opened' ? 1 : 0),
    refused: refused + (outcome === 'refused' ? 1 : 0),
    ...(milliseconds > slowestMilliseconds && { slowestMilliseconds: milliseconds, slowestCase: number }),
    ...(grown > before && { peakBytes: grown, peakCase: number }),
  };
  if (grown > limits.bytes) {
    writeProgress(progressFile, progress);
    process.exit(EXIT_TOO_LARGE);
  }
}

function report(number: number, error: unknown): void {
  const thrown = error instanceof Error ? error : new Error(`not an Error: ${String(error)}`);
  const { stack = '' } = thrown.cause instanceof Error && thrown.name === 'Error' ? thrown.cause : thrown;
  const [place = ''] = /^\s+at .*$/m.exec(stack) ?? [];
  const signature = `${thrown.name} ${thrown.name === 'BrokenPromise' || place === '' ? thrown.message.replace(/[\d"'].*/s, '') : place.trim()}`;
  const reason = `${thrown.name}: ${JSON.stringify(thrown.message.slice(0, 500))} ${place.trim()}`;
  send({ kind: 'finding', case: number, signature, reason });
}

function send(message: WorkerMessage): void {
  process.send?.(message);
}

/** The most memory that this process ever had. */
function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

/** Files get the lowest number that is free: a higher one than before means that one was left open. */
function lowestFreeDescriptor(): number {
  const fd = openSync(progressPath, 'r');
  closeSync(fd);
  return fd;
}
