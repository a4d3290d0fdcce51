/** ONNX models as checkpoints: their weights, the layers that the graph makes of them, and files that may be anything. */
import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import type { Checkpoint } from '../../src/checkpoint/checkpoint';
import { CheckpointError } from '../../src/checkpoint/errors';
import { type Layer, listLayers, modelParameters } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import type { NodeSpec } from '../fixtures/onnxModel';
import { bytes, floats, graph, int64s, integer, message, model, tensor, value } from '../fixtures/onnxModel';
import { ROOT, sharedData } from '../reference/references';
import { uniform } from './matrices';
import { layerSpectra, singularValues, spectrumError, valuesOf } from './smallSpectra';

const FIXTURES = path.join(ROOT, 'test/fixtures');
const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-onnx-weights-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Reference {
  readonly singularValues: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly dequantised: Readonly<Record<string, readonly [readonly number[], readonly number[]]>>;
}

function reference(): Reference {
  // The file is the project's own, made by make_onnx.py in this shape.
  return JSON.parse(readFileSync(path.join(FIXTURES, 'onnx_weights.json'), 'utf8')) as Reference;
}

async function open(content: Uint8Array, name = 'model.onnx'): Promise<Checkpoint> {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return openCheckpoint(file);
}

/** A model of one node and its initializers. */
function one(node: NodeSpec, ...initializers: readonly Buffer[]): Buffer {
  return model({
    nodes: [node],
    initializers,
    inputs: [value('x', ['N', 2])],
    outputs: [value('y', ['N', 3])],
  });
}

const layersOf = (checkpoint: Checkpoint): readonly Layer[] => listLayers(checkpoint).layers;

async function onlyLayer(content: Uint8Array): Promise<Layer> {
  const layers = layersOf(await open(content));
  const [layer] = layers;
  assert.ok(layer);
  assert.equal(layers.length, 1);
  return layer;
}

/** A layer as text: its kind, what it maps to what, and how it is stored. */
function describeLayer({ kind, shape, transposed, groups, trivialRank, parts }: Layer): string {
  const gates = parts === undefined ? '' : ` ${parts.map(({ name }) => name).join('')}`;
  return `${kind} ${shape.join('x')}${transposed ? 'T' : ''}${groups === undefined ? '' : ` /${groups}`}${trivialRank ? ' trivial' : ''}${gates}`;
}

const W = [1.5, -2, 3, 0.25, 5, -6];
const f32 = (values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

describe('a network exported by PyTorch', () => {
  test('has the layers of the module it was exported from', async () => {
    const exported = layersOf(await openCheckpoint(path.join(FIXTURES, 'onnx_weights.onnx')));
    const saved = layersOf(await openCheckpoint(path.join(FIXTURES, 'onnx_weights.pt')));
    assert.equal(exported.length, saved.length);
    const { singularValues: expected } = reference();
    const left = [...exported];
    for (const layer of saved) {
      const sigma = expected[layer.name];
      assert.ok(sigma, layer.name);
      const own = await layerSpectra(layer);
      let found = -1;
      for (const [i, other] of left.entries()) {
        const spectra = await layerSpectra(other);
        const isSame =
          spectra.length === sigma.length &&
          spectra.every((s, g) => spectrumError(s, sigma[g] ?? []) <= 1e-6);
        if (isSame) found = i;
      }
      const twin = left[found];
      assert.ok(twin, `${layer.name} has no twin in the ONNX file`);
      for (const [g, s] of own.entries()) assert.ok(spectrumError(s, sigma[g] ?? []) <= 1e-6, layer.name);
      assert.deepEqual(
        [twin.kind, twin.shape, twin.groups],
        [layer.kind, layer.shape, layer.groups],
        layer.name,
      );
      assert.equal(twin.parts?.length, layer.parts?.length, layer.name);
      left.splice(found, 1);
    }
    assert.deepEqual(left, []);
  });

  test('has as many parameters, and accounts for all else', async () => {
    const exported = await openCheckpoint(path.join(FIXTURES, 'onnx_weights.onnx'));
    const saved = await openCheckpoint(path.join(FIXTURES, 'onnx_weights.pt'));
    assert.equal(modelParameters(exported), modelParameters(saved));
    assert.deepEqual(exported.notes, ['22 constants of the graph (sizes, axes, single numbers) not listed']);
    assert.equal(exported.readOnly, true);
    const reasons = listLayers(exported).skipped.map(
      ({ name, reason }) => `${name} ${reason.split(':')[0] ?? ''}`,
    );
    assert.ok(reasons.includes('onnx::LSTM_355 bias'), String(reasons));
    assert.ok(reasons.includes('/lstm/Constant_output_0 constant'), String(reasons));
  });
});

describe('weights that are stored as integers', () => {
  test('are the numbers that the operators take them for', async () => {
    const checkpoint = await openCheckpoint(path.join(FIXTURES, 'onnx_quantised.onnx'));
    const { dequantised } = reference();
    const expected = new Map(Object.entries(dequantised));
    // Its scale is nowhere in the graph.
    expected.delete('columns_q');
    for (const [name, [shape, values]] of expected) {
      const found = checkpoint.tensors.find((t) => t.name === name);
      assert.ok(found, name);
      assert.deepEqual([found.dtype, found.shape], ['float32', shape], name);
      assert.deepEqual(await valuesOf(found), values.map(Math.fround), name);
    }
    assert.deepEqual(checkpoint.notes, [
      '9 tensors are kept as 8-bit integers: dequantised',
      '1 tensor is kept as 16-bit integers: dequantised',
      '1 tensor is kept as 32-bit integers: dequantised',
    ]);
    assert.deepEqual(
      checkpoint.unreadable.map(({ name, reason }) => `${name}: ${reason}`),
      [
        'packed_q: MatMulNBits keeps it in a quantised form that is not read',
        'columns_q: it is quantised, and its scale is not stored where it could be read',
      ],
    );
  });

  test('have the layers of the operators that use them', async () => {
    const checkpoint = await openCheckpoint(path.join(FIXTURES, 'onnx_quantised.onnx'));
    assert.deepEqual(
      layersOf(checkpoint).map((layer) => `${layer.name} ${describeLayer(layer)}`),
      [
        'one_q linear 4x6',
        'axis_q conv 5x12',
        'last_q linear 4x6T',
        'wide_q linear 4x3',
        'blocks_q linear 4x6',
        'conv_q conv 3x4',
        'product_q linear 5x6T',
        'gemm_q linear 5x6',
        'dynamic_q linear 7x6T',
        'rows_q embedding 9x3',
      ],
    );
  });

  test('and whose scales do not fit are refused, or told', async () => {
    const q = tensor('w', [2, 3], 3, bytes(9, Uint8Array.of(1, 2, 3, 4, 5, 6)));
    const withScales = (axis: number, ...scales: number[]): Buffer =>
      one(
        { op: 'DequantizeLinear', in: ['w', 's'], out: ['y'], with: { axis: { int: axis } } },
        q,
        floats('s', [scales.length], scales),
      );
    await assert.rejects(
      open(withScales(1, 1, 2)),
      /tensor "w", byte \d+: 2 scales for 3 slices along axis 1$/,
    );
    await assert.rejects(open(withScales(5, 1, 2)), /tensor "w".*scales along axis 5 of 2 axes$/);
    await assert.rejects(open(withScales(-9, 1, 2)), /scales along axis -9 of 2 axes$/);
    const blocked = one(
      {
        op: 'DequantizeLinear',
        in: ['w', 's'],
        out: ['y'],
        with: { axis: { int: 0 }, block_size: { int: 2 } },
      },
      q,
      floats('s', [1, 3], [1, 2, 3]),
    );
    assert.equal((await open(blocked)).unreadable[0]?.reason, 'it is quantised in blocks of 2 along axis 0');
    const float8 = one(
      { op: 'DequantizeLinear', in: ['w', 's'], out: ['y'] },
      tensor('w', [2, 1], 17, bytes(9, Uint8Array.of(1, 2))),
      floats('s', [], [2]),
    );
    assert.match((await open(float8)).unreadable[0]?.reason ?? '', /scale is kept apart/);
  });
});

describe('the graph tells how a weight is stored', () => {
  const w = (...shape: readonly number[]): Buffer =>
    floats(
      'w',
      shape,
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i + 1)),
    );

  const cases: readonly (readonly [string, NodeSpec, Buffer])[] = [
    ['linear 3x2', { op: 'Gemm', in: ['x', 'w'], out: ['y'], with: { transB: { int: 1 } } }, w(3, 2)],
    ['linear 3x2T', { op: 'Gemm', in: ['x', 'w'], out: ['y'] }, w(2, 3)],
    ['linear 3x2T', { op: 'MatMul', in: ['x', 'w'], out: ['y'] }, w(2, 3)],
    ['linear 3x2T', { op: 'MatMul', in: ['x', 'w'], out: ['y'] }, w(1, 2, 3)],
    ['linear 3x2', { op: 'MatMul', in: ['w', 'x'], out: ['y'] }, w(3, 2)],
    ['linear 3x2T', { op: 'Gemm', in: ['w', 'x'], out: ['y'], with: { transA: { int: 1 } } }, w(2, 3)],
    [
      'linear 3x2',
      {
        op: 'FusedMatMul',
        domain: 'com.microsoft',
        in: ['x', 'w'],
        out: ['y'],
        with: { transB: { int: 1 } },
      },
      w(3, 2),
    ],
    ['linear 6x2T', { op: 'Attention', domain: 'com.microsoft', in: ['x', 'w', 'b'], out: ['y'] }, w(2, 6)],
    ['embedding 5x2', { op: 'Gather', in: ['w', 'x'], out: ['y'] }, w(5, 2)],
    ['conv 4x6', { op: 'Conv', in: ['x', 'w'], out: ['y'] }, w(4, 2, 3)],
    [
      'conv 1x6 /4 trivial',
      { op: 'Conv', in: ['x', 'w'], out: ['y'], with: { group: { int: 4 } } },
      w(4, 1, 2, 3),
    ],
    ['conv 4x16', { op: 'Conv', in: ['x', 'w'], out: ['y'] }, w(4, 2, 2, 2, 2)],
    ['conv 12x4T', { op: 'ConvTranspose', in: ['x', 'w'], out: ['y'] }, w(4, 3, 2, 2)],
    ['other 8x3 iofc', { op: 'LSTM', in: ['x', 'w', ''], out: ['y'] }, w(1, 8, 3)],
  ];
  for (const [expected, node, weight] of cases) {
    const at = Object.entries(node.with ?? {}).map(([name, given]) => `${name}=${JSON.stringify(given)}`);
    test(`${node.op} ${node.in.join(' ')} ${at.join(' ')}: ${expected}`, async () => {
      const layer = await onlyLayer(one(node, weight));
      assert.equal(describeLayer(layer), expected);
    });
  }

  test('through nodes that only move axes: a channels-last kernel is the convolution that it is', async () => {
    const perm = { perm: { ints: [3, 2, 0, 1] } };
    const content = model({
      nodes: [
        { op: 'Transpose', in: ['w'], out: ['t'], with: perm },
        { op: 'Conv', in: ['x', 't'], out: ['y'] },
      ],
      initializers: [w(2, 3, 4, 5)],
      inputs: [value('x', ['N', 4, 9, 9])],
      outputs: [value('y', ['N', 5, 8, 7])],
    });
    const layer = await onlyLayer(content);
    assert.deepEqual([layer.kind, layer.shape, layer.tensor.shape], ['conv', [5, 24], [5, 4, 2, 3]]);
    const stored = (o: number, i: number, y: number, x: number): number =>
      Math.fround(Math.sin(((y * 3 + x) * 4 + i) * 5 + o + 1));
    const matrix = Array.from({ length: 5 }, (_, o) =>
      Array.from({ length: 24 }, (_, k) => stored(o, Math.floor(k / 6), Math.floor(k / 3) % 2, k % 3)),
    );
    const [spectrum = []] = await layerSpectra(layer);
    assert.ok(spectrumError(spectrum, singularValues(matrix)) < 1e-12);
  });

  test('through reshapes, casts and copies, of which the sizes are stored', async () => {
    const content = model({
      nodes: [
        { op: 'Reshape', in: ['w', 'sizes'], out: ['r'] },
        { op: 'Cast', in: ['r'], out: ['c'] },
        { op: 'Identity', in: ['c'], out: ['i'] },
        { op: 'Unsqueeze', in: ['i'], out: ['u'], with: { axes: { ints: [-1] } } },
        { op: 'Squeeze', in: ['u', 'last'], out: ['s'] },
        { op: 'MatMul', in: ['x', 's'], out: ['y'] },
      ],
      initializers: [w(2, 3, 4), int64s('sizes', [0, -1]), int64s('last', [2])],
      inputs: [value('x', ['N', 2])],
      outputs: [value('y', ['N', 12])],
    });
    assert.equal(describeLayer(await onlyLayer(content)), 'linear 12x2T');
  });

  test('a table that is looked up and multiplied by is an embedding', async () => {
    const content = model({
      nodes: [
        { op: 'Transpose', in: ['w'], out: ['t'], with: { perm: { ints: [1, 0] } } },
        { op: 'MatMul', in: ['x', 't'], out: ['y'] },
        { op: 'Gather', in: ['w', 'x'], out: ['z'] },
      ],
      initializers: [w(5, 3)],
      inputs: [value('x', ['N', 3])],
      outputs: [value('y', ['N', 5])],
    });
    assert.equal(describeLayer(await onlyLayer(content)), 'embedding 5x3');
  });
});

describe('graphs inside nodes', () => {
  const branch = (scale: number): Buffer =>
    graph({
      nodes: [{ op: 'Gemm', in: ['x', 'w'], out: ['z'], with: { transB: { int: 1 } } }],
      initializers: [
        floats(
          'w',
          [3, 2],
          W.map((v) => v * scale),
        ),
      ],
      inputs: [],
      outputs: [value('z', [1])],
    });

  test('have weights too, of names that stay apart', async () => {
    const both = { then_branch: { graph: branch(1) }, else_branch: { graph: branch(2) } };
    const inner = graph({
      nodes: [{ op: 'MatMul', in: ['x', 'outer'], out: ['z'] }],
      inputs: [],
      outputs: [value('z', [1])],
    });
    const checkpoint = await open(
      model({
        nodes: [
          { op: 'If', name: '/if', in: ['c'], out: ['y'], with: both },
          { op: 'Loop', in: ['c'], out: ['l'], with: { body: { graph: inner } } },
          { op: 'Constant', in: [], out: ['k'], with: { value: { tensor: floats('', [2, 3], W) } } },
          { op: 'Constant', in: [], out: ['n'], with: { value: { tensor: int64s('', [2, 3]) } } },
          { op: 'MatMul', in: ['x', 'k'], out: ['m'] },
        ],
        initializers: [floats('outer', [2, 3], W)],
        inputs: [value('x', ['N', 2])],
        outputs: [value('y', [1])],
      }),
    );
    assert.deepEqual(
      layersOf(checkpoint).map((layer) => `${layer.name} ${describeLayer(layer)}`),
      ['outer linear 3x2T', 'k linear 3x2T', 'w linear 3x2', '/if/else_branch/w linear 3x2'],
    );
    const values = await Promise.all(checkpoint.tensors.slice(2).map(valuesOf));
    assert.deepEqual(values, [W, W.map((v) => 2 * v)]);
    assert.deepEqual(checkpoint.notes, ['1 constant of the graph (sizes, axes, single numbers) not listed']);
  });

  test('and what cannot be read is listed with the reason', async () => {
    const item = floats('w', [2, 3], W);
    const sparse = message(15, bytes(1, floats('thin', [2], [1, 2])), bytes(2, int64s('', [0, 3])));
    const inside = Buffer.concat([
      graph({ nodes: [], initializers: [item, item], inputs: [], outputs: [] }),
      sparse,
    ]);
    const checkpoint = await open(Buffer.concat([integer(1, 8), bytes(7, inside), bytes(20, '')]));
    assert.deepEqual(
      checkpoint.tensors.map(({ name }) => name),
      ['w', 'w #2'],
    );
    assert.deepEqual(checkpoint.unreadable, [
      { name: 'thin', shape: [], dtype: 'unknown', reason: 'it is sparse' },
    ]);
    assert.deepEqual(checkpoint.notes, ['Its graphs for training were not read']);
  });
});

function external(name: string, sizes: readonly number[], entries: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(entries).map(([key, text]) => message(13, bytes(1, key), bytes(2, text)));
  return tensor(name, sizes, 1, ...parts, integer(14, 1));
}

describe('values outside the file', () => {
  test('20 GB of them are not touched when the list is made', async () => {
    const rows = 50_000;
    const columns = 50_000;
    const size = rows * columns * 4 * 2;
    const file = path.join(folder, 'big.bin');
    writeFileSync(file, '');
    truncateSync(file, size);
    const at = (index: number): Buffer =>
      external(`w${index}`, [rows, columns], {
        location: 'big.bin',
        offset: String((index * size) / 2),
        length: String(size / 2),
      });
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const {
      tensors,
      files,
      bytes: all,
    } = await open(one({ op: 'MatMul', in: ['x', 'w1'], out: ['y'] }, at(0), at(1)), 'big.onnx');
    assert.ok(performance.now() - start < 5000);
    assert.ok(process.memoryUsage().rss - before < 100e6);
    const [, second] = tensors;
    assert.ok(second?.storage.encoding === 'raw');
    assert.equal(second.module?.type, 'Linear');
    assert.equal(second.storage.offset, size / 2);
    assert.deepEqual(files, [path.join(folder, 'big.onnx'), file]);
    assert.ok(all > size);
  });

  test('may lie in the folder alone', async () => {
    writeFileSync(path.join(folder, 'outside.bin'), f32(W));
    mkdirSync(path.join(folder, 'inside'), { recursive: true });
    symlinkSync(path.join(folder, 'outside.bin'), path.join(folder, 'inside', 'link.bin'));
    for (const location of ['../outside.bin', path.join(folder, 'outside.bin'), 'link.bin', '/etc/passwd'])
      await assert.rejects(
        open(
          one({ op: 'MatMul', in: ['x', 'w'], out: ['y'] }, external('w', [2, 3], { location })),
          'inside/m.onnx',
        ),
        /is not a file in the model's folder/,
        location,
      );
  });
});

describe('a hostile model', () => {
  const readOrRefused = async (content: Uint8Array, what: string): Promise<void> => {
    try {
      listLayers(await open(content, 'hostile.onnx'));
    } catch (error) {
      assert.ok(error instanceof CheckpointError, `${what}: ${String(error)}`);
      assert.doesNotMatch(error.message, /\n/);
    }
  };

  test('cut off anywhere, or with any byte changed, is read or refused', async () => {
    const whole = readFileSync(path.join(FIXTURES, 'onnx_quantised.onnx'));
    const next = uniform(11);
    for (let i = 1; i < whole.length; i++) {
      await readOrRefused(whole.subarray(0, i), `cut at ${i}`);
      const changed = Buffer.from(whole);
      changed[i] = Math.floor((next() + 1) * 128);
      await readOrRefused(changed, `changed at ${i}`);
    }
  });

  test('with nodes that copy in a circle, or in a long chain, ends', async () => {
    const chain = Array.from({ length: 3000 }, (_, i) => ({
      op: i % 3 === 0 ? 'Transpose' : 'Identity',
      in: [i === 0 ? 'w' : `c${i - 1}`],
      out: [`c${i}`],
    }));
    const nodes = [
      { op: 'Identity', in: ['b'], out: ['a'] },
      { op: 'Transpose', in: ['a'], out: ['b'] },
      { op: 'MatMul', in: ['x', 'b'], out: ['y'] },
      ...chain,
      { op: 'MatMul', in: ['x', 'c2999'], out: ['z'] },
    ];
    const { tensors } = await open(
      model({ nodes, initializers: [floats('w', [2, 3], W)], inputs: [], outputs: [] }),
    );
    assert.deepEqual(
      tensors.map(({ name, module }) => [name, module]),
      [['w', undefined]],
    );
  });

  test('with axes, sizes and permutations that fit nothing keeps its tensors as they are', async () => {
    for (const move of [
      { op: 'Transpose', in: ['w'], out: ['t'], with: { perm: { ints: [0, 0] } } },
      { op: 'Transpose', in: ['w'], out: ['t'], with: { perm: { ints: [0, 7] } } },
      { op: 'Reshape', in: ['w', 'sizes'], out: ['t'] },
      { op: 'Reshape', in: ['w', 'missing'], out: ['t'] },
      { op: 'Squeeze', in: ['w'], out: ['t'], with: { axes: { ints: [1] } } },
      { op: 'Unsqueeze', in: ['w'], out: ['t'], with: { axes: { ints: [-9, 2 ** 40] } } },
      { op: 'Flatten', in: ['w'], out: ['t'], with: { axis: { int: -(2 ** 40) } } },
    ]) {
      const content = model({
        nodes: [move, { op: 'MatMul', in: ['x', 't'], out: ['y'] }],
        initializers: [floats('w', [2, 3], W), int64s('sizes', [-1, -1, 2 ** 52])],
        inputs: [],
        outputs: [],
      });
      const { tensors } = await open(content);
      const [first] = tensors;
      assert.deepEqual(first && [...(await valuesOf(first))].sort(), [...W].sort(), JSON.stringify(move));
    }
  });

  test('with names like those of objects is a model like any other', async () => {
    const layer = await onlyLayer(
      one({ op: 'MatMul', in: ['x', '__proto__'], out: ['constructor'] }, floats('__proto__', [2, 3], W)),
    );
    assert.equal(layer.name, '__proto__');
  });
});

describe('real models', () => {
  const data = sharedData();
  test(
    'burn_mnist: the layers of the same network saved by PyTorch',
    { skip: data === undefined },
    async () => {
      const describeAll = async (name: string): Promise<string[]> =>
        layersOf(await openCheckpoint(path.join(data ?? '', 'burn_mnist', name))).map(
          (layer) => `${layer.name} ${describeLayer(layer)}`,
        );
      const exported = await describeAll('mnist.onnx');
      assert.deepEqual(exported, await describeAll('mnist.pt'));
      assert.deepEqual(exported, await describeAll('mnist.safetensors'));
    },
  );

  test(
    'silero_vad: the layers of the safetensors file, another run',
    { skip: data === undefined },
    async () => {
      const at = (name: string): string => path.join(data ?? '', 'silero_vad', name);
      const exported = await openCheckpoint(at('silero_vad_16k_op15.onnx'));
      const saved = await openCheckpoint(at('silero_vad_16k.safetensors'));
      assert.equal(exported.tensors.length, saved.tensors.length);
      assert.equal(modelParameters(exported), modelParameters(saved));
      assert.deepEqual(
        layersOf(exported).map(describeLayer).sort(),
        layersOf(saved).map(describeLayer).sort(),
      );
      const bytesOf = async ({ tensors }: Checkpoint, name: string): Promise<Buffer> => {
        const found = tensors.find((item) => item.name === name);
        assert.ok(found, name);
        return Buffer.from(await readTensorBytes(found));
      };
      // Not trained, so the same in both.
      assert.deepEqual(
        await bytesOf(exported, 'model.stft.forward_basis_buffer'),
        await bytesOf(saved, 'stft_conv.weight'),
      );
    },
  );
});
