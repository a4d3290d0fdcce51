/** Samples in any order: held as bytes, held as floats, or left in their file. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Dataset } from '../../src/network/data/dataset';
import { holdSamples, MAX_HELD_BYTES } from '../../src/training/tasks/heldSamples';
import { ValueTables } from '../../src/training/tasks/valueTables';

const signal = new AbortController().signal;
const SAMPLES = 300;
const SIZE = 24;

/** Pictures of 2 × 4 × 3 and what is asked of them. */
function dataset(value: (i: number) => number): Dataset & { reads: [number, number][]; isClosed: boolean } {
  const values = Float32Array.from({ length: SAMPLES * SIZE }, (_, i) => value(i));
  const reads: [number, number][] = [];
  return {
    samples: SAMPLES,
    shape: [2, 4, 3],
    identity: '',
    notes: [],
    reads,
    isClosed: false,
    read: (from, to) => {
      reads.push([from, to]);
      return Promise.resolve(values.slice(from * SIZE, to * SIZE));
    },
    dispose() {
      this.isClosed = true;
      return Promise.resolve();
    },
  };
}

/** Bytes, scaled and normalised by channel: 768 different values. */
const bytes = (i: number): number => (((i * 7919) % 256) / 255 - 0.1 * (i % 3)) / (0.2 + (i % 3));
const floats = (i: number): number => Math.sin(i);
const INDICES = [7, 299, 8, 9, 7, 0, 150];

describe('samples in any order', () => {
  for (const [name, value, budget, isClosed] of [
    ['bytes by another name', bytes, SAMPLES * SIZE, true],
    ['floats', floats, MAX_HELD_BYTES, true],
    ['floats too many to be held', floats, SAMPLES * SIZE, false],
    ['anything too much to be held', bytes, SAMPLES * SIZE - 1, false],
  ] as const) {
    test(`${name} come back to the last bit`, async () => {
      const source = dataset(value);
      const held = await holdSamples(source, signal, undefined, budget);
      assert.equal(source.isClosed, isClosed);
      const before = source.reads.length;
      const found = await held.gather(INDICES, signal);
      assert.deepEqual(
        found,
        Float32Array.from(
          INDICES.flatMap((sample) => Array.from({ length: SIZE }, (_, i) => value(sample * SIZE + i))),
        ),
      );
      // From the file, neighbours are read together: 0, 7 to 9, 150 and 299.
      const reads = source.reads.slice(before);
      assert.deepEqual(
        reads,
        isClosed
          ? []
          : [
              [0, 1],
              [7, 10],
              [150, 151],
              [299, 300],
            ],
      );
      await held.dispose();
      assert.ok(source.isClosed);
    });
  }

  test('a failure or a cancellation closes the data', async () => {
    const broken = dataset(bytes);
    broken.read = () => Promise.reject(new Error('the disk is gone'));
    await assert.rejects(holdSamples(broken, signal), /the disk is gone/);
    assert.ok(broken.isClosed);
  });

  test('progress is told when it takes its time', async () => {
    const source = dataset(bytes);
    const read = source.read.bind(source);
    source.read = async (from, to) => {
      await new Promise((resolve) => setTimeout(resolve, 25));
      return read(from, to);
    };
    const fractions: number[] = [];
    await holdSamples(source, signal, (fraction) => fractions.push(fraction));
    assert.ok(fractions.length >= 3 && fractions.every((x, i) => x > (fractions[i - 1] ?? -1) && x < 1));
  });
});

describe('tables of values', () => {
  test('hold 256 different values and no more, zeros of both signs and NaN among them', () => {
    const some = Float32Array.from(
      { length: 256 },
      (_, i) => [0, -0, NaN, Infinity][i] ?? Math.fround(i / 7),
    );
    const tables = new ValueTables(1);
    const codes = new Uint8Array(512);
    assert.ok(tables.encode(Float32Array.of(...some, ...some.toReversed()), codes));
    assert.equal(new Set(codes).size, 256);
    const back = new Float32Array(512);
    tables.decode(codes, back);
    assert.deepEqual(back.subarray(0, 256), some);
    assert.deepEqual(back.subarray(256), some.toReversed());
    assert.ok(!tables.encode(Float32Array.of(0.123), codes));
  });
});
