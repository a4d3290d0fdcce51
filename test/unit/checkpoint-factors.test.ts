import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { elementCount, type ActivatedProduct, type Tensor } from '../../src/checkpoint/checkpoint';
import { decodeElements, encodeElements } from '../../src/checkpoint/elements';
import { CheckpointError } from '../../src/checkpoint/errors';
import { identityKey, listLayers, modelParameters } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes, readTensorBytesSync } from '../../src/checkpoint/tensorData';
import { writeSafetensors, type TensorToWrite } from '../../src/checkpoint/write/safetensors';
import { createWasmBackend } from '../../src/compute';
import { audit } from '../../src/engine/audit';
import { temporaryFolder } from '../fixtures/handmade';
import { ROOT } from '../reference/references';

const scratch = temporaryFolder();

const MAX_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

interface ProductCase {
  readonly activation: 'sine' | 'identity';
  readonly omega: number;
  readonly gains: readonly number[];
  readonly groups: number;
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
  readonly transposed: boolean;
  readonly seed: number;
  /** What numpy makes of it in float64, rounded to float32. */
  readonly values: readonly number[];
}

/** Written by make_products.py beside it, in this shape. */
const cases = JSON.parse(
  readFileSync(path.join(ROOT, 'test/reference/products.json'), 'utf8'),
) as readonly ProductCase[];

/** The stream of make_products.py. */
function stream(seed: number, count: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) / 2 ** 31 - 1) / 4;
  });
}

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

function memoryTensor(name: string, shape: readonly number[], values: Float32Array): Tensor {
  const storage = {
    encoding: 'memory',
    path: 'memory',
    bytes: bytesOf(values),
    byteLength: values.byteLength,
  } as const;
  return { name, shape, dtype: 'float32', storage, role: 'model' };
}

function productTensor(product: ActivatedProduct, shape: readonly number[]): Tensor {
  const storage = {
    encoding: 'product',
    path: 'memory',
    product,
    byteLength: 4 * elementCount(shape),
  } as const;
  return { name: 'W', shape, dtype: 'float32', storage, role: 'model' };
}

function factorsOf(one: ProductCase): { U: Tensor; V: Tensor } {
  const { groups, rows, columns, rank, seed } = one;
  const values = stream(seed, groups * rank * (rows + columns));
  const cut = groups * rows * rank;
  const axes = groups > 1 ? [groups] : [];
  return {
    U: memoryTensor('W.U', [...axes, rows, rank], values.slice(0, cut)),
    V: memoryTensor('W.V', [...axes, columns, rank], values.slice(cut)),
  };
}

/** The largest relative distance of two float32 arrays, in units of the last place of the larger value. */
function assertClose(actual: Uint8Array, expected: readonly number[]): void {
  const values = decodeElements(actual, 'float32');
  assert.equal(values.length, expected.length);
  expected.forEach((value, i) => {
    const distance = Math.abs((values[i] ?? NaN) - value);
    // Sums in another order and another sine may round the last bit the other way.
    assert.ok(
      distance <= 2 ** -23 * Math.max(Math.abs(value), 2 ** -20),
      `element ${i}: ${values[i]}, not ${value}`,
    );
  });
}

describe('a product of factors', () => {
  for (const one of cases) {
    const how = `${one.activation}, ω ${one.omega}, ${one.groups} groups${one.transposed ? ', transposed' : ''}`;
    it(`is what numpy makes of it: ${how}`, async () => {
      const { activation, omega, gains, transposed, groups, rows, columns } = one;
      const product = { activation, omega, gains, transposed, ...factorsOf(one) };
      const tensor = productTensor(product, [
        groups * (transposed ? columns : rows),
        transposed ? rows : columns,
      ]);
      const bytes = await readTensorBytes(tensor);
      assertClose(bytes, one.values);
      assert.deepEqual(readTensorBytesSync(tensor), bytes);
    });
  }

  it('is refused when its factors do not fit together', async () => {
    const U = memoryTensor('U', [5, 3], new Float32Array(15));
    const V = memoryTensor('V', [7, 3], new Float32Array(21));
    const right: ActivatedProduct = { activation: 'sine', omega: 1, gains: [1], U, V, transposed: false };
    const wrong: readonly (readonly [Partial<ActivatedProduct>, RegExp])[] = [
      [{ V: memoryTensor('V', [7, 2], new Float32Array(14)) }, /do not fit together/],
      [{ U: memoryTensor('U', [15], new Float32Array(15)) }, /a factor U of shape \[15\]/],
      [{ gains: [1, 1] }, /2 gains for 1 matrices/],
      [{ gains: [0] }, /a gain of 0/],
      [{ omega: NaN }, /omega is NaN/],
      [{ omega: Infinity }, /omega is Infinity/],
      [{ U: { ...U, dtype: 'float64', shape: [5, 3] } }, /needs 120 bytes of a storage of 60/],
    ];
    for (const [change, message] of wrong) {
      const tensor = productTensor({ ...right, ...change }, [5, 7]);
      await assert.rejects(readTensorBytes(tensor), (error) => {
        assert.ok(error instanceof CheckpointError);
        assert.match(error.message, message);
        return true;
      });
      assert.throws(() => readTensorBytesSync(tensor), message);
    }
  });

  it('is known by its factors and scalars, as a tensor in memory is by its values', () => {
    const values = stream(3, 35);
    const [a, b] = [memoryTensor('a', [5, 7], values), memoryTensor('b', [5, 7], values.slice())];
    assert.equal(identityKey(a), identityKey(b));
    assert.notEqual(identityKey(a), identityKey(memoryTensor('a', [5, 7], stream(4, 35))));
    const U = memoryTensor('U', [5, 3], stream(1, 15));
    const V = memoryTensor('V', [7, 3], stream(2, 21));
    const product: ActivatedProduct = { activation: 'sine', omega: 1, gains: [1], U, V, transposed: false };
    assert.equal(
      identityKey(productTensor(product, [5, 7])),
      identityKey(productTensor({ ...product }, [5, 7])),
    );
    assert.notEqual(
      identityKey(productTensor({ ...product, omega: 2 }, [5, 7])),
      identityKey(productTensor(product, [5, 7])),
    );
  });
});

describe('elements of narrow types', () => {
  const types = ['float16', 'bfloat16', 'float8_e4m3fn', 'float8_e5m2'] as const;
  /** Decoded by hand from the definitions of the formats. */
  const known: Readonly<Record<(typeof types)[number], readonly (readonly [number, number])[]>> = {
    float16: [
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x0001, 2 ** -24],
      [0x03ff, 1023 * 2 ** -24],
      [0x7c00, Infinity],
    ],
    bfloat16: [
      [0x3f80, 1],
      [0xc000, -2],
      [0x3fc0, 1.5],
      [0x0001, 2 ** -133],
      [0xff80, -Infinity],
    ],
    float8_e4m3fn: [
      [0x38, 1],
      [0xc0, -2],
      [0x7e, 448],
      [0x01, 2 ** -9],
      [0x07, 7 * 2 ** -9],
      [0x7f, NaN],
    ],
    float8_e5m2: [
      [0x3c, 1],
      [0xc0, -2],
      [0x7b, 57344],
      [0x01, 2 ** -16],
      [0x7c, Infinity],
    ],
  };

  for (const dtype of types) {
    const width = dtype.startsWith('float8') ? 1 : 2;
    const all =
      width === 1
        ? Uint8Array.from({ length: 256 }, (_, i) => i)
        : Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = decodeElements(new Uint8Array(all.buffer), dtype);

    it(`${dtype}: are what the format says`, () => {
      for (const [code, value] of known[dtype]) assert.equal(values[code], value, code.toString(16));
    });

    it(`${dtype}: come back as they were`, () => {
      const codes = encodeElements(Float32Array.from(values), dtype);
      const back = width === 1 ? codes : new Uint16Array(codes.buffer);
      all.forEach((code) => {
        if (!Number.isNaN(values[code])) assert.equal(back[code], code, code.toString(16));
      });
    });

    it(`${dtype}: are the nearest ones, even ones in the middle, the largest one beyond`, () => {
      const finite = [...all].filter((code) => Number.isFinite(values[code]) && !Object.is(values[code], -0));
      const sorted = finite.sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
      const at = (place: number): number => values[sorted[place] ?? 0] ?? NaN;
      const between: number[] = [];
      const expected: number[] = [];
      for (let place = 0; place + 1 < sorted.length; place += width === 1 ? 1 : 61) {
        const [low, high] = [at(place), at(place + 1)];
        const middle = (low + high) / 2;
        const even = (sorted[place] ?? 0) % 2 === 0 ? low : high;
        // Exact in float32, as these formats have few bits; their subnormals' middles are not for bfloat16.
        if (Math.fround(middle) !== middle) continue;
        between.push(middle, low + (middle - low) / 2, middle + (high - middle) / 2);
        expected.push(even, low, high);
      }
      const top = at(sorted.length - 1);
      const beyond = Math.min(top * 1.5, MAX_FLOAT32);
      between.push(beyond, -beyond);
      expected.push(top, -top);
      const rounded = decodeElements(encodeElements(Float32Array.from(between), dtype), dtype);
      const wrong = between.flatMap((value, i) => {
        const isExact = Math.fround(value) === value || Math.abs(value) > top;
        return isExact && rounded[i] !== expected[i] && !(rounded[i] === 0 && expected[i] === 0)
          ? [`${value} became ${rounded[i]}, not ${expected[i]}`]
          : [];
      });
      assert.deepEqual(wrong, []);
    });
  }
});

type LayerEntry = Readonly<Record<string, unknown>>;

const entry: LayerEntry = {
  factorization: 'sine',
  omega: 30,
  gains: [7.5],
  tensor: 'a.weight',
  shape: [5, 7],
  dtype: 'float16',
  transposed: false,
};

function metadataOf(layers: Readonly<Record<string, LayerEntry>>, more: object = {}): Map<string, string> {
  const document = { schema: 'rankscope/factors@1', source: { name: 'm', format: 'f' }, layers, ...more };
  return new Map([['rankscope.factors', JSON.stringify(document)]]);
}

const float32 = (name: string, shape: readonly number[], values: Float32Array): TensorToWrite => ({
  name,
  dtype: 'float32',
  shape,
  data: bytesOf(values),
});

/** `a.weight` as the first case's factors, with a bias beside it. */
function tensorsOf(one: ProductCase | undefined, name = 'a.weight'): TensorToWrite[] {
  assert.ok(one);
  const { U, V } = factorsOf(one);
  return [U, V].map((factor, i) => {
    assert.equal(factor.storage.encoding, 'memory');
    return {
      name: `${name}.${i === 0 ? 'U' : 'V'}`,
      dtype: 'float32',
      shape: factor.shape,
      data: factor.storage.bytes,
    };
  });
}

describe('a file of factors', () => {
  const bias = float32('a.bias', [5], Float32Array.of(1, 2, 3, 4, 5));
  const backend = createWasmBackend(1);
  after(() => backend.dispose());

  it('gives the weight under its own name, the factors beside it, and the rest as it is', async () => {
    const file = path.join(scratch.folder, 'factors.safetensors');
    await writeSafetensors(file, [...tensorsOf(cases[0]), bias], metadataOf({ 'a.weight': entry }));
    const checkpoint = await openCheckpoint(file);
    assert.equal(checkpoint.format, 'safetensors (sine-low-rank factors)');
    assert.deepEqual(
      checkpoint.tensors.map(({ name, role, shape }) => [name, role, shape]),
      [
        ['a.weight', 'model', [5, 7]],
        ['a.weight.U', 'factor', [5, 3]],
        ['a.weight.V', 'factor', [7, 3]],
        ['a.bias', 'model', [5]],
      ],
    );
    assert.deepEqual(checkpoint.factored?.get('a.weight'), { dtype: 'float16', factorization: 'sine' });
    assert.match(checkpoint.notes.join(), /1 weight is kept as factors: 36 numbers stand for 35/);
    const [weight] = checkpoint.tensors;
    assert.ok(weight);
    assertClose(await readTensorBytes(weight), cases[0]?.values ?? []);
    // The weight counts as what it stands for, the factors not again.
    assert.equal(modelParameters(checkpoint), 35 + 5);
  });

  it('is audited: the multiplied-out spectrum counts, the factors are shown beside it', async () => {
    const file = path.join(scratch.folder, 'audited.safetensors');
    await writeSafetensors(file, [...tensorsOf(cases[0]), bias], metadataOf({ 'a.weight': entry }));
    const document = await audit({
      path: file,
      backend,
      signal: AbortSignal.timeout(60_000),
      cache: null,
      spectra: true,
    });
    assert.deepEqual(
      document.layers.map(({ name, kind, factorOf, rank }) => [name, kind, factorOf, rank]),
      [
        ['a.weight', 'linear', undefined, document.layers[0]?.rank],
        ['a.weight.U', 'other', 'a.weight', 3],
        ['a.weight.V', 'other', 'a.weight', 3],
      ],
    );
    const [weight] = document.layers;
    assert.equal(document.summary.meanUtilization, weight?.utilization);
    assert.equal(document.summary.analysedParameters, 35);
    // The same values, plain.
    const dense = path.join(scratch.folder, 'dense.safetensors');
    await writeSafetensors(dense, [float32('a.weight', [5, 7], Float32Array.from(cases[0]?.values ?? []))]);
    const plain = await audit({
      path: dense,
      backend,
      signal: AbortSignal.timeout(60_000),
      cache: null,
      spectra: true,
    });
    const [values, expected] = [weight?.singularValues ?? [], plain.layers[0]?.singularValues ?? [NaN]];
    expected.forEach((value, i) => {
      assert.ok(Math.abs(value - (values[i] ?? NaN)) <= 1e-6 * (expected[0] ?? 0), `σ${i}`);
    });
  });

  it('gives a stack of experts, each of a rank of its own, as one tensor and a layer each', async () => {
    const [one, two] = [cases[0], cases[2]];
    assert.ok(one && two);
    const name = 'moe.experts.down_proj';
    const shape = [2, 5, 7];
    const file = path.join(scratch.folder, 'experts.safetensors');
    await writeSafetensors(
      file,
      [...tensorsOf(one, `${name}[0]`), ...tensorsOf(two, `${name}[1]`)],
      metadataOf({
        [`${name}[0]`]: { ...entry, tensor: name, shape, expert: 0 },
        [`${name}[1]`]: {
          ...entry,
          factorization: 'svd',
          omega: 1,
          gains: [1],
          tensor: name,
          shape,
          expert: 1,
        },
      }),
    );
    const checkpoint = await openCheckpoint(file);
    const stack = checkpoint.tensors.find((tensor) => tensor.name === name);
    assert.ok(stack);
    assert.deepEqual(stack.shape, shape);
    assertClose(await readTensorBytes(stack), [...one.values, ...two.values]);
    const layers = listLayers(checkpoint).layers.filter(({ factorOf }) => factorOf === undefined);
    assert.deepEqual(
      layers.map((layer) => layer.name),
      [`${name}[0]`, `${name}[1]`],
    );
    // Each is read from its own factors, not from the whole stack.
    for (const [i, { tensor }] of layers.entries())
      assertClose(await readTensorBytes(tensor), [one, two][i]?.values ?? []);
  });

  it('tells the groups of a convolution, which names alone would not', async () => {
    const four = cases[3];
    assert.ok(four);
    const file = path.join(scratch.folder, 'groups.safetensors');
    const shape = [12, 1, 3, 3];
    const layer = { ...entry, tensor: 'conv.weight', shape, omega: four.omega, gains: four.gains };
    await writeSafetensors(file, tensorsOf(four, 'conv.weight'), metadataOf({ 'conv.weight': layer }));
    const [read] = listLayers(await openCheckpoint(file)).layers;
    assert.deepEqual([read?.name, read?.kind, read?.shape, read?.groups], ['conv.weight', 'conv', [4, 9], 3]);
  });

  it('gives a tied weight under all its names, counted once', async () => {
    const file = path.join(scratch.folder, 'tied.safetensors');
    const ties = { ties: { 'head.weight': 'a.weight', 'b.bias': 'a.bias' } };
    await writeSafetensors(file, [...tensorsOf(cases[0]), bias], metadataOf({ 'a.weight': entry }, ties));
    const checkpoint = await openCheckpoint(file);
    const named = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
    for (const [name, owner] of Object.entries(ties.ties)) {
      const [tied, own] = [named.get(name), named.get(owner)];
      assert.ok(tied && own);
      assert.deepEqual(await readTensorBytes(tied), await readTensorBytes(own));
    }
    assert.equal(modelParameters(checkpoint), 35 + 5);
    assert.equal(
      listLayers(checkpoint).layers.find(({ name }) => name === 'head.weight')?.tiedTo,
      'a.weight',
    );
  });

  const [first] = cases;
  const hostile: readonly (readonly [string, Readonly<Record<string, LayerEntry>>, RegExp, object?])[] = [
    ['no layers', {}, /no layers/],
    [
      'another schema',
      { 'a.weight': entry },
      /schema "rankscope\/factors@2"/,
      { schema: 'rankscope/factors@2' },
    ],
    ['a missing factor', { 'b.weight': { ...entry, tensor: 'b.weight' } }, /its factor U is missing/],
    [
      'a shape that is not theirs',
      { 'a.weight': { ...entry, shape: [5, 8] } },
      /factors of 5 × 7 for a shape of \[5, 8\]/,
    ],
    ['a gigantic shape', { 'a.weight': { ...entry, shape: [2 ** 40, 2 ** 40] } }, /beyond any file/],
    [
      'a weight that is there already',
      { 'a.weight': { ...entry, tensor: 'a.bias' } },
      /kept as factors and as it is/,
    ],
    ['a gain of zero', { 'a.weight': { ...entry, gains: [0] } }, /a gain of 0/],
    ['a negative gain', { 'a.weight': { ...entry, gains: [-1] } }, /a gain of -1/],
    ['an omega beyond all numbers', { 'a.weight': { ...entry, omega: '1e999' } }, /omega is Infinity/],
    ['an omega that is text', { 'a.weight': { ...entry, omega: 'NaN' } }, /a number was expected/],
    ['more gains than matrices', { 'a.weight': { ...entry, gains: [1, 1] } }, /2 gains for 1 matrices/],
    ['an unknown factorization', { 'a.weight': { ...entry, factorization: 'tucker' } }, /kept as "tucker"/],
    ['an unknown type', { 'a.weight': { ...entry, dtype: 'int8' } }, /"int8" is no floating-point type/],
    [
      'an expert beyond the stack',
      { 'a.weight': { ...entry, shape: [1, 5, 7], expert: 1 } },
      /experts are not 0 to 0/,
    ],
    [
      'a stack that is not whole',
      { 'a.weight': { ...entry, shape: [2, 5, 7], expert: 0 } },
      /1 of 2 experts have factors/,
    ],
    ['a tie to nothing', { 'a.weight': entry }, /tied to "zzz", which is not there/, { ties: { c: 'zzz' } }],
    ['a tie to a factor', { 'a.weight': entry }, /tied to "a.weight.U"/, { ties: { c: 'a.weight.U' } }],
    ['a tie in a circle', { 'a.weight': entry }, /tied to "d"/, { ties: { c: 'd', d: 'c' } }],
    [
      'a tie of a tensor that is there',
      { 'a.weight': entry },
      /tied, and kept on its own/,
      { ties: { 'a.bias': 'a.weight' } },
    ],
  ];
  for (const [what, layers, message, more] of hostile) {
    it(`is refused in one line for ${what}`, async () => {
      const file = path.join(scratch.folder, 'hostile.safetensors');
      const metadata = metadataOf(layers, more);
      // JSON.stringify has no numbers beyond its own.
      const text = (metadata.get('rankscope.factors') ?? '').replace('"1e999"', '1e999');
      await writeSafetensors(file, [...tensorsOf(first), bias], new Map([['rankscope.factors', text]]));
      await assert.rejects(openCheckpoint(file), (error) => {
        assert.ok(error instanceof CheckpointError, String(error));
        assert.match(error.message, message);
        assert.ok(error.message.startsWith(file) && !error.message.includes('\n'));
        return true;
      });
    });
  }

  it('is refused when the metadata is no JSON, or names a layer twice', async () => {
    const file = path.join(scratch.folder, 'broken.safetensors');
    const twice = `{"schema":"rankscope/factors@1","layers":{"a.weight":${JSON.stringify(entry)},"a.weight":{}}}`;
    for (const [text, message] of [
      ['{', /text was expected/],
      ['[]', /"{" was expected/],
      [twice, /given twice/],
    ] as const) {
      await writeSafetensors(file, [...tensorsOf(first), bias], new Map([['rankscope.factors', text]]));
      await assert.rejects(openCheckpoint(file), message);
    }
  });

  it('is refused when small factors stand for a weight that no memory holds', async () => {
    const file = path.join(scratch.folder, 'bomb.safetensors');
    const side = 2 ** 15;
    const layer = { ...entry, shape: [side, side] };
    const factors = ['U', 'V'].map((name) => float32(`a.weight.${name}`, [side, 1], new Float32Array(side)));
    await writeSafetensors(file, factors, metadataOf({ 'a.weight': layer }));
    await assert.rejects(
      openCheckpoint(file),
      /factors of a weight of 1073741824 elements, more than 268435456/,
    );
  });
});
