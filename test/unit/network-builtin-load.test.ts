/** Built-in networks with weights out of checkpoints, however these keep them. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError } from '../../src/checkpoint/errors';
import { openCheckpoint } from '../../src/checkpoint/open';
import { factorMetadata } from '../../src/checkpoint/write/factorFile';
import { writeSafetensors, type TensorToWrite } from '../../src/checkpoint/write/safetensors';
import { writeDecomposed } from '../../src/engine/utilization/decomposedCheckpoint';
import {
  ALL_DENSE,
  buildArchitecture,
  chooseFormOf,
  formsInCheckpoint,
  loadValues,
  type Architecture,
  type BuiltinNetworkRecipe,
  type FormRecipe,
} from '../../src/network/builtin';
import { arrayNames, moduleOf } from '../../src/network/builtin/weight';
import { temporaryFolder } from '../fixtures/handmade';
import { numbers, valuesOf } from '../reference/builtinReferences';
import { sharedData } from '../reference/references';
import { outputsOf, tf, withWasm } from './builtinTensors';

withWasm();

const { folder } = temporaryFolder();
const signal = new AbortController().signal;
const RESNET: BuiltinNetworkRecipe = { kind: 'resnet', depth: 20, widthFactor: 0.125, classes: 4 };
const VGG: BuiltinNetworkRecipe = { kind: 'vgg', depth: 11, widthFactor: 1 / 32, classes: 4 };
const INNER: FormRecipe = { kind: 'low-rank', rank: 2 };

const build = (network: BuiltinNetworkRecipe, ...forms: FormRecipe[]): Architecture =>
  buildArchitecture({ ...network, forms }, chooseFormOf(forms));

type Values = ReadonlyMap<string, Float32Array>;

const made = ({ parameters }: Architecture): Map<string, Float32Array> =>
  new Map(parameters.map(({ name, shape }) => [name, valuesOf(name, shape)]));

const toWrite = (name: string, shape: readonly number[], values: Float32Array): TensorToWrite => ({
  name,
  dtype: 'float32',
  shape,
  data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
});

let files = 0;
async function written(
  tensors: readonly TensorToWrite[],
  metadata: ReadonlyMap<string, string> = new Map(),
): Promise<string> {
  const file = path.join(folder, `${files++}.safetensors`);
  await writeSafetensors(file, tensors, metadata);
  return file;
}

/** All parameters under their names, behind a wrapper's. */
function save({ parameters }: Architecture, values: Values, prefix = ''): Promise<string> {
  return written(
    parameters.map(({ name, shape }) =>
      toWrite(`${prefix}${name}`, shape, values.get(name) ?? new Float32Array()),
    ),
  );
}

function outputs(architecture: Architecture, values: Values): Float32Array {
  return tf.tidy(() => {
    const x = tf.tensor(numbers('x', 2 * 32 * 32 * 3), [2, 32, 32, 3]);
    return outputsOf(architecture, values, x);
  });
}

function assertSameOutputs(
  [one, its]: readonly [Architecture, Values],
  [other, theirs]: readonly [Architecture, Values],
): void {
  const [a, b] = [outputs(one, its), outputs(other, theirs)];
  assert.equal(a.length, b.length);
  const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  assert.ok(largest > 0);
  a.forEach((value, i) => {
    assert.ok(Math.abs(value - (b[i] ?? NaN)) < 1e-5 * largest, `${i}: ${value}, not ${b[i]}`);
  });
}

async function refusal(work: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof CheckpointError, String(error));
    assert.match(error.message, message);
    assert.ok(!error.message.includes('\n'));
    return true;
  });
}

describe('a dense checkpoint', () => {
  test('is loaded by its names, also behind those of wrappers', async () => {
    const network = build(RESNET);
    const values = made(network);
    for (const prefix of ['', 'module.', 'state_dict.module.', 'model.']) {
      const checkpoint = await openCheckpoint(await save(network, values, prefix));
      const loaded = await loadValues(network, checkpoint, { seed: 1, signal });
      assert.deepEqual(new Map([...loaded.values].sort()), new Map([...values].sort()), prefix);
      assert.deepEqual(loaded.notes, []);
      assert.deepEqual(
        buildArchitecture(RESNET, formsInCheckpoint(checkpoint)).parameters.length,
        values.size,
      );
    }
  });

  test('may lack parameters and have others: both are told', async () => {
    const network = build(RESNET);
    const values = made(network);
    const kept = network.parameters.filter(({ name }) => !name.startsWith('linear.'));
    const head = network.parameters.filter(({ name }) => name.startsWith('linear.'));
    const more = ['fc.weight', 'bn1.num_batches_tracked'].map((name) =>
      toWrite(name, [1], Float32Array.of(1)),
    );
    const tensors = kept.map(({ name, shape }) =>
      toWrite(name, shape, values.get(name) ?? new Float32Array()),
    );
    const checkpoint = await openCheckpoint(await written([...tensors, ...more]));
    const loaded = await loadValues(network, checkpoint, { seed: 7, signal });
    for (const parameter of head) assert.deepEqual(loaded.values.get(parameter.name), parameter.initial(7));
    assert.deepEqual(loaded.notes, [
      '2 parameters of ResNet-20, 4 classes are not in the checkpoint and start anew: linear.weight, linear.bias',
      '1 tensor of the checkpoint has no place in the network: fc.weight',
    ]);
  });

  test('of half precision is read; of integers is read; of complex numbers is refused', async () => {
    const network = build({ kind: 'perceptron', widths: [2, 1] });
    const bytes = (array: Uint16Array | Int8Array): Uint8Array => new Uint8Array(array.buffer);
    const file = await written([
      // 1.5 and −2 as bfloat16.
      {
        name: 'layers.0.weight',
        dtype: 'bfloat16',
        shape: [1, 2],
        data: bytes(Uint16Array.of(0x3fc0, 0xc000)),
      },
      { name: 'layers.0.bias', dtype: 'int8', shape: [1], data: bytes(Int8Array.of(-3)) },
    ]);
    const { values } = await loadValues(network, await openCheckpoint(file), { seed: 1, signal });
    assert.deepEqual(
      [...values.values()].map((value) => [...value]),
      [[1.5, -2], [-3]],
    );
    const complex = await written([
      { name: 'layers.0.weight', dtype: 'complex64', shape: [1, 2], data: new Uint8Array(16) },
    ]);
    await refusal(
      loadValues(network, await openCheckpoint(complex), { seed: 1, signal }),
      /tensor "layers\.0\.weight": values of type complex64 /,
    );
  });

  test('of other sizes, or of another network, is refused', async () => {
    const network = build(RESNET);
    const wider = build({ ...RESNET, classes: 5 });
    const checkpoint = await openCheckpoint(await save(network, made(network)));
    await refusal(
      loadValues(wider, checkpoint, { seed: 1, signal }),
      /"linear\.weight": its shape is \[4, 8\], and the network's \[5, 8\]: /,
    );
    const gpt = build({ kind: 'gpt', vocabulary: 5, width: 4, heads: 1, blocks: 1 });
    await refusal(
      loadValues(gpt, checkpoint, { seed: 1, signal }),
      /nothing in it fits GPT of 1 × 4, 5 tokens: the network has "transformer\.wte\.weight", the checkpoint "conv1\.weight"$/,
    );
  });

  test('is turned into factors by who can, and is refused without', async () => {
    const dense = build(RESNET);
    const factored = build(RESNET, INNER);
    const checkpoint = await openCheckpoint(await save(dense, made(dense)));
    await refusal(
      loadValues(factored, checkpoint, { seed: 1, signal }),
      /"layer1\.0\.conv1\.weight": its weight is not kept as factors of rank 2: convert or decompose /,
    );
    const asked: string[] = [];
    const loaded = await loadValues(factored, checkpoint, {
      seed: 1,
      signal,
      factor: (layer, weight) => {
        asked.push(layer.name);
        assert.deepEqual(weight, valuesOf(layer.name, layer.weightShape));
        const [m, n] = layer.shape;
        return Promise.resolve({ U: new Float32Array(m * 2).fill(1), V: new Float32Array(n * 2).fill(2) });
      },
    });
    assert.equal(asked.length, 18);
    assert.deepEqual(new Set(loaded.values.get('layer1.0.conv1.weight.V')), new Set([2]));
    assert.deepEqual(loaded.notes, ['18 layers of the checkpoint turned into factors before training']);
  });

  test('is what adapters adapt: they start anew, without a word', async () => {
    const dense = build(RESNET);
    const adapted = build(RESNET, { kind: 'lora', rank: 2 });
    const checkpoint = await openCheckpoint(await save(dense, made(dense), 'module.'));
    const { values, notes } = await loadValues(adapted, checkpoint, { seed: 1, signal });
    assert.deepEqual(notes, []);
    assertSameOutputs([adapted, values], [dense, made(dense)]);
    const again = await openCheckpoint(await save(adapted, made(adapted)));
    const loaded = await loadValues(adapted, again, { seed: 1, signal });
    assert.deepEqual(
      loaded.values.get('layer1.0.conv1.lora_B.weight'),
      made(adapted).get('layer1.0.conv1.lora_B.weight'),
    );
  });

  test('stops when it is told to', async () => {
    const network = build(RESNET);
    const checkpoint = await openCheckpoint(await save(network, made(network)));
    const stopped = AbortSignal.abort(new Error('enough'));
    await assert.rejects(loadValues(network, checkpoint, { seed: 1, signal: stopped }), /^Error: enough$/);
  });
});

/** A low-rank network's layers as pairs of layers: its values under the names of a decomposition. */
function pairs(architecture: Architecture, values: Values, prefix = ''): TensorToWrite[] {
  const tensors: TensorToWrite[] = [];
  const value = (name: string): Float32Array => values.get(name) ?? new Float32Array();
  const done = new Set<string>();
  for (const { name, form, shape, weightShape, bias } of architecture.layers) {
    if (form.kind !== 'low-rank') continue;
    const [[m, n], { U, V }] = [shape, arrayNames(name)];
    const [k, v] = [form.rank, value(V)];
    const rows = new Float32Array(n * k);
    for (let i = 0; i < k; i++) for (let j = 0; j < n; j++) rows[i * n + j] = v[j * k + i] ?? 0;
    const ones = weightShape.slice(2).map(() => 1);
    const module = `${prefix}${moduleOf(name)}`;
    tensors.push(toWrite(`${module}.0.weight`, [k, ...weightShape.slice(1)], rows));
    tensors.push(toWrite(`${module}.1.weight`, [m, k, ...ones], value(U)));
    if (bias !== undefined) tensors.push(toWrite(`${module}.1.bias`, [m], value(bias)));
    for (const one of [U, V, ...(bias === undefined ? [] : [bias])]) done.add(one);
  }
  for (const { name, shape } of architecture.parameters)
    if (!done.has(name)) tensors.push(toWrite(`${prefix}${name}`, shape, value(name)));
  return tensors;
}

describe('a decomposition', () => {
  for (const [recipe, prefix] of [
    [RESNET, ''],
    [RESNET, 'state_dict.module.'],
    [VGG, ''],
  ] as const) {
    test(`of ${recipe.kind} behind "${prefix}" is known, and loaded as it is`, async () => {
      // The first convolution too, whose name is the end of others'.
      const decomposed = build(recipe, INNER, {
        kind: 'low-rank',
        rank: 1,
        layers: '^(conv1|features\\.0)\\.',
      });
      const values = made(decomposed);
      const checkpoint = await openCheckpoint(await written(pairs(decomposed, values, prefix)));
      const known = buildArchitecture(recipe, formsInCheckpoint(checkpoint));
      assert.deepEqual(
        known.layers.map(({ form }) => form),
        decomposed.layers.map(({ form }) => form),
      );
      const loaded = await loadValues(known, checkpoint, { seed: 1, signal });
      assert.deepEqual(loaded.notes, []);
      assertSameOutputs([known, loaded.values], [decomposed, values]);
    });
  }

  test('is multiplied out for dense layers and for adapters', async () => {
    const decomposed = build(VGG, INNER);
    const values = made(decomposed);
    const checkpoint = await openCheckpoint(await written(pairs(decomposed, values)));
    for (const network of [build(VGG), build(VGG, { kind: 'sine-lora', rank: 1 })]) {
      const loaded = await loadValues(network, checkpoint, { seed: 1, signal });
      assertSameOutputs([network, loaded.values], [decomposed, values]);
    }
  });

  test('of another rank is factored anew', async () => {
    const decomposed = build(VGG, INNER);
    const checkpoint = await openCheckpoint(await written(pairs(decomposed, made(decomposed))));
    const other = build(VGG, { kind: 'low-rank', rank: 1 });
    await refusal(loadValues(other, checkpoint, { seed: 1, signal }), /not kept as factors of rank 1: /);
  });

  test('that fits no layer is refused', async () => {
    const network: BuiltinNetworkRecipe = { kind: 'perceptron', widths: [6, 5, 4] };
    const tensors = [
      toWrite('layers.0.0.weight', [2, 7], new Float32Array(14)),
      toWrite('layers.0.1.weight', [5, 2], new Float32Array(10)),
    ];
    const checkpoint = await openCheckpoint(await written(tensors));
    assert.throws(
      () => buildArchitecture(network, formsInCheckpoint(checkpoint)),
      /a pair of \[2, 7\] and \[5, 2\] is no decomposition of a layer of 5 × 6$/,
    );
  });

  test('as it is written here comes back', async () => {
    const decomposed = build(VGG, INNER);
    const values = made(decomposed);
    const dense = build(VGG);
    const checkpoint = await openCheckpoint(await written(pairs(decomposed, values)));
    const whole = await loadValues(dense, checkpoint, { seed: 1, signal });
    const original = await openCheckpoint(await save(dense, whole.values));
    const splits = new Map(
      decomposed.layers.flatMap(({ name, form, ...layer }, index) => {
        if (form.kind !== 'low-rank') return [];
        const [{ U, V }, [m, n]] = [arrayNames(name), layer.shape];
        const [second, v] = [values.get(U) ?? new Float32Array(), values.get(V) ?? new Float32Array()];
        const first = Float32Array.from({ length: 2 * n }, (_, i) => v[(i % n) * 2 + Math.floor(i / n)] ?? 0);
        const facts = { ...layer, name, parameters: m * n, bias: m };
        const tensor = original.tensors.find((one) => one.name === name);
        return [[{ index, layer: facts, rank: 2, first, second }, tensor] as const];
      }),
    );
    assert.equal(splits.size, 7);
    const target = path.join(folder, 'decomposed.safetensors');
    await writeDecomposed(target, original, splits, new Map(), {}, signal);
    const again = await openCheckpoint(target);
    const known = buildArchitecture(VGG, formsInCheckpoint(again));
    const loaded = await loadValues(known, again, { seed: 1, signal });
    assert.deepEqual(loaded.notes, []);
    assertSameOutputs([known, loaded.values], [decomposed, values]);
  });
});

describe('factors', () => {
  /** Under the metadata of factor files. */
  function saveFactors(
    architecture: Architecture,
    values: Values,
    scalars?: { readonly omega: number; readonly gain: number },
  ): Promise<string> {
    const layers = architecture.layers
      .filter(({ form }) => form.kind === 'sine' || form.kind === 'low-rank')
      .map(({ name, form, weightShape, omega = 1, gain = 1 }) => ({
        name,
        factorization: form.kind === 'sine' ? 'sine' : 'svd',
        omega: scalars?.omega ?? omega,
        gains: [scalars?.gain ?? gain],
        tensor: name,
        shape: weightShape,
        dtype: 'float32' as const,
        transposed: false,
      }));
    const metadata = factorMetadata(layers, new Map(), { name: 'test', format: 'test' });
    const tensors = architecture.parameters.map(({ name, shape }) =>
      toWrite(name, shape, values.get(name) ?? new Float32Array()),
    );
    return written(tensors, metadata);
  }

  const SINE: FormRecipe = { kind: 'sine', rank: 2, omega: 9, gain: 2.5 };

  test('of a sine keep rank, ω and g', async () => {
    const network = build(RESNET, SINE);
    const values = made(network);
    const checkpoint = await openCheckpoint(await saveFactors(network, values));
    const known = buildArchitecture(RESNET, formsInCheckpoint(checkpoint));
    assert.deepEqual(
      known.layers.map(({ form }) => form),
      network.layers.map(({ form }) => form),
    );
    const loaded = await loadValues(known, checkpoint, { seed: 1, signal });
    assert.deepEqual(loaded.notes, []);
    assert.deepEqual(new Map([...loaded.values].sort()), new Map([...values].sort()));
  });

  test('of a sine stand for the same weight under another ω, and for none under another g', async () => {
    const network = build(RESNET, SINE);
    const values = made(network);
    const checkpoint = await openCheckpoint(await saveFactors(network, values));
    const other = build(RESNET, { ...SINE, omega: 300 });
    const loaded = await loadValues(other, checkpoint, { seed: 1, signal });
    assertSameOutputs([other, loaded.values], [network, values]);
    await refusal(
      loadValues(build(RESNET, { ...SINE, gain: 2 }), checkpoint, { seed: 1, signal }),
      /"layer1\.0\.conv1\.weight": its factors are those of sin\(ω·U·Vᵀ\)\/g with g = 2\.5, and the layer has g = 2: /,
    );
  });

  test('of U·Vᵀ are low-rank, with their own scale', async () => {
    const network = build(RESNET, INNER);
    const values = made(network);
    const checkpoint = await openCheckpoint(await saveFactors(network, values, { omega: 3, gain: 2 }));
    const known = buildArchitecture(RESNET, formsInCheckpoint(checkpoint));
    const loaded = await loadValues(known, checkpoint, { seed: 1, signal });
    const scaled = new Map(
      [...values].map(([name, value]) => [name, name.endsWith('.U') ? value.map((x) => 1.5 * x) : value]),
    );
    assertSameOutputs([known, loaded.values], [network, scaled]);
    const dense = build(RESNET);
    const whole = await loadValues(dense, checkpoint, { seed: 1, signal });
    assert.deepEqual(whole.notes, []);
    assertSameOutputs([dense, whole.values], [network, scaled]);
  });

  test('without a word on what they are are loaded into a form that is named, and into none that is not', async () => {
    const network = build(RESNET, SINE);
    const values = made(network);
    const checkpoint = await openCheckpoint(await save(network, values));
    const loaded = await loadValues(network, checkpoint, { seed: 1, signal });
    assert.deepEqual(loaded.values.get('layer1.0.conv1.weight.U'), values.get('layer1.0.conv1.weight.U'));
    assert.throws(
      () => buildArchitecture(RESNET, formsInCheckpoint(checkpoint)),
      /"layer1\.0\.conv1\.weight\.U": kept as U and V, and not said in which form: give the network its "forms" in the recipe$/,
    );
    await refusal(loadValues(build(RESNET), checkpoint, { seed: 1, signal }), /not said in which form/);
  });
});

const data = sharedData();

test(
  'ResNet-20 comes out of its real checkpoint, all of it',
  { skip: data === undefined && 'there are no shared checkpoints' },
  async () => {
    const checkpoint = await openCheckpoint(`${data}/resnet_cifar10/resnet20-12fca82f.th`);
    const recipe: BuiltinNetworkRecipe = { kind: 'resnet', depth: 20 };
    const network = buildArchitecture(recipe, formsInCheckpoint(checkpoint));
    assert.deepEqual(network.layers, buildArchitecture(recipe, ALL_DENSE).layers);
    const { values, notes } = await loadValues(network, checkpoint, { seed: 1, signal });
    assert.deepEqual(notes, []);
    assert.equal(values.size, network.parameters.length);
    // The trained weights are not those it would start with.
    for (const parameter of network.parameters)
      assert.notDeepEqual(values.get(parameter.name), parameter.initial(1), parameter.name);
  },
);
