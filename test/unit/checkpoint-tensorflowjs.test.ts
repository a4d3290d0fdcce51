/** TensorFlow.js models: weights of a manifest, quantised, across files, named by layers and graphs; and hostile ones. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { Checkpoint } from '../../src/checkpoint/checkpoint';
import { CheckpointError } from '../../src/checkpoint/errors';
import { listLayers } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes, readTensorBytesSync } from '../../src/checkpoint/tensorData';
import { bytes, float32, temporaryFolder, uint32 } from '../fixtures/handmade';
import { ROOT, sharedData } from '../reference/references';
import { opensLightly } from './opensLightly';

interface Weight {
  readonly name?: unknown;
  readonly shape?: unknown;
  readonly dtype?: unknown;
  readonly quantization?: unknown;
}

const { folder, write } = temporaryFolder();

/** A model of one group of files. */
function model(weights: readonly Weight[], paths: readonly unknown[], topology: unknown = {}): string {
  return write(
    'model.json',
    JSON.stringify({ modelTopology: topology, weightsManifest: [{ paths, weights }] }),
  );
}

async function values(checkpoint: Checkpoint): Promise<Record<string, readonly [string, Buffer]>> {
  const found: Record<string, readonly [string, Buffer]> = {};
  for (const tensor of checkpoint.tensors) {
    const data = await readTensorBytes(tensor);
    assert.deepEqual(readTensorBytesSync(tensor), data, tensor.name);
    found[tensor.name] = [tensor.dtype, Buffer.from(data)];
  }
  return found;
}

describe('weights of a manifest', () => {
  test('the fixture holds what Keras gave, across the end of a file too', async () => {
    const fixture = path.join(ROOT, 'test/fixtures/tensorflow');
    const { files } = JSON.parse(readFileSync(path.join(fixture, 'expected.json'), 'utf8')) as {
      // Written by make_tensorflow.py, in this shape.
      files: Record<string, Record<string, { shape: number[]; dtype: string; sha256: string }>>;
    };
    const checkpoint = await openCheckpoint(path.join(fixture, 'web/model.json'));
    assert.equal(checkpoint.format, 'TensorFlow.js layers model');
    assert.equal(checkpoint.files.length, 3);
    assert.equal(checkpoint.readOnly, true);
    assert.ok(checkpoint.tensors.some(({ storage }) => storage.encoding === 'decoded'));
    const found = await values(checkpoint);
    const facts = checkpoint.tensors.map(({ name, shape }) => {
      const [dtype = '', data = Buffer.alloc(0)] = found[name] ?? [];
      return [name, { shape, dtype, sha256: createHash('sha256').update(data).digest('hex').slice(0, 16) }];
    });
    assert.deepEqual(Object.fromEntries(facts), files['web/model.json']);
  });

  test('every type, plain and quantised', async () => {
    write('a.bin', bytes(float32(1.5, -2), uint32(7), [0, 0x3c], [1, 0], float32(1, 2), [0, 100, 255], [0xff, 0xff, 1, 0])); // prettier-ignore
    write('b.bin', bytes([0x00, 0xc0], uint32(3), 'one', uint32(0), [5, 9]));
    const min = -0.75;
    const scale = 0.01;
    const checkpoint = await openCheckpoint(
      model(
        [
          { name: 'float', shape: [2], dtype: 'float32' },
          { name: 'int', shape: [], dtype: 'int32' },
          { name: 'half', shape: [1], dtype: 'float16' },
          { name: 'flags', shape: [2], dtype: 'bool' },
          { name: 'complex', shape: [1], dtype: 'complex64' },
          { name: 'bytes', shape: [3], dtype: 'float32', quantization: { dtype: 'uint8', scale, min } },
          { name: 'words', shape: [2], dtype: 'float32', quantization: { dtype: 'uint16', scale, min } },
          { name: 'halves', shape: [1, 1], dtype: 'float32', quantization: { dtype: 'float16' } },
          { name: 'texts', shape: [2], dtype: 'string' },
          { name: 'counts', shape: [1], dtype: 'int32', quantization: { dtype: 'uint8', scale: 2, min: 1 } },
          { name: 'none', shape: [0, 3], dtype: 'float32' },
          { name: 'last', shape: [1], dtype: 'uint8' },
        ],
        ['a.bin', 'b.bin'],
      ),
    );
    assert.deepEqual(await values(checkpoint), {
      float: ['float32', float32(1.5, -2)],
      int: ['int32', uint32(7)],
      half: ['float16', bytes([0, 0x3c])],
      flags: ['bool', bytes([1, 0])],
      complex: ['complex64', float32(1, 2)],
      bytes: ['float32', float32(min, 100 * scale + min, 255 * scale + min)],
      words: ['float32', float32(65535 * scale + min, scale + min)],
      halves: ['float16', bytes([0, 0xc0])],
      none: ['float32', Buffer.alloc(0)],
      last: ['uint8', bytes([9])],
    });
    assert.deepEqual(checkpoint.unreadable, [
      { name: 'texts', shape: [2], dtype: 'string', reason: 'it holds text, not numbers' },
      { name: 'counts', shape: [1], dtype: 'int32', reason: 'its int32 values are quantised' },
    ]);
  });

  test('quantised values across the ends of many files', async () => {
    const codes = Buffer.alloc(24);
    for (let i = 0; i < 12; i++) codes.writeUInt16LE(5000 * i, 2 * i);
    const paths = [0, 3, 4, 4, 15].map((begin, i, all) =>
      write(`s${i}.bin`, codes.subarray(begin, all[i + 1])),
    );
    const quantization = { dtype: 'uint16', scale: 0.5, min: -3 };
    const weight = { name: 'w', shape: [3, 4], dtype: 'float32', quantization };
    const checkpoint = await openCheckpoint(model([weight], paths.map((file) => path.basename(file)))); // prettier-ignore
    const expected = Array.from({ length: 12 }, (_, i) => 2500 * i - 3);
    assert.deepEqual(await values(checkpoint), { w: ['float32', float32(...expected)] });
    assert.equal(checkpoint.files.length, 6);
  });

  test('the real model', { skip: sharedData() === undefined && 'the shared data is not here' }, async () => {
    const shared = path.join(sharedData() ?? '', 'tfjs_mnist_modeljson');
    const checkpoint = await openCheckpoint(path.join(shared, 'model.json'));
    const { layers, skipped } = listLayers(checkpoint);
    assert.deepEqual(layers.map(({ name, shape }) => [name, ...shape]), [
      ['conv2d/kernel', 32, 9],
      ['conv2d_1/kernel', 64, 288],
      ['conv2d_2/kernel', 128, 576],
      ['conv2d_3/kernel', 128, 1152],
      ['dense/kernel', 256, 1152],
      ['dense_1/kernel', 10, 256],
    ]); // prettier-ignore
    assert.equal(layers.length + skipped.length, 12);
    const found = Object.values(await values(checkpoint)).map(([, data]) => data);
    assert.deepEqual(Buffer.concat(found), readFileSync(path.join(shared, 'group1-shard1of1.bin')));
  });

  test('twenty gigabytes of values cost nothing to open', async () => {
    const paths = Array.from({ length: 20 }, (_, i) => `big${i}.bin`);
    for (const name of paths) {
      const fd = openSync(path.join(folder, name), 'w');
      ftruncateSync(fd, 1e9);
      closeSync(fd);
    }
    const weights = Array.from({ length: 5000 }, (_, i) => ({ name: `w${i}`, shape: [1000, 1000], dtype: 'float32' })); // prettier-ignore
    const file = model(weights, paths);
    assert.equal((await opensLightly(file)).tensors.length, 5000);
  });
});

describe('what the architecture says of weights', () => {
  const kernel = (name: string, shape: readonly number[]): Weight => ({ name, shape, dtype: 'float32' });
  const layersOf = async (weights: readonly Weight[], topology: unknown): Promise<unknown[]> => {
    const size = weights.reduce(
      (sum, { shape }) => sum + 4 * (shape as number[]).reduce((a, b) => a * b, 1),
      0,
    );
    write('w.bin', Buffer.alloc(size));
    const { layers } = listLayers(await openCheckpoint(model(weights, ['w.bin'], topology)));
    return layers.map(({ name, kind, shape, groups = 1 }) => [name, kind, ...shape, groups]);
  };

  test('groups, depthwise and transposed kernels of layers, in models inside models too', async () => {
    const layer = (className: string, name: string, config: object = {}): object => ({
      class_name: className,
      config: { name, ...config },
    });
    const inner = layer('Sequential', 'inner', {
      layers: [layer('Conv2DTranspose', 'grow'), layer('Dense', 'dense')],
    });
    const wrapped = layer('TimeDistributed', 'each', { layer: layer('Conv1D', 'along') });
    const layers = [
      layer('Conv2D', 'split', { groups: 3 }),
      layer('DepthwiseConv2D', 'wide'),
      layer('Embedding', 'words'),
    ];
    const topology = { model_config: layer('Functional', 'net', { layers: [...layers, wrapped, inner] }) };
    const weights = [
      kernel('split/kernel', [3, 3, 2, 6]),
      kernel('wide/kernel', [3, 3, 6, 2]),
      kernel('words/embeddings', [9, 4]),
      kernel('each/along/kernel', [5, 2, 4]),
      kernel('inner/grow/kernel', [3, 3, 4, 5]),
      kernel('dense/kernel', [4, 2]),
    ];
    const expected = [
      ['split/kernel', 'conv', 2, 18, 3],
      ['wide/kernel', 'conv', 2, 9, 6],
      ['words/embeddings', 'embedding', 9, 4, 1],
      ['each/along/kernel', 'conv', 4, 10, 1],
      ['inner/grow/kernel', 'conv', 36, 5, 1],
      ['dense/kernel', 'linear', 2, 4, 1],
    ];
    assert.deepEqual(await layersOf(weights, topology), expected);
  });

  test('operations of a graph that take its constants', async () => {
    const node = (op: string, name: string, input: readonly string[], attr: object = {}): object => ({
      op,
      name,
      input,
      attr,
    });
    const yes = { b: true };
    const topology = {
      node: [
        node('Conv2D', 'c', ['x', 'k/conv']),
        node('FusedDepthwiseConv2dNative', 'd', ['c', 'k/depth:0', 'bias']),
        node('Identity', 'i', ['k/grow']),
        node('Conv2DBackpropInput', 't', ['size', 'i', 'd']),
        node('ExpandDims', 'e', ['k/line', 'axis']),
        node('Conv2D', 'l', ['t', 'e']),
        node('_FusedMatMul', 'm', ['l', 'k/in', 'bias'], { transpose_b: { b: false } }),
        node('MatMul', 'n', ['m', 'k/out'], { transpose_b: yes }),
        node('MatMul', 'o', ['k/left', 'n'], { transpose_a: yes }),
        node('GatherV2', 'g', ['k/words', 'ids', 'axis']),
        node('Identity', 'loop', ['loop']),
        null,
        { op: 'Conv2D', input: 'no list' },
      ],
    }; // prettier-ignore
    const weights = [
      kernel('k/conv', [3, 3, 2, 4]),
      kernel('k/depth', [3, 3, 4, 1]),
      kernel('k/grow', [2, 2, 6, 4]),
      kernel('k/line', [3, 6, 5]),
      kernel('k/in', [5, 7]),
      kernel('k/out', [3, 7]),
      kernel('k/left', [3, 2]),
      kernel('k/words', [10, 3]),
      kernel('loop', [2, 2]),
    ];
    assert.deepEqual(await layersOf(weights, topology), [
      ['k/conv', 'conv', 4, 18, 1],
      ['k/depth', 'conv', 1, 9, 4],
      ['k/grow', 'conv', 24, 4, 1],
      ['k/line', 'conv', 5, 18, 1],
      ['k/in', 'linear', 7, 5, 1],
      ['k/out', 'linear', 3, 7, 1],
      ['k/left', 'linear', 2, 3, 1],
      ['k/words', 'embedding', 10, 3, 1],
      ['loop', 'other', 2, 2, 1],
    ]);
    assert.equal((await openCheckpoint(path.join(folder, 'model.json'))).format, 'TensorFlow.js graph model');
  });
});

describe('manifests that say what cannot be', () => {
  const refused = (file: string, message: RegExp): Promise<void> =>
    assert.rejects(openCheckpoint(file), (error: unknown) => {
      assert.ok(error instanceof CheckpointError, String(error));
      assert.match(error.message, message);
      assert.ok(!error.message.includes('\n'));
      return true;
    });
  const one = { name: 'w', shape: [2], dtype: 'float32' };

  test('files that are missing, elsewhere, or of another size', async () => {
    write('eight.bin', Buffer.alloc(8));
    await refused(model([one], ['gone.bin']), /model\.json: the weight file "gone\.bin" of 1 is missing$/);
    const outside = temporaryFolder().write('secret.bin', Buffer.alloc(8));
    const leaves = /leaves the model's folder$/;
    for (const given of [outside, '../secret.bin', 'a/../../secret.bin', '.', '', '..', 7, null, 'x\0'])
      await refused(model([one], [given]), leaves);
    await refused(model([one], ['https://example.org/eight.bin']), /is missing$/);
    symlinkSync(outside, path.join(folder, 'link.bin'));
    await refused(
      model([one], ['link.bin']),
      /the weight file "link\.bin" is a link out of the model's folder$/,
    );
    mkdirSync(path.join(folder, 'folder.bin'));
    await refused(model([one], ['folder.bin']), /is not a regular file$/);
    await refused(model([one, { ...one, name: 'v' }], ['eight.bin']), /tensor "v": needs 8 bytes, but its weight files have 0 left$/); // prettier-ignore
    await refused(
      model([{ ...one, shape: [1] }], ['eight.bin']),
      /the weights need 4 bytes of files that have 8$/,
    );
    await refused(model([one], ['eight.bin', 'eight.bin']), /names a weight file twice$/);
    await refused(
      model(
        [one],
        Array.from({ length: 10_001 }, (_, i) => `${i}`),
      ),
      /weights in 10001 files$/,
    );
    await refused(model([one], []), /needs 8 bytes, but its weight files have 0 left$/);
  });

  test('values of kinds that have no text', async () => {
    const deep = (text: string): string => '['.repeat(20_000) + text + ']'.repeat(20_000);
    const file = (dtype: string, given: string): string =>
      write(
        'model.json',
        `{"weightsManifest":[{"paths":[${given}],"weights":[{"name":"w","shape":[2]${dtype}}]}]}`,
      );
    await refused(file('', '"eight.bin"'), /"w" has elements of type \(nothing\)$/);
    for (const [given, said] of [
      ['{"toString":1,"toJSON":2}', /\(an object\)/],
      [deep('{"toString":null}'), /\(a list\)/],
    ] as const) {
      await refused(file(`,"dtype":${given}`, '"eight.bin"'), said);
      await refused(file(',"dtype":"float32"', given), said);
    }
  });

  test('names, shapes, types and scales', async () => {
    write('eight.bin', Buffer.alloc(8));
    const of = (weight: Weight): string => model([weight], ['eight.bin']);
    await refused(model([one, one], ['eight.bin']), /tensor "w": is in the manifest twice$/);
    await refused(of({ ...one, name: 3 }), /a weight without a name$/);
    for (const shape of [undefined, 'x', [-1], [1.5], [2 ** 53], ['2'], [null]])
      await refused(of({ ...one, shape }), /"w" has no shape$/);
    for (const size of [2 ** 31, 2 ** 32, 2 ** 53 - 1]) await refused(of({ ...one, shape: [size] }), /needs \d+ bytes|beyond any file/); // prettier-ignore
    await refused(of({ ...one, shape: [2 ** 30, 2 ** 30, 0] }), /beyond any file$/);
    await refused(of({ ...one, shape: Array.from({ length: 65 }, () => 1) }), /65 axes/);
    await refused(of({ ...one, dtype: 'int64' }), /elements of type int64$/);
    await refused(of({ ...one, dtype: '__proto__' }), /elements of type __proto__$/);
    await refused(of({ ...one, dtype: 4 }), /elements of type 4$/);
    for (const quantization of [
      { dtype: 'uint8' },
      { dtype: 'uint8', scale: 1 },
      { dtype: 'uint8', scale: '1', min: 0 },
    ])
      await refused(of({ ...one, shape: [8], quantization }), /quantised without a scale and a minimum$/);
    await refused(
      of({ ...one, quantization: { dtype: 'int32', scale: 1, min: 0 } }),
      /values quantised to int32$/,
    );
    await refused(of({ ...one, quantization: {} }), /quantised without a type$/);
    const infinite = '{"modelTopology":{},"weightsManifest":[{"paths":["eight.bin"],"weights":[{"name":"w","shape":[8],"dtype":"float32","quantization":{"dtype":"uint8","scale":1e999,"min":0}}]}]}'; // prettier-ignore
    await refused(write('model.json', infinite), /quantised without a scale and a minimum$/);
    write('texts.bin', bytes(uint32(2 ** 32 - 1), 'abcd'));
    const texts = { name: 't', shape: [1], dtype: 'string' };
    await refused(model([texts], ['texts.bin']), /its texts reach beyond the weight files$/);
    await refused(model([{ ...texts, shape: [1e9] }], ['texts.bin']), /1000000000 texts$/);
  });

  test('JSON that is none, or nothing of a model', async () => {
    const text = JSON.stringify({ modelTopology: { a: [1, 2] }, weightsManifest: [{ paths: ['eight.bin'], weights: [one] }] }); // prettier-ignore
    for (let length = 20; length < text.length; length += 5)
      await refused(write('model.json', text.slice(0, length)), /not valid JSON/);
    await refused(write('model.json', '{"modelTopology":{}}'), /a TensorFlow\.js model without weights/);
    await refused(write('model.json', '{"weightsManifest":[3]}'), /a group without "paths" and "weights"$/);
    await refused(write('model.json', '{"weightsManifest":{}}'), /a TensorFlow\.js model without weights/);
    write('eight.bin', Buffer.alloc(8));
    const deep = `${'{"layers":['.repeat(50_000)}${']}'.repeat(50_000)}`;
    const manifest = JSON.stringify([{ paths: ['eight.bin'], weights: [one] }]);
    const file = write('model.json', `{"modelTopology":${deep},"weightsManifest":${manifest}}`);
    assert.equal((await openCheckpoint(file)).tensors.length, 1);
  });
});
