import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import {
  isContiguousRaw,
  byteRange,
  FileDescriptors,
  readTensorBytes,
  readTensorBytesSync,
} from '../../src/checkpoint/tensorData';
import { listCheckpointFiles, openCheckpoint } from '../../src/checkpoint/open';
import { writeSafetensors } from '../../src/checkpoint/write/safetensors';
import type { Checkpoint, Tensor } from '../../src/checkpoint/checkpoint';
import { listLayers, modelParameters } from '../../src/checkpoint/layers';
import { ROOT, sharedData } from '../reference/references';
import {
  bytes,
  float32,
  pickle,
  safetensors,
  temporaryFolder,
  torchTensor,
  torchZip,
  uint32,
  uint64,
  zip,
} from '../fixtures/handmade';

interface TensorFacts {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly sha256: string;
}
type FileFacts = Readonly<Record<string, Readonly<Record<string, TensorFacts>>>>;

/** What a Python script with torch and numpy found in the same files. */
function factsOf(file: string): FileFacts {
  // Written by the script beside it, in this shape.
  return (JSON.parse(readFileSync(path.join(ROOT, file), 'utf8')) as { files: FileFacts }).files;
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

async function assertHolds(file: string, expected: Readonly<Record<string, TensorFacts>>): Promise<void> {
  const checkpoint = await openCheckpoint(file);
  const files = new FileDescriptors();
  const found: Record<string, TensorFacts> = {};
  for (const tensor of checkpoint.tensors) {
    const data = await readTensorBytes(tensor);
    assert.deepEqual(readTensorBytesSync(tensor, files), data, `${tensor.name} read in both ways`);
    if (isContiguousRaw(tensor)) {
      const { offset, byteLength } = byteRange(tensor);
      assert.deepEqual(readFileSync(tensor.storage.path).subarray(offset, offset + byteLength), data);
    }
    // Constants of a script's code are in no state dict.
    if (tensor.module?.part === 'constant') continue;
    found[tensor.name] = { shape: tensor.shape, dtype: tensor.dtype, sha256: sha256(data) };
  }
  files.closeAll();
  assert.deepEqual(found, expected);
}

const fixtures = path.join(ROOT, 'test/fixtures');
const fixture = (name: string): string => path.join(fixtures, name);

describe('checkpoints that torch and numpy wrote hold what torch and numpy say', () => {
  for (const [name, expected] of Object.entries(factsOf('test/fixtures/tensors.json'))) {
    test(name, () => assertHolds(fixture(name), expected));
  }
});

describe('real checkpoints hold what torch and numpy say', () => {
  const data = sharedData();
  for (const [name, expected] of Object.entries(factsOf('test/reference/tensors.json'))) {
    test(name, { skip: data === undefined && 'the shared data is not here' }, () =>
      assertHolds(path.join(data ?? '', name), expected),
    );
  }
});

function tensorNamed(checkpoint: Checkpoint, name: string): Tensor {
  const tensor = checkpoint.tensors.find((other) => other.name === name);
  assert.ok(tensor !== undefined, `no tensor ${name}`);
  return tensor;
}

describe('what a file says about its tensors', () => {
  test('whole modules name classes, groups, and tensors as their state dict does', async () => {
    for (const name of ['zip_whole_module.pt', 'legacy_whole_module.pt']) {
      const checkpoint = await openCheckpoint(fixture(name));
      assert.deepEqual(tensorNamed(checkpoint, 'blocks.0.conv.weight').module, { type: 'Conv2d', groups: 2 });
      assert.equal(tensorNamed(checkpoint, 'gru.weight_ih_l0').module?.type, 'GRU');
      assert.ok(
        checkpoint.notes.some((note) => note.includes('__main__.Net') && note.endsWith('(not imported)')),
      );
    }
  });

  test('optimizer state has its own role and a note', async () => {
    const checkpoint = await openCheckpoint(fixture('zip_lightning.ckpt'));
    for (const { name, role } of checkpoint.tensors) {
      assert.equal(role, name.startsWith('optimizer_states') ? 'optimizer' : 'model', name);
    }
    assert.deepEqual(checkpoint.notes, ['6 tensors are optimizer state, not part of the model']);
  });

  test('what a trainer keeps beside the model is no part of it', async () => {
    const checkpoint = await openCheckpoint(fixture('zip_training_run.ckpt'));
    for (const { name, role } of checkpoint.tensors) {
      assert.equal(role, name.startsWith('state_dict.') ? 'model' : 'training', name);
    }
    assert.deepEqual(checkpoint.notes, ['11 tensors are training state, not part of the model']);
    const { parameters } = JSON.parse(readFileSync(fixture('tensors.json'), 'utf8')) as {
      // Written by the script beside it: what torch counts.
      parameters: Readonly<Record<string, number>>;
    };
    assert.equal(modelParameters(checkpoint), parameters['zip_training_run.ckpt']);
    const { layers, skipped } = listLayers(checkpoint);
    assert.deepEqual(
      layers.map(({ name }) => name),
      ['state_dict.model.0.weight', 'state_dict.model.3.weight'],
    );
    assert.equal(
      skipped.find(({ name }) => name === 'hyper_parameters.class_weights')?.reason,
      'training state: not part of the model',
    );
  });

  test('parameters with the names of a trainer are parameters in a state dict', async () => {
    const { write } = temporaryFolder();
    const scalar = torchTensor([], []);
    const vector = torchTensor([6], [1]);
    const roles = async (object: Buffer): Promise<Record<string, string>> => {
      const { tensors } = await openCheckpoint(write('model.pt', torchZip(object)));
      return Object.fromEntries(tensors.map(({ name, role }) => [name, role]));
    };
    const parameters: [Buffer, Buffer][] = [
      [pickle.text('scaler'), vector],
      [pickle.text('logit_scale'), scalar],
      [pickle.text('scheduler.weight'), vector],
      [pickle.text('epoch'), vector],
    ];
    const number: [Buffer, Buffer] = [pickle.text('best_prec1'), scalar];
    assert.deepEqual(await roles(pickle.dict(...parameters, number)), {
      scaler: 'model',
      logit_scale: 'model',
      'scheduler.weight': 'model',
      epoch: 'model',
      best_prec1: 'training',
    });
    const wrapped = pickle.dict([pickle.text('model'), pickle.dict(...parameters, number)], ...parameters);
    assert.deepEqual(await roles(wrapped), {
      'model.scaler': 'model',
      'model.logit_scale': 'model',
      'model.scheduler.weight': 'model',
      'model.epoch': 'model',
      'model.best_prec1': 'model',
      scaler: 'training',
      logit_scale: 'model',
      'scheduler.weight': 'model',
      epoch: 'model',
    });
  });

  test('notes agree in number with what they count', async () => {
    const { write } = temporaryFolder();
    const optimizer = pickle.dict([pickle.text('m'), torchTensor([6], [1])]);
    const object = pickle.dict(
      [pickle.text('optimizer'), optimizer],
      [pickle.text('best_acc'), torchTensor([], [])],
      [pickle.text('a'), pickle.global('torch.nn.modules.linear', 'Linear')],
      [pickle.text('b'), pickle.global('torch.nn.functional', 'relu')],
    );
    assert.deepEqual((await openCheckpoint(write('one.pt', torchZip(object)))).notes, [
      '1 tensor is optimizer state, not part of the model',
      '1 tensor is training state, not part of the model',
      'Names 1 class of torch.nn and 1 function of torch.nn (not imported)',
    ]);
    const numbers = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"best_acc":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}'; // prettier-ignore
    assert.deepEqual(
      (await openCheckpoint(write('x.safetensors', safetensors(numbers, float32(1, 2))))).notes,
      ['1 tensor is training state, not part of the model'],
    );
  });

  test("of the classes a file names, torch.nn's own are counted and all others told", async () => {
    const { write } = temporaryFolder();
    const named = async (...names: readonly (readonly [string, string])[]): Promise<readonly string[]> => {
      const globals = names.map(([module, name]) => pickle.global(module, name));
      const object = pickle.list(torchTensor([6], [1]), ...globals);
      return (await openCheckpoint(write('named.pt', torchZip(object)))).notes;
    };
    assert.deepEqual(
      await named(
        ['torch.nn.modules.conv', 'Conv2d'],
        ['os', 'system'],
        ['torch.nn', 'Linear'],
        ['collections', 'deque'],
        ['argparse', 'Namespace'],
        ['torch.nn.modules.conv', 'math.os.system'],
        ['torch.nn.modules.subprocess', 'Popen'],
      ),
      [
        'Names os.system, torch.nn.modules.conv.math.os.system, torch.nn.modules.subprocess.Popen and 2 classes of torch.nn (not imported)',
      ],
    );
    const many = Array.from({ length: 11 }, (_, i) => ['mine', `C${i}`] as const);
    assert.deepEqual(await named(...many), [
      'Names mine.C0, mine.C1, mine.C2, mine.C3, mine.C4, mine.C5, mine.C6, mine.C7 and 3 more (not imported)',
    ]);
  });

  test('optimizer state is known by its structure under any name', async () => {
    const { write } = temporaryFolder();
    const inner = pickle.dict(
      [pickle.text('state'), pickle.list(torchTensor([2], [1]))],
      [pickle.text('param_groups'), pickle.list()],
    );
    const file = write('model.pt', torchZip(pickle.dict([pickle.text('adam'), inner])));
    assert.deepEqual(
      (await openCheckpoint(file)).tensors.map(({ name, role }) => [name, role]),
      [['adam.state.0', 'optimizer']],
    );
  });

  test('tied weights lie in the same storage', async () => {
    const checkpoint = await openCheckpoint(fixture('zip_tied_parameters.pt'));
    const [encoder, decoder] = checkpoint.tensors;
    assert.deepEqual(encoder?.storage, decoder?.storage);
  });

  test('tensors that are no dense arrays are listed with the reason', async () => {
    const reasons = await Promise.all(
      ['zip_sparse.pt', 'objects.npy', 'records.npy'].map(
        async (name) => (await openCheckpoint(fixture(name))).unreadable,
      ),
    );
    assert.deepEqual(reasons.flat(), [
      { name: 'sparse', shape: [3, 3], dtype: 'unknown', reason: 'it is sparse' },
      { name: 'objects', shape: [2], dtype: 'object', reason: 'it holds Python objects, not numbers' },
      { name: 'records', shape: [3], dtype: 'structured', reason: 'it is an array of records' },
    ]);
  });
});

describe('element types newer than the library that made the fixtures', () => {
  test('float8 tensors of PyTorch: untyped storages and _rebuild_tensor_v3', async () => {
    const { write } = temporaryFolder();
    const storage = bytes(
      pickle.tuple(
        pickle.text('storage'),
        pickle.global('torch.storage', 'UntypedStorage'),
        pickle.text('0'),
        pickle.text('cpu'),
        pickle.int(4),
      ),
      'Q',
    );
    for (const dtype of ['float8_e4m3fn', 'float8_e5m2']) {
      const tensor = pickle.call(
        pickle.global('torch._utils', '_rebuild_tensor_v3'),
        ...[
          storage,
          pickle.int(0),
          pickle.tuple(pickle.int(2), pickle.int(2)),
          pickle.tuple(pickle.int(1), pickle.int(2)),
        ],
        ...[bytes('\x89'), pickle.dict(), pickle.global('torch', dtype)],
      );
      const file = write(
        `${dtype}.pt`,
        torchZip(pickle.dict([pickle.text('w'), tensor]), { 0: bytes([1, 2, 3, 4]) }),
      );
      const checkpoint = await openCheckpoint(file);
      const read = tensorNamed(checkpoint, 'w');
      assert.equal(read.dtype, dtype);
      assert.deepEqual(
        [...(await readTensorBytes(read))],
        [1, 3, 2, 4],
        'column-major storage, row-major result',
      );
      assert.deepEqual(checkpoint.notes, []);
    }
  });

  test('safetensors: float8 is read, four-bit floats are listed as not read', async () => {
    const { write } = temporaryFolder();
    const header = `{"__metadata__":{"format":"pt"},"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"F4","shape":[4],"data_offsets":[2,4]}}  `;
    const { tensors, unreadable } = await openCheckpoint(
      write('x.safetensors', safetensors(header, bytes([1, 2, 3, 4]))),
    );
    assert.deepEqual(
      tensors.map(({ name, dtype }) => [name, dtype]),
      [['a', 'float8_e4m3fn']],
    );
    assert.deepEqual(unreadable, [
      { name: 'b', shape: [4], dtype: 'F4', reason: 'elements of type F4 are not read' },
    ]);
  });

  test('big-endian archives are turned round, compressed ones inflated', async () => {
    const { write } = temporaryFolder();
    const data = Buffer.alloc(24);
    [1, 2, 3, 4, 5, 6].forEach((value, index) => data.writeFloatBE(value, 4 * index));
    const file = write(
      'big.pt',
      zip([
        { name: 'm/data.pkl', data: pickle.file(torchTensor([2, 3], [1, 2])), deflate: true },
        { name: 'm/byteorder', data: bytes('big') },
        { name: 'm/data/0', data, deflate: true },
      ]),
    );
    const checkpoint = await openCheckpoint(file);
    assert.deepEqual(
      checkpoint.tensors.map(({ name }) => name),
      ['big'],
      'a bare tensor is named after its file',
    );
    const read = await readTensorBytes(tensorNamed(checkpoint, 'big'));
    assert.deepEqual(Buffer.from(read), float32(1, 3, 5, 2, 4, 6));
  });

  test('the oldest tar files, with tensors and views of storages by number', async () => {
    const { write } = temporaryFolder();
    const storages = bytes(
      pickle.file(pickle.int(1)),
      pickle.file(pickle.tuple(pickle.int(11), pickle.text('cpu'), pickle.global('torch', 'FloatStorage'))),
      ...[uint64(6n), float32(1, 2, 3, 4, 5, 6)],
      pickle.file(pickle.list(pickle.tuple(pickle.int(12), pickle.int(11), pickle.int(2), pickle.int(4)))),
    );
    const tensors = bytes(
      pickle.file(pickle.int(1)),
      pickle.file(pickle.tuple(pickle.int(21), pickle.int(12), pickle.global('torch', 'FloatTensor'))),
      ...[uint32(2), uint32(0), uint64(2n), uint64(2n), uint64(1n), uint64(2n), uint64(0n)],
    );
    const object = pickle.file(pickle.dict([pickle.text('w'), bytes(pickle.int(21), 'Q')]));
    const file = write(
      'old.pt',
      tar({ sys_info: pickle.file(pickle.dict()), pickle: object, tensors, storages }),
    );
    const read = await readTensorBytes(tensorNamed(await openCheckpoint(file), 'w'));
    assert.deepEqual(Buffer.from(read), float32(3, 5, 4, 6));
  });
});

function tar(members: Readonly<Record<string, Buffer>>): Buffer {
  const blocks = Object.entries(members).flatMap(([name, data]) => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(data.length.toString(8).padStart(11, '0'), 124);
    header.write('        0', 148);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

test('the folder of a PyTorch archive, called after the file, may have any name', async () => {
  const { write } = temporaryFolder();
  // What torch.save makes of `a\nb.pt`, `a:b.pt`, `..pt`, `...pt`, ` .pt`, `é.pt` and `data.pkl.pt`; none, when repacked.
  for (const folder of ['a\nb/', 'a\r\u2028b/', 'a:b/', './', '../', ' /', 'é/', 'data.pkl/', 'a/b/', '']) {
    const file = write(
      'named.pt',
      zip([
        { name: `${folder}data.pkl`, data: pickle.file(torchTensor([6], [1])) },
        { name: `${folder}data/0`, data: float32(1, 2, 3, 4, 5, 6) },
      ]),
    );
    const read = await readTensorBytes(tensorNamed(await openCheckpoint(file), 'named'));
    assert.deepEqual(Buffer.from(read), float32(1, 2, 3, 4, 5, 6), JSON.stringify(folder));
  }
});

describe('models in several files', () => {
  const shard = (name: string): Buffer =>
    safetensors(`{"${name}":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, float32(1));

  test('an index, its folder, and shards without an index open as one model', async () => {
    const { folder, write } = temporaryFolder();
    write('model-00001-of-00002.safetensors', shard('a'));
    write('model-00002-of-00002.safetensors', shard('b'));
    const names = async (given: string): Promise<string[]> =>
      (await openCheckpoint(given)).tensors.map(({ name }) => name);
    assert.deepEqual(await names(folder), ['a', 'b']);
    const index = write(
      'model.safetensors.index.json',
      '{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}',
    );
    assert.deepEqual(await names(index), ['a', 'b']);
    const whole = await openCheckpoint(folder);
    assert.equal(whole.format, 'safetensors (2 shards)');
    assert.equal(whole.files.length, 3);
    assert.deepEqual((await listCheckpointFiles(folder)).files, [folder]);
  });

  test('PyTorch shards', async () => {
    const { write } = temporaryFolder();
    write(
      'pytorch_model-00001-of-00001.bin',
      torchZip(pickle.dict([pickle.text('w'), torchTensor([6], [1])])),
    );
    const index = write(
      'pytorch_model.bin.index.json',
      '{"weight_map":{"w":"pytorch_model-00001-of-00001.bin"}}',
    );
    assert.equal((await openCheckpoint(index)).format, 'PyTorch (zip) (1 shard)');
  });

  test('a missing shard is named', async () => {
    const { folder, write } = temporaryFolder();
    write('model-00001-of-00003.safetensors', shard('a'));
    await assert.rejects(
      openCheckpoint(folder),
      /"model-00002-of-00003.safetensors" and 1 more of 3 is missing/,
    );
  });

  test('an index that leads out of its folder is refused', async () => {
    const { write } = temporaryFolder();
    for (const name of ['../secret.safetensors', '/etc/passwd', 'C:\\x', '..', 'a/b']) {
      const index = write('x.index.json', JSON.stringify({ weight_map: { a: name } }));
      await assert.rejects(openCheckpoint(index), /does not lie beside the index/);
    }
  });
});

test('what is no checkpoint is refused in one line that says what it is', async () => {
  const { write } = temporaryFolder();
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ['empty.pt', bytes(), /the file is empty/],
    ['model.h5', bytes('\x89HDF\r\n\x1a\n'), /byte 0: HDF5: a superblock of version 255$/],
    ['model.bin', bytes('tjgg', uint32(3)), /: GGML \(before GGUF\) is not read yet$/],
    ['model.tflite', bytes(uint32(28), 'TFL3'), /byte 0: an offset of 28 that leads out of the file$/],
    ['model.onnx', bytes([8, 7, 0x12, 4], 'torch'), /model\.onnx, byte \d+: /],
    ['saved_model.pb', bytes([8, 1, 0x12, 4]), /: its index "variables\/variables\.index" is missing$/],
    ['variables.index', bytes([0, 0]), /: no index of a TensorFlow checkpoint, or one that was cut short$/],
    ['weights.data-00000-of-00001', bytes('<'), /: its index "weights\.index" is missing$/],
    ['model.ckpt-7.data-00000-of-00001', bytes('#!'), /: its index "model\.ckpt-7\.index" is missing$/],
    ['model.json', bytes('{"modelTopology": {}}'), /: a TensorFlow\.js model without weights/],
    ['picture.pt', bytes('\x89PNG\r\n\x1a\n'), /: a PNG picture, not a checkpoint$/],
    ['pointer.safetensors', bytes('version https://git-lfs.github.com/spec/v1\n'), /Git LFS pointer/],
    ['weights.pt.gz', bytes('\x1f\x8b'), /: gzip-compressed: decompress it first$/],
    ['settings.json', bytes('{}'), /: JSON, but not an index of shards$/],
    ['text.bin', bytes('hello'), /not a checkpoint of a known format/],
    ['archive.zip', zip([{ name: 'a.txt', data: bytes('a') }]), /it holds "a\.txt"/],
  ];
  for (const [name, content, message] of cases) {
    await assert.rejects(openCheckpoint(write(name, content)), { name: 'CheckpointError', message });
  }
  await assert.rejects(openCheckpoint('/nowhere/at/all.pt'), {
    name: 'CheckpointError',
    kind: 'io',
    message: /not found/,
  });
});

test('written safetensors read back, in order, whatever the names', async () => {
  const { folder } = temporaryFolder();
  const file = path.join(folder, 'out.safetensors');
  const tensors = ['b', '10', '2', '__proto__'].map((name, index) => ({
    name,
    dtype: 'float32' as const,
    shape: [1, 2],
    data: float32(index, -index),
  }));
  await writeSafetensors(file, tensors, new Map([['made', 'here']]));
  const checkpoint = await openCheckpoint(file);
  assert.deepEqual(
    checkpoint.tensors.map(({ name }) => name),
    tensors.map(({ name }) => name),
  );
  for (const { name, data } of tensors) {
    assert.deepEqual(Buffer.from(await readTensorBytes(tensorNamed(checkpoint, name))), data);
  }
  assert.deepEqual(readdirSync(folder), ['out.safetensors'], 'no temporary file is left');
});

test('a view with wide gaps is read in blocks', async () => {
  const { write } = temporaryFolder();
  // Every 1024th of 1 Mi elements: the whole span is 4 MiB, the values are 4 KiB.
  const values = Float32Array.from({ length: 2 ** 20 }, (_, i) => i);
  const file = write(
    'wide.pt',
    torchZip(torchTensor([2, 512], [524288, 1024], { elements: 2 ** 20 }), { 0: Buffer.from(values.buffer) }),
  );
  const read = await readTensorBytes(tensorNamed(await openCheckpoint(file), 'wide'));
  assert.deepEqual(Buffer.from(read), float32(...Array.from({ length: 1024 }, (_, i) => 1024 * i)));
});

test('a signal that is aborted stops the opening', async () => {
  await assert.rejects(openCheckpoint(fixture('zip_views.pt'), AbortSignal.abort()), { name: 'AbortError' });
});
