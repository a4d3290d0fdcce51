import assert from 'node:assert/strict';
import { readFileSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError } from '../../src/checkpoint/errors';
import { listLayers } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { GgufWriter, gguf, type GgufRecipe, type GgufTensorRecipe } from '../fixtures/ggufFile';
import { temporaryFolder } from '../fixtures/handmade';
import { ROOT } from '../reference/references';

const F32 = 0;
const F16 = 1;
const Q4_K = 12;
const UINT32 = 4;
const STRING = 8;
const ARRAY = 9;

const { write } = temporaryFolder();
const writer = new GgufWriter();

describe('hostile files are refused in one line', () => {
  const one: GgufTensorRecipe = { name: 'a', dims: [64], type: F32, offset: 0 };
  const data = Buffer.alloc(256);

  async function refuse(name: string, content: Uint8Array, message: RegExp): Promise<void> {
    const file = write(`${name.replace(/\W/g, '_')}.gguf`, content);
    const before = performance.now();
    await assert.rejects(openCheckpoint(file), (error) => {
      assert.ok(error instanceof CheckpointError, String(error));
      assert.match(error.message, message);
      assert.ok(!error.message.includes('\n'), 'one line');
      assert.ok(error.message.startsWith(file), 'names the file');
      return true;
    });
    assert.ok(performance.now() - before < 5000, 'takes under five seconds');
  }
  const refused = (name: string, recipe: GgufRecipe, message: RegExp): void => {
    test(name, () => refuse(name, gguf(recipe), message));
  };
  const tensors = (
    ...changes: readonly Partial<typeof one & { axes: number; dims: (number | bigint)[] }>[]
  ) => changes.map((change) => ({ ...one, ...change }));
  const array = (head: Uint8Array): GgufRecipe => ({ metadata: [['k', ARRAY, head]], tensors: [one], data });

  refused('version 4', { version: 4 }, /byte 4: GGUF of version 4: versions 1 to 3 are read/);
  refused('version 0', { version: 0 }, /GGUF of version 0/);
  refused('2^64 − 1 tensors', { tensorCount: 2n ** 64n - 1n }, /byte 8: a size of 18446744073709551615/);
  refused('2^53 tensors', { tensorCount: 2n ** 53n }, /byte 8: a size of 9007199254740992 is beyond/);
  refused('2^32 tensors', { tensorCount: 2n ** 32n }, /4294967296 tensors, more than 100000/);
  refused('2^31 keys', { keyCount: 2n ** 31n }, /2147483648 keys of metadata, more than 10000/);
  refused(
    'more tensors than there are',
    { tensors: [one], tensorCount: 9n },
    /needs \d+ bytes here|byte \d+/,
  );
  refused(
    'a key given twice',
    {
      metadata: [
        ['k', UINT32, writer.uint32(1)],
        ['k', UINT32, writer.uint32(1)],
      ],
    },
    /the key "k" is given twice/,
  );
  refused('a value of type 13', { metadata: [['k', 13, writer.uint32(1)]] }, /a value of type 13/);
  refused(
    'a kept value of type 13',
    { metadata: [['split.no', 13, writer.uint32(1)]] },
    /a value of type 13/,
  );
  refused('a text of 2^63 bytes', { metadata: [['k', STRING, writer.uint64(2n ** 63n)]] }, /beyond any file/);
  refused(
    'a text of 2^40 bytes',
    { metadata: [['k', STRING, writer.uint64(2n ** 40n)]] },
    /file ends at byte/,
  );
  refused(
    'an architecture of a gigabyte',
    {
      metadata: [['general.architecture', STRING, writer.uint64(2n ** 30n)]],
    },
    /a text of 1073741824 bytes, more than 4096/,
  );
  refused('an array of 2^50 doubles', array(writer.array(12, 2n ** 50n)), /file ends at byte/);
  refused(
    'an array of 2^50 texts',
    array(writer.array(STRING, 2n ** 50n)),
    /file ends at byte|beyond any file/,
  );
  refused(
    'an array of 2^50 arrays',
    array(writer.array(ARRAY, 2n ** 50n)),
    /file ends at byte|value of type/,
  );
  refused('an array of type 99', array(writer.array(99, 1)), /a value of type 99/);
  refused(
    'arrays nested a thousand deep',
    array(Buffer.concat(Array.from({ length: 1000 }, () => writer.array(ARRAY, 1)))),
    /arrays nested more than 4 deep/,
  );
  refused(
    'an alignment of 0',
    { metadata: [['general.alignment', UINT32, writer.uint32(0)]] },
    /alignment is 0/,
  );
  refused(
    'an alignment of 24',
    { metadata: [['general.alignment', UINT32, writer.uint32(24)]] },
    /alignment is 24/,
  );
  refused(
    'an alignment that is text',
    { metadata: [['general.alignment', STRING, writer.text('8')]] },
    /alignment is 8/,
  );
  refused(
    'a name of a megabyte',
    { tensors: tensors({ name: 'x'.repeat(2 ** 20) }) },
    /1048576 bytes, more than 1024/,
  );
  refused(
    'a name given twice',
    { tensors: tensors({}, { offset: 256 }), data: Buffer.alloc(512) },
    /tensor "a", byte \d+: is given twice/,
  );
  refused(
    '2^32 − 1 axes',
    { tensors: tensors({ axes: 2 ** 32 - 1 }), data },
    /tensor "a", byte \d+: 4294967295 axes/,
  );
  for (const size of [2n ** 31n, 2n ** 32n, 2n ** 52n]) {
    refused(
      `${size} values`,
      { tensors: tensors({ dims: [size] }), data },
      /the file ends at|beyond any file/,
    );
  }
  refused(
    '2^64 − 1 values',
    { tensors: tensors({ dims: [2n ** 64n - 1n] }), data },
    /tensor "a".*beyond any file/,
  );
  refused(
    '2^32 × 2^32 values',
    { tensors: tensors({ dims: [2n ** 32n, 2n ** 32n] }), data },
    /tensor "a".*beyond any file/,
  );
  refused(
    '2^32 × 2^32 × 0 values',
    { tensors: tensors({ dims: [2n ** 32n, 2n ** 32n, 0] }), data },
    /beyond any file/,
  );
  refused(
    'an offset of 2^63',
    { tensors: tensors({ offset: 2n ** 63n }), data },
    /tensor "a".*beyond any file/,
  );
  refused(
    'an offset of 2^52',
    { tensors: tensors({ offset: 2 ** 52 }), data },
    /tensor "a", byte \d+: its bytes end at \d+, but the file ends at/,
  );
  refused(
    'an offset that is not aligned',
    { tensors: tensors({ offset: 4, dims: [8] }), data },
    /begin at 4, which is no multiple of the alignment 32/,
  );
  refused(
    'values that overlap',
    { tensors: tensors({}, { name: 'b', offset: 128, dims: [8] }), data },
    /tensor "b", byte \d+: its bytes overlap/,
  );
  refused(
    'values inside others',
    {
      tensors: tensors(
        { dims: [48] },
        { name: 'b', offset: 32, dims: [1] },
        { name: 'c', offset: 128, dims: [1] },
      ),
      data,
    },
    /overlap/,
  );
  refused(
    'rows that are no whole blocks',
    { tensors: tensors({ type: Q4_K, dims: [128, 2] }), data },
    /tensor "a".*rows of 128 values are no whole blocks of Q4_K \(256\)/,
  );
  refused(
    'values of an unread type outside the file',
    { tensors: tensors({ type: 16, dims: [2560] }), data },
    /the file ends at/,
  );
  refused(
    'values of an unknown type outside the file',
    { tensors: tensors({ type: 99, offset: 4096 }), data },
    /the file ends at/,
  );

  test('a file that ends anywhere in its header', async () => {
    const whole = gguf({
      metadata: [
        ['general.architecture', STRING, writer.text('llama')],
        ['k', ARRAY, writer.array(STRING, 2, writer.text('a'), writer.text('b'))],
        ['n', ARRAY, writer.array(UINT32, 2, writer.uint32(1), writer.uint32(2))],
      ],
      tensors: [one],
      data,
    });
    for (let length = 1; length < whole.length; length++) {
      const file = write('truncated.gguf', whole.subarray(0, length));
      await assert.rejects(openCheckpoint(file), (error) => {
        assert.ok(error instanceof CheckpointError, `${length}: ${String(error)}`);
        return true;
      });
    }
  });

  test('a header that goes on for ever in a sparse file', async () => {
    const content = gguf({ metadata: [['k', ARRAY, writer.array(STRING, 2n ** 33n)]] });
    const file = write('endless.gguf', content);
    truncateSync(file, 100e9);
    const before = performance.now();
    await assert.rejects(openCheckpoint(file), /a header of more than 134217728 bytes/);
    assert.ok(performance.now() - before < 5000);
  });

  test('a stack of a billion parts in a sparse file is one tensor', async () => {
    const count = 2 ** 30;
    const content = gguf({ tensors: [{ name: 'x_exps.weight', dims: [32, 1, count], type: 2, offset: 0 }] });
    const file = write('parts.gguf', content);
    truncateSync(file, content.length + 18 * count);
    const {
      tensors: [tensor],
    } = await openCheckpoint(file);
    assert.equal(tensor?.storage.encoding, 'decoded');
  });

  test('__proto__ and constructor are names like any other', async () => {
    const named = ['__proto__', 'constructor'].map((name, i) => ({
      name,
      dims: [1],
      type: F16,
      offset: i * 32,
    }));
    const checkpoint = await openCheckpoint(write('proto.gguf', gguf({ tensors: named, data })));
    assert.deepEqual(
      checkpoint.tensors.map(({ name }) => name),
      ['__proto__', 'constructor'],
    );
  });

  test('bytes changed at random never do more than refuse', async () => {
    const whole = readFileSync(path.join(ROOT, 'test/fixtures/gguf_types.gguf'));
    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed % below;
    };
    for (let round = 0; round < 300; round++) {
      const changed = Buffer.from(whole);
      for (let i = 0; i < 3; i++) changed[random(2400)] = random(256);
      const file = write('changed.gguf', changed);
      try {
        listLayers(await openCheckpoint(file));
      } catch (error) {
        assert.ok(error instanceof CheckpointError, String(error));
      }
    }
  });
});
