import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { listCheckpointFiles, nothingFound, openCheckpoint } from '../../src/checkpoint/open';
import { ROOT, sharedData } from '../reference/references';
import { bytes, float32, safetensors, temporaryFolder, torchTensor, torchZip } from '../fixtures/handmade';

const model = safetensors('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', float32(1));
const archive = torchZip(torchTensor([6], [1]));

/** A folder with these files in it, and what is listed of it as paths inside it. */
function folderOf(files: Readonly<Record<string, Uint8Array | string>>) {
  const { folder } = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  }
  const look = async (signal?: AbortSignal) => {
    const listing = await listCheckpointFiles(folder, signal);
    return { ...listing, files: listing.files.map((file) => path.relative(folder, file)) };
  };
  const link = (target: string, name: string): void => {
    symlinkSync(target, path.join(folder, name));
  };
  return { folder, look, link };
}

test('a folder of checkpoints lists those and nothing else', async () => {
  const fixtures = path.join(ROOT, 'test/fixtures');
  const { files, incomplete } = await listCheckpointFiles(fixtures);
  // Beside checkpoints there are scripts, pictures, labels, and networks of formats that are not read yet.
  const expected = readdirSync(fixtures, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.(?:pkl|npz|npy|pt|ckpt|safetensors|gguf|index|h5|hdf5|keras|onnx|tflite)$|model\.json$/.test(name),
  );
  assert.deepEqual(files.map((file) => path.relative(fixtures, file)).sort(), expected.sort());
  assert.equal(incomplete, undefined);
});

describe('folders in folders', () => {
  test("are searched: Lightning's layout, in order of path, a model in shards as one", async () => {
    const { look } = folderOf({
      'exp/version_1/checkpoints/epoch=0.ckpt': archive,
      'exp/version_0/checkpoints/epoch=1.ckpt': archive,
      'exp/version_0/checkpoints/epoch=0.ckpt': archive,
      'exp/version_0/hparams.yaml': 'lr: 1',
      'exp/version_0/metrics.csv': 'step',
      'best.safetensors': model,
      'llm/step-10/model-00001-of-00002.safetensors': model,
      'llm/step-10/model-00002-of-00002.safetensors': model,
      'llm/step-10/original/consolidated.00.pth': archive,
    });
    assert.deepEqual(await look(), {
      files: [
        'best.safetensors',
        'exp/version_0/checkpoints/epoch=0.ckpt',
        'exp/version_0/checkpoints/epoch=1.ckpt',
        'exp/version_1/checkpoints/epoch=0.ckpt',
        'llm/step-10',
        'llm/step-10/original/consolidated.00.pth',
      ],
      notRead: [],
      incomplete: undefined,
    });
  });

  test('hidden ones, code and virtual environments are left out', async () => {
    const { look } = folderOf({
      'a.pt': archive,
      '.b.pt': archive,
      '.git/b.pt': archive,
      'node_modules/x/b.pt': archive,
      'env/pyvenv.cfg': 'home = /usr/bin',
      'env/lib/b.pt': archive,
    });
    assert.deepEqual((await look()).files, ['a.pt']);
  });

  test('links to folders are followed once, and never upwards or round', async () => {
    const { link, look } = folderOf({ 'runs/a/x.pt': archive, 'runs/b/y.pt': archive, 'z.pt': archive });
    link('..', 'runs/a/up');
    link('.', 'runs/a/self');
    link('../b', 'runs/a/other');
    link('/', 'runs/all');
    const away = folderOf({ 'far/w.pt': archive });
    link(away.folder, 'runs/away');
    away.link('far', 'again');
    assert.deepEqual(await look(), {
      files: ['runs/a/x.pt', 'runs/away/far/w.pt', 'runs/b/y.pt', 'z.pt'],
      notRead: [],
      incomplete: undefined,
    });
  });

  test('one file under several names is listed under the one that says what it is', async () => {
    const { link, look } = folderOf({ 'blobs/0a1b': model, 'epoch=3.ckpt': archive });
    link('blobs/0a1b', 'model.safetensors');
    link('epoch=3.ckpt', 'last.ckpt');
    assert.deepEqual((await look()).files, ['epoch=3.ckpt', 'model.safetensors']);
  });

  test('deeper than twelve levels are said not to have been looked at', async () => {
    const level = (depth: number): string => `${'d/'.repeat(depth)}x.pt`;
    const within = folderOf({ [level(12)]: archive });
    assert.deepEqual(await within.look(), { files: [level(12)], notRead: [], incomplete: undefined });
    const beyond = await folderOf({ [level(0)]: archive, [level(13)]: archive }).look();
    assert.deepEqual(beyond.files, ['x.pt']);
    assert.equal(beyond.incomplete, 'folders deeper than 12 were not looked at');
  });

  test('twenty thousand entries are looked at in good time, and more are said to be there', async () => {
    const { folder, look } = folderOf({ 'a.pt': archive, 'deep/b.pt': archive });
    mkdirSync(path.join(folder, 'data'));
    for (let i = 0; i < 20_000; i++) writeFileSync(path.join(folder, `data/${i}`), 'x');
    const before = performance.now();
    assert.deepEqual(await look(), {
      files: ['a.pt'],
      notRead: [],
      incomplete: 'only the first 20000 files and folders were looked at',
    });
    assert.ok(performance.now() - before < 20_000);
  });

  test('one that cannot be read is said, and the others are searched', async (context) => {
    if (process.getuid?.() === 0 || process.platform === 'win32') {
      context.skip('permissions do not bind this user');
      return;
    }
    const { folder, look } = folderOf({ 'a/x.pt': archive, 'b/y.pt': archive });
    chmodSync(path.join(folder, 'a'), 0);
    const { files, incomplete } = await look();
    chmodSync(path.join(folder, 'a'), 0o700);
    assert.deepEqual(files, ['b/y.pt']);
    assert.equal(incomplete, `${path.join(folder, 'a')}: permission denied`);
  });

  test('a search that is aborted ends', async () => {
    await assert.rejects(folderOf({ 'a.pt': archive }).look(AbortSignal.abort()), { name: 'AbortError' });
  });
});

describe('what lies in a folder and is no checkpoint', () => {
  test('formats that are known and not read are named', async () => {
    const { folder, look } = folderOf({
      'frozen/graph.pb': bytes([8, 1, 0x12, 4]),
      'config.json': '{"modelTopology": {}}',
      'picture.png': bytes('\x89PNG'),
    });
    const listing = await look();
    assert.deepEqual(listing.files, []);
    const expected = 'no checkpoints in this folder: a TensorFlow graph (.pb) is not read yet';
    assert.equal(nothingFound(listing), expected);
    await assert.rejects(openCheckpoint(folder), {
      name: 'CheckpointError',
      message: `${folder}: ${expected}`,
    });
    const frozen = path.join(folder, 'frozen');
    await assert.rejects(openCheckpoint(frozen), {
      message: `${frozen}: no checkpoints in this folder: a TensorFlow graph (.pb) is not read yet`,
    });
    const empty = folderOf({});
    await assert.rejects(openCheckpoint(empty.folder), {
      message: `${empty.folder}: no checkpoints in this folder`,
    });
  });

  test('what claims to be a checkpoint is listed, to say itself why it is none', async () => {
    const { look } = folderOf({
      'damaged.safetensors': bytes('x'),
      'empty.pt': '',
      'keras.ckpt': bytes('\x89HDF\r\n\x1a\n'),
      'pytorch_model.bin': 'version https://git-lfs.github.com/spec/v1\n',
      'weights.bin': float32(1),
    });
    assert.deepEqual((await look()).files, [
      'damaged.safetensors',
      'empty.pt',
      'keras.ckpt',
      'pytorch_model.bin',
    ]);
  });

  test('several checkpoints are no model in shards', async () => {
    const { folder } = folderOf({ 'a.pt': archive, 'b/c.pt': archive });
    await assert.rejects(openCheckpoint(folder), /: a folder of 2 checkpoints, not one model in shards$/);
  });
});

const data = sharedData();
test('real exports are listed', { skip: data === undefined && 'the shared data is not here' }, async () => {
  const folder = path.join(data ?? '', 'tfjs_mnist_modeljson');
  const listing = await listCheckpointFiles(folder);
  assert.deepEqual([listing.files, listing.notRead], [[path.join(folder, 'model.json')], []]);
});
