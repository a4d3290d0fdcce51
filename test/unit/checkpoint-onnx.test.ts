/** The structure of ONNX models, read from files that may be anything. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { CheckpointError } from '../../src/checkpoint/errors';
import { withFile } from '../../src/checkpoint/file';
import { type OnnxModel, type OnnxTensor, readOnnxModel } from '../../src/checkpoint/onnx';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { bytes, floats, graph, int64s, integer, message, model, tensor, value } from '../fixtures/onnxModel';
import { uniform } from './matrices';

const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-onnx-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function read(content: Uint8Array, name = 'model.onnx'): Promise<OnnxModel> {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return withFile(file, (opened) => Promise.resolve(readOnnxModel(opened)));
}

async function valuesOf({ tensor: stored, reason }: OnnxTensor): Promise<Uint8Array> {
  assert.ok(stored, reason);
  return readTensorBytes(stored);
}

const withInitializer = (item: Buffer): Buffer =>
  model({
    nodes: [{ op: 'Gemm', in: ['x', 'w'], out: ['y'], with: { transB: { int: 1 } } }],
    initializers: [item],
    inputs: [value('x', ['N', 3])],
    outputs: [value('y', ['N', 2])],
  });

const W = [1.5, -2, 3, 0.25, 5, -6];
const f32 = (values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

/** What a reader of `item` as the model's only initializer makes of it. */
async function initializer(item: Buffer): Promise<OnnxTensor> {
  const [only] = (await read(withInitializer(item))).graph.initializers;
  assert.ok(only);
  return only;
}

describe('an ONNX model', () => {
  test('is read as a graph with names, attributes and shapes', async () => {
    const { graph: read_, opsets, irVersion } = await read(withInitializer(floats('w', [2, 3], W)));
    assert.equal(irVersion, 8);
    assert.deepEqual(opsets, [
      { domain: '', version: 13 },
      { domain: 'com.microsoft', version: 1 },
    ]);
    const [node] = read_.nodes;
    assert.deepEqual([node?.operator, node?.inputs, node?.outputs], ['Gemm', ['x', 'w'], ['y']]);
    assert.equal(node?.attributes.get('transB')?.integer, 1);
    assert.deepEqual(
      read_.inputs.map(({ name, shape, elementType }) => [name, shape, elementType]),
      [['x', ['N', 3], 1]],
    );
  });

  test('keeps weights where they are: raw data and packed floats are ranges of the file', async () => {
    for (const item of [floats('w', [2, 3], W), tensor('w', [2, 3], 1, bytes(4, f32(W)))]) {
      const stored = await initializer(item);
      assert.equal(stored.tensor?.storage.encoding, 'raw');
      assert.deepEqual(Buffer.from(await valuesOf(stored)), Buffer.from(f32(W)));
    }
  });

  test('gathers values that are written one by one', async () => {
    const each = W.map((v) => Buffer.concat([Buffer.from([(4 << 3) | 5]), f32([v])]));
    assert.deepEqual(
      Buffer.from(await valuesOf(await initializer(tensor('w', [2, 3], 1, ...each)))),
      Buffer.from(f32(W)),
    );
    const long = [-1n, 2n ** 63n - 1n, -(2n ** 63n), 300n].map((v) => integer(7, v));
    const read64 = await valuesOf(await initializer(tensor('w', [4], 7, ...long)));
    assert.deepEqual(
      new BigInt64Array(read64.slice().buffer),
      BigInt64Array.of(-1n, 2n ** 63n - 1n, -(2n ** 63n), 300n),
    );
    const half = tensor('w', [2], 10, bytes(5, Buffer.from([0x80, 0x78, 0x80, 0x80, 0x03])));
    assert.deepEqual(
      Buffer.from(await valuesOf(await initializer(half))),
      Buffer.from(Uint16Array.of(0x3c00, 0xc000).buffer),
    );
  });

  test('finds external data in its folder, at its offset', async () => {
    writeFileSync(path.join(folder, 'weights.bin'), Buffer.concat([Buffer.alloc(8), f32(W)]));
    const { tensor: stored } = await initializer(
      external({ location: 'weights.bin', offset: '8', length: '24' }),
    );
    assert.ok(stored);
    assert.deepEqual(Buffer.from(await readTensorBytes(stored)), Buffer.from(f32(W)));
  });

  test('reads the graphs inside its nodes', async () => {
    const inner = graph({
      nodes: [{ op: 'Identity', in: ['w'], out: ['z'] }],
      initializers: [floats('w', [1], [2])],
      inputs: [],
      outputs: [value('z', [1])],
    });
    const spec = {
      nodes: [{ op: 'If', in: ['x'], out: ['y'], with: { then_branch: { graph: inner } } }],
      inputs: [value('x', [1], 9)],
      outputs: [value('y', [1])],
    };
    const [node] = (await read(model(spec))).graph.nodes;
    const [branch] = node?.attributes.get('then_branch')?.graphs ?? [];
    assert.deepEqual(
      branch?.initializers.map(({ name }) => name),
      ['w'],
    );
    assert.deepEqual(
      branch.nodes.map(({ operator }) => operator),
      ['Identity'],
    );
  });
});

function external(entries: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(entries).map(([key, text]) => message(13, bytes(1, key), bytes(2, text)));
  return tensor('w', [2, 3], 1, ...parts, integer(14, 1));
}

describe('a hostile ONNX model is refused', () => {
  const refused = async (content: Buffer, reason: RegExp): Promise<void> => {
    await assert.rejects(read(content), (error: unknown) => {
      assert.ok(error instanceof CheckpointError, String(error));
      assert.match(error.message, reason);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  };

  test('cut off anywhere', async () => {
    const whole = withInitializer(floats('w', [2, 3], W));
    for (let length = 0; length < whole.length; length++) {
      try {
        await read(whole.subarray(0, length));
      } catch (error) {
        assert.ok(error instanceof CheckpointError, `${length}: ${String(error)}`);
      }
    }
    await refused(whole.subarray(0, 40), /byte \d+: a field ends at byte \d+, its message at 40/);
  });

  test('with any byte changed: read or refused, never anything else', async () => {
    const whole = withInitializer(floats('w', [2, 3], W));
    const next = uniform(7);
    for (let i = 0; i < whole.length; i++) {
      const changed = Buffer.from(whole);
      changed[i] = Math.floor((next() + 1) * 128);
      try {
        await read(changed);
      } catch (error) {
        assert.ok(error instanceof CheckpointError, `${i}: ${String(error)}`);
      }
    }
  });

  test('that is none', async () => {
    await refused(Buffer.alloc(0), /not an ONNX model/);
    await refused(Buffer.from('hello, world: this is text'), /byte \d+/);
    await refused(
      Buffer.concat([model({ nodes: [], inputs: [], outputs: [] }), bytes(7, '')]),
      /a second graph/,
    );
  });

  test('with an integer that does not end', async () => {
    await refused(
      Buffer.from([0x08, ...new Array<number>(12).fill(0xff)]),
      /byte 1: an integer that does not end/,
    );
  });

  test('with graphs nested without end', async () => {
    let inner = graph({ nodes: [], inputs: [], outputs: [] });
    for (let depth = 0; depth < 200; depth++)
      inner = graph({
        nodes: [{ op: 'If', in: ['x'], out: ['y'], with: { then_branch: { graph: inner } } }],
        inputs: [],
        outputs: [],
      });
    await refused(Buffer.concat([integer(1, 8), bytes(7, inner)]), /nested more than 16 deep/);
  });

  test('with sizes that are none, or beyond any file', async () => {
    await refused(withInitializer(tensor('w', [-1], 1, bytes(9, f32(W)))), /tensor "w".*a size of -1/);
    await refused(withInitializer(floats('w', [2 ** 40, 2 ** 40], W)), /tensor "w".*beyond any file/);
    await refused(withInitializer(floats('w', new Array<number>(65).fill(1), [1])), /more than 64 axes/);
  });

  test('with more or fewer values than its shape', async () => {
    await refused(withInitializer(floats('w', [2, 4], W)), /tensor "w".*24 bytes where 32 belong/);
    await refused(withInitializer(tensor('w', [2, 3], 1)), /no values where 24 bytes belong/);
    await refused(
      withInitializer(tensor('w', [1], 7, integer(7, 1), integer(7, 2))),
      /more than the 8 bytes/,
    );
    const claim = tensor('w', [2 ** 28], 7, integer(7, 1));
    const [only] = (await read(withInitializer(claim))).graph.initializers;
    assert.match(only?.reason ?? '', /written one by one/);
  });

  test('with external data outside its folder', async () => {
    const outside = path.join(folder, 'outside.bin');
    writeFileSync(outside, f32(W));
    mkdirSync(path.join(folder, 'inside'), { recursive: true });
    symlinkSync(outside, path.join(folder, 'inside', 'link.bin'));
    const locations = [
      '../outside.bin',
      outside,
      'a/../../outside.bin',
      'link.bin',
      '..\\outside.bin',
      'C:x',
      '',
      '.',
    ];
    for (const location of locations) {
      const content = withInitializer(external({ location }));
      await assert.rejects(
        read(content, 'inside/model.onnx'),
        /is not a file in the model's folder/,
        location,
      );
    }
  });

  test('with external data that is not there, or too short', async () => {
    writeFileSync(path.join(folder, 'short.bin'), f32([1, 2]));
    await refused(withInitializer(external({ location: 'missing.bin' })), /missing.bin.*not found/);
    await refused(
      withInitializer(external({ location: 'short.bin' })),
      /8 bytes of external data where 24 belong/,
    );
    await refused(
      withInitializer(external({ location: 'short.bin', length: '24' })),
      /its external data ends at byte 24, the file at 8/,
    );
    await refused(
      withInitializer(external({ location: 'short.bin', offset: '-8', length: '24' })),
      /offset of external data/,
    );
  });

  test('except for values of types that are not read: those are named', async () => {
    const stored = await initializer(tensor('w', [2], 22, bytes(9, Uint8Array.of(1))));
    assert.equal(stored.reason, 'elements of type int4 are not read');
    assert.equal((await initializer(int64s('w', [1, 2]))).tensor?.dtype, 'int64');
  });
});
