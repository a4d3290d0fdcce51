import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { Checkpoint } from '../../src/checkpoint/checkpoint';
import { decode } from '../../src/checkpoint/decoders';
import { blockSize } from '../../src/checkpoint/decoders/ggml/types';
import { decodeElements } from '../../src/checkpoint/elements';
import { CheckpointError } from '../../src/checkpoint/errors';
import { listLayers } from '../../src/checkpoint/layers';
import { listCheckpointFiles, openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes, readTensorBytesSync } from '../../src/checkpoint/tensorData';
import { GgufWriter, gguf, type GgufRecipe } from '../fixtures/ggufFile';
import { bytes, float32, temporaryFolder } from '../fixtures/handmade';
import { ROOT, sharedData } from '../reference/references';
import { opensLightly } from './opensLightly';

interface Facts {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly sha256: string;
  readonly first?: readonly number[];
}

const FIXTURES = path.join(ROOT, 'test/fixtures');
// The file is the project's own, made by make_gguf.py in this shape.
const references = JSON.parse(readFileSync(path.join(FIXTURES, 'gguf.json'), 'utf8')) as Readonly<
  Record<'types' | 'superpoint', Readonly<Record<string, Facts>>>
>;

const F32 = 0;
const Q4_K = 12;
const UINT16 = 2;
const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const STRING = 8;
const ARRAY = 9;

const { folder, write } = temporaryFolder();
const writer = new GgufWriter();

const open = (name: string, recipe: GgufRecipe): Promise<Checkpoint> =>
  openCheckpoint(write(name, gguf(recipe)));

/** Requires shapes, types and, bit by bit, values to be those of the reference. */
async function assertFacts({ tensors }: Checkpoint, facts: Readonly<Record<string, Facts>>): Promise<void> {
  assert.deepEqual(
    tensors.map(({ name }) => name),
    Object.keys(facts),
  );
  for (const tensor of tensors) {
    const expected = facts[tensor.name];
    assert.ok(expected);
    assert.deepEqual(tensor.shape, expected.shape, tensor.name);
    assert.equal(tensor.dtype, expected.dtype, tensor.name);
    const values = await readTensorBytes(tensor);
    if (expected.first !== undefined) {
      const elements = decodeElements(values, tensor.dtype);
      assert.deepEqual([...elements.subarray(0, expected.first.length)], expected.first, tensor.name);
    }
    assert.equal(createHash('sha256').update(values).digest('hex'), expected.sha256, tensor.name);
    assert.deepEqual(readTensorBytesSync(tensor), values);
  }
}

describe('values of every type', () => {
  test('are those of the gguf package, bit by bit', async () => {
    const checkpoint = await openCheckpoint(path.join(FIXTURES, 'gguf_types.gguf'));
    await assertFacts(checkpoint, references.types);
    assert.equal(checkpoint.format, 'GGUF (test)');
    assert.equal(checkpoint.readOnly, true);
    assert.deepEqual(checkpoint.unreadable, []);
    const [note, ...others] = checkpoint.notes;
    assert.match(
      note ?? '',
      /^1 tensor is Q4_0, 1 is Q4_1, .*2 are Q4_K.* and 1 is NVFP4: dequantised to float32/,
    );
    assert.deepEqual(others, []);
  });

  test('also in a big-endian file', async () => {
    const checkpoint = await openCheckpoint(path.join(FIXTURES, 'gguf_big_endian.gguf'));
    const { 'stack_exps.weight': _, ...facts } = references.types;
    await assertFacts(checkpoint, facts);
  });

  test('a stack of experts is decoded one by one', async () => {
    const checkpoint = await openCheckpoint(path.join(FIXTURES, 'gguf_types.gguf'));
    const stack = checkpoint.tensors.find(({ name }) => name === 'stack_exps.weight');
    assert.ok(stack);
    const whole = await readTensorBytes(stack);
    const layers = listLayers(checkpoint).layers.filter(({ name }) => name.startsWith('stack_exps'));
    assert.equal(layers.length, 3);
    for (const [i, layer] of layers.entries()) {
      assert.equal(layer.name, `stack_exps.weight[${i}]`);
      assert.deepEqual(layer.tensor.shape, [2, 256]);
      assert.deepEqual(await readTensorBytes(layer.tensor), whole.subarray(i * 2048, (i + 1) * 2048));
    }
  });

  test('a quantised convolution is read as a whole, not as a stack', async () => {
    const { tensors, ...rest } = await openCheckpoint(path.join(FIXTURES, 'gguf_types.gguf'));
    const stack = tensors.find(({ name }) => name === 'stack_exps.weight');
    assert.ok(stack);
    const { layers } = listLayers({ ...rest, tensors: [{ ...stack, name: 'conv.weight' }] });
    assert.deepEqual(
      layers.map(({ shape, tensor }) => [shape, tensor.shape]),
      [
        [
          [3, 512],
          [3, 2, 256],
        ],
      ],
    );
  });

  test('SuperPoint (a real file)', async (t) => {
    const shared = sharedData();
    if (shared === undefined) {
      t.skip('no shared data');
      return;
    }
    const checkpoint = await openCheckpoint(path.join(shared, 'gguf_superpoint/superpoint.gguf'));
    await assertFacts(checkpoint, references.superpoint);
    assert.equal(checkpoint.format, 'GGUF (superpoint)');
    assert.deepEqual(checkpoint.notes, []);
    const { layers } = listLayers(checkpoint);
    assert.deepEqual(layers.map(({ kind, shape }) => `${kind} ${shape.join('×')}`).slice(0, 5), [
      'conv 64×9',
      'conv 64×576',
      'conv 64×576',
      'conv 64×576',
      'conv 128×576',
    ]);
  });

  test('blocks that are not as many as the elements are refused', () => {
    assert.throws(
      () => decode({ kind: 'ggml', type: 'Q4_K' }, [new Uint8Array(145)], 1024),
      /145 bytes of Q4_K for 256 elements/,
    );
  });
});

describe('versions', () => {
  const recipe: GgufRecipe = {
    metadata: [],
    tensors: [
      { name: 'a.weight', dims: [2, 3], type: F32, offset: 0 },
      { name: 'a.bias', dims: [3], type: F32, offset: 32 },
    ],
    data: bytes(float32(1, 2, 3, 4, 5, 6), Buffer.alloc(8), float32(7, 8, 9)),
  };
  for (const version of [1, 2, 3]) {
    test(`version ${version}`, async () => {
      const own = new GgufWriter(version);
      const metadata: GgufRecipe['metadata'] = [
        ['general.architecture', STRING, own.text('llama')],
        ['tokens', ARRAY, own.array(STRING, 2, own.text('a'), own.text('b'))],
      ];
      const { tensors, format } = await open(`version${version}.gguf`, { ...recipe, version, metadata });
      assert.equal(format, 'GGUF (llama)');
      assert.deepEqual(
        tensors.map(({ shape }) => shape),
        [[3, 2], [3]],
      );
      const [weight, bias] = tensors;
      assert.ok(weight && bias);
      assert.deepEqual(Buffer.from(await readTensorBytes(weight)), float32(1, 2, 3, 4, 5, 6));
      assert.deepEqual(Buffer.from(await readTensorBytes(bias)), float32(7, 8, 9));
    });
  }

  test('an architecture that is no name is not shown', async () => {
    const metadata = [['general.architecture', STRING, writer.text('\u001b[2J')]] as const;
    assert.equal((await open('named.gguf', { ...recipe, metadata })).format, 'GGUF');
  });

  test('another alignment', async () => {
    const metadata = [['general.alignment', UINT32, writer.uint32(8)]] as const;
    const tensors = [{ name: 'a', dims: [2], type: F32, offset: 8 }];
    const data = float32(0, 0, 1, 2);
    const [tensor] = (await open('eight.gguf', { metadata, tensors, data, alignment: 8 })).tensors;
    assert.ok(tensor);
    assert.deepEqual(Buffer.from(await readTensorBytes(tensor)), float32(1, 2));
  });

  test('a LoRA adapter says what it is', async () => {
    const metadata = [
      ['general.type', STRING, writer.text('adapter')],
      ['adapter.type', STRING, writer.text('lora')],
      ['adapter.lora.alpha', FLOAT32, writer.float32(16)],
    ] as const;
    const tensors = [
      { name: 'blk.0.attn_q.weight.lora_a', dims: [8, 2], type: F32, offset: 0 },
      { name: 'blk.0.attn_q.weight.lora_b', dims: [2, 4], type: F32, offset: 64 },
    ];
    const checkpoint = await open('lora.gguf', { metadata, tensors, data: Buffer.alloc(96) });
    assert.deepEqual(checkpoint.notes, [
      'A LoRA adapter with alpha 16, not a whole model',
      '1 low-rank adapter (LoRA) of rank 2, given as the change s·B·A of its weight, s = 8',
    ]);
    const factors = checkpoint.tensors.filter(({ role }) => role === 'factor');
    assert.deepEqual(
      factors.map(({ shape }) => shape),
      [
        [2, 8],
        [4, 2],
      ],
    );
  });

  test('types that are not read are listed by name', async () => {
    const tensors = [
      { name: 'a', dims: [256], type: 16, offset: 0 },
      { name: 'b', dims: [32], type: 9, offset: 96 },
      { name: 'c', dims: [32], type: 77, offset: 128 },
    ];
    const checkpoint = await open('unread.gguf', { tensors, data: Buffer.alloc(200) });
    assert.deepEqual(checkpoint.tensors, []);
    assert.deepEqual(
      checkpoint.unreadable.map(({ name, dtype, reason }) => [name, dtype, reason]),
      [
        ['a', 'IQ2_XXS', "values of ggml's type IQ2_XXS are not read"],
        ['b', 'Q8_1', "values of ggml's type Q8_1 are not read"],
        ['c', 'number 77', "values of ggml's type number 77 are not read"],
      ],
    );
  });
});

describe('shards', () => {
  const shard = (number: number, count: number, total = 2, name = `t${number}`): Buffer =>
    gguf({
      metadata: [
        ...(number === 0 ? ([['general.architecture', STRING, writer.text('llama')]] as const) : []),
        ['split.no', UINT16, writer.uint16(number)],
        ['split.count', UINT16, writer.uint16(count)],
        ['split.tensors.count', INT32, writer.uint32(total)],
      ],
      tensors: [{ name, dims: [256], type: Q4_K, offset: 0 }],
      data: Buffer.alloc(144),
    });
  const shardsOf = (name: string, files: readonly Buffer[]): string => {
    const own = path.join(folder, name);
    mkdirSync(own);
    files.forEach((content, i) => {
      writeFileSync(path.join(own, `m-0000${i + 1}-of-0000${files.length}.gguf`), content);
    });
    return own;
  };

  test('a folder of them is one model', async () => {
    const own = shardsOf('model', [shard(0, 2), shard(1, 2)]);
    const checkpoint = await openCheckpoint(own);
    assert.equal(checkpoint.format, 'GGUF (llama, 2 shards)');
    assert.deepEqual(
      checkpoint.tensors.map(({ name }) => name),
      ['t0', 't1'],
    );
    assert.deepEqual(checkpoint.notes, ['2 tensors are Q4_K: dequantised to float32 for analysis']);
    assert.equal(checkpoint.files.length, 2);
    assert.deepEqual(
      (await listCheckpointFiles(folder)).files.filter((file) => file === own),
      [own],
    );
  });
  test('one of them says so', async () => {
    const { notes, format } = await openCheckpoint(write('one.gguf', shard(1, 2)));
    assert.equal(format, 'GGUF');
    assert.match(notes[0] ?? '', /^Shard 2 of 2: the other tensors are in the other shards/);
  });
  const refused = (name: string, files: readonly Buffer[], message: RegExp): Promise<void> =>
    assert.rejects(openCheckpoint(shardsOf(name, files)), (error) => {
      assert.ok(error instanceof CheckpointError);
      assert.match(error.message, message);
      return true;
    });
  test('in the wrong order are refused', () =>
    refused('swapped', [shard(1, 2), shard(0, 2)], /says that it is shard 2 of 2, not 1 of 2/));
  test('with a tensor in two are refused', () =>
    refused('twice', [shard(0, 2), shard(1, 2, 2, 't0')], /tensor "t0": is in two shards/));
  test('that lack tensors are refused', () =>
    refused('few', [shard(0, 2, 5), shard(1, 2, 5)], /the shards have 2 of 5 tensors/));
  test('one of which is missing are refused', async () => {
    const own = path.join(folder, 'missing');
    mkdirSync(own);
    writeFileSync(path.join(own, 'm-00001-of-00002.gguf'), shard(0, 2));
    await assert.rejects(openCheckpoint(own), /the shard "m-00002-of-00002\.gguf" of 2 is missing/);
  });
  test('two models beside each other are not one', async () => {
    const own = path.join(folder, 'several');
    mkdirSync(own);
    for (const stem of ['q4', 'q8'])
      writeFileSync(path.join(own, `${stem}-00001-of-00001.gguf`), shard(0, 1, 1));
    await assert.rejects(openCheckpoint(own), /a folder of 2 checkpoints, not one model/);
  });
});

describe('time', () => {
  test('a sparse file of 20 GB opens at once', async () => {
    const rows = 2 ** 22;
    const tensorBytes = rows * 16 * 144;
    const tensors = [0, 1, 2].map((i) => ({
      name: `blk.${i}.ffn_up.weight`,
      dims: [4096, rows],
      type: Q4_K,
      offset: i * tensorBytes,
    }));
    const content = gguf({ tensors });
    const file = write('sparse.gguf', content);
    truncateSync(file, content.length + 3 * tensorBytes);
    assert.ok(content.length + 3 * tensorBytes > 20e9);
    const checkpoint = await opensLightly(file);
    assert.deepEqual(checkpoint.tensors[2]?.shape, [rows, 4096]);
  });

  test('a tokenizer of 20 MB is stepped over', async () => {
    const token = writer.text('x'.repeat(12));
    const count = 1_000_000;
    const tokens = Buffer.alloc(token.length * count).fill(token);
    const metadata = [['tokenizer.ggml.tokens', ARRAY, bytes(writer.array(STRING, count), tokens)]] as const;
    const tensors = [{ name: 'a', dims: [1], type: F32, offset: 0 }];
    const file = write('tokens.gguf', gguf({ metadata, tensors, data: Buffer.alloc(4) }));
    const before = performance.now();
    assert.equal((await openCheckpoint(file)).tensors.length, 1);
    assert.ok(performance.now() - before < 5000);
  });

  test('a weight of a model of 7B parameters is decoded in under a second', () => {
    const elements = 4096 * 11008;
    const { values, bytes: size } = blockSize('Q4_K');
    const source = new Uint8Array((elements / values) * size).fill(0x35);
    // Of the processor, whatever else runs beside the test.
    const before = process.cpuUsage();
    decode({ kind: 'ggml', type: 'Q4_K' }, [source], elements * 4);
    assert.ok(process.cpuUsage(before).user < 1e6);
  });
});
