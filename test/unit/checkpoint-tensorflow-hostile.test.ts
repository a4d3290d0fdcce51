/** Indexes of TensorFlow checkpoints that break their format: refused with one line, nothing large allocated. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError } from '../../src/checkpoint/errors';
import { openCheckpoint } from '../../src/checkpoint/open';
import { crc32c } from '../../src/checkpoint/tensorflow/crc32c';
import { unsnappy } from '../../src/checkpoint/tensorflow/snappy';
import { bytes, temporaryFolder, uint32, uint64 } from '../fixtures/handmade';
import {
  block,
  entryBytes,
  field,
  header,
  table,
  tableOf,
  variable,
  varint,
  type Entry,
} from '../fixtures/tensorflowTable';
import { ROOT } from '../reference/references';

const FIXTURES = path.join(ROOT, 'test/fixtures/tensorflow');
const { write } = temporaryFolder();
write('m.data-00000-of-00001', Buffer.alloc(64));

/** Opens an index beside a shard of 64 bytes. */
async function refused(index: Buffer, message: RegExp): Promise<void> {
  const file = write('m.index', index);
  await assert.rejects(openCheckpoint(file), (error: unknown) => {
    assert.ok(error instanceof CheckpointError, String(error));
    assert.match(error.message, message);
    assert.ok(!error.message.includes('\n'));
    assert.ok(error.message.includes('m.index') || error.message.includes('m.data-'));
    return true;
  });
}

const one: Entry = ['w', variable([2, 2], { size: 16 })];

describe('an index that breaks the table format', () => {
  test('checksums, compression, footers and handles', async () => {
    const good = table([header(), one]);
    assert.equal((await openCheckpoint(write('m.index', good))).tensors.length, 1);
    await refused(table([header(), one], { checksumError: 1 }), /byte 0: a block whose checksum is wrong/);
    await refused(table([header(), one], { compression: 2 }), /compressed in an unknown way \(2\)/);
    await refused(table([header(), one], { compression: 1 }), /snappy data/);
    await refused(
      good.subarray(0, good.length - 1),
      /no index of a TensorFlow checkpoint, or one that was cut short/,
    );
    const footer = (...handle: readonly (number | bigint)[]): Buffer => {
      const handles = bytes(varint(0), varint(0), ...handle.map(varint));
      return bytes(handles, Buffer.alloc(40 - handles.length), uint64(0xdb4775248b80fb57n));
    };
    for (const size of [2 ** 31, 2 ** 32, 2 ** 53, 2n ** 64n - 1n]) {
      await refused(
        table([header(), one], { footer: footer(0, size) }),
        /the footer (?:points beyond|holds a size beyond)/,
      );
      await refused(
        table([header(), one], { footer: footer(size, 1) }),
        /the footer (?:points beyond|holds a size beyond)/,
      );
      const handles = [bytes(varint(0), varint(size))];
      await refused(table([header(), one], { handles }), /a block of \d+ bytes|a size beyond any file/);
    }
    const endless = bytes(Buffer.alloc(40, 0xff), uint64(0xdb4775248b80fb57n));
    await refused(table([header(), one], { footer: endless }), /a number that does not end/);
    // A block that leads to itself, or is read again and again.
    const data = block([header(), one].map((entry) => entryBytes(entry)));
    const same = bytes(varint(0), varint(data.length));
    await refused(tableOf(data, { handles: [same, same] }), /blocks that overlap or are out of order/);
    await refused(tableOf(data, { handles: Array.from({ length: 50_000 }, () => bytes([0, 0])) }), /overlap/);
  });

  test('cut at every byte it is refused', async () => {
    const good = readFileSync(path.join(FIXTURES, 'types/snappy.index'));
    for (let length = 0; length < good.length; length++)
      await refused(good.subarray(0, length), /cut short|is empty/);
    // Cut before the footer.
    for (let length = 0; length < good.length - 48; length += 7)
      await refused(bytes(good.subarray(0, length), good.subarray(-48)), /.+/);
  });

  test('with any byte changed it is refused or says the same', async () => {
    const good = readFileSync(path.join(FIXTURES, 'types/two.index'));
    for (let i = 0; i < good.length; i++) {
      const changed = Buffer.from(good);
      changed.writeUInt8(changed.readUInt8(i) ^ 0x55, i);
      try {
        // The unused handle, and what fills the footer up.
        await openCheckpoint(write('m.index', changed));
        assert.ok(i >= good.length - 48, `byte ${i}`);
      } catch (error) {
        assert.ok(error instanceof CheckpointError, `byte ${i}: ${String(error)}`);
      }
    }
  });

  test('entries and restart points', async () => {
    const first = entryBytes(header());
    const cases: readonly (readonly [Buffer, RegExp])[] = [
      [block([entryBytes(header(), 3)]), /shares 3 bytes of one of 0/],
      [block([first, entryBytes(one, 1)]), /shares 1 bytes of one of 0/],
      [block([first, entryBytes(one), entryBytes(['x', one[1]], 5)]), /shares 5 bytes of one of 1/],
      [block([first, entryBytes(one), entryBytes(['x', one[1]], 1)], [0, first.length + entryBytes(one).length]), /shares 1 bytes of one of 0/],
      [block([first, entryBytes(one)], [0], 0), /0 restart points/],
      [block([first, entryBytes(one)], [0], 2 ** 32 - 1), /4294967295 restart points/],
      [block([first, entryBytes(one)], [0, first.length + 1]), /a restart point at \d+ of a block, where no entry begins/],
      [block([first, entryBytes(one)], [0, 1000]), /a restart point at 1000/],
      [block([first, entryBytes(one)], [first.length, 0]), /a restart point at 0/],
      [Buffer.alloc(0), /0 bytes with 0 restart points/],
      [block([first, bytes(varint(0), varint(2 ** 32), varint(0))]), /a key of 4294967296 bytes/],
      [block([first, bytes(varint(0), varint(70_000), varint(0), Buffer.alloc(70_000))]), /a key of 70000 bytes/],
      [block([first, bytes(varint(0), varint(1), varint(2n ** 53n))]), /a size beyond any file/],
      [block([first, bytes(varint(0), varint(1), varint(100), 'w')]), /ends \d+ bytes too early/],
      [block([first, bytes(varint(0), varint(2n ** 63n))]), /a size beyond any file/],
      [block([first, Buffer.alloc(12, 0xff)]), /a number that does not end/],
      [block([first, entryBytes(one), entryBytes(one)]), /keys that are given twice or out of order/],
      [block([first, entryBytes(one), entryBytes(['a', one[1]])]), /keys that are given twice or out of order/],
      [block([entryBytes(one)]), /an index without a header/],
      [block([]), /an index without a header/],
    ]; // prettier-ignore
    for (const [data, message] of cases) await refused(tableOf(data), message);
  });

  test('keys that share a beginning cannot make more of themselves than is allowed', async () => {
    const long = 'n'.repeat(60_000);
    const more = Array.from({ length: 2000 }, (_, i) =>
      entryBytes([uint32(i).reverse(), one[1]], long.length),
    );
    const data = block([entryBytes(header()), entryBytes([long, one[1]]), ...more]);
    await refused(tableOf(data), /names of more than 67108864 bytes/);
  });
});

describe('an index that says what cannot be', () => {
  const entry = (value: Buffer): Buffer => table([header(), ['w', value]]);

  test('headers', async () => {
    const of = (...parts: readonly Buffer[]): Buffer => table([['', bytes(...parts)], one]);
    await refused(of(), /an index of 0 shards/);
    await refused(of(field(1, 2n ** 64n - 1n)), /an index of -1 shards/);
    await refused(of(field(1, 99_999)), /an index of 99999 shards/);
    await refused(of(field(1, 1), field(2, 2)), /an unknown byte order \(2\)/);
    await refused(of(field(1, 1), field(3, field(2, 2))), /readers of version 2/);
    await refused(of(field(1, Buffer.from('x'))), /field 1 is a bytes here/);
    await refused(of(field(1, 2)), /the shard "m\.data-00000-of-00002" of 2 is missing/);
  });

  test('places and sizes', async () => {
    for (const size of [2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      await refused(entry(variable([2, 2], { size })), /tensor "w".*(?:bytes end at|bytes at byte)/);
      await refused(
        entry(variable([2, 2], { offset: size, size: 16 })),
        /tensor "w".*(?:bytes end at|bytes at byte)/,
      );
      await refused(
        entry(variable([size], { size: 16 })),
        /tensor "w".*: (?:a size of|a shape of|float32 of shape)/,
      );
    }
    await refused(entry(variable([2 ** 27, 2 ** 27], { size: 16 })), /beyond any file/);
    await refused(entry(variable([2, 2], { size: 12 })), /float32 of shape \[2, 2\] needs 16 bytes, not 12/);
    await refused(entry(variable([2, 2], { size: 16, shard: 1 })), /is in shard 1 of 1/);
    await refused(entry(variable([2, 2], { size: 16, offset: 49 })), /m\.data-00000-of-00001, tensor "w", byte 49: its bytes end at 65, but the shard ends at 64/); // prettier-ignore
    await refused(
      entry(
        variable(
          Array.from({ length: 65 }, () => 1),
          { size: 4 },
        ),
      ),
      /more than 64 axes/,
    );
    const overlapping: Entry[] = [['v', variable([2], { size: 8 })], ['w', variable([2], { offset: 4, size: 8 })]]; // prettier-ignore
    await refused(table([header(), ...overlapping]), /tensor "w".*overlap those of another variable/);
    await refused(entry(field(2, bytes([0xff]))), /tensor "w"/);
  });

  test('types without numbers are listed with a reason', async () => {
    const types = [7, 11, 20, 21, 29, 77];
    const entries = types.map((dtype, i): Entry => [`t${i}`, variable([2], { dtype })]);
    const { tensors, unreadable } = await openCheckpoint(write('m.index', table([header(), ...entries])));
    assert.equal(tensors.length, 0);
    assert.deepEqual(unreadable.map(({ dtype, reason }) => [dtype, reason]), [
      ['string', 'it holds text, not numbers'],
      ['qint8', 'its qint8 values need a scale that is not in the file'],
      ['resource', 'it holds an object of TensorFlow (resource), not numbers'],
      ['variant', 'it holds an object of TensorFlow (variant), not numbers'],
      ['int4', 'elements of int4 are not read'],
      ['type 77', 'elements of type 77 are not read'],
    ]); // prettier-ignore
  });

  test('slices', async () => {
    const slice = (start: number, length: number): Buffer =>
      field(7, bytes(field(1, bytes(field(1, start), field(2, length))), field(1, Buffer.alloc(0))));
    // Slices [0, 1) and [1, 2) of the first axis, the second whole.
    const key = (start: number, length: number): Buffer =>
      bytes([0], 'w', [0, 1, 1, 2], [0x80 + start, 0x80 + length, 0x80, 0x7f]);
    const part = (start: number, length: number, offset: number): Entry => [
      key(start, length),
      variable([length, 2], { offset, size: 8 * length }),
    ];
    const whole = (...slices: readonly Buffer[]): Entry => ['w', variable([2, 2], {}, ...slices)];
    const parts = [part(0, 1, 0), part(1, 1, 8)];
    const open = async (...entries: readonly Entry[]): Promise<number> =>
      (await openCheckpoint(write('m.index', table([header(), ...entries])))).tensors.length;
    assert.equal(await open(...parts, whole(slice(0, 1), slice(1, 1))), 1);
    await refused(table([header(), ...parts, whole(slice(0, 1))]), /its slices are not all of it/);
    await refused(table([header(), ...parts, whole(slice(0, 1), slice(0, 1))]), /leave gaps or overlap/);
    await refused(table([header(), ...parts, whole(slice(1, 1))]), /leave gaps or overlap/);
    await refused(table([header(), ...parts, whole(slice(0, 2))]), /its slice 0 is missing/);
    await refused(
      table([header(), part(1, 2, 0), whole(slice(1, 2))]),
      /a slice from 1, 2 long, of an axis of 2/,
    );
    const { unreadable } = await openCheckpoint(write('m.index', table([header(), ...parts])));
    assert.deepEqual(
      unreadable.map(({ name }) => name),
      ['w', 'w'],
    );
  });

  test('names of objects are just names', async () => {
    const { tensors } = await openCheckpoint(
      write(
        'm.index',
        table([header(), ['__proto__', one[1]], ['constructor', variable([1], { offset: 16, size: 4 })]]),
      ),
    );
    assert.deepEqual(
      tensors.map(({ name }) => name),
      ['__proto__', 'constructor'],
    );
    const twice: Entry[] = [['a', one[1]], ['a/.ATTRIBUTES/VARIABLE_VALUE', variable([1], { offset: 16, size: 4 })]]; // prettier-ignore
    const names = (await openCheckpoint(write('m.index', table([header(), ...twice])))).tensors.map(
      ({ name }) => name,
    );
    assert.deepEqual(names, ['a', 'a/.ATTRIBUTES/VARIABLE_VALUE']);
  });
});

describe('a graph of objects that is damaged', () => {
  test('is told, and names do without it', async () => {
    const { folder } = temporaryFolder();
    const name = (suffix: string): string => path.join(folder, `ckpt-1.${suffix}`);
    for (const suffix of ['index', 'data-00000-of-00001'])
      cpSync(path.join(FIXTURES, `keras/ckpt-1.${suffix}`), name(suffix));
    const data = readFileSync(name('data-00000-of-00001'));
    const tensors = (await openCheckpoint(name('index'))).tensors.length;
    const graph = data.indexOf('_trainable_variables') - 400;
    for (let at = graph; at < graph + 300; at += 3) {
      const changed = Buffer.from(data);
      changed.fill(0xff, at, at + 5);
      writeFileSync(name('data-00000-of-00001'), changed);
      const checkpoint = await openCheckpoint(name('index'));
      assert.equal(checkpoint.tensors.length, tensors);
    }
  });

  test('edges that lead in circles, or nowhere, end', async () => {
    const edge = (node: number | bigint, name: string): Buffer =>
      field(1, bytes(field(1, node), field(2, Buffer.from(name))));
    const attribute = field(
      2,
      bytes(field(1, Buffer.from('V')), field(2, Buffer.from('net/a')), field(3, Buffer.from('w'))),
    );
    const nodes = [
      bytes(edge(1, 'a'), edge(0, 'self'), edge(2n ** 63n, 'far'), edge(7, 'none')),
      bytes(edge(0, 'back'), attribute),
    ];
    const graph = bytes(...nodes.map((node) => field(1, node)));
    const length = uint32(graph.length);
    const crc = crc32c(length);
    const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
    const text = bytes(varint(graph.length), uint32(masked), graph);
    const folder = temporaryFolder();
    folder.write('m.data-00000-of-00001', bytes(Buffer.alloc(16), text));
    const entries: Entry[] = [
      ['_CHECKPOINTABLE_OBJECT_GRAPH', variable([], { dtype: 7, offset: 16, size: text.length })],
      one,
    ];
    const { tensors, notes } = await openCheckpoint(folder.write('m.index', table([header(), ...entries])));
    assert.deepEqual([tensors.map(({ name, role }) => [name, role]), notes], [[['w', 'model']], []]);
  });
});

describe('snappy', () => {
  const literal = (text: string): Buffer => bytes([(text.length - 1) << 2], text);

  test('literals and copies of all kinds', () => {
    const plain = (...parts: readonly Buffer[]): string =>
      Buffer.from(unsnappy(bytes(...parts), 1e6)).toString('latin1');
    assert.equal(plain(varint(3), literal('abc')), 'abc');
    assert.equal(plain(varint(9), literal('abc'), bytes([0b00001001, 3])), 'abcabcabc');
    assert.equal(plain(varint(8), literal('a'), bytes([(6 << 2) | 2, 1, 0])), 'aaaaaaaa');
    assert.equal(plain(varint(5), literal('abc'), bytes([(1 << 2) | 3, 3, 0, 0, 0])), 'abcab');
    const long = 'x'.repeat(300);
    assert.equal(plain(varint(300), bytes([61 << 2, 43, 1], long)), long);
    assert.equal(plain(varint(0)), '');
  });

  test('what is no snappy block, or grows beyond what any can, is refused', () => {
    const cases: readonly (readonly [Buffer, RegExp])[] = [
      [Buffer.alloc(0), /ends within a number/],
      [bytes(varint(2 ** 31), literal('abc')), /7 bytes of snappy data that claim to hold 2147483648|claim to hold/],
      [bytes(varint(2n ** 53n)), /a size beyond any file/],
      [bytes(varint(200), literal('abc')), /claim to hold 200/],
      [bytes(varint(4), literal('abc')), /holds 3 of the 4 bytes it claims/],
      [bytes(varint(2), literal('abc')), /holds more than the 2 bytes it claims/],
      [bytes(varint(3), bytes([2 << 2], 'ab')), /ends 1 bytes too early/],
      [bytes(varint(9), literal('abc'), [(5 << 2) | 2, 4, 0]), /copies from before its beginning/],
      [bytes(varint(9), literal('abc'), [(5 << 2) | 2, 0, 0]), /copies from before its beginning/],
      [bytes(varint(9), literal('abc'), [(5 << 2) | 2, 1]), /ends 1 bytes too early/],
      [bytes(varint(9), [63 << 2, 255, 255, 255, 255]), /holds more than the 9 bytes/],
    ]; // prettier-ignore
    for (const [data, message] of cases) assert.throws(() => unsnappy(data, 1e6), message);
    assert.throws(() => unsnappy(bytes(varint(30), literal('abc')), 20), /claim to hold 30/);
  });
});

test('the checksum is CRC-32C', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
});
