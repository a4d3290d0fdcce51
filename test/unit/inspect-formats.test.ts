/** What formats other than pickles can carry: models made by their own libraries (make_inspect.py). */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { inspect, type Inspection } from '../../src/checkpoint/inspect';
import { inspectModel } from '../../src/engine/inspect';
import { bytes, safetensors, temporaryFolder, uint32, uint64 } from '../fixtures/handmade';
import { ROOT, sharedData } from '../reference/references';

const { write } = temporaryFolder();
let files = 0;
const inspected = (content: Uint8Array | string, name: string): Promise<Inspection> =>
  inspect(write(`${++files}-${name}`, content));
const fixture = (name: string) => inspect(path.join(ROOT, 'test/fixtures/inspect', name));
const messages = ({ findings, notes }: Inspection) =>
  [...findings.map(({ message }) => message), ...notes].join('\n');

describe('models of other formats', () => {
  const cases: readonly (readonly [name: string, format: string, verdict: string, says: RegExp])[] = [
    ['lambda.keras', 'Keras (.keras)', 'dangerous', /a Lambda layer[^]*a serialised function/],
    ['lambda.h5', 'Keras (.h5)', 'dangerous', /a Lambda layer/],
    ['custom.keras', 'Keras (.keras)', 'unknown', /needs the class Mine>Twice/],
    ['plain.keras', 'Keras (.keras)', 'safe', /^$/],
    ['external.h5', 'HDF5', 'suspicious', /a link to another file, "\.\.\/secret\.h5"/],
    ['files.saved_model.pb', 'TensorFlow SavedModel', 'dangerous', /WriteFile[^]*PyFunc/],
    ['plain.saved_model.pb', 'TensorFlow SavedModel', 'safe', /^$/],
    ['outside.onnx', 'ONNX', 'suspicious', /"\.\.\/\.\.\/etc\/passwd" leads elsewhere/],
    ['beside.onnx', 'ONNX', 'unknown', /PyOp[^]*weights\.data[^]*ai\.onnx\.contrib/],
    ['plain.gguf', 'GGUF', 'safe', /Holds a template \(tokenizer\.chat_template\)/],
    ['escape.gguf', 'GGUF', 'dangerous', /__class__/],
  ];
  for (const [name, format, verdict, says] of cases)
    it(`${name} is ${verdict}`, async () => {
      const found = await fixture(name);
      assert.deepEqual([found.format, found.verdict], [format, verdict]);
      assert.match(messages(found), says);
    });
});

describe('safetensors', () => {
  const header = '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
  it('is safe; what follows the tensors is told and searched', async () => {
    assert.equal((await inspected(safetensors(header, Buffer.alloc(4)), 'a.safetensors')).verdict, 'safe');
    const evil = Buffer.from('\x80\x02cos\nsystem\n(X\x02\x00\x00\x00idtR.', 'latin1');
    const found = await inspected(safetensors(header, bytes(Buffer.alloc(4), evil)), 'a.safetensors');
    assert.deepEqual([found.verdict, found.globals[0]?.name], ['dangerous', 'os.system']);
    assert.match(messages(found), /bytes follow the tensors/);
  });

  it('a pickle under its name is told', async () => {
    const found = await inspected(Buffer.from('\x80\x02N.', 'latin1'), 'a.safetensors');
    assert.match(messages(found), /a pickle under the name of something else/);
    assert.equal((await inspected('{"a": 1', 'a.safetensors')).verdict, 'unknown');
  });
});

describe('JSON of models', () => {
  const json = (value: unknown, name = 'model.json') => inspected(JSON.stringify(value), name);
  it('paths of an index stay in the folder', async () => {
    assert.equal(
      (await json({ weight_map: { a: 'model-00001.safetensors' } }, 'm.index.json')).verdict,
      'safe',
    );
    for (const shard of ['../a.bin', '/etc/passwd', 'C:\\a', 'b/../../a'])
      assert.equal((await json({ weight_map: { a: shard } }, 'm.index.json')).verdict, 'suspicious', shard);
  });

  it('TF.js weights are fetched from nowhere else', async () => {
    const manifest = (at: string) => ({ modelTopology: {}, weightsManifest: [{ paths: [at], weights: [] }] });
    assert.equal((await json(manifest('group1-shard1of1.bin'))).verdict, 'safe');
    assert.match(messages(await json(manifest('https://example.org/w.bin'))), /fetched from/);
  });

  it('layers with code, however they are spelt', async () => {
    assert.equal(
      (await inspected('{"layers":[{"class_\\u006eame":"\\u004cambda"}]}', 'model.json')).verdict,
      'dangerous',
    );
    assert.match(
      messages(await json({ auto_map: { AutoModel: 'modeling_x.Model' } }, 'config.json')),
      /trust_remote_code/,
    );
    assert.match(
      messages(await json({ class_name: 'Net', module: 'mine.layers' })),
      /needs the class mine\.layers\.Net/,
    );
  });

  it('deep nesting and strange keys end', async () => {
    const deep = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`;
    assert.equal((await inspected(deep, 'model.json')).verdict, 'unknown');
    assert.equal(
      (await inspected('{"__proto__":{"class_name":"Lambda"}}', 'model.json')).verdict,
      'dangerous',
    );
  });
});

describe('sizes that lie', () => {
  const sizes = [2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n];
  it('in GGUF, ONNX, 7z and npy headers end', async () => {
    for (const size of sizes) {
      const key = bytes('GGUF', uint32(3), uint64(0n), uint64(1n));
      const gguf = [
        bytes('GGUF', uint32(3), uint64(size), uint64(size)),
        bytes(key, uint64(size), 'x'),
        bytes(key, uint64(1n), 'x', uint32(8), uint64(size)),
        bytes(key, uint64(1n), 'x', uint32(9), uint32(8), uint64(size)),
        bytes(key, uint64(1n), 'x', uint32(9), uint32(4), uint64(size)),
      ];
      for (const content of gguf) assert.equal((await inspected(content, 'a.gguf')).verdict, 'unknown');
      assert.equal(
        (await inspected(bytes('\x08\x08\x3a', '\xff'.repeat(9), '\x01'), 'a.onnx')).verdict,
        'unknown',
      );
      const seven = bytes("7z\xbc\xaf'\x1c\x00\x04", uint32(0), uint64(size), uint64(size), uint32(0));
      assert.equal((await inspected(seven, 'a.7z')).verdict, 'unknown');
      assert.equal((await inspected(bytes(uint64(size), '{'), 'a.safetensors')).verdict, 'unknown');
    }
    assert.equal(
      (await inspected(bytes('\x93NUMPY\x02\x00', uint32(0xffffffff)), 'a.npy')).verdict,
      'unknown',
    );
  });
});

describe('a folder that is one model', () => {
  it('is as bad as its worst file, which is named', async () => {
    const folder = path.join(ROOT, 'test/fixtures/inspect');
    const found = await inspectModel(folder, new AbortController().signal);
    assert.equal(found.verdict, 'dangerous');
    assert.ok(found.findings.some(({ where }) => where.startsWith('lambda.keras > config.json')));
    assert.equal(found.checkpoint.format, 'a folder of 11 files');
  });
});

const shared = sharedData();
describe('real checkpoints', { skip: shared === undefined }, () => {
  const cases: readonly (readonly [string, string])[] = [
    ['resnet_cifar10/resnet20-12fca82f.th', 'safe'],
    ['burn_mnist/mnist.pt', 'safe'],
    ['burn_mnist/mnist.onnx', 'safe'],
    ['gguf_superpoint/superpoint.gguf', 'safe'],
    ['keras_mnist/mnist_cnn.keras', 'safe'],
    ['mlperf_tiny/pretrainedResnet.h5', 'safe'],
    ['mlperf_tiny/pretrainedResnet.tflite', 'safe'],
    ['mlperf_tiny/kws/kws_ref_model/saved_model.pb', 'safe'],
    ['tfjs_mnist_modeljson/model.json', 'safe'],
    ['pt_format_variants/src__pytorch__reader__test_data__tar_multi_dtype.tar', 'safe'],
    ['char_rnn_shakespeare/saved_models/hidden_size_50.pt', 'unknown'],
    ['silero_vad/silero_vad.jit', 'unknown'],
  ];
  for (const [name, verdict] of cases)
    it(`${name} is ${verdict}`, async () => {
      const found = await inspect(path.join(shared ?? '', name));
      assert.equal(found.verdict, verdict, messages(found));
    });
});
