/** TensorFlow Lite models as checkpoints: values as its own interpreter gives them, layers, and files that may be anything. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { Checkpoint } from '../../src/checkpoint/checkpoint';
import { CheckpointError } from '../../src/checkpoint/errors';
import { type Layer, listLayers, modelParameters } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { type Fields, flatBuffer, tfliteModel } from '../fixtures/flatbuffer';
import { temporaryFolder } from '../fixtures/handmade';
import { ROOT, sharedData } from '../reference/references';
import { uniform } from './matrices';
import { layerSpectra, spectrumError, valuesOf } from './smallSpectra';
import { opensLightly } from './opensLightly';

const FIXTURES = path.join(ROOT, 'test/fixtures');
const { write } = temporaryFolder();

interface Stored {
  readonly shape: readonly number[];
  readonly sha256: string;
}
type Tensors = Readonly<Record<string, Stored>>;
interface Reference {
  readonly fixtures: Readonly<Record<string, Tensors>>;
  readonly shared: Readonly<Record<string, readonly Stored[]>>;
  readonly folded: Readonly<Record<string, readonly number[]>>;
}

function reference(): Reference {
  // The file is the project's own, made by make_tflite.py in this shape.
  return JSON.parse(readFileSync(path.join(FIXTURES, 'tflite.json'), 'utf8')) as Reference;
}

const open = (fields: Fields): Promise<Checkpoint> =>
  openCheckpoint(write('model.tflite', flatBuffer(fields)));
const layersOf = (checkpoint: Checkpoint): readonly Layer[] => listLayers(checkpoint).layers;

function describeLayer({ kind, shape, transposed, groups, trivialRank }: Layer): string {
  return `${kind} ${shape.join('x')}${transposed ? 'T' : ''}${groups === undefined ? '' : ` /${groups}`}${trivialRank ? ' trivial' : ''}`;
}

/** Every stored tensor has the shape and values of the interpreter's. */
async function requireSame(checkpoint: Checkpoint, expected: Tensors): Promise<void> {
  assert.deepEqual([...checkpoint.tensors.map(({ name }) => name)].sort(), Object.keys(expected).sort());
  assert.deepEqual(checkpoint.unreadable, []);
  for (const tensor of checkpoint.tensors) {
    const { name, shape, dtype } = tensor;
    assert.deepEqual(shape, expected[name]?.shape, name);
    const values =
      dtype === 'int32'
        ? new Int32Array((await readTensorBytes(tensor)).slice().buffer)
        : await valuesOf(tensor);
    const bytes = new Uint8Array(Float32Array.from(values).buffer);
    assert.equal(createHash('sha256').update(bytes).digest('hex').slice(0, 24), expected[name]?.sha256, name);
  }
}

describe('models that TensorFlow converted', () => {
  const LAYERS = [
    'conv 12x12T',
    'conv 2x4 /6 trivial',
    'conv 3x8 /2',
    'conv 4x12',
    'embedding 9x8',
    'linear 10x8',
    'linear 40x27',
  ];
  for (const name of ['float32', 'float16', 'weights8', 'int8']) {
    test(`${name}: values and layers`, async () => {
      const file = `tflite_${name}.tflite`;
      const checkpoint = await openCheckpoint(path.join(FIXTURES, file));
      const expected = reference().fixtures[file];
      assert.ok(expected);
      await requireSame(checkpoint, expected);
      assert.deepEqual(layersOf(checkpoint).map(describeLayer).sort(), LAYERS);
      assert.equal(modelParameters(checkpoint), 1542);
      assert.equal(checkpoint.format, 'TensorFlow Lite');
      assert.equal(checkpoint.readOnly, true);
    });
  }

  test('say which weights are kept as integers, and that biases are biases', async () => {
    const checkpoint = await openCheckpoint(path.join(FIXTURES, 'tflite_int8.tflite'));
    assert.deepEqual(checkpoint.notes, [
      '7 tensors are kept as 8-bit integers: dequantised',
      '3 tensors are kept as 32-bit integers: dequantised',
    ]);
    const biases = listLayers(checkpoint).skipped.filter(({ reason }) => reason.startsWith('bias:'));
    assert.deepEqual(
      biases.map(({ shape, dtype }) => `${shape.join()} ${dtype}`),
      ['12 float32', '6 float32', '4 float32'],
    );
  });
});

describe('operators tell how a weight is stored', () => {
  const floats = (
    ...shape: readonly number[]
  ): { readonly shape: readonly number[]; readonly data: Fields } => {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1));
    return { shape, data: { 0: { bytes: new Uint8Array(values.buffer) } } };
  };
  const cases: readonly (readonly [
    name: string,
    expected: string,
    code: number,
    shape: readonly number[],
    options?: Fields | undefined,
    activation?: readonly number[],
  ])[] = [
    ['CONV_2D', 'conv 4x12', 3, [4, 2, 3, 2], undefined, [1, 9, 9, 2]],
    ['CONV_2D in groups', 'conv 2x12 /2', 3, [4, 2, 3, 2], undefined, [1, 9, 9, 4]],
    ['DEPTHWISE_CONV_2D', 'conv 1x6 /4 trivial', 4, [1, 2, 3, 4], undefined, [1, 9, 9, 4]],
    ['DEPTHWISE_CONV_2D of one channel', 'conv 4x6', 4, [1, 2, 3, 4], undefined, [1, 9, 9, 1]],
    ['TRANSPOSE_CONV', 'conv 24x2T', 67, [4, 2, 3, 2], undefined, [1, 9, 9, 2]],
    ['CONV_3D', 'conv 5x24T', 132, [2, 2, 2, 3, 5]],
    ['CONV_3D_TRANSPOSE', 'conv 24x5', 141, [2, 2, 2, 3, 5]],
    ['FULLY_CONNECTED', 'linear 4x3', 9, [4, 3]],
    ['BATCH_MATMUL', 'linear 4x3T', 126, [1, 3, 4]],
    ['BATCH_MATMUL turned', 'linear 4x3', 126, [4, 3], { 1: { u8: 1 } }],
    ['GATHER', 'embedding 7x3', 36, [7, 3]],
    ['EMBEDDING_LOOKUP', 'embedding 7x3', 7, [7, 3]],
    ['RNN', 'other 4x3', 24, [4, 3]],
  ];
  for (const [name, expected, code, shape, options, activation] of cases)
    test(`${name}: ${expected}`, async () => {
      const model = tfliteModel({
        ...floats(...shape),
        code,
        ...(options !== undefined && { options }),
        ...(activation !== undefined && { activation }),
      });
      assert.deepEqual(layersOf(await open(model)).map(describeLayer), [expected]);
    });

  test('a shuffled matrix is told, not read', async () => {
    const { unreadable } = await open(tfliteModel({ ...floats(2, 3), code: 9, options: { 1: { u8: 1 } } }));
    assert.equal(unreadable[0]?.reason, 'its values are shuffled for one kind of processor');
  });
});

describe('values', () => {
  test('of every element type, or the reason why not', async () => {
    const types: readonly (readonly [number, string, number])[] = [
      [0, 'float32', 4],
      [1, 'float16', 2],
      [2, 'int32', 4],
      [3, 'uint8', 1],
      [4, 'int64', 8],
      [6, 'bool', 1],
      [7, 'int16', 2],
      [8, 'complex64', 8],
      [9, 'int8', 1],
      [10, 'float64', 8],
      [11, 'complex128', 16],
      [12, 'uint64', 8],
      [15, 'uint32', 4],
      [16, 'uint16', 2],
      [18, 'bfloat16', 2],
    ];
    for (const [type, dtype, width] of types) {
      const bytes = Uint8Array.from({ length: 6 * width }, (_, i) => i);
      const { tensors } = await open(tfliteModel({ type, data: { 0: { bytes } } }));
      const [first] = tensors;
      assert.ok(first);
      assert.equal(first.dtype, dtype);
      assert.deepEqual(new Uint8Array(await readTensorBytes(first)), bytes);
    }
    for (const [type, name] of [
      [5, 'string'],
      [17, 'int4'],
      [19, 'int2'],
      [20, 'uint4'],
      [99, 'type 99'],
    ] as const) {
      const { unreadable } = await open(tfliteModel({ type, data: { 0: { bytes: new Uint8Array(3) } } }));
      assert.deepEqual(unreadable, [
        { name: 'w', shape: [2, 3], dtype: name, reason: `elements of type ${name} are not read` },
      ]);
    }
  });

  test('of 16-bit integers with a scale for each slice of any axis', async () => {
    const stored = Int16Array.of(-32768, 32767, 5, -7, 0, 300);
    for (const [axis, scales, zeroPoints] of [
      [0, [0.5, 2], [0n, -3n]],
      [1, [0.5, 2, 0.125], [0n, 0n, 9n]],
      [0, [0.25], [100n]],
      [0, [0.25], []],
    ] as const) {
      const quantisation: Fields = {
        2: { floats: scales },
        3: { longs: zeroPoints },
        6: { i32: axis },
      };
      const { tensors } = await open(
        tfliteModel({
          type: 7,
          data: { 0: { bytes: new Uint8Array(stored.buffer) } },
          tensor: { 4: { table: quantisation } },
        }),
      );
      const slice = (i: number): number => (scales.length === 1 ? 0 : axis === 0 ? Math.floor(i / 3) : i % 3);
      const expected = [...stored].map(
        (q, i) => (q - Number(zeroPoints[slice(i)] ?? 0n)) * (scales[slice(i)] ?? NaN),
      );
      assert.deepEqual(tensors[0] && (await valuesOf(tensors[0])), expected);
    }
  });

  test('that are sparse, or in another file, are told', async () => {
    const sparse = await open(tfliteModel({ tensor: { 6: { table: {} } } }));
    assert.equal(sparse.unreadable[0]?.reason, 'it is sparse');
    const external = await open(tfliteModel({ tensor: { 2: { u32: 0 }, 10: { u32: 3 } } }));
    assert.equal(external.unreadable[0]?.reason, 'its values are in another file');
  });

  test('behind the flatbuffer, in a model of 20 GB, are not touched when the list is made', async () => {
    const rows = 50_000;
    const size = rows * rows * 8;
    const at = 64 * 1024;
    const model = tfliteModel({
      shape: [rows, 2 * rows],
      data: { 1: { u64: BigInt(at) }, 2: { u64: BigInt(size) } },
      code: 9,
    });
    const file = write('big.tflite', flatBuffer(model));
    truncateSync(file, at + size);
    const { tensors, bytes } = await opensLightly(file);
    assert.equal(bytes, at + size);
    assert.equal(tensors[0]?.storage.encoding === 'raw' && tensors[0].storage.offset, at);
    truncateSync(file, at + size - 1);
    await assert.rejects(openCheckpoint(file), /byte \d+: values that end at byte \d+ of \d+$/);
  });
});

describe('a hostile model', () => {
  const readOrRefused = async (content: Uint8Array, what: string): Promise<void> => {
    try {
      listLayers(await openCheckpoint(write('hostile.tflite', content)));
    } catch (error) {
      assert.ok(error instanceof CheckpointError, `${what}: ${String(error)}`);
      assert.doesNotMatch(error.message, /\n/);
    }
  };
  const refused = (fields: Fields, reason: RegExp): Promise<void> =>
    assert.rejects(open(fields), (error: unknown) => {
      assert.ok(error instanceof CheckpointError, String(error));
      assert.match(error.message, reason);
      return true;
    });

  test('cut off anywhere, or with any byte changed, is read or refused', async () => {
    const whole = readFileSync(path.join(FIXTURES, 'tflite_int8.tflite'));
    const next = uniform(13);
    for (let i = 1; i < whole.length; i += 3) {
      await readOrRefused(whole.subarray(0, i), `cut at ${i}`);
      const changed = Buffer.from(whole);
      changed[i] = Math.floor((next() + 1) * 128);
      await readOrRefused(changed, `changed at ${i}`);
    }
  });

  test('with every offset, size and number of a small file at its extremes is read or refused', async () => {
    const quantisation: Fields = { 2: { floats: [1] }, 3: { longs: [0n] } };
    const whole = flatBuffer(tfliteModel({ code: 3, tensor: { 4: { table: quantisation } } }));
    for (let i = 0; i + 4 <= whole.length; i += 2) {
      for (const value of [0, 1, i, whole.length, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]) {
        const changed = Buffer.from(whole);
        changed.writeUInt32LE(value, i);
        await readOrRefused(changed, `${value} at ${i}`);
      }
    }
  });

  test('with fields that are nowhere', async () => {
    const whole = flatBuffer(tfliteModel());
    const root = whole.readUInt32LE(0);
    const withPlaces = (offset: number): Buffer => {
      const changed = Buffer.from(whole);
      changed.writeInt32LE(offset, root);
      return changed;
    };
    for (const offset of [root + 1, -(2 ** 31), 2 ** 31 - 1, -whole.length])
      await assert.rejects(
        openCheckpoint(write('fields.tflite', withPlaces(offset))),
        /byte \d+: (?:a table whose fields are nowhere|the file ends here)$/,
      );
  });

  test('with a root outside the file', async () => {
    const whole = flatBuffer(tfliteModel());
    for (const offset of [0, whole.length, 0xffffffff]) {
      whole.writeUInt32LE(offset, 0);
      await assert.rejects(
        openCheckpoint(write('root.tflite', whole)),
        /byte 0: an offset of \d+ that leads out/,
      );
    }
  });

  test('with sizes that are none, or do not fit the values', async () => {
    await refused(tfliteModel({ shape: [-1, 3] }), /tensor "w", byte \d+: a size of -1$/);
    await refused(tfliteModel({ shape: [2 ** 31 - 1, 2 ** 31 - 1] }), /beyond any file/);
    await refused(tfliteModel({ shape: new Array<number>(65).fill(1) }), /65 elements, more than 64$/);
    await refused(tfliteModel({ shape: [2, 4] }), /tensor "w", byte \d+: 24 bytes where 32 belong$/);
    await refused(tfliteModel({ tensor: { 2: { u32: 7 } } }), /values number 7 of 2$/);
  });

  test('with scales that do not fit', async () => {
    const scaled = (quantisation: Fields): Fields =>
      tfliteModel({
        type: 9,
        data: { 0: { bytes: new Uint8Array(6) } },
        tensor: { 4: { table: quantisation } },
      });
    await refused(scaled({ 2: { floats: [1, 2] }, 6: { i32: 1 } }), /2 scales for axis 1, of size 3$/);
    await refused(
      scaled({ 2: { floats: [1, 2] }, 6: { i32: -1 } }),
      /2 scales for axis -1, of size none of 2$/,
    );
    await refused(
      scaled({ 2: { floats: [1, 2] }, 3: { longs: [1n, 2n, 3n] } }),
      /2 scales with 3 zero points$/,
    );
  });

  test('with positions of values beyond any file', async () => {
    for (const [offset, size] of [
      [2n ** 64n - 1n, 24n],
      [2n, 2n ** 64n - 1n],
      [2n ** 53n, 2n ** 53n],
    ] as const)
      await refused(
        tfliteModel({ data: { 1: { u64: offset }, 2: { u64: size } } }),
        /values that end at byte/,
      );
  });

  test('with one name for all tensors, with values on top of each other', async () => {
    const weight: Fields = { 0: { ints: [2, 3] }, 2: { u32: 1 }, 3: { text: '__proto__' } };
    const graph: Fields = { 0: { tables: [weight, weight] }, 4: { text: 'again' } };
    const { tensors } = await open({
      2: { tables: [graph, graph] },
      4: { tables: [{}, { 0: { bytes: new Uint8Array(24) } }] },
    });
    assert.deepEqual(
      tensors.map(({ name }) => name),
      ['__proto__', '__proto__ #2', 'again/__proto__', 'again/__proto__ #2'],
    );
  });

  test('without any values', async () => {
    await refused({ 2: { tables: [] } }, /no tensors with values in it$/);
    await refused({}, /no tensors with values in it$/);
  });
});

describe('real models', () => {
  const data = sharedData();
  const tiny = path.join(data ?? '', 'mlperf_tiny');
  for (const name of [
    'pretrainedResnet.tflite',
    'kws/kws_ref_model.tflite',
    'kws/kws_ref_model_float32.tflite',
  ])
    test(name, { skip: data === undefined }, async () => {
      const expected = reference().shared[name];
      assert.ok(expected);
      const checkpoint = await openCheckpoint(path.join(tiny, name));
      const named = checkpoint.tensors.map(({ name: own }, i) => [own, expected[i]] as const);
      await requireSame(checkpoint, Object.fromEntries(named) as Tensors);
    });

  test(
    'pretrainedResnet: layers of its Keras original, normalised',
    { skip: data === undefined },
    async () => {
      const layers = layersOf(await openCheckpoint(path.join(tiny, 'pretrainedResnet.tflite')));
      const { folded } = reference();
      assert.deepEqual(layers.map(({ name }) => name).sort(), Object.keys(folded).sort());
      for (const layer of layers) {
        const [spectrum = []] = await layerSpectra(layer);
        const error = spectrumError(spectrum, folded[layer.name] ?? []);
        // Multiplied out in float32 by the converter.
        assert.ok(error < 1e-5, `${layer.name}: ${error}`);
      }
    },
  );
});
