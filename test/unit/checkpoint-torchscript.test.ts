/** TorchScript archives: attributes of modules, constants of the code, and what the text of the code tells of layers. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { Checkpoint } from '../../src/checkpoint/checkpoint';
import { CheckpointError } from '../../src/checkpoint/errors';
import { type Layer, listLayers } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { bytes, pickle, temporaryFolder, torchTensor, zip } from '../fixtures/handmade';
import { ROOT, sharedData } from '../reference/references';
import { uniform } from './matrices';

const FIXTURES = path.join(ROOT, 'test/fixtures');
const { write } = temporaryFolder();

interface Fact {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly sha256: string;
}

function reference(name: string): Readonly<Record<string, Fact>> {
  // The file is the project's own, made by make_torchscript.py in this shape.
  const facts = JSON.parse(readFileSync(path.join(FIXTURES, 'torchscript.json'), 'utf8')) as Record<
    string,
    Record<string, Fact>
  >;
  return facts[name] ?? {};
}

const openFixture = (name: string): Promise<Checkpoint> =>
  openCheckpoint(path.join(FIXTURES, `torchscript_${name}.pt`));
const layersOf = (checkpoint: Checkpoint): readonly Layer[] => listLayers(checkpoint).layers;

function describeLayer({ kind, shape, groups, parts }: Layer): string {
  const gates = parts === undefined ? '' : ` ${parts.map(({ name }) => name).join('')}`;
  return `${kind} ${shape.join('x')}${groups === undefined ? '' : ` /${groups}`}${gates}`;
}

async function digests(checkpoint: Checkpoint): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const tensor of checkpoint.tensors)
    found.set(
      tensor.name,
      createHash('sha256')
        .update(await readTensorBytes(tensor))
        .digest('hex'),
    );
  return found;
}

const LAYERS = [
  'embedding 6x4',
  'conv 2x6 /2',
  'conv 1x2 /4',
  'conv 4x2 /2',
  'other 8x3 ifgo',
  'other 8x2 ifgo',
  'linear 5x4',
];

describe('a module that PyTorch scripted or traced', () => {
  for (const name of ['script', 'trace']) {
    test(`${name}: every tensor by its name in the state dict`, async () => {
      const checkpoint = await openFixture(name);
      const values = await digests(checkpoint);
      for (const [key, { shape, dtype, sha256 }] of Object.entries(reference(name))) {
        const tensor = checkpoint.tensors.find((item) => item.name === key);
        assert.deepEqual([tensor?.shape, tensor?.dtype, values.get(key)], [shape, dtype, sha256], key);
        values.delete(key);
      }
      assert.deepEqual([...values.keys()], name === 'trace' ? ['CONSTANTS.c0'] : []);
      assert.deepEqual(checkpoint.notes, ['Its TorchScript code was not run']);
    });

    test(`${name}: layers as the modules are, groups from the text of the code`, async () => {
      assert.deepEqual(layersOf(await openFixture(name)).map(describeLayer), LAYERS);
    });
  }

  test('constants of traced code are listed and are no weights', async () => {
    const { skipped } = listLayers(await openFixture('trace'));
    assert.deepEqual(
      skipped.filter(({ name }) => name.startsWith('CONSTANTS')),
      [
        {
          name: 'CONSTANTS.c0',
          shape: [1, 2],
          dtype: 'float32',
          reason: 'constant: part of the graph, not trained',
        },
      ],
    );
  });
});

describe('a frozen module', () => {
  test('has its weights among the constants', async () => {
    const checkpoint = await openFixture('frozen');
    const values = [...(await digests(checkpoint)).values()];
    for (const [key, { sha256 }] of Object.entries(reference('frozen')))
      assert.ok(values.includes(sha256), key);
    assert.deepEqual(layersOf(checkpoint).map(describeLayer).sort(), [...LAYERS].sort());
    const biases = listLayers(checkpoint).skipped.filter(({ reason }) => reason.startsWith('bias'));
    assert.equal(biases.length, 6);
  });

  test('whose code says nothing has its constants all the same', async () => {
    const constants = pickle.file(pickle.tuple(torchTensor([2, 3], [3, 1])));
    const file = zip([
      { name: 'm/data.pkl', data: pickle.file(pickle.dict()) },
      { name: 'm/constants.pkl', data: constants },
      { name: 'm/constants/0', data: Buffer.alloc(24) },
      { name: 'm/code/__torch__.py', data: bytes('torch.linear((((CONSTANTS.c0, [[') },
    ]);
    const checkpoint = await openCheckpoint(write('silent.pt', file));
    assert.deepEqual(
      checkpoint.tensors.map(({ name, shape, module }) => [name, shape, module]),
      [['CONSTANTS.c0', [2, 3], undefined]],
    );
  });
});

describe('a hostile archive', () => {
  test('with nothing in it', async () => {
    const file = zip([
      { name: 'm/data.pkl', data: pickle.file(pickle.dict()) },
      { name: 'm/constants.pkl', data: pickle.file(pickle.tuple()) },
    ]);
    await assert.rejects(openCheckpoint(write('nothing.pt', file)), /nothing\.pt: no tensors found$/);
  });

  test('with constants that are not there', async () => {
    const file = zip([
      { name: 'm/data.pkl', data: pickle.file(pickle.dict()) },
      { name: 'm/constants.pkl', data: pickle.file(pickle.tuple(torchTensor([2, 3], [3, 1]))) },
    ]);
    await assert.rejects(
      openCheckpoint(write('missing.pt', file)),
      /tensor "0".*its storage "m\/constants\/0" is not in the archive$/,
    );
  });

  test('cut off or changed anywhere is read or refused', async () => {
    const whole = readFileSync(path.join(FIXTURES, 'torchscript_frozen.pt'));
    const next = uniform(17);
    for (let i = 1; i < whole.length; i += 5) {
      const changed = Buffer.from(whole);
      changed[i] = Math.floor((next() + 1) * 128);
      for (const content of [whole.subarray(0, i), changed]) {
        try {
          listLayers(await openCheckpoint(write('hostile.pt', content)));
        } catch (error) {
          assert.ok(error instanceof CheckpointError, `${i}: ${String(error)}`);
          assert.doesNotMatch(error.message, /\n/);
        }
      }
    }
  });

  test('with code that goes on and on is read in no time', async () => {
    const code = Buffer.from(`CONSTANTS.c0 ${'torch.linear((['.repeat(400_000)}`);
    const file = zip([
      { name: 'm/data.pkl', data: pickle.file(pickle.dict()) },
      { name: 'm/constants.pkl', data: pickle.file(pickle.tuple(torchTensor([2, 3], [3, 1]))) },
      { name: 'm/constants/0', data: Buffer.alloc(24) },
      { name: 'm/code/a.py', data: code, deflate: true },
    ]);
    const start = performance.now();
    const { tensors } = await openCheckpoint(write('code.pt', file));
    assert.equal(tensors.length, 1);
    assert.ok(performance.now() - start < 5000, `${performance.now() - start} ms`);
  });
});

describe('silero_vad', () => {
  const data = sharedData();
  const at = (name: string): string => path.join(data ?? '', 'silero_vad', name);

  test('16 kHz: the weights of the ONNX file, value by value', { skip: data === undefined }, async () => {
    const script = await openCheckpoint(at('silero_vad.jit'));
    const exported = await openCheckpoint(at('silero_vad_16k_op15.onnx'));
    const values = await digests(script);
    for (const [name, sha256] of await digests(exported)) assert.equal(values.get(`_${name}`), sha256, name);
    const twins = new Map(layersOf(script).map((layer) => [layer.name, layer]));
    for (const layer of layersOf(exported)) {
      const twin = twins.get(`_${layer.name}`);
      assert.deepEqual(twin?.shape, layer.shape, layer.name);
      // The basis of the transform is a bare buffer of its module, and in the graph the kernel of a convolution.
      if (!layer.name.endsWith('basis_buffer')) assert.deepEqual(describeLayer(twin), describeLayer(layer));
    }
  });

  test('both models and the constant of the code are listed', { skip: data === undefined }, async () => {
    const { tensors, unreadable } = await openCheckpoint(at('silero_vad.jit'));
    assert.deepEqual(unreadable, []);
    const count = (start: string): number => tensors.filter(({ name }) => name.startsWith(start)).length;
    assert.deepEqual(
      [count('_model.'), count('_model_8k.'), count('CONSTANTS.'), tensors.length],
      [15, 15, 1, 33],
    );
    const hints = new Map(tensors.map(({ name, module }) => [name, module?.type]));
    assert.equal(hints.get('_model.encoder.0.reparam_conv.weight'), 'Conv1d');
    assert.equal(hints.get('_model.decoder.rnn.weight_ih'), 'LSTMCell');
  });

  test('16 kHz: the layers of the safetensors file, another run', { skip: data === undefined }, async () => {
    const script = layersOf(await openCheckpoint(at('silero_vad.jit'))).filter(({ name }) =>
      name.startsWith('_model.'),
    );
    const saved = layersOf(await openCheckpoint(at('silero_vad_16k.safetensors')));
    const sizes = (layers: readonly Layer[]): string[] => layers.map(({ shape }) => shape.join('x')).sort();
    assert.deepEqual(sizes(script), sizes(saved));
  });
});
