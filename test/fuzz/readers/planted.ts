/** Readers that are wrong on purpose, in the cases whose first byte is 0 … 7: the fuzzer has to find them. */
import { openSync, readFileSync } from 'node:fs';
import { CheckpointError } from '../../../src/checkpoint/errors';
import { type FuzzReader, oneFile } from '../reader';

/** What is done wrong; the files are sound but for these. */
const FAULTS: Readonly<Record<string, (file: string) => unknown>> = {
  'planted-hang': () => {
    for (;;);
  },
  'planted-wait': () => new Promise(() => undefined),
  'planted-type-error': () => (undefined as unknown as string).length,
  'planted-memory': () => Array.from({ length: 4000 }, (_, i) => Buffer.alloc(2 ** 20, i + 1)).length,
  'planted-heap': () => {
    const kept: number[][] = [];
    for (;;) kept.push(Array<number>(2 ** 20).fill(0.5));
  },
  'planted-rejection': () => {
    void Promise.reject(new RangeError('nobody waits'));
  },
  'planted-exit': () => process.exit(3),
  'planted-leak': (file) => openSync(file, 'r'),
  'planted-lines': (file) => {
    throw Object.assign(new CheckpointError('malformed', 'two', { file }), {
      message: `${file}: two\nlines`,
    });
  },
  'planted-nameless': () => {
    throw new CheckpointError('malformed', 'something is wrong');
  },
  'planted-prototype': () => Object.assign(Object.prototype, { polluted: 1 }),
  'planted-nothing': () => undefined,
};

export const PLANTED: readonly FuzzReader[] = Object.entries(FAULTS).map(([name, fault]) => ({
  name,
  seeds: () => [oneFile('planted.bin', Buffer.from('honest bytes, none of them small'))],
  mutators: () => [(bytes, random) => Buffer.concat([Buffer.from([random.below(256)]), bytes.subarray(1)])],
  exercise: async (given) => {
    const [first = 255] = readFileSync(given);
    if (first < 8) await fault(given);
    else if (first < 32) throw new CheckpointError('malformed', 'a small byte', { file: given });
  },
}));
