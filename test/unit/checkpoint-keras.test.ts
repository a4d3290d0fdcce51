import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { Checkpoint } from '../../src/checkpoint/checkpoint';
import { parseKerasConfig } from '../../src/checkpoint/keras/config';
import { inputAxesOf } from '../../src/checkpoint/keras/classes';
import { inferVariables } from '../../src/checkpoint/keras/infer';
import { listLayers, modelParameters, type Layer } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { temporaryFolder, zip } from '../fixtures/handmade';
import { assertHolds, hdf5Facts, hdf5Fixture } from '../fixtures/hdf5Files';
import { sharedData } from '../reference/references';

const { write } = temporaryFolder();
const facts = hdf5Facts('tensors.json');

const openFixture = (name: string): Promise<Checkpoint> => openCheckpoint(write(name, hdf5Fixture(name)));

/** The names that older files have: below `model_weights` and the layer. */
const legacyName = (at: string): string => at.replace(/^model_weights\/[^/]+\//, '');

describe('a model that Keras 3 saved in its three formats', () => {
  test('holds what h5py says', async () => {
    const whole = await openFixture('model.keras');
    assert.equal(whole.format, 'Keras (.keras)');
    await assertHolds(whole, facts['model.keras'] ?? {});
    const weights = await openFixture('model.weights.h5');
    assert.equal(weights.format, 'Keras (.weights.h5)');
    await assertHolds(weights, facts['model.weights.h5'] ?? {});
    const legacy = await openFixture('model.h5');
    assert.equal(legacy.format, 'Keras (.h5)');
    await assertHolds(legacy, facts['model.h5'] ?? {}, legacyName);
  });

  test('its weights stand in the archive where their storages say', async () => {
    const { tensors } = await openFixture('model.keras');
    assert.ok(
      tensors.every(({ storage }) => storage.encoding === 'raw' && storage.path.endsWith('model.keras')),
    );
  });

  test('compressed, it is the same', async () => {
    const data = hdf5Fixture('model.weights.h5');
    const file = write('deflated.keras', zip([{ name: 'model.weights.h5', data, deflate: true }]));
    const checkpoint = await openCheckpoint(file);
    await assertHolds(checkpoint, facts['model.weights.h5'] ?? {});
    assert.ok(checkpoint.tensors.every(({ storage }) => storage.encoding === 'memory'));
  });

  test('has the same layers, with the same values in the same order', async () => {
    const [whole, legacy] = [await openFixture('model.keras'), await openFixture('model.h5')];
    const [a, b] = [listLayers(whole).layers, listLayers(legacy).layers];
    assert.deepEqual(a.map(reading), b.map(reading));
    for (const [i, layer] of a.entries()) {
      const other = b[i];
      assert.ok(other);
      assert.deepEqual(await readTensorBytes(layer.tensor), await readTensorBytes(other.tensor), layer.name);
    }
    assert.equal(modelParameters(whole), modelParameters(legacy));
    // Without the model's configuration neither the order, the groups of a convolution nor the axes of an einsum are known.
    const weights = listLayers(await openFixture('model.weights.h5')).layers;
    const plain = (layer: Layer) =>
      /conv2d_1|einsum/.test(layer.name) ? '' : JSON.stringify(reading(layer));
    assert.deepEqual(weights.map(plain).sort(), a.map(plain).sort());
  });

  test('its layers are what Keras says they are', async () => {
    const { layers, skipped } = listLayers(await openFixture('model.keras'));
    const shown = layers.map(({ name, kind, shape, groups }) => [
      name.replace(/^layers\//, ''),
      kind,
      shape,
      groups ?? 1,
    ]);
    assert.deepEqual(shown, [
      ['conv2d/vars/0', 'conv', [4, 27], 1],
      ['depthwise_conv2d/vars/0', 'conv', [2, 9], 4],
      ['separable_conv2d/vars/0', 'conv', [1, 9], 8],
      ['separable_conv2d/vars/1', 'conv', [8, 8], 1],
      ['conv2d_transpose/vars/0', 'conv', [54, 8], 1],
      ['conv2d_1/vars/0', 'conv', [3, 3], 2],
      ['conv1d/vars/0', 'conv', [8, 24], 1],
      ['multi_head_attention/query_dense/vars/0', 'linear', [6, 8], 1],
      ['multi_head_attention/key_dense/vars/0', 'linear', [6, 8], 1],
      ['multi_head_attention/value_dense/vars/0', 'linear', [6, 8], 1],
      ['multi_head_attention/output_dense/vars/0', 'linear', [8, 6], 1],
      ['bidirectional/forward_layer/cell/vars/0', 'other', [12, 8], 1],
      ['bidirectional/forward_layer/cell/vars/1', 'other', [12, 3], 1],
      ['bidirectional/backward_layer/cell/vars/0', 'other', [12, 8], 1],
      ['bidirectional/backward_layer/cell/vars/1', 'other', [12, 3], 1],
      ['time_distributed/layer/vars/0', 'linear', [5, 6], 1],
      ['einsum_dense/vars/0', 'linear', [6, 5], 1],
      ['einsum_dense_1/vars/0', 'linear', [4, 6], 1],
      ['gru/cell/vars/0', 'other', [12, 4], 1],
      ['gru/cell/vars/1', 'other', [12, 4], 1],
      ['sequential/layers/dense/vars/0', 'linear', [4, 4], 1],
      ['sequential/layers/dense_1/vars/0', 'linear', [3, 4], 1],
      ['embedding/vars/0', 'embedding', [11, 2], 1],
      ['dense/vars/0', 'linear', [2, 13], 1],
    ]);
    const moving = skipped.filter(({ reason }) => reason.startsWith('running statistics'));
    assert.deepEqual(
      moving.map(({ name }) => name),
      ['layers/batch_normalization/vars/1', 'layers/batch_normalization/vars/2'],
    );
  });

  test('its optimizer is no part of it', async () => {
    for (const name of ['model.keras', 'model.h5']) {
      const { tensors, notes } = await openFixture(name);
      assert.ok(tensors.every(({ role, name: at }) => (role === 'optimizer') === at.startsWith('optimizer')));
      assert.match(notes[0] ?? '', /\d+ tensors are optimizer state/);
    }
  });
});

function reading({ kind, shape, groups, parts, trivialRank, parameters }: Layer): unknown {
  return { kind, shape, groups, parts: parts?.map(({ name }) => name), trivialRank, parameters };
}

describe('configurations', () => {
  const config = (json: string) => parseKerasConfig(Buffer.from(json));

  test('code in a Lambda layer is told, and never run', async () => {
    const { notes, tensors } = await openFixture('lambda.keras');
    assert.deepEqual(
      tensors.map(({ shape }) => shape),
      [[3, 2], [2]],
    );
    assert.match(notes.join(), /Python code is in the model's configuration \(Lambda: "double"/);
  });

  test('classes outside Keras are told', () => {
    const { foreign } = config(
      '{"module":"os","class_name":"system","config":{"name":"x"},"registered_name":null}',
    );
    assert.deepEqual(foreign, ['os.system']);
  });

  test('what is no configuration is told, and the weights are read', async () => {
    const data = hdf5Fixture('model.weights.h5');
    for (const text of ['{"class_name":', '[]', '['.repeat(100_000), '{"a":1,"a":2}']) {
      const entries = [
        { name: 'config.json', data: Buffer.from(text) },
        { name: 'model.weights.h5', data },
      ];
      const checkpoint = await openCheckpoint(write('odd.keras', zip(entries)));
      assert.match(checkpoint.notes.join(), /the model's configuration is not read: /);
      assert.equal(checkpoint.tensors.length, Object.keys(facts['model.weights.h5'] ?? {}).length);
    }
  });

  test('names of all kinds are only names', () => {
    const { model } = config(
      '{"class_name":"__proto__","config":{"name":"constructor","layers":{"__proto__":[]}}}',
    );
    assert.equal(model.className, '__proto__');
    assert.equal(model.name, 'constructor');
  });

  test('axes of an einsum', () => {
    assert.equal(inputAxesOf('abc,cde->abde'), 1);
    assert.equal(inputAxesOf('...de,def->...f'), 2);
    assert.equal(inputAxesOf('abc,dc->abd'), undefined);
    assert.equal(inputAxesOf('abc,bcd->abd'), undefined);
    assert.equal(inputAxesOf(undefined), undefined);
  });

  test('variables of unknown layers, by their shapes', () => {
    assert.deepEqual(inferVariables([[3, 3, 4, 8], [8]]), ['kernel', 'bias']);
    assert.deepEqual(inferVariables([[3, 3, 4, 1], [4]]), ['depthwise_kernel', 'bias']);
    assert.deepEqual(inferVariables([[4, 12], [3, 12], [12]]), ['kernel', 'recurrent_kernel', 'bias']);
    assert.deepEqual(inferVariables([[3, 3, 4, 1], [1, 1, 4, 8], [8]]), [
      'depthwise_kernel',
      'pointwise_kernel',
      'bias',
    ]);
    assert.deepEqual(inferVariables([[4], [4], [4], [4]])?.[3], 'moving_variance');
    assert.equal(inferVariables([[4, 5], [7]]), undefined);
    assert.equal(inferVariables([]), undefined);
  });
});

describe('hostile archives', () => {
  test('weights that inflate to more than they say, or to more than is read', async () => {
    const data = Buffer.alloc(1 << 20);
    const refused = (byteLength: number, message: RegExp): Promise<void> => {
      const entries = [{ name: 'model.weights.h5', data, deflate: true, byteLength }];
      return assert.rejects(openCheckpoint(write('bomb.keras', zip(entries))), {
        name: 'CheckpointError',
        message,
      });
    };
    await refused(1000, /does not inflate/);
    await refused(2 ** 30, /cannot come of/);
    await refused(2 ** 20 + 1, /does not inflate to its/);
  });

  test('weights that are no HDF5', async () => {
    for (const data of [Buffer.alloc(0), Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), Buffer.from('PK')]) {
      const file = write('none.keras', zip([{ name: 'model.weights.h5', data }]));
      await assert.rejects(openCheckpoint(file), { name: 'CheckpointError', message: /none\.keras.*HDF5/ });
    }
  });
});

describe('real models', () => {
  const data = sharedData();
  const skip = data === undefined && 'the shared data is not here';
  const real = hdf5Facts('real.json');

  test('ResNet-8 of MLPerf Tiny', { skip }, async () => {
    const name = 'mlperf_tiny/pretrainedResnet.h5';
    const checkpoint = await openCheckpoint(path.join(data ?? '', name));
    await assertHolds(checkpoint, real[name] ?? {}, legacyName);
    const { layers } = listLayers(checkpoint);
    assert.deepEqual(
      layers.map(({ kind, shape }) => [kind, ...shape]),
      [
        ['conv', 16, 27],
        ['conv', 16, 144],
        ['conv', 16, 144],
        ['conv', 32, 144],
        ['conv', 32, 288],
        ['conv', 32, 16],
        ['conv', 64, 288],
        ['conv', 64, 576],
        ['conv', 64, 32],
        ['linear', 10, 64],
      ],
    );
    assert.equal(layers[0]?.name, 'conv2d/kernel:0');
    assert.equal(checkpoint.tensors.filter(({ role }) => role === 'model').length, 48);
  });

  test('a convolutional network for MNIST', { skip }, async () => {
    const name = 'keras_mnist/mnist_cnn.keras';
    const checkpoint = await openCheckpoint(path.join(data ?? '', name));
    await assertHolds(checkpoint, real[name] ?? {});
    assert.deepEqual(
      listLayers(checkpoint).layers.map((layer) => [layer.name, layer.kind, ...layer.shape]),
      [
        ['layers/conv2d/vars/0', 'conv', 32, 9],
        ['layers/conv2d_1/vars/0', 'conv', 64, 288],
        ['layers/dense/vars/0', 'linear', 64, 1600],
        ['layers/dense_1/vars/0', 'linear', 10, 64],
      ],
    );
    assert.equal(modelParameters(checkpoint), 121_930);
  });
});
