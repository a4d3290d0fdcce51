/** Archives that show one thing to one program and another to the next. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { CheckpointError } from '../../src/checkpoint/errors';
import { inspect, type Inspection } from '../../src/checkpoint/inspect';
import { crc32 } from '../../src/checkpoint/write/crc32';
import { bytes, float32, pickle, temporaryFolder, torchTensor, uint32 } from '../fixtures/handmade';
import { ROOT } from '../reference/references';

const { write } = temporaryFolder();
let files = 0;
const inspected = (content: Uint8Array, name = 'model.pt'): Promise<Inspection> =>
  inspect(write(`${++files}-${name}`, content));
const messages = ({ findings }: Inspection) => findings.map(({ message }) => message).join('\n');
const named = ({ globals }: Inspection) => globals.map(({ name }) => name);

const uint16 = (value: number) => Uint8Array.of(value & 0xff, value >> 8);

interface Header {
  readonly name?: string;
  readonly flags?: number;
  readonly method?: number;
  readonly crc?: number;
  readonly compressed?: number;
  readonly size?: number;
}

interface Entry {
  readonly name: string;
  readonly data: Uint8Array;
  readonly deflate?: true;
  /** What the two headers say instead. */
  readonly local?: Header;
  readonly central?: Header & { readonly offset?: number; readonly mode?: number };
  /** In the file, and not in the directory. */
  readonly hidden?: true;
}

/** A ZIP archive whose headers are right where they are not told to lie (APPNOTE.TXT §4.3). */
function archive(entries: readonly Entry[], comment = ''): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  let count = 0;
  for (const { name, data, deflate, local, central, hidden } of entries) {
    const stored = deflate === true ? deflateRawSync(data) : data;
    const truth = {
      name,
      flags: 0,
      method: deflate === true ? 8 : 0,
      crc: crc32(data) >>> 0,
      compressed: stored.length,
      size: data.length,
    };
    const fields = (h: Required<Header>) =>
      bytes(
        uint16(h.flags),
        uint16(h.method),
        uint32(0),
        uint32(h.crc),
        uint32(h.compressed),
        uint32(h.size),
        uint16(h.name.length),
      );
    const first = { ...truth, ...local };
    const record = bytes('PK\x03\x04', uint16(20), fields(first), uint16(0), first.name, stored);
    locals.push(record);
    if (hidden !== true) {
      const second = { ...truth, offset, mode: 0, ...central };
      const tail = [
        uint16(0),
        uint16(0),
        uint16(0),
        uint16(0),
        uint32((second.mode << 16) >>> 0),
        uint32(second.offset),
      ];
      directory.push(bytes('PK\x01\x02', uint16(0x314), uint16(20), fields(second), ...tail, second.name));
      count++;
    }
    offset += record.length;
  }
  const central = Buffer.concat(directory);
  const end = bytes(
    'PK\x05\x06',
    uint32(0),
    uint16(count),
    uint16(count),
    uint32(central.length),
    uint32(offset),
  );
  return Buffer.concat([...locals, central, end, bytes(uint16(comment.length), comment)]);
}

const STATE = pickle.file(pickle.dict([pickle.text('w'), torchTensor([2, 3], [3, 1])]));
const EVIL = Buffer.from('\x80\x02cos\nsystem\n(X\x02\x00\x00\x00idtR.', 'latin1');
const WEIGHTS = { name: 'archive/data/0', data: float32(1, 2, 3, 4, 5, 6) };
const MODEL: readonly Entry[] = [{ name: 'archive/data.pkl', data: STATE }, WEIGHTS];

describe('ZIP archives', () => {
  it('as torch.save writes them are safe', async () => {
    const found = await inspected(archive(MODEL));
    assert.deepEqual([found.format, found.verdict, found.findings], ['PyTorch (zip)', 'safe', []]);
    const packed = await inspected(
      archive([{ name: 'archive/data.pkl', data: STATE, deflate: true }, WEIGHTS]),
    );
    assert.deepEqual([packed.verdict, packed.findings], ['safe', []]);
  });

  const evil = (entry: Partial<Entry>): readonly Entry[] => [...MODEL, { name: 'x', data: EVIL, ...entry }];
  const hiding: Readonly<Record<string, readonly Entry[]>> = {
    'under any name': evil({ name: 'archive/notes.txt' }),
    'among the tensors': evil({ name: 'archive/data/1' }),
    compressed: evil({ name: 'archive/data/1', deflate: true }),
    'marked as encrypted': evil({ local: { flags: 1 }, central: { flags: 1 } }),
    'under a method that nobody has': evil({ local: { method: 99 }, central: { method: 99 } }),
    'in no directory': evil({ hidden: true }),
    'in no directory, before all others': [{ name: 'x', data: EVIL, hidden: true }, ...MODEL],
    'under a name used twice': evil({ name: 'archive/data.pkl' }),
    'in an archive within': evil({ data: archive([{ name: 'y', data: EVIL }]) }),
    'of an old protocol': evil({ name: 'x.pkl', data: Buffer.from('cos\nsystem\n.') }),
  };
  for (const [how, entries] of Object.entries(hiding))
    it(`a pickle ${how} is found`, async () => {
      const found = await inspected(archive(entries));
      assert.ok(named(found).includes('os.system'), JSON.stringify(found.findings));
      assert.equal(found.verdict, 'dangerous');
    });

  const first = (entry: Partial<Entry>): readonly Entry[] => [
    { name: 'archive/data.pkl', data: STATE, ...entry },
    WEIGHTS,
  ];
  const tricks: readonly (readonly [string, Buffer, RegExp])[] = [
    [
      'two names',
      archive(first({ local: { name: 'archive/xata.pkl' } })),
      /is called "archive\/xata\.pkl" where its data begins/,
    ],
    ['two methods', archive(first({ local: { method: 8 } })), /two compression methods/],
    ['two sizes', archive(first({ local: { size: 5 } })), /two sizes/],
    ['two checksums', archive(first({ local: { crc: 5 } })), /two checksums/],
    ['a wrong checksum', archive(first({ local: { crc: 5 }, central: { crc: 5 } })), /wrong checksum/],
    ['encryption', archive(first({ local: { flags: 1 }, central: { flags: 1 } })), /encrypted/],
    ['encryption in one header', archive(first({ local: { flags: 1 } })), /in only one of its headers/],
    ['duplicates', archive([...MODEL, WEIGHTS]), /two entries are called "archive\/data\/0"/],
    [
      'an entry that is not there',
      archive(first({ central: { offset: 7 } })),
      /is not where the directory says/,
    ],
    [
      'overlaps',
      archive([...MODEL, { ...WEIGHTS, name: 'archive/data/1', central: { offset: 0 } }]),
      /overlaps/,
    ],
    ['a path that leaves', archive([...MODEL, { name: '../../etc/passwd', data: STATE }]), /leads elsewhere/],
    ['an absolute path', archive([...MODEL, { name: '/etc/passwd', data: STATE }]), /leads elsewhere/],
    ['a drive', archive([...MODEL, { name: 'C:\\x', data: STATE }]), /leads elsewhere/],
    [
      'a link',
      archive([...MODEL, { name: 'l', data: Buffer.from('/etc/passwd'), central: { mode: 0o120777 } }]),
      /is a link/,
    ],
    ['a comment', archive(MODEL, 'hello'), /a comment of 5 bytes/],
    ['bytes after', bytes(archive(MODEL), 'hello'), /5 bytes follow the archive/],
    ['bytes before', bytes('hello', archive(MODEL)), /ends as a ZIP archive/],
    [
      'an archive within',
      archive([...MODEL, { name: 'y', data: archive(MODEL) }]),
      /an archive within an archive/,
    ],
    ['no directory', archive(MODEL).subarray(0, 200), /without a directory/],
  ];
  for (const [what, content, expected] of tricks)
    it(`${what}: told`, async () => {
      const found = await inspected(content);
      assert.equal(found.verdict, 'suspicious', messages(found));
      assert.match(messages(found), expected);
    });

  it('sizes may come after the data', async () => {
    const later = { flags: 8, crc: 0, compressed: 0, size: 0 };
    const found = await inspected(archive(first({ local: later, central: { flags: 8 } })));
    assert.deepEqual(found.findings, []);
  });

  it('an archive of a file called ...pt lies in a folder called ..', async () => {
    const found = await inspected(archive([{ name: '../data.pkl', data: STATE }]));
    assert.deepEqual(found.findings, []);
  });

  it('a pickle that ends as an archive is looked at as both', async () => {
    const found = await inspected(bytes(STATE, archive([{ name: 'a', data: EVIL }])));
    assert.equal(found.verdict, 'dangerous');
    assert.match(messages(found), /begins as Python pickle and ends as a ZIP archive/);
  });

  it('bombs end', async () => {
    const zeros = Buffer.alloc(140 * 1024 * 1024);
    const bomb = { name: 'b', data: zeros, deflate: true } as const;
    const start = performance.now();
    const found = await inspected(
      archive([...MODEL, ...Array.from({ length: 8 }, (_, i) => ({ ...bomb, name: `b${i}` }))]),
    );
    assert.equal(found.verdict, 'unknown');
    assert.match(messages(found), /more than is decompressed/);
    assert.ok(performance.now() - start < 20_000);
    let nested = archive([{ name: 'a', data: STATE }]);
    for (let i = 0; i < 12; i++) nested = archive([{ name: 'a', data: nested }]);
    assert.match(messages(await inspected(nested)), /nested deeper/);
  });
});

describe('tar archives', () => {
  const member = (name: string, data: Uint8Array, type = '0', link = '') => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(data.length.toString(8).padStart(11, '0'), 124);
    header.write(' '.repeat(8), 148);
    header.write(type, 156);
    header.write(link, 157);
    header.write(
      header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0'),
      148,
    );
    return bytes(header, data, Buffer.alloc((512 - (data.length % 512)) % 512));
  };
  it('are looked into, and their links and paths are told', async () => {
    assert.equal((await inspected(member('a.pkl', EVIL), 'a.nemo')).verdict, 'dangerous');
    assert.match(
      messages(await inspected(member('a', Buffer.alloc(0), '2', '/etc/passwd'))),
      /is a link to "\/etc\/passwd"/,
    );
    assert.match(messages(await inspected(member('../a', STATE))), /leads elsewhere/);
    assert.match(messages(await inspected(bytes(member('a', STATE), member('a', STATE)))), /two members/);
  });
});

describe('whatever is cut or changed', () => {
  const fixtures = path.join(ROOT, 'test/fixtures');
  const models = readdirSync(fixtures).filter((name) => /\.(?:pt|ckpt|npz|npy|pkl)$/.test(name));
  it('ends, and throws nothing but a CheckpointError', async () => {
    for (const name of models) {
      const whole = readFileSync(path.join(fixtures, name));
      for (let i = 0; i < 24; i++) {
        const cut = whole.subarray(0, Math.floor((whole.length * i) / 24));
        const changed = Buffer.from(whole);
        for (let k = 0; k < 8; k++)
          changed[(i * 7919 + k * 104729) % changed.length] = (i * 31 + k * 17) & 0xff;
        for (const content of [cut, changed]) {
          try {
            await inspected(content, name);
          } catch (error) {
            assert.ok(error instanceof CheckpointError, String(error));
            assert.match(error.message, /the file is empty/);
          }
        }
      }
    }
  });
});
