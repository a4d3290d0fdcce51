import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { type FuzzCase, makeCase } from '../fuzz/fuzzCase';
import { lookup3 } from '../fuzz/mutators/hdf5';
import { type FuzzRequest, type ReaderReport, fuzzReader } from '../fuzz/pool';
import { allReaders, readerOf } from '../fuzz/readers/all';
import { ROOT } from '../reference/references';

const workerPath = path.join(ROOT, 'dist/test/fuzz/worker.js');

/** Small limits, so that what is wrong on purpose is found soon. */
const LIMITS = { milliseconds: 1500, bytes: 200 * 2 ** 20 };

/** Without seeds a reader would be left out. */
const READERS = [
  ...['safetensors', 'factors', 'sharded', 'packed', 'adapters', 'npy', 'npz', 'pickle'],
  ...['torch-zip', 'torch-legacy', 'torch-tar', 'onnx-graph', 'onnx', 'gguf', 'hdf5', 'keras'],
  ...['tensorflow', 'saved-model', 'tensorflow-js', 'tflite', 'inspect'],
];

/** For those that take their time to take memory. */
const PATIENT = { ...LIMITS, milliseconds: 20_000 };

function fuzz(reader: string, more: Partial<FuzzRequest> = {}): Promise<ReaderReport> {
  const request = {
    reader,
    seed: 1,
    from: 0,
    to: 500,
    jobs: 1,
    milliseconds: 60_000,
    limits: LIMITS,
    workerPath,
  };
  return fuzzReader({ ...request, ...more });
}

function text({ files }: FuzzCase): string {
  return files.map(({ path: name, bytes }) => `${name} ${bytes.toString('latin1')}`).join('\n');
}

describe('cases', () => {
  test('follow from reader, seed and number alone, and the seeds come first as they are', () => {
    for (const reader of allReaders()) {
      const [seeds, again] = [reader.seeds(), reader.seeds()];
      assert.ok(seeds.length > 0, reader.name);
      assert.deepEqual(makeCase(reader, seeds, 1, 0).files, seeds[0]?.files);
      // In any order.
      const numbers = [seeds.length + 7, seeds.length + 40, seeds.length];
      const cases = numbers.map((number) => text(makeCase(reader, seeds, 3, number)));
      const backwards = [...numbers].reverse().map((number) => text(makeCase(reader, again, 3, number)));
      assert.deepEqual(cases, backwards.reverse(), reader.name);
      const other = numbers.map((number) => text(makeCase(reader, seeds, 4, number)));
      assert.notDeepEqual(cases, other, reader.name);
    }
  });

  test('are there for every reader', () => {
    const names = new Set(allReaders().map(({ name }) => name));
    for (const name of READERS) assert.ok(names.has(name), name);
  });

  test('differ from one another', () => {
    const reader = readerOf('safetensors');
    const seeds = reader.seeds();
    const made = Array.from({ length: 200 }, (_, i) => text(makeCase(reader, seeds, 1, i)));
    assert.ok(new Set(made).size > 180);
  });

  test('the checksum of HDF5 is Jenkins’ hash', () => {
    // The values that its author's own test program prints.
    const four = Buffer.from('Four score and seven years ago');
    assert.equal(lookup3(four, 0, four.length), 0x17770551);
    assert.equal(lookup3(Buffer.alloc(0), 0, 0), 0xdeadbeef);
  });
});

describe('the fuzzer finds', () => {
  const found = async (reader: string, reason: RegExp, more: Partial<FuzzRequest> = {}): Promise<void> => {
    const { findings, opened, refused } = await fuzz(reader, more);
    assert.equal(findings.length, 1, JSON.stringify(findings));
    assert.match(findings[0]?.reason ?? '', reason);
    assert.ok(opened + refused > 0, 'the other cases run all the same');
  };

  /** The first case that goes wrong and some that do not: each that does costs seconds. */
  const few = (name: string, limits = LIMITS): Partial<FuzzRequest> => {
    const reader = readerOf(name);
    const seeds = reader.seeds();
    const isWrong = (number: number): boolean =>
      (makeCase(reader, seeds, 1, number).files[0]?.bytes[0] ?? 255) < 8;
    let first = 0;
    while (!isWrong(first) || [1, 2, 3, 4].some((more) => isWrong(first + more))) first++;
    return { from: first, to: first + 5, limits };
  };

  test('a reader that never ends', () =>
    found('planted-hang', /takes more than 1500 ms/, few('planted-hang')));
  test('a reader that waits for ever', () =>
    found('planted-wait', /takes more than 1500 ms/, few('planted-wait')));
  test('another error than a CheckpointError', () => found('planted-type-error', /^TypeError/));
  test('a reader that takes too much memory outside the heap', () =>
    found('planted-memory', /more than 200 MB of memory/, few('planted-memory', PATIENT)));
  test('a reader that takes too much memory in the heap', () =>
    found('planted-heap', /more than 200 MB of memory/, few('planted-heap', PATIENT)));
  test('a rejection that nobody waits for', () => found('planted-rejection', /nobody waits/));
  test('a reader that ends the process', () => found('planted-exit', /the process ended: code 3/));
  test('a file left open', () => found('planted-leak', /1 file descriptors left open/));
  test('a message of two lines', () => found('planted-lines', /several lines/));
  test('a message that names no file', () => found('planted-nameless', /names no file/));
  test('a changed prototype', () => found('planted-prototype', /prototype/));

  test('nothing where nothing is wrong, and leaves nothing behind', async () => {
    const { findings, cases, opened, refused } = await fuzz('planted-nothing', { jobs: 2, to: 700 });
    assert.deepEqual(findings, []);
    assert.equal(cases, 700);
    assert.equal(opened + refused, 700);
    const left = existsSync('/dev/shm') ? readdirSync('/dev/shm') : [];
    // Other runs have folders of their own.
    assert.ok(left.filter((name) => name.startsWith(`rankscope-fuzz-${process.pid}-`)).length === 0);
  });

  test('the same whatever the number of processes', async () => {
    const numbers = async (jobs: number): Promise<unknown> => {
      const { opened, refused, findings } = await fuzz('planted-type-error', { jobs, to: 1200 });
      return [opened, refused, findings.map(({ count }) => count)];
    };
    assert.deepEqual(await numbers(1), await numbers(3));
  });

  test('what there is when told to stop', async () => {
    const stop = new AbortController();
    setTimeout(() => {
      stop.abort();
    }, 700);
    const begun = Date.now();
    const { findings } = await fuzz('planted-nothing', { to: 1e9, signal: stop.signal });
    assert.deepEqual(findings, []);
    assert.ok(Date.now() - begun < 1700);
  });
});
