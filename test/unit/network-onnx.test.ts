/** Networks in ONNX files that the tests write themselves, against plain arithmetic. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { NetworkData } from '../../src/network/data/dataset';
import { writeSafetensors } from '../../src/checkpoint/write/safetensors';
import {
  type GraphSpec,
  type NodeSpec,
  bytes,
  floats,
  graph,
  int64s,
  integer,
  message,
  model,
  tensor,
  value,
} from '../fixtures/onnxModel';
import { uniform } from './matrices';
import {
  type Kernel,
  affine,
  allGrams,
  argmax,
  both,
  convolve,
  dataset,
  difference,
  gramOf,
  openNetwork,
  patchesOf,
  signal,
  temporaryFile,
} from './onnxNetworks';

const float16 = (values: readonly number[]): Buffer => {
  // Quarters and halves below 2: exact in half precision, put together from sign, exponent and fraction.
  const bits = values.map((v) => {
    if (v === 0) return 0;
    const exponent = Math.floor(Math.log2(Math.abs(v)));
    const fraction = (Math.abs(v) / 2 ** exponent - 1) * 1024;
    return (v < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction;
  });
  return Buffer.from(Uint16Array.from(bits).buffer);
};

const random = (count: number, seed: number): number[] =>
  Array.from({ length: count }, uniform(seed)).map(Math.fround);
const transposed = (values: readonly number[], rows: number, columns: number): number[] =>
  values.map((_, k) => values[(k % rows) * columns + Math.floor(k / rows)] ?? 0);

/** [2, 6, 5] images → grouped, strided, dilated convolution → relu → flatten → dense layer stored in × out. */
function smallNetwork() {
  const kernel: Kernel = {
    weight: random(4 * 1 * 3 * 2, 1),
    outputs: 4,
    perGroup: 1,
    size: [3, 2],
    groups: 2,
    stride: [2, 1],
    pads: [1, 0, 2, 1],
    dilation: [1, 2],
  };
  // Two channels a group would be a plain convolution; with 4 input channels each group has two.
  const convolution: Kernel = { ...kernel, perGroup: 2, weight: random(4 * 2 * 3 * 2, 1) };
  const channels = 4;
  const image: readonly [number, number, number] = [channels, 6, 5];
  const positions = 4 * 4;
  const dense = random(3 * 4 * positions, 2);
  const denseBias = random(3, 3);
  const samples = 7;
  const values = Float32Array.from(random(samples * 120, 4));
  const spec: GraphSpec = {
    nodes: [
      {
        op: 'Conv',
        in: ['x', 'conv.weight', 'conv.bias'],
        out: ['a'],
        with: {
          group: { int: 2 },
          strides: { ints: [2, 1] },
          pads: { ints: [1, 0, 2, 1] },
          dilations: { ints: [1, 2] },
          kernel_shape: { ints: [3, 2] },
        },
      },
      { op: 'Relu', in: ['a'], out: ['b'] },
      { op: 'Flatten', in: ['b'], out: ['c'], with: { axis: { int: 1 } } },
      { op: 'Gemm', in: ['c', 'dense.weight', 'dense.bias'], out: ['y'] },
    ],
    initializers: [
      floats('conv.weight', [4, 2, 3, 2], convolution.weight),
      floats('conv.bias', [4], [0.1, -0.1, 0.2, 0]),
      floats('dense.weight', [4 * positions, 3], transposed(dense, 3, 4 * positions)),
      floats('dense.bias', [3], denseBias),
    ],
    inputs: [value('x', ['N', 4, 6, 5])],
    outputs: [value('y', ['N', 3])],
  };
  const images = Array.from({ length: samples }, (_, i) => [...values.slice(i * 120, (i + 1) * 120)]);
  const patches = images.map((pixels) => patchesOf(pixels, image, convolution));
  const hidden = (weight: readonly number[]): number[][] =>
    patches.map((groups) =>
      convolve(groups, { ...convolution, weight }).map((v, i) =>
        Math.max(0, v + ([0.1, -0.1, 0.2, 0][Math.floor(i / positions)] ?? 0)),
      ),
    );
  /** Classes told with these weights. */
  const predict = (conv: readonly number[], linear: readonly number[]): number[] =>
    hidden(conv).map((h) => argmax(affine(linear, denseBias, h)));
  return { spec, values, samples, convolution, dense, patches, hidden, predict, positions };
}

/** Accuracy that a network with these predictions has. */
function accuracy(told: readonly number[], labels: Int32Array): number {
  return (100 * told.filter((label, i) => label === labels[i]).length) / labels.length;
}

describe('a network in ONNX', () => {
  test('lists its layers as out × in, groups and positions counted', async (t) => {
    const { spec, values } = smallNetwork();
    const network = await openNetwork(
      t,
      temporaryFile(t, 'net.onnx', model(spec)),
      both(dataset(values, [4, 6, 5]), 4),
    );
    assert.deepEqual(network.layers, [
      {
        name: 'conv.weight',
        kind: 'conv',
        shape: [2, 12],
        groups: 2,
        parameters: 48,
        bias: 4,
        positions: 16,
      },
      {
        name: 'dense.weight',
        kind: 'linear',
        shape: [3, 64],
        groups: 1,
        parameters: 192,
        bias: 3,
        positions: 1,
      },
    ]);
    assert.equal(network.facts.parameters, 48 + 4 + 192 + 3);
  });

  test('gives weights out × in, whichever way they are stored', async (t) => {
    const { spec, values, convolution, dense } = smallNetwork();
    const network = await openNetwork(
      t,
      temporaryFile(t, 'net.onnx', model(spec)),
      both(dataset(values, [4, 6, 5]), 4),
    );
    assert.deepEqual([...(await network.weight(0, signal))], convolution.weight);
    assert.deepEqual([...(await network.weight(1, signal))], dense);
  });

  test('sums input Grams of patches group by group, and of flat vectors', async (t) => {
    const { spec, values, samples, patches, hidden, convolution } = smallNetwork();
    const network = await openNetwork(
      t,
      temporaryFile(t, 'net.onnx', model(spec)),
      both(dataset(values, [4, 6, 5]), 3),
    );
    const [conv, dense] = await allGrams(network);
    const expected = [0, 1].flatMap((g) => [
      ...gramOf(
        patches.flatMap((groups) => groups[g] ?? []),
        12,
      ),
    ]);
    assert.equal(conv?.vectors, samples * 16);
    assert.ok(difference(conv.gram, expected) < 1e-14);
    assert.equal(dense?.vectors, samples);
    assert.ok(difference(dense.gram, gramOf(hidden(convolution.weight), 64)) < 1e-6);
  });

  test('tells accuracy with weights changed and committed, in any order', async (t) => {
    const { spec, values, samples, convolution, dense, predict } = smallNetwork();
    // Labels that the original network gets right for all samples but one.
    const labels = Int32Array.from(predict(convolution.weight, dense));
    labels[2] = ((labels[2] ?? 0) + 1) % 3;
    const network = await openNetwork(
      t,
      temporaryFile(t, 'net.onnx', model(spec)),
      both(dataset(values, [4, 6, 5], labels), 3),
    );
    const otherConv = random(48, 11);
    const otherDense = random(192, 12);
    const evaluate = async (change?: { layer: number; weight: Float64Array }): Promise<number> =>
      (await network.evaluate(change, signal)).value;
    const conv = { layer: 0, weight: Float64Array.from(otherConv) };
    const linear = { layer: 1, weight: Float64Array.from(otherDense) };
    const expected = {
      original: accuracy(predict(convolution.weight, dense), labels),
      conv: accuracy(predict(otherConv, dense), labels),
      dense: accuracy(predict(convolution.weight, otherDense), labels),
      both: accuracy(predict(otherConv, otherDense), labels),
    };
    assert.equal(expected.original, (100 * (samples - 1)) / samples);
    assert.ok(new Set(Object.values(expected)).size >= 3, 'the changes have to show');
    assert.equal(await evaluate(), expected.original);
    assert.equal(await evaluate(linear), expected.dense);
    assert.equal(await evaluate(conv), expected.conv);
    assert.equal(await evaluate(linear), expected.dense);
    assert.equal(await evaluate(), expected.original);
    await network.commit(conv);
    assert.equal(await evaluate(), expected.conv);
    assert.equal(await evaluate(linear), expected.both);
    await network.commit(linear);
    assert.equal(await evaluate(), expected.both);
    assert.equal(await evaluate({ layer: 1, weight: Float64Array.from(dense) }), expected.conv);
    await network.reset();
    assert.equal(await evaluate(), expected.original);
    assert.equal(await evaluate(conv), expected.conv);
  });

  test('honours a batch that the model fixes, also where samples do not fill it', async (t) => {
    const { spec, values, convolution, dense, predict, hidden } = smallNetwork();
    const labels = Int32Array.from(predict(convolution.weight, dense));
    const fixed = { ...spec, inputs: [value('x', [4, 4, 6, 5])], outputs: [value('y', [4, 3])] };
    const network = await openNetwork(
      t,
      temporaryFile(t, 'net.onnx', model(fixed)),
      both(dataset(values, [4, 6, 5], labels), 64),
    );
    assert.deepEqual(await network.evaluate(undefined, signal), {
      metric: 'accuracy',
      value: 100,
      samples: 7,
    });
    const [, linear] = await allGrams(network);
    assert.equal(linear?.vectors, 7);
    assert.ok(difference(linear.gram, gramOf(hidden(convolution.weight), 64)) < 1e-6);
  });

  test('may have its activation fused into the convolution', async (t) => {
    const { spec, values, convolution, dense, predict, hidden } = smallNetwork();
    const [conv, , ...rest] = spec.nodes;
    assert.ok(conv);
    const fused: NodeSpec = {
      ...conv,
      op: 'FusedConv',
      domain: 'com.microsoft',
      out: ['b'],
      with: { ...conv.with, activation: { text: 'Relu' } },
    };
    const labels = Int32Array.from(predict(convolution.weight, dense));
    const network = await openNetwork(
      t,
      temporaryFile(t, 'net.onnx', model({ ...spec, nodes: [fused, ...rest] })),
      both(dataset(values, [4, 6, 5], labels), 3),
    );
    assert.deepEqual(
      network.layers.map(({ name, shape, groups }) => [name, shape, groups]),
      [
        ['conv.weight', [2, 12], 2],
        ['dense.weight', [3, 64], 1],
      ],
    );
    const [, linear] = await allGrams(network);
    assert.ok(difference(linear?.gram ?? [], gramOf(hidden(convolution.weight), 64)) < 1e-6);
    const other = random(48, 11);
    const change = { layer: 0, weight: Float64Array.from(other) };
    assert.equal((await network.evaluate(change, signal)).value, accuracy(predict(other, dense), labels));
  });

  test('may keep its weights in a file beside it', async (t) => {
    const { spec, values, convolution, dense, predict } = smallNetwork();
    const labels = Int32Array.from(predict(convolution.weight, dense));
    const [kernel, ...others] = spec.initializers ?? [];
    assert.ok(kernel);
    const entries = { location: 'net.weights', offset: '4' };
    const outside = tensor(
      'conv.weight',
      [4, 2, 3, 2],
      1,
      ...Object.entries(entries).map(([key, text]) => message(13, bytes(1, key), bytes(2, text))),
      integer(14, 1),
    );
    const file = temporaryFile(t, 'net.onnx', model({ ...spec, initializers: [outside, ...others] }));
    const data = Buffer.from(Float32Array.of(0, ...convolution.weight).buffer);
    writeFileSync(path.join(path.dirname(file), 'net.weights'), data);
    const network = await openNetwork(t, file, both(dataset(values, [4, 6, 5], labels), 3));
    assert.deepEqual([...(await network.weight(0, signal))], convolution.weight);
    assert.equal((await network.evaluate(undefined, signal)).value, 100);
  });

  test('takes the names of a checkpoint that holds the same values', async (t) => {
    const { spec, values, convolution } = smallNetwork();
    const file = temporaryFile(t, 'net.onnx', model(spec));
    const checkpoint = `${file}.safetensors`;
    const data = new Uint8Array(Float32Array.from(convolution.weight).buffer);
    await writeSafetensors(checkpoint, [
      { name: 'features.0.weight', dtype: 'float32', shape: [4, 2, 3, 2], data },
      { name: 'head.weight', dtype: 'float32', shape: [3, 64], data: new Uint8Array(3 * 64 * 4) },
    ]);
    const network = await openNetwork(t, file, both(dataset(values, [4, 6, 5]), 4), checkpoint);
    assert.deepEqual(
      network.layers.map(({ name }) => name),
      ['features.0.weight', 'dense.weight'],
    );
    assert.match(
      network.facts.notes.join('\n'),
      /1 of 2 layers \("dense.weight"\) have no tensor of the same values/,
    );
  });

  test('is known by the content of model and data', async (t) => {
    const { spec, values } = smallNetwork();
    const open = async (bytesOfModel: Buffer, pixels: Float32Array): Promise<string> =>
      (await openNetwork(t, temporaryFile(t, 'net.onnx', bytesOfModel), both(dataset(pixels, [4, 6, 5]), 4)))
        .facts.identity;
    const changed = Float32Array.from(values);
    changed[0] = 9;
    const first = await open(model(spec), values);
    assert.match(first, /^[0-9a-f]{64}$/);
    assert.equal(await open(model(spec), values), first);
    assert.notEqual(await open(model(spec), changed), first);
    assert.notEqual(await open(model({ ...spec, outputs: [value('y', [2, 3])] }), values), first);
  });
});

/** A network on vectors of 3. */
function vectors(nodes: readonly NodeSpec[], initializers: readonly Buffer[], outputs = 2): GraphSpec {
  return { nodes, initializers, inputs: [value('x', ['N', 3])], outputs: [value('y', ['N', outputs])] };
}

const W = [0.5, -0.25, 1, 1.5, 0.75, -1];
const X = Float32Array.of(1, 2, 3, -1, 0, 2, 4, 1, 1);
const onVectors = (labels?: Int32Array): NetworkData => both(dataset(X, [3], labels), 2);
const VECTOR_GRAM = gramOf(
  [
    [1, 2, 3],
    [-1, 0, 2],
    [4, 1, 1],
  ],
  3,
);

describe('a weight is found', () => {
  const cases: Readonly<
    Record<string, { readonly nodes: readonly NodeSpec[]; readonly initializers: readonly Buffer[] }>
  > = {
    'in a Gemm that stores it out × in': {
      nodes: [{ op: 'Gemm', in: ['x', 'w'], out: ['y'], with: { transB: { int: 1 } } }],
      initializers: [floats('w', [2, 3], W)],
    },
    'in a MatMul that stores it in × out': {
      nodes: [{ op: 'MatMul', in: ['x', 'w'], out: ['y'] }],
      initializers: [floats('w', [3, 2], transposed(W, 2, 3))],
    },
    'on the left of a MatMul of columns': {
      nodes: [
        { op: 'Transpose', in: ['x'], out: ['columns'], with: { perm: { ints: [1, 0] } } },
        { op: 'MatMul', in: ['w', 'columns'], out: ['rows'] },
        { op: 'Transpose', in: ['rows'], out: ['y'], with: { perm: { ints: [1, 0] } } },
      ],
      initializers: [floats('w', [2, 3], W)],
    },
    'in a Gemm of columns (transA)': {
      nodes: [
        { op: 'Transpose', in: ['x'], out: ['columns'], with: { perm: { ints: [1, 0] } } },
        { op: 'Gemm', in: ['columns', 'w'], out: ['y'], with: { transA: { int: 1 } } },
      ],
      initializers: [floats('w', [3, 2], transposed(W, 2, 3))],
    },
    'behind Identity and Transpose': {
      nodes: [
        { op: 'Identity', in: ['w'], out: ['copy'] },
        { op: 'Transpose', in: ['copy'], out: ['turned'], with: { perm: { ints: [1, 0] } } },
        { op: 'MatMul', in: ['x', 'turned'], out: ['y'] },
      ],
      initializers: [floats('w', [2, 3], W)],
    },
    'in a Constant node': {
      nodes: [
        {
          op: 'Constant',
          in: [],
          out: ['w'],
          with: { value: { tensor: floats('', [3, 2], transposed(W, 2, 3)) } },
        },
        { op: 'MatMul', in: ['x', 'w'], out: ['y'] },
      ],
      initializers: [],
    },
    'in half precision behind a Cast': {
      nodes: [
        { op: 'Cast', in: ['w'], out: ['single'], with: { to: { int: 1 } } },
        { op: 'Gemm', in: ['x', 'single'], out: ['y'], with: { transB: { int: 1 } } },
      ],
      initializers: [tensor('w', [2, 3], 10, bytes(9, float16(W)))],
    },
    'in a FusedMatMul': {
      nodes: [
        {
          op: 'FusedMatMul',
          domain: 'com.microsoft',
          in: ['x', 'w'],
          out: ['y'],
          with: { transB: { int: 1 } },
        },
      ],
      initializers: [floats('w', [2, 3], W)],
    },
    'as a list of floats, not raw data': {
      nodes: [{ op: 'Gemm', in: ['x', 'w'], out: ['y'], with: { transB: { int: 1 } } }],
      initializers: [tensor('w', [2, 3], 1, bytes(4, new Uint8Array(Float32Array.from(W).buffer)))],
    },
  };
  const rows = [
    [1, 2, 3],
    [-1, 0, 2],
    [4, 1, 1],
  ];
  const V = [1, 0, -0.5, 0.25, 0.5, 0];
  const labelsOf = (weight: readonly number[]): Int32Array =>
    Int32Array.from(rows, (row) => argmax(affine(weight, [0, 0], row)));

  for (const [where, { nodes, initializers }] of Object.entries(cases))
    test(where, async (t) => {
      assert.notDeepEqual(labelsOf(V), labelsOf(W));
      const network = await openNetwork(
        t,
        temporaryFile(t, 'net.onnx', model(vectors(nodes, initializers))),
        onVectors(labelsOf(V)),
      );
      assert.deepEqual(
        network.layers.map(({ name, shape }) => [name, shape]),
        [['w', [2, 3]]],
      );
      assert.deepEqual([...(await network.weight(0, signal))], W);
      const [gram] = await allGrams(network);
      assert.deepEqual(gram?.gram, VECTOR_GRAM);
      const before = accuracy([...labelsOf(W)], labelsOf(V));
      assert.equal((await network.evaluate(undefined, signal)).value, before);
      assert.equal((await network.evaluate({ layer: 0, weight: Float64Array.from(V) }, signal)).value, 100);
      await network.commit({ layer: 0, weight: Float64Array.from(V) });
      assert.equal((await network.evaluate(undefined, signal)).value, 100);
    });

  test('once when two nodes share it, their inputs summed', async (t) => {
    const square = random(9, 5);
    const spec = vectors(
      [
        { op: 'MatMul', in: ['x', 'w'], out: ['a'] },
        { op: 'MatMul', in: ['a', 'w'], out: ['y'] },
      ],
      [floats('w', [3, 3], transposed(square, 3, 3))],
      3,
    );
    const network = await openNetwork(t, temporaryFile(t, 'net.onnx', model(spec)), onVectors());
    assert.equal(network.layers.length, 1);
    assert.match(network.facts.notes.join('\n'), /"w" is shared by 2 nodes: listed once/);
    const [gram] = await allGrams(network);
    const second = rows.map((row) => affine(square, [0, 0, 0], row));
    assert.equal(gram?.vectors, 6);
    assert.ok(difference(gram.gram, gramOf([...rows, ...second], 3)) < 1e-6);
  });
});

describe('a residual network', () => {
  test('is evaluated from any cut: what goes round the changed layer is kept', async (t) => {
    const square = (seed: number): number[] => random(9, seed);
    const weights = [square(21), square(22), square(23)];
    const nodes: NodeSpec[] = weights.flatMap((_, i) => [
      { op: 'Shape', in: [`h${i}`], out: [`shape${i}`] },
      { op: 'Gemm', in: [`h${i}`, `w${i}`], out: [`g${i}`], with: { transB: { int: 1 } } },
      { op: 'Relu', in: [`g${i}`], out: [`r${i}`] },
      { op: 'Add', in: [`r${i}`, `h${i}`], out: [`s${i}`] },
      // Sizes that are computed cross the cut as integers.
      { op: 'Reshape', in: [`s${i}`, `shape0`], out: [`h${i + 1}`] },
    ]);
    const spec: GraphSpec = {
      nodes: [
        { op: 'Identity', in: ['x'], out: ['h0'] },
        ...nodes,
        { op: 'Identity', in: ['h3'], out: ['y'] },
      ],
      initializers: weights.map((weight, i) => floats(`w${i}`, [3, 3], weight)),
      inputs: [value('x', ['N', 3])],
      outputs: [value('y', ['N', 3])],
    };
    const samples = Float32Array.from(random(3 * 50, 30));
    const predict = (of: readonly (readonly number[])[]): number[] =>
      Array.from({ length: 50 }, (_, i) => {
        let h = [...samples.slice(3 * i, 3 * i + 3)];
        for (const weight of of) {
          const y = affine(weight, [0, 0, 0], h);
          h = h.map((v, j) => v + Math.max(0, y[j] ?? 0));
        }
        return argmax(h);
      });
    const labels = Int32Array.from(predict(weights));
    const network = await openNetwork(
      t,
      temporaryFile(t, 'net.onnx', model(spec)),
      both(dataset(samples, [3], labels), 8),
    );
    const other = square(29).map((v) => 3 * v);
    const current = weights.map((weight) => [...weight]);
    const check = async (layer: number): Promise<void> => {
      const changed = current.map((weight, i) => (i === layer ? other : weight));
      const { value: told } = await network.evaluate({ layer, weight: Float64Array.from(other) }, signal);
      assert.equal(told, accuracy(predict(changed), labels), `layer ${layer}`);
    };
    for (const layer of [0, 1, 2, 1, 0, 2]) await check(layer);
    await network.commit({ layer: 1, weight: Float64Array.from(other) });
    current[1] = other;
    for (const layer of [2, 0, 1, 2]) await check(layer);
    await network.commit({ layer: 0, weight: Float64Array.from(other) });
    current[0] = other;
    for (const layer of [2, 1]) await check(layer);
    assert.equal((await network.evaluate(undefined, signal)).value, accuracy(predict(current), labels));
    assert.deepEqual(network.facts.notes, []);
  });
});

describe('what cannot be measured is said', () => {
  const open = async (t: TestContext, spec: GraphSpec, data: NetworkData | undefined = onVectors()) =>
    openNetwork(t, temporaryFile(t, 'net.onnx', model(spec)), data);
  const gemm: NodeSpec = { op: 'Gemm', in: ['x', 'w'], out: ['y'], with: { transB: { int: 1 } } };
  const plain = vectors([gemm], [floats('w', [2, 3], W)]);

  test('no labels', async (t) => {
    const network = await open(t, plain);
    await assert.rejects(
      network.evaluate(undefined, signal),
      /no labels: use the label-free mode, or name the labels/,
    );
    assert.equal(network.facts.metric, undefined);
  });

  test('labels beyond the classes', async (t) => {
    const network = await open(t, plain, onVectors(Int32Array.of(0, 2, 1)));
    await assert.rejects(
      network.evaluate(undefined, signal),
      /sample 1 of the validation data has the label 2, but the network tells 2 classes/,
    );
  });

  test('samples of another shape', async (t) => {
    await assert.rejects(
      open(t, plain, both(dataset(X, [9]), 2)),
      /input "x" takes samples of 3, the data has 9: set "layout"/,
    );
    const images: GraphSpec = {
      nodes: [{ op: 'Conv', in: ['x', 'k'], out: ['y'] }],
      initializers: [floats('k', [2, 3, 1, 1], W)],
      inputs: [value('x', ['N', 3, 8, 8])],
      outputs: [value('y', ['N', 2, 8, 8])],
    };
    const turned = both(dataset(new Float32Array(192), [8, 8, 3]), 1);
    await assert.rejects(open(t, images, turned), /takes samples of 3 × 8 × 8, the data has 8 × 8 × 3/);
    const flat = both(dataset(new Float32Array(192), [192]), 1);
    assert.equal((await open(t, images, flat)).layers.length, 1);
  });

  test('inputs that are not numbers', async (t) => {
    const network = await open(t, plain, both(dataset(Float32Array.of(1, NaN, 2), [3], Int32Array.of(0)), 2));
    await assert.rejects(allGrams(network), /layer "w": its inputs are not all finite numbers/);
    await assert.rejects(
      network.evaluate(undefined, signal),
      /output for validation sample 0 is not a number/,
    );
  });

  test('several inputs', async (t) => {
    const spec = { ...plain, inputs: [value('x', ['N', 3]), value('state', [1])] };
    await assert.rejects(open(t, spec), /the network has 2 inputs \("x" and "state"\), and data feeds one/);
  });

  test('no layers', async (t) => {
    await assert.rejects(
      open(t, vectors([{ op: 'Relu', in: ['x'], out: ['y'] }], [])),
      /no linear or convolution layer/,
    );
  });

  test('an operator that ONNX Runtime does not know', async (t) => {
    const spec = vectors(
      [
        { ...gemm, out: ['z'] },
        { op: 'Nonsense', in: ['z'], out: ['y'] },
      ],
      [floats('w', [2, 3], W)],
    );
    await assert.rejects(open(t, spec), /does not run on samples of 3 \(.*Nonsense/);
  });

  test('depthwise, transposed, quantised and hidden layers', async (t) => {
    const branch = graph({
      nodes: [{ op: 'MatMul', in: ['x', 'inner'], out: ['branch'] }],
      inputs: [],
      outputs: [value('branch', ['N', 2])],
    });
    const spec = vectors(
      [
        { op: 'MatMul', in: ['x', 'w'], out: ['z'] },
        {
          op: 'If',
          in: ['yes'],
          out: ['chosen'],
          with: { then_branch: { graph: branch }, else_branch: { graph: branch } },
        },
        { op: 'DequantizeLinear', in: ['q', 'scale'], out: ['dequantised'] },
        { op: 'MatMul', in: ['x', 'dequantised'], out: ['also'] },
        { op: 'Unsqueeze', in: ['x', 'axis'], out: ['signal'] },
        { op: 'Conv', in: ['signal', 'depthwise'], out: ['filtered'], with: { group: { int: 3 } } },
        { op: 'ConvTranspose', in: ['filtered', 'up'], out: ['upwards'] },
        { op: 'Squeeze', in: ['upwards', 'axis'], out: ['flat'] },
        { op: 'Sum', in: ['z', 'chosen', 'also', 'flat'], out: ['y'] },
      ],
      [
        int64s('axis', [2]),
        floats('depthwise', [3, 1, 1], [1, 2, 3]),
        floats('up', [3, 2, 1], W),
        floats('w', [3, 2], W),
        floats('inner', [3, 2], W),
        tensor('yes', [], 9, bytes(9, Uint8Array.of(1))),
        tensor('q', [3, 2], 3, bytes(9, Uint8Array.of(1, 2, 3, 4, 5, 6))),
        floats('scale', [], [0.5]),
      ],
    );
    const network = await open(t, spec);
    assert.deepEqual(
      network.layers.map(({ name }) => name),
      ['w', 'depthwise'],
    );
    const notes = network.facts.notes.join('\n');
    assert.match(notes, /"MatMul_also" is not measured: its weight is quantised/);
    // Listed, because it costs; its rank says nothing, so nobody measures it.
    assert.deepEqual([network.layers[1]?.groups, network.layers[1]?.shape], [3, [1, 1]]);
    assert.match(notes, /"ConvTranspose_upwards" is not measured: transposed convolutions/);
    assert.match(notes, /2 layers inside If, Loop, Scan or functions are not measured/);
    assert.equal((await allGrams(network))[0]?.vectors, 3);
  });

  test('one number a sample is a logit, or a probability after a sigmoid', async (t) => {
    const one = [1, -1, 0];
    const gemmOne: NodeSpec = { op: 'Gemm', in: ['x', 'w'], out: ['z'], with: { transB: { int: 1 } } };
    // x·w = −1, −1, 3: one sample of class 1, whatever the scale.
    const labels = Int32Array.of(0, 0, 1);
    for (const op of ['Identity', 'Sigmoid']) {
      const spec = vectors([gemmOne, { op, in: ['z'], out: ['y'] }], [floats('w', [1, 3], one)], 1);
      const network = await open(t, spec, onVectors(labels));
      assert.equal((await network.evaluate(undefined, signal)).value, 100);
      assert.match(network.facts.notes.join('\n'), op === 'Sigmoid' ? /a probability/ : /a logit/);
    }
  });

  test('an aborted signal, with its own reason', async (t) => {
    const network = await open(t, plain, onVectors(Int32Array.of(0, 1, 1)));
    const stop = new Error('enough');
    const aborted = AbortSignal.abort(stop);
    await assert.rejects(network.evaluate(undefined, aborted), stop);
    await assert.rejects(
      network.inputGrams([0], () => Promise.resolve(), aborted),
      stop,
    );
    assert.equal((await network.evaluate(undefined, signal)).samples, 3);
  });

  test('data that is not needed to look at layers', async (t) => {
    const network = await openNetwork(
      t,
      temporaryFile(t, 'net.onnx', model({ ...plain, inputs: [value('x', [1, 3])] })),
      undefined,
    );
    assert.equal(network.layers[0]?.positions, 1);
    await assert.rejects(network.evaluate(undefined, signal), /no labels/);
    await assert.rejects(allGrams(network), /no data/);
  });

  test('a Slice with integers of 64 bits keeps them', async (t) => {
    const spec = vectors(
      [
        { op: 'Slice', in: ['x', 'from', 'to'], out: ['part'] },
        { ...gemm, in: ['part', 'w'] },
      ],
      [floats('w', [2, 3], W), int64s('from', [0]), int64s('to', [Number.MAX_SAFE_INTEGER])],
    );
    assert.equal((await allGrams(await open(t, spec)))[0]?.vectors, 3);
  });
});
