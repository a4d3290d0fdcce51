/** TensorFlow checkpoints and SavedModels hold what TensorFlow says they hold. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  openSync,
  ftruncateSync,
  closeSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { Checkpoint, Tensor } from '../../src/checkpoint/checkpoint';
import { listLayers, modelParameters } from '../../src/checkpoint/layers';
import { listCheckpointFiles, openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes, readTensorBytesSync } from '../../src/checkpoint/tensorData';
import { temporaryFolder } from '../fixtures/handmade';
import { header, table, variable, type Entry } from '../fixtures/tensorflowTable';
import { ROOT, sharedData } from '../reference/references';
import { opensLightly } from './opensLightly';

const FIXTURES = path.join(ROOT, 'test/fixtures/tensorflow');
const SUFFIX = '/.ATTRIBUTES/VARIABLE_VALUE';

interface Facts {
  readonly shape: readonly number[];
  readonly dtype: string;
  /** Its first 16 digits. */
  readonly sha256: string;
  /** The variable's own name. */
  readonly variable?: string;
}
type FileFacts = Readonly<Record<string, Readonly<Record<string, Facts>>>>;

/** Written by make_tensorflow.py, in this shape. */
const { files: expected, shared } = JSON.parse(
  readFileSync(path.join(FIXTURES, 'expected.json'), 'utf8'),
) as {
  files: FileFacts;
  shared: Readonly<Record<string, { readonly variables: number; readonly sha256: string }>>;
};

const at = (name: string): string => path.join(FIXTURES, name);

async function factsOf(tensor: Tensor): Promise<Facts> {
  const data = await readTensorBytes(tensor);
  assert.deepEqual(readTensorBytesSync(tensor), data, tensor.name);
  const sha256 = createHash('sha256').update(data).digest('hex').slice(0, 16);
  return { shape: tensor.shape, dtype: tensor.dtype, sha256 };
}

/** What each variable is called: its key without the suffix, or its own name where the key is a place in a list. */
function nameOf(key: string, { variable: own = '' }: Facts): string {
  const stripped = key.replace(SUFFIX, '');
  return /(?:^|\/)_|\/\d+$/.test(stripped) && own.includes('/') ? own : stripped;
}

async function assertHolds(checkpoint: Checkpoint, facts: Readonly<Record<string, Facts>>): Promise<void> {
  const found: Record<string, Facts> = {};
  for (const tensor of checkpoint.tensors) found[tensor.name] = await factsOf(tensor);
  const wanted: Record<string, Facts> = {};
  const left = new Set(checkpoint.unreadable.map(({ name }) => name));
  for (const [key, fact] of Object.entries(facts)) {
    const { shape, dtype, sha256 } = fact;
    const isSecond = key.includes('_all_variables/');
    if (!isSecond && !left.has(key.replace(SUFFIX, ''))) wanted[nameOf(key, fact)] = { shape, dtype, sha256 };
  }
  assert.deepEqual(found, wanted);
  assert.equal(checkpoint.readOnly, true);
}

describe('what TensorFlow wrote holds what TensorFlow reads', () => {
  for (const [name, facts] of Object.entries(expected)) {
    if (name.startsWith('web')) continue;
    test(name, async () => assertHolds(await openCheckpoint(at(name)), facts));
  }

  test(
    'the real SavedModel of MLPerf Tiny',
    { skip: sharedData() === undefined && 'the shared data is not here' },
    async () => {
      const checkpoint = await openCheckpoint(path.join(sharedData() ?? '', 'mlperf_tiny/kws/kws_ref_model'));
      assert.equal(checkpoint.format, 'TensorFlow SavedModel');
      assert.equal(checkpoint.files.length, 3);
      const { variables, sha256 } = shared['mlperf_tiny/kws/kws_ref_model'] ?? {};
      assert.equal(checkpoint.tensors.length, variables);
      const digest = createHash('sha256');
      const byName = [...checkpoint.tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
      for (const tensor of byName) digest.update(`${tensor.name}\0`).update(await readTensorBytes(tensor));
      assert.equal(digest.digest('hex'), sha256);
      const { layers, skipped } = listLayers(checkpoint);
      assert.deepEqual(layers.map(({ shape, groups = 1 }) => [...shape, groups]), [
      [64, 40, 1], [1, 9, 64], [64, 64, 1], [1, 9, 64], [64, 64, 1], [1, 9, 64], [64, 64, 1], [1, 9, 64], [64, 64, 1], [12, 64, 1],
    ]); // prettier-ignore
      assert.equal(layers.length + skipped.length, checkpoint.tensors.length + checkpoint.unreadable.length);
      assert.equal(layers[1]?.name, 'layer_with_weights-2/depthwise_kernel');
    },
  );
});

describe('what a checkpoint says about its variables', () => {
  test('optimizer, metrics and counters are told from the model by the objects that hold them', async () => {
    const checkpoint = await openCheckpoint(at('keras/ckpt-1.index'));
    for (const { name, role } of checkpoint.tensors) {
      const wanted = /^(?:step|save_counter)$/.test(name)
        ? 'training'
        : name.startsWith('net/')
          ? 'model'
          : 'optimizer';
      assert.equal(role, wanted, name);
    }
    assert.deepEqual(checkpoint.unreadable.map(({ name, reason }) => [name, reason]), [
      ['label', 'it holds text, not numbers'],
    ]); // prettier-ignore
    assert.equal(checkpoint.notes.length, 2);
  });

  test('one model saved in four ways has the same layers and values', async () => {
    const files = ['keras/ckpt-1.index', 'saved/variables', 'export/variables', 'web/model.json'];
    const [first, ...others] = await Promise.all(
      files.map(async (name) => {
        const { layers } = listLayers(await openCheckpoint(at(name)));
        const facts = layers.map(
          async ({ name: layer, kind, shape, groups, transposed, matrices, parts, tensor }) => {
            const { sha256 } = await factsOf(tensor);
            return [
              layer.replace(/^net\//, ''),
              { kind, shape, groups, transposed, matrices, parts, sha256 },
            ] as const;
          },
        );
        return Object.fromEntries(await Promise.all(facts));
      }),
    );
    assert.deepEqual(Object.entries(first ?? {}).map(([name, { shape, groups = 1 }]) => [name, ...shape, groups]).sort(), [
      ['first/kernel', 6, 36, 1],
      ['hidden/kernel', 7, 100, 1],
      ['lstm/lstm_cell/kernel', 12, 1, 1],
      ['lstm/lstm_cell/recurrent_kernel', 12, 3, 1],
      ['out/kernel', 2, 3, 1],
      ['separable/depthwise_kernel', 1, 4, 12],
      ['separable/pointwise_kernel', 5, 12, 1],
      ['spread/kernel', 2, 9, 6],
      ['up/kernel', 36, 5, 1],
    ]); // prettier-ignore
    for (const other of others) assert.deepEqual(other, first);
  });

  test('the list that Keras exports a second time is not counted twice', async () => {
    const [once, twice] = [
      await openCheckpoint(at('saved/variables')),
      await openCheckpoint(at('export/variables')),
    ];
    assert.equal(modelParameters(twice), modelParameters(once));
    assert.equal(
      twice.notes[1],
      "20 variables are in the file twice (Keras' list of all variables): read once",
    );
  });

  test('TF 1: slots, averages and counters by name, slim weights in × out, slices joined', async () => {
    const checkpoint = await openCheckpoint(at('slim'));
    const roles = Object.fromEntries(checkpoint.tensors.map(({ name, role }) => [name, role]));
    assert.equal(roles['MobilenetV1/Conv2d_0/weights/Momentum'], 'optimizer');
    assert.equal(roles.beta1_power, 'optimizer');
    assert.equal(roles.global_step, 'training');
    assert.equal(
      roles['MobilenetV1/Conv2d_1_depthwise/depthwise_weights/ExponentialMovingAverage'],
      'training',
    );
    const { layers } = listLayers(checkpoint);
    assert.deepEqual(layers.map(({ name, kind, shape, groups = 1 }) => [name, kind, ...shape, groups]), [
      ['embedding/weights', 'embedding', 9, 3, 1],
      ['fully_connected/weights', 'linear', 3, 5, 1],
      ['MobilenetV1/Conv2d_0/weights', 'conv', 4, 18, 1],
      ['MobilenetV1/Conv2d_1_depthwise/depthwise_weights', 'conv', 1, 9, 4],
      ['MobilenetV1/Logits/Conv2d_9/weights', 'conv', 4, 4, 1],
      ['MobilenetV1/Logits/Conv2d_10/weights', 'conv', 3, 4, 1],
      ['rows', 'other', 70, 3, 1],
      ['Variable', 'linear', 2, 4, 1],
    ]); // prettier-ignore
    assert.deepEqual(checkpoint.unreadable, [
      { name: 'columns', shape: [2, 5], dtype: 'float32', reason: 'it is kept in 2 slices that are not cut along its first axis' },
    ]); // prettier-ignore
  });

  test('a variable called like a slot is a variable where there is no other of the name before it', async () => {
    const { write } = temporaryFolder();
    write('m.data-00000-of-00001', Buffer.alloc(16));
    const entries: Entry[] = [
      header(),
      ['a', variable([1], { size: 4 })],
      ['a/Adam', variable([1], { offset: 4, size: 4 })],
      ['b/Adam', variable([1], { offset: 8, size: 4 })],
    ];
    const { tensors } = await openCheckpoint(write('m.index', table(entries)));
    assert.deepEqual(tensors.map(({ name, role }) => [name, role]), [
      ['a', 'model'],
      ['a/Adam', 'optimizer'],
      ['b/Adam', 'model'],
    ]); // prettier-ignore
  });
});

describe('files and folders of a checkpoint', () => {
  test('it opens by its index, by a shard, and by its folder', async () => {
    for (const name of ['types/two.data-00001-of-00002', 'types/two.index']) {
      const checkpoint = await openCheckpoint(at(name));
      assert.equal(checkpoint.path, at(name));
      assert.equal(checkpoint.format, 'TensorFlow checkpoint (2 shards)');
      await assertHolds(checkpoint, expected['types/two.index'] ?? {});
    }
    await assertHolds(await openCheckpoint(at('keras')), expected['keras/ckpt-1.index'] ?? {});
    await assert.rejects(
      openCheckpoint(at('types')),
      /: a folder of 3 checkpoints, not one model in shards$/,
    );
  });

  test('of several the latest, as the folder says, wherever it says they lie', async () => {
    const { folder, write } = temporaryFolder();
    for (const suffix of ['index', 'data-00000-of-00001']) {
      cpSync(at(`types/big.${suffix}`), path.join(folder, `step-1.${suffix}`));
      cpSync(at(`types/snappy.${suffix}`), path.join(folder, `step-2.${suffix}`));
    }
    await assert.rejects(openCheckpoint(folder), /a folder of 2 checkpoints/);
    for (const named of ['step-2', '../elsewhere/step-2', '/tmp/step-2', 'C:\\runs\\step-2']) {
      write('checkpoint', `model_checkpoint_path: "${named}"\nall_model_checkpoint_paths: "step-1"\n`);
      const { files, notes } = await openCheckpoint(folder);
      assert.deepEqual(
        files.map((file) => path.basename(file)),
        ['step-2.index', 'step-2.data-00000-of-00001'],
      );
      assert.equal(
        notes[0],
        'The latest of 2 checkpoints in the folder, "step-2", as its file "checkpoint" says',
      );
    }
    write('checkpoint', 'model_checkpoint_path: "step-3"');
    await assert.rejects(openCheckpoint(folder), /a folder of 2 checkpoints/);
  });

  test('a SavedModel is listed as its folder, a checkpoint as its index', async () => {
    const { folder, write } = temporaryFolder();
    cpSync(at('export'), path.join(folder, 'a/export'), { recursive: true });
    writeFileSync(path.join(folder, 'a/export/saved_model.pb'), Buffer.from([8, 1]));
    cpSync(at('keras'), path.join(folder, 'b'), { recursive: true });
    write('search.index', 'an index of something else');
    write('frozen.pb', Buffer.from([10, 1]));
    const { files, notRead } = await listCheckpointFiles(folder);
    assert.deepEqual(
      files.map((file) => path.relative(folder, file)),
      ['a/export', 'b/ckpt-1.index'],
    );
    assert.deepEqual(notRead, ['a TensorFlow graph (.pb)']);
    for (const name of ['a/export', 'a/export/saved_model.pb', 'a/export/variables']) {
      assert.equal((await openCheckpoint(path.join(folder, name))).tensors.length, 21, name);
    }
    rmSync(path.join(folder, 'a/export/variables'), { recursive: true });
    await assert.rejects(openCheckpoint(path.join(folder, 'a/export')), {
      message: `${path.join(folder, 'a/export/saved_model.pb')}: its index "variables/variables.index" is missing`,
    });
    await assert.rejects(
      openCheckpoint(path.join(folder, 'frozen.pb')),
      /a TensorFlow graph \(\.pb\) is not read yet$/,
    );
  });

  test('missing parts are named', async () => {
    const { folder } = temporaryFolder();
    const two = (name: string): string => path.join(folder, `two.${name}`);
    cpSync(at('types/two.index'), two('index'));
    symlinkSync(at('types/two.data-00000-of-00002'), two('data-00000-of-00002'));
    const missing = 'the shard "two.data-00001-of-00002" of 2 is missing';
    await assert.rejects(openCheckpoint(two('index')), { message: `${two('index')}: ${missing}` });
    mkdirSync(two('data-00001-of-00002'));
    await assert.rejects(openCheckpoint(two('index')), /data-00001-of-00002: is not a regular file$/);
    rmSync(two('index'));
    assert.deepEqual((await listCheckpointFiles(folder)).files, [two('data-00000-of-00002')]);
    await assert.rejects(openCheckpoint(two('data-00000-of-00002')), /: its index "two\.index" is missing$/);
  });

  test('twenty gigabytes of values cost nothing to open', async () => {
    const { folder, write } = temporaryFolder();
    const layers = 2000;
    const size = 10_000_000;
    const entries = Array.from({ length: layers }, (_, i): Entry => [
      `layer${String(i).padStart(4, '0')}/kernel/.ATTRIBUTES/VARIABLE_VALUE`,
      variable([2500, 1000], { offset: i * size, size }),
    ]);
    const fd = openSync(path.join(folder, 'big.data-00000-of-00001'), 'w');
    ftruncateSync(fd, layers * size);
    closeSync(fd);
    const index = write('big.index', table([header(), ...entries]));
    const checkpoint = await opensLightly(index);
    assert.equal(checkpoint.tensors.length, layers);
    assert.ok(checkpoint.bytes > 2e10);
  });
});
