import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
  mkdirSync,
  copyFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { elementCount, type Checkpoint, type Tensor } from '../../src/checkpoint/checkpoint';
import { isFloating } from '../../src/checkpoint/dtype';
import { encodeElements } from '../../src/checkpoint/elements';
import { identityKey, overlappingTensors } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { crc32 } from '../../src/checkpoint/write/crc32';
import { denseTarget, writeDense } from '../../src/checkpoint/write/materialize';
import { writeSafetensors } from '../../src/checkpoint/write/safetensors';
import { StagedFiles } from '../../src/checkpoint/write/staging';
import { bytes, float32, pickle, temporaryFolder, torchTensor, torchZip, zip } from '../fixtures/handmade';
import { ROOT, sharedData } from '../reference/references';

const scratch = temporaryFolder();
const { signal } = new AbortController();

/** New values for a tensor: 0.25, 0.5, … exact in every type that has enough digits, rounded in the others. */
function replacementFor({ name, shape }: Tensor): Tensor {
  const values = Float32Array.from({ length: elementCount(shape) }, (_, i) => (i % 16) / 4 - 2);
  const data = new Uint8Array(values.buffer);
  const storage = { encoding: 'memory', path: 'memory', bytes: data, byteLength: data.length } as const;
  return { name, shape, dtype: 'float32', storage, role: 'model' };
}

async function expectedBytes(replacement: Tensor, { dtype }: Tensor): Promise<Uint8Array> {
  const values = await readTensorBytes(replacement);
  return encodeElements(new Float32Array(values.buffer, values.byteOffset, values.length / 4), dtype);
}

/** Floating-point tensors of the model whose bytes are nobody else's. */
function replaceable(checkpoint: Checkpoint): Tensor[] {
  const overlapping = overlappingTensors(checkpoint);
  return checkpoint.tensors.filter(
    ({ name, dtype, shape, role }) =>
      role === 'model' && isFloating(dtype) && elementCount(shape) > 0 && !overlapping.has(name),
  );
}

async function materialize(
  file: string,
  chosen: (tensor: Tensor) => boolean,
): Promise<{ target: string; changed: string[] }> {
  const checkpoint = await openCheckpoint(file);
  const keys = new Set(replaceable(checkpoint).filter(chosen).map(identityKey));
  const replaced = checkpoint.tensors.filter((tensor) => keys.has(identityKey(tensor)));
  const replacements = new Map(replaced.map((tensor) => [tensor.name, replacementFor(tensor)]));
  const { path: target } = denseTarget(
    checkpoint,
    path.join(scratch.folder, `${path.parse(file).name}.dense`),
  );
  const staged = new StagedFiles();
  await writeDense(checkpoint, replacements, target, staged, signal);
  await staged.commit();
  return { target, changed: [...replacements.keys()] };
}

/** Every other tensor bit for bit, the changed ones as they should be. */
async function assertChanged(file: string, target: string, changed: readonly string[]): Promise<void> {
  const [before, after] = [await openCheckpoint(file), await openCheckpoint(target)];
  // An array alone in its file is called after it.
  const nameIn = ({ name }: Tensor): string => (file.endsWith('.npy') ? '' : name);
  const facts = (tensor: Tensor): unknown[] => [nameIn(tensor), tensor.shape, tensor.dtype, tensor.role];
  assert.deepEqual(after.tensors.map(facts), before.tensors.map(facts));
  for (const [i, tensor] of before.tensors.entries()) {
    const other = after.tensors[i];
    assert.ok(other);
    const expected = changed.includes(tensor.name)
      ? await expectedBytes(replacementFor(tensor), tensor)
      : await readTensorBytes(tensor);
    assert.ok(
      Buffer.from(expected).equals(await readTensorBytes(other)),
      `${path.basename(file)}: ${tensor.name}`,
    );
  }
}

const FIXTURES = [
  'zip_state_dict.pt',
  'zip_tied_parameters.pt',
  'zip_training_run.ckpt',
  'zip_whole_module.pt',
  'legacy_state_dict.pt',
  'legacy_whole_module.pt',
  'stored.npz',
  'compressed.npz',
  'fortran.npy',
  'arrays_protocol3.pkl',
  'arrays_protocol5.pkl',
].map((name) => path.join(ROOT, 'test/fixtures', name));

describe('a dense model in the format that it came in', () => {
  for (const file of FIXTURES) {
    it(`keeps every other tensor bit for bit: ${path.basename(file)}`, async () => {
      const original = readFileSync(file);
      const names = replaceable(await openCheckpoint(file)).map(({ name }) => name);
      // Every second one, so that neighbours show what was written too far.
      const { target, changed } = await materialize(file, ({ name }) => names.indexOf(name) % 2 === 0);
      assert.ok(changed.length > 0, 'nothing to replace in this file');
      await assertChanged(file, target, changed);
      assert.ok(readFileSync(file).equals(original), 'the input was changed');
      assert.equal(path.extname(target), path.extname(file));
    });
  }

  it('writes through strides: what stands between the elements of a view stays', async () => {
    const storage = float32(...Array.from({ length: 16 }, (_, i) => 100 + i));
    const options = { elements: 16, offset: 2 };
    const tensors = pickle.dict([pickle.text('w'), torchTensor([2, 3], [7, 2], options)]);
    const file = scratch.write('strided.pt', torchZip(tensors, { 0: storage }));
    const { target, changed } = await materialize(file, () => true);
    await assertChanged(file, target, changed);
    const archive = readFileSync(target);
    const at = readFileSync(file).indexOf(storage);
    const after = Array.from({ length: 16 }, (_, i) => archive.readFloatLE(at + 4 * i));
    const places = [2, 4, 6, 9, 11, 13];
    const values = [-2, -1.75, -1.5, -1.25, -1, -0.75];
    assert.deepEqual(
      after,
      Array.from({ length: 16 }, (_, i) => (places.includes(i) ? values[places.indexOf(i)] : 100 + i)),
    );
  });

  it('is the same file where nothing is replaced', async () => {
    for (const file of FIXTURES.filter((name) => !name.includes('compressed'))) {
      const { target } = await materialize(file, () => false);
      assert.ok(readFileSync(target).equals(readFileSync(file)), file);
    }
  });

  it('rounds to the element type of the file: safetensors of every floating-point type', async () => {
    const file = path.join(scratch.folder, 'types.safetensors');
    const types = ['float64', 'float32', 'float16', 'bfloat16', 'float8_e4m3fn', 'float8_e5m2'] as const;
    const tensors = types.map((dtype) => {
      const data = encodeElements(
        Float32Array.from({ length: 35 }, (_, i) => Math.sin(i)),
        dtype,
      );
      return { name: `${dtype}.weight`, dtype, shape: [5, 7], data };
    });
    await writeSafetensors(
      file,
      tensors,
      new Map([
        ['format', 'pt'],
        ['note', 'kept as it is'],
      ]),
    );
    const { target, changed } = await materialize(file, ({ name }) => !name.startsWith('float32'));
    await assertChanged(file, target, changed);
    // The header too: metadata is part of "everything else".
    const header = (name: string): Buffer => {
      const whole = readFileSync(name);
      return whole.subarray(0, 8 + Number(whole.readBigUInt64LE()));
    };
    assert.ok(header(target).equals(header(file)));
  });

  it('can be made of a file that is read-only', async () => {
    const file = path.join(scratch.folder, 'readonly.pt');
    copyFileSync(FIXTURES[0] ?? '', file);
    chmodSync(file, 0o444);
    const { target, changed } = await materialize(file, () => true);
    await assertChanged(file, target, changed);
    assert.equal(statSync(target).mode & 0o200, 0o200);
  });

  it('is a folder of all shards and their index for a sharded model', async () => {
    const folder = path.join(scratch.folder, 'sharded');
    mkdirSync(folder);
    const names = ['a.weight', 'b.weight', 'c.weight'];
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
    const tensor = (name: string) => ({
      name,
      dtype: 'float16' as const,
      shape: [5, 7],
      data: encodeElements(
        Float32Array.from({ length: 35 }, (_, i) => Math.cos(i + name.charCodeAt(0))),
        'float16',
      ),
    });
    await writeSafetensors(path.join(folder, shards[0]), names.slice(0, 2).map(tensor));
    await writeSafetensors(path.join(folder, shards[1]), names.slice(2).map(tensor));
    const map = { 'a.weight': shards[0], 'b.weight': shards[0], 'c.weight': shards[1] };
    writeFileSync(path.join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
    const { target, changed } = await materialize(folder, ({ name }) => name !== 'b.weight');
    assert.deepEqual(readdirSync(target).sort(), [...shards, 'model.safetensors.index.json'].sort());
    await assertChanged(folder, target, changed);
  });

  it('turns pickles that keep arrays as text into safetensors, and says so', async () => {
    const file = path.join(ROOT, 'test/fixtures/arrays_protocol2.pkl');
    const checkpoint = await openCheckpoint(file);
    assert.ok(checkpoint.tensors.some(({ storage }) => storage.encoding === 'utf8'));
    assert.match(denseTarget(checkpoint, '/x').note ?? '', /safetensors/);
    const { target, changed } = await materialize(file, () => true);
    assert.equal(path.extname(target), '.safetensors');
    await assertChanged(file, target, changed);
  });

  it('leaves nothing behind when it is cancelled or discarded', async () => {
    const file = FIXTURES[0] ?? '';
    const checkpoint = await openCheckpoint(file);
    const folder = path.join(scratch.folder, 'cancelled');
    mkdirSync(folder);
    const replacements = new Map(
      replaceable(checkpoint).map((tensor) => [tensor.name, replacementFor(tensor)]),
    );
    const staged = new StagedFiles();
    const target = path.join(folder, 'x.pt');
    await assert.rejects(
      writeDense(checkpoint, replacements, target, staged, AbortSignal.abort(new Error('stopped'))),
      /stopped/,
    );
    await staged.discard();
    await writeDense(checkpoint, replacements, target, staged, signal);
    assert.deepEqual(
      readdirSync(folder).filter((name) => !name.startsWith('.')),
      [],
    );
    await staged.discard();
    assert.deepEqual(readdirSync(folder), []);
  });
});

describe('files that a killed process left half-written', () => {
  it('are removed by the next one, those of running processes are not', async () => {
    const folder = path.join(scratch.folder, 'leftovers');
    mkdirSync(folder);
    const target = path.join(folder, 'model.safetensors');
    const first = new StagedFiles();
    await first.write(target, async (handle) => {
      await handle.writeFile('half');
    });
    const [running] = readdirSync(folder);
    assert.ok(running);
    // The same name, of a process that has ended.
    const { pid } = spawnSync(process.execPath, ['--version']);
    const dead = running.replace(`-${process.pid}-`, `-${pid}-`);
    assert.notEqual(dead, running);
    writeFileSync(path.join(folder, dead), 'half');
    const second = new StagedFiles();
    await second.write(target, async (handle) => {
      await handle.writeFile('whole');
    });
    assert.ok(!readdirSync(folder).includes(dead));
    assert.ok(readdirSync(folder).includes(running));
    await second.commit();
    await first.discard();
    assert.deepEqual(readdirSync(folder), ['model.safetensors']);
    assert.equal(readFileSync(target, 'utf8'), 'whole');
  });
});

describe('CRC-32', () => {
  it('is the one of ZIP archives', () => {
    // The check value of the catalogue of CRC algorithms.
    assert.equal(crc32(Buffer.from('123456789')), 0xcbf43926);
    assert.equal(crc32(Buffer.alloc(0)), 0);
  });

  it('goes on from what came before, whatever the lengths', () => {
    const data = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 37) & 0xff));
    for (const cut of [0, 1, 7, 8, 9, 500, 999]) {
      assert.equal(crc32(data.subarray(cut), crc32(data.subarray(0, cut))), crc32(data));
    }
    // Absent before Node 20.15.
    if (typeof zlibCrc32 === 'function') assert.equal(crc32(data), zlibCrc32(data));
  });
});

/** The first Python with torch and numpy: the system's often has what the one on the path lacks. */
function pythonWithTorch(): string | undefined {
  const { RANKSCOPE_PYTHON: own } = process.env;
  const candidates = [...(own === undefined ? [] : [own]), 'python3', '/usr/bin/python3'];
  return candidates.find((program) => spawnSync(program, ['-c', 'import torch, numpy']).status === 0);
}

const program = pythonWithTorch();
if (process.env.RANKSCOPE_REQUIRE_PYTHON === '1' && program === undefined) {
  throw new Error('no Python with torch and numpy here');
}

/** Compares what PyTorch and NumPy themselves load from two files; prints the names that differ. */
const COMPARE = `
import json, sys, zipfile
import numpy, torch
def flat(value, path=""):
    if isinstance(value, dict):
        for key, child in value.items(): yield from flat(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, torch.Tensor): yield path, value.detach().contiguous().numpy().tobytes() if value.dtype != torch.bfloat16 else value.detach().contiguous().view(torch.int16).numpy().tobytes()
    elif isinstance(value, numpy.ndarray): yield path, value.tobytes()
def load(file):
    if file.endswith(".npz"):
        with numpy.load(file) as arrays: return {name: arrays[name] for name in arrays.files}
    if file.endswith(".npy"): return {"array": numpy.load(file)}
    return torch.load(file, map_location="cpu", **safely)
results = []
for before, after in json.load(sys.stdin):
    safely = {"weights_only": True}
    try: load(before)
    except Exception: safely = {}  # what an old PyTorch does not load safely even before
    if "state_dict.pt" in before and zipfile.is_zipfile(before): assert safely, "the plainest of files"
    a, b = dict(flat(load(before))), dict(flat(load(after)))
    assert list(a) == list(b), (before, list(a), list(b))
    if zipfile.is_zipfile(after): assert zipfile.ZipFile(after).testzip() is None, after
    results.append(sorted(name for name in a if a[name] != b[name]))
print(json.dumps(results))
`;

const differing = (pairs: readonly (readonly [string, string])[]): readonly (readonly string[])[] => {
  const { status, stdout, stderr } = spawnSync(program ?? '', ['-c', COMPARE], {
    input: JSON.stringify(pairs),
    encoding: 'utf8',
    env: { ...process.env, OPENBLAS_CORETYPE: 'SkylakeX', OPENBLAS_NUM_THREADS: '1' },
  });
  assert.equal(status, 0, stderr);
  // COMPARE prints one list of names for each pair.
  return JSON.parse(stdout) as string[][];
};

describe(
  'PyTorch and NumPy',
  { skip: program === undefined && 'no Python with torch and numpy here' },
  () => {
    it('load dense models, checksums and all, and find what was changed and nothing else', async () => {
      const files = FIXTURES.filter((file) => /state_dict|npz|npy|training/.test(file));
      const pairs: [string, string][] = [];
      const expected: string[][] = [];
      for (const file of files) {
        const names = replaceable(await openCheckpoint(file)).map(({ name }) => name);
        const { target, changed } = await materialize(file, ({ name }) => names.indexOf(name) % 2 === 0);
        pairs.push([file, target]);
        expected.push(file.endsWith('.npy') ? ['array'] : [...changed].sort());
      }
      assert.deepEqual(differing(pairs), expected);
    });

    it('load archives whose entries were written with and without descriptors', async () => {
      const data = Buffer.concat([npyHeader([2, 3]), float32(1, 2, 3, 4, 5, 6)]);
      const file = scratch.write(
        'plain.npz',
        withChecksums(
          zip([
            { name: 'a.npy', data },
            { name: 'b.npy', data },
          ]),
        ),
      );
      const { target, changed } = await materialize(file, ({ name }) => name === 'b');
      assert.deepEqual(changed, ['b']);
      assert.deepEqual(differing([[file, target]]), [['b']]);
    });

    const shared = sharedData();
    it('load real checkpoints', { skip: shared === undefined && 'no ../shared here' }, async () => {
      const file = path.join(shared ?? '', 'resnet_cifar10/resnet20-12fca82f.th');
      const { target, changed } = await materialize(file, ({ name }) =>
        name.endsWith('layer3.0.conv1.weight'),
      );
      assert.equal(changed.length, 1);
      assert.deepEqual(differing([[file, target]]), [changed]);
      await assertChanged(file, target, changed);
    });
  },
);

/** The header of an array of float32, as numpy.save writes it. */
function npyHeader(shape: readonly number[]): Buffer {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  const padded = text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11) + '\n';
  return bytes([0x93], 'NUMPY', [1, 0], [padded.length & 0xff, padded.length >> 8], padded);
}

/** The archive with the checksums that the handmade one leaves out. */
function withChecksums(archive: Buffer): Buffer {
  const end = archive.length - 22;
  let at = archive.readUInt32LE(end + 16);
  for (let i = 0; i < archive.readUInt16LE(end + 10); i++) {
    const [local, length, name] = [
      archive.readUInt32LE(at + 42),
      archive.readUInt32LE(at + 20),
      archive.readUInt16LE(at + 28),
    ];
    const start = local + 30 + archive.readUInt16LE(local + 26);
    const crc = crc32(archive.subarray(start, start + length));
    archive.writeUInt32LE(crc, local + 14);
    archive.writeUInt32LE(length, local + 18);
    archive.writeUInt32LE(length, local + 22);
    archive.writeUInt32LE(crc, at + 16);
    at += 46 + name;
  }
  return archive;
}
