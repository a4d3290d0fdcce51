/** The safety verdict: looks at what all the others read, and at what none of them does. */
import { deflateSync, gunzipSync, gzipSync } from 'node:zlib';
import { type Inspection, LEVELS, inspect } from '../../../src/checkpoint/inspect';
import { bytes, pickle } from '../../fixtures/handmade';
import { BrokenPromise } from '../exercise';
import { PICKLE } from '../mutators/pickle';
import { ZIP, insideZip, writeZip } from '../mutators/zip';
import { type Mutator, type Seed, oneFile } from '../reader';
import type { ReaderEntry } from './all';
import { sharedFiles } from './seeds';

/** What an inspection tells at most; more would be told by nobody. */
const MAX_REPORT = 16 * 1024 * 1024;

async function exerciseInspection(given: string): Promise<void> {
  const found = await inspect(given);
  if (!LEVELS.includes(found.verdict)) throw new BrokenPromise(`the verdict is ${found.verdict}`);
  const report = JSON.stringify(found);
  if (report.length > MAX_REPORT) throw new BrokenPromise(`a report of ${report.length} characters`);
  for (const text of textsOf(found)) {
    // eslint-disable-next-line no-control-regex -- these are what must not be there
    if (/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/.test(text))
      throw new BrokenPromise(`a text that is no line: ${JSON.stringify(text)}`);
  }
}

function textsOf({ format, globals, findings, notes }: Inspection): string[] {
  return [
    format,
    ...notes,
    ...globals.flatMap(({ name, reason, where }) => [name, reason, where]),
    ...findings.flatMap(({ message, where }) => [message, where]),
  ];
}

/** A pickle that calls what it names, and the same within others. */
function disguised(): Seed[] {
  const call = pickle.file(pickle.call(pickle.global('os', 'system'), pickle.text('true')));
  const archive = writeZip([
    { name: Buffer.from('a/data.pkl'), data: call, isDeflated: false },
    { name: Buffer.from('a/code/__torch__.py'), data: Buffer.from('class A:\n  pass\n'), isDeflated: true },
  ]);
  const nested = writeZip([{ name: Buffer.from('inner.zip'), data: archive, isDeflated: true }]);
  return [
    oneFile('call.pkl', call),
    oneFile('call.pt', archive),
    oneFile('nested.zip', nested),
    oneFile('call.pkl.gz', gzipSync(call)),
    oneFile('call.joblib', deflateSync(call)),
    oneFile('front.bin', bytes('GGUF', Buffer.alloc(64), archive)),
    oneFile(
      'config.json',
      Buffer.from(JSON.stringify({ auto_map: { AutoModel: 'modeling.Net' }, list: [1, 'a'] })),
    ),
  ];
}

const insideGzip: Mutator = (bytes, random, context) => {
  try {
    const inner = random.pick(PICKLE)(gunzipSync(bytes, { maxOutputLength: 1 << 22 }), random, context);
    return inner === undefined ? undefined : gzipSync(inner);
  } catch {
    return undefined;
  }
};

const OWN = new Map<string, readonly Mutator[]>([
  ['pkl', PICKLE],
  ['pickle', PICKLE],
  ['gz', [insideGzip]],
  ['zip', [...ZIP, insideZip(() => [...PICKLE, ...ZIP])]],
  ['pt', [...ZIP, insideZip((name) => (name.endsWith('.pkl') ? PICKLE : []))]],
]);

/** @param readers whose files are looked at as well */
export function inspection(readers: readonly ReaderEntry[]): ReaderEntry {
  const known = new Map<string, readonly Mutator[]>();
  const seeds = (): Seed[] => [
    ...disguised(),
    ...readers.flatMap((reader) =>
      reader.seeds().flatMap(({ files: [first, ...more] }) => {
        if (first === undefined || more.length > 0) return [];
        known.set(first.path, reader.mutators(first.path));
        return [oneFile(first.path, first.bytes)];
      }),
    ),
  ];
  return {
    name: 'inspect',
    seeds,
    sharedSeeds: () => sharedFiles(/^hostile_picklescan\/data\//),
    mutators: (file) => known.get(file) ?? OWN.get(file.slice(file.lastIndexOf('.') + 1)) ?? [],
    exercise: exerciseInspection,
  };
}
