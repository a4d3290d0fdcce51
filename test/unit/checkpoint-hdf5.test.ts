import assert from 'node:assert/strict';
import { truncateSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { decodeChunks } from '../../src/checkpoint/decoders/chunks';
import type { Chunks } from '../../src/checkpoint/decoders/chunkGrid';
import { CheckpointError } from '../../src/checkpoint/errors';
import { memoryWindow } from '../../src/checkpoint/hdf5/window';
import { openKerasWeights } from '../../src/checkpoint/keras/weights';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes, readTensorBytesSync } from '../../src/checkpoint/tensorData';
import { float32, temporaryFolder } from '../fixtures/handmade';
import { assertHolds, hdf5Facts, hdf5Fixture } from '../fixtures/hdf5Files';
import { opensLightly } from './opensLightly';

const { write } = temporaryFolder();
const facts = hdf5Facts('tensors.json');

function open(content: Uint8Array) {
  return openKerasWeights(memoryWindow(content, 'file.h5'), { path: 'file.h5', bytes: content.length });
}

describe('what h5py wrote', () => {
  for (const version of ['earliest', 'latest']) {
    test(`with libver ${version} holds what h5py says`, async () => {
      const content = hdf5Fixture(`${version}.h5`);
      const expected = facts['earliest.h5 and latest.h5'] ?? {};
      assert.ok(Object.keys(expected).length > 100);
      const checkpoint = await openCheckpoint(write(`${version}.h5`, content));
      assert.equal(checkpoint.format, 'HDF5');
      assert.equal(checkpoint.readOnly, true);
      await assertHolds(checkpoint, expected);
      // The same out of memory, as a compressed archive is read.
      await assertHolds(open(content), expected);
    });

    test(`with libver ${version}: what is not read is listed with a reason`, async () => {
      const { unreadable, notes } = await openCheckpoint(
        write(`${version}.h5`, hdf5Fixture(`${version}.h5`)),
      );
      assert.deepEqual(Object.fromEntries(unreadable.map(({ name, reason }) => [name, reason])), {
        'kinds/external': 'its values are in other files, which are never followed',
        'kinds/lzf': 'compressed by LZF, which is not read',
        'kinds/nothing': 'holds nothing (a null dataspace)',
        'kinds/records': 'elements that are records are not read',
        'kinds/scaled': 'compressed by scale-offset, which is not read',
        'kinds/text': 'elements that are text are not read',
        'kinds/texts': 'elements that are text are not read',
        'kinds/untyped': 'elements that are 2 bytes without a type are not read',
        'kinds/virtual': 'its values are put together from other files, which are never followed',
        'links/outside': 'a link to another file: never followed',
        named_type: 'neither a group nor a dataset',
      });
      assert.deepEqual(notes, [
        '1 link leads to other files and none is followed: "../secret.h5"',
        '1 name is only a link to another: "links/soft"',
        '1 group has several names and is listed once: "links/cycle"',
      ]);
    });
  }

  test('contiguous values are ranges of the file, others are decoded', async () => {
    const { tensors } = await openCheckpoint(write('kinds.h5', hdf5Fixture('latest.h5')));
    const find = (name: string) => tensors.find((tensor) => tensor.name === name);
    assert.equal(find('kinds/float32')?.storage.encoding, 'raw');
    assert.equal(find('chunks/compact')?.storage.encoding, 'raw');
    assert.equal(find('kinds/big_float64')?.byteOrder, 'big');
    assert.equal(find('chunks/fixed_gzip')?.storage.encoding, 'decoded');
    assert.deepEqual(find('links/tied')?.storage, find('kinds/float32')?.storage);
  });

  test('a configuration longer than a header, and lists cut in two', () => {
    const { tensors, notes, format } = open(hdf5Fixture('long_attribute.h5'));
    assert.equal(format, 'Keras (.h5)');
    // In the order of layer_names; both are called alike, so their layers are named with them.
    assert.deepEqual(
      tensors.map(({ name }) => name),
      ['first/kernel:0', 'second/kernel:0'],
    );
    assert.match(notes.join(), /Python code .*"late"/);
  });
});

/** Where a byte sequence is; there must be one. */
function find(content: Buffer, sequence: string | Buffer, from = 0): number {
  const at = content.indexOf(sequence, from, 'latin1');
  assert.notEqual(at, -1);
  return at;
}

function patched(content: Buffer, at: number, ...values: number[]): Buffer {
  const copy = Buffer.from(content);
  copy.set(values, at);
  return copy;
}

/** Opens, and reads every value: only a CheckpointError may come of it, in good time. */
async function survives(content: Uint8Array): Promise<'opened' | 'refused'> {
  const before = performance.now();
  try {
    const checkpoint = open(content);
    for (const tensor of checkpoint.tensors) await readTensorBytes(tensor);
    return 'opened';
  } catch (error) {
    assert.ok(error instanceof CheckpointError, String(error instanceof Error ? error.stack : error));
    assert.ok(!error.message.includes('\n'));
    return 'refused';
  } finally {
    assert.ok(performance.now() - before < 5000);
  }
}

const FULL = [255, 255, 255, 255, 255, 255, 255, 255];

describe('chunks', () => {
  const chunks = {
    kind: 'chunks',
    shape: [3],
    chunk: [2],
    elementBytes: 1,
    fill: [7],
    starts: [[2]],
  } as const;
  const box = Uint8Array.of(1, 2);

  test('what is in none is filled, what is beyond the array is left out', () => {
    assert.deepEqual([...decodeChunks({ ...chunks, filters: [] }, [box], 3)], [7, 7, 1]);
  });

  test('filters that were left out are not undone', () => {
    const packed = { ...chunks, filters: [{ kind: 'deflate' }] as const, masks: [1] };
    assert.deepEqual([...decodeChunks(packed, [box], 3)], [7, 7, 1]);
  });

  test('checksums that differ, boxes outside, and inflated beyond their size are refused', () => {
    const refused = (change: Partial<Chunks>, source: Uint8Array, message: RegExp): void => {
      assert.throws(() => decodeChunks({ ...chunks, filters: [], ...change }, [source], 3), {
        name: 'CheckpointError',
        message,
      });
    };
    refused({ filters: [{ kind: 'fletcher32' }] }, Uint8Array.of(1, 2, 0, 0, 0, 0), /checksum differs/);
    refused({ filters: [{ kind: 'fletcher32' }] }, Uint8Array.of(1), /without its checksum/);
    refused({ starts: [[3]] }, box, /outside its array/);
    refused({ starts: [[-1]] }, box, /outside its array/);
    refused({}, Uint8Array.of(1), /a chunk of 1 bytes instead of 2/);
    refused({ filters: [{ kind: 'deflate' }] }, deflateSync(Buffer.alloc(1 << 20)), /does not inflate/);
    refused({ filters: [{ kind: 'shuffle', elementBytes: 2 ** 32 - 1 }] }, Uint8Array.of(1), /a chunk of 1/);
    refused({ shape: [4] }, box, /for 3 bytes/);
  });
});

describe('hostile HDF5', () => {
  const earliest = hdf5Fixture('small_earliest.h5');
  const latest = hdf5Fixture('small_latest.h5');
  const refused = (content: Uint8Array, message: RegExp): void => {
    assert.throws(
      () => {
        for (const tensor of open(content).tensors) readTensorBytesSync(tensor);
      },
      { name: 'CheckpointError', message },
    );
  };

  test('files cut off anywhere are refused', async () => {
    const file = write('cut.h5', earliest);
    for (const [name, content] of [['earliest', earliest] as const, ['latest', latest] as const]) {
      writeFileSync(file, content);
      // The end of the old file is room that nothing needs: only the superblock tells that it is missing.
      for (let length = content.length - 1; length > 8; length -= 61) {
        truncateSync(file, length);
        await assert.rejects(openCheckpoint(file), { name: 'CheckpointError' }, `${name} of ${length} bytes`);
      }
    }
  });

  test('files cut off whose superblock agrees are opened without what is missing, or refused', async () => {
    for (const content of [earliest, latest]) {
      const end = content === earliest ? 40 : 28;
      for (let length = content.length - 1; length > 100; length -= 37) {
        const cut = Buffer.from(content.subarray(0, length));
        cut.writeBigUInt64LE(BigInt(length), end);
        await survives(cut);
      }
    }
  });

  test('no byte that is changed does harm', async () => {
    for (const content of [earliest, latest]) {
      const outcomes = { opened: 0, refused: 0 };
      for (let at = 8; at < content.length; at++) {
        // Room that was never used is zero.
        const old = content[at] ?? 0;
        if (old === 0 && at % 7 !== 0) continue;
        for (const value of [0xff, old ^ 1]) outcomes[await survives(patched(content, at, value))]++;
      }
      assert.ok(outcomes.opened > 100 && outcomes.refused > 100, JSON.stringify(outcomes));
    }
  });

  test('no eight bytes of ones do harm', async () => {
    for (const content of [earliest, latest]) {
      for (let at = 8; at + 8 < content.length; at += 8) await survives(patched(content, at, ...FULL));
    }
  });

  test('a superblock of a later version', () => {
    refused(patched(latest, 8, 9), /HDF5: a superblock of version 9/);
  });

  test('addresses of no known width', () => {
    refused(patched(latest, 9, 16), /HDF5: addresses of 16 bytes/);
  });

  test('a file that promises more than there is', () => {
    refused(patched(latest, 28, ...FULL.slice(0, 6), 31, 0), /HDF5: (?:a number beyond any file|cut off)/);
    refused(patched(latest, 28, 0, 0, 1), /HDF5: cut off: it should end at byte \d+/);
  });

  test('a tree that leads back to itself', () => {
    const tree = find(earliest, 'TREE');
    // A tree of one level whose first child is itself; its first key is eight bytes.
    const level = patched(earliest, tree + 5, 1);
    const own = Buffer.alloc(8);
    own.writeBigUInt64LE(BigInt(tree));
    own.copy(level, tree + 24 + 8);
    refused(level, /HDF5: a tree (?:that leads back to itself|of another kind or level)/);
  });

  test('an object header that continues in itself', () => {
    const root = Number(latest.readBigUInt64LE(36));
    assert.equal(latest.toString('latin1', root, root + 4), 'OHDR');
    // Its first message becomes a continuation of the block that it stands in.
    const flags = latest[root + 5] ?? 0;
    const start =
      root + 6 + ((flags & 0x20) === 0 ? 0 : 16) + ((flags & 0x10) === 0 ? 0 : 4) + 2 ** (flags & 3);
    const head = (flags & 4) === 0 ? 4 : 6;
    const loop = patched(latest, start, 0x10);
    loop.writeBigUInt64LE(BigInt(start), start + head);
    loop.writeBigUInt64LE(40n, start + head + 8);
    refused(loop, /HDF5: an object header that continues in itself/);
  });

  test('sizes beyond the file', () => {
    // The dataspace of a/w: 2 × 3, after its header of version 2.
    const sizes = Buffer.alloc(16);
    sizes.writeBigUInt64LE(2n, 0);
    sizes.writeBigUInt64LE(3n, 8);
    const at = find(latest, sizes);
    for (const size of [2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      const grown = Buffer.from(latest);
      grown.writeBigUInt64LE(size, at);
      refused(grown, /file\.h5.*tensor "a\/w".*(?:not all in the file|beyond any file)/);
    }
  });

  test('chunks that do not inflate, and values that were never written', () => {
    const data = find(earliest, Buffer.from([0x78, 0x5e]));
    refused(patched(earliest, data + 2, 0xff, 0xff), /tensor "c".*does not inflate/);
    // The dataset of chunks grows to 2⁴⁰ elements.
    const sizes = Buffer.alloc(8);
    sizes.writeBigUInt64LE(16n);
    const at = find(latest, Buffer.concat([Buffer.from([1]), sizes])) + 1;
    const grown = Buffer.from(latest);
    grown.writeBigUInt64LE(2n ** 40n, at);
    const { unreadable } = open(grown);
    assert.match(unreadable[0]?.reason ?? '', /\d+ bytes, of which most were never written/);
  });

  test('values are read to the bit', () => {
    const tensor = open(earliest).tensors.find(({ name }) => name === 'a/w');
    assert.ok(tensor);
    assert.deepEqual(Buffer.from(readTensorBytesSync(tensor)), float32(0, 1, 2, 3, 4, 5));
  });
});

test('a file of 20 GB is opened without its values', async () => {
  const file = write('large.h5', hdf5Fixture('large_head'));
  truncateSync(file, 20_000_002_048);
  const { tensors } = await opensLightly(file);
  assert.deepEqual(
    tensors.map(({ name, shape }) => [name, shape]),
    [['kernel', [50_000, 100_000]]],
  );
});
