/** Built-in networks as recipes ask for them: sizes, forms, numbers of parameters, starting values, what a pass offers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openCheckpoint } from '../../src/checkpoint/open';
import {
  ALL_DENSE,
  buildArchitecture,
  chooseFormOf,
  parametersOf,
  type Architecture,
  type BuiltinNetworkRecipe,
  type FormRecipe,
  type Tensor,
} from '../../src/network/builtin';
import { dropout } from '../../src/network/builtin/blocks/dropout';
import { ArchitectureBuilder } from '../../src/network/builtin/builder';
import { patchRows } from '../../src/network/tfjs/patches';
import { numbers, valuesOf } from '../reference/builtinReferences';
import { sharedData } from '../reference/references';
import { EVALUATION, outputsOf, tf, valuesIn, withWasm } from './builtinTensors';

withWasm();

const build = (network: BuiltinNetworkRecipe, ...forms: FormRecipe[]): Architecture =>
  buildArchitecture({ ...network, forms }, chooseFormOf(forms));

const count = (network: BuiltinNetworkRecipe, ...forms: FormRecipe[]) =>
  parametersOf(build(network, ...forms));

const VIT: BuiltinNetworkRecipe = { kind: 'vit', width: 12, blocks: 2, heads: 3, patch: 8, image: 16 };
const GPT: BuiltinNetworkRecipe = {
  kind: 'gpt',
  width: 12,
  blocks: 2,
  heads: 3,
  context: 6,
  vocabulary: 11,
};

describe('parameters', () => {
  /** Share of the dense network's, in percent to one digit. */
  const rate = (network: BuiltinNetworkRecipe, rank: number): number => {
    const { total, trained, dense } = count(network, { kind: 'sine', rank });
    assert.equal(total, trained);
    return Number(((100 * total) / dense).toFixed(1));
  };

  test('of a field are those of Ji et al., Table 6', () => {
    const rates = [1, 2, 5, 20].map((rank) => rate({ kind: 'coordinates' }, rank));
    assert.deepEqual(rates, [2.1, 2.9, 5.2, 16.8]);
  });

  test('of NeRF are within 0.1 points of their Table 4', () => {
    const published = new Map([
      [1, 1.3],
      [5, 4.7],
      [10, 8.7],
    ]);
    for (const [rank, expected] of published)
      assert.ok(Math.abs(rate({ kind: 'nerf' }, rank) - expected) < 0.11, `k = ${rank}`);
  });

  test('of ViT-Small on CIFAR-100 are within 0.3 points of their Table 2: only feed-forward layers are factored', () => {
    const published = new Map([
      [1, 33.9],
      [5, 34.8],
      [10, 35.8],
      [30, 40],
      [60, 46.6],
    ]);
    for (const [rank, expected] of published)
      assert.ok(
        Math.abs(rate({ kind: 'vit', size: 'small', classes: 100 }, rank) - expected) < 0.3,
        `k = ${rank}`,
      );
  });

  test('of adapters on RoBERTa are those of their Table 3, and of RoBERTa those of its checkpoint', () => {
    const roberta: BuiltinNetworkRecipe = {
      kind: 'encoder',
      width: 768,
      blocks: 12,
      heads: 12,
      context: 512,
      vocabulary: 50265,
    };
    for (const kind of ['lora', 'sine-lora'] as const) {
      const trained: number[] = [1, 2, 4, 8].map((rank) => count(roberta, { kind, rank }).trained);
      assert.deepEqual(trained, [36_864, 73_728, 147_456, 294_912]);
    }
    const { total, dense, trained } = count(roberta, { kind: 'lora', rank: 4 });
    assert.equal(dense, 124_697_433);
    assert.equal(total, dense + trained);
  });

  test('of the known networks are the known numbers', () => {
    const known: readonly [BuiltinNetworkRecipe, number][] = [
      [{ kind: 'resnet', depth: 20 }, 269_722],
      [{ kind: 'resnet', depth: 110 }, 1_727_962],
      [{ kind: 'resnet', depth: 18 }, 11_173_962],
      [{ kind: 'resnet', depth: 50 }, 23_520_842],
      [{ kind: 'vgg', depth: 11 }, 9_231_114],
      [{ kind: 'vgg', depth: 16 }, 14_728_266],
      [{ kind: 'vit', size: 'base', image: 224, patch: 16, classes: 1000 }, 86_567_656],
      [{ kind: 'nerf' }, 595_844],
    ];
    for (const [network, expected] of known) {
      const { total, dense, trained } = count(network);
      assert.deepEqual([total, dense, trained], [expected, expected, expected], network.kind);
    }
  });
});

describe('forms', () => {
  const formsOf = (network: BuiltinNetworkRecipe, ...forms: FormRecipe[]): Record<string, string> =>
    Object.fromEntries(build(network, ...forms).layers.map(({ name, form }) => [name, form.kind]));

  test('go to inner layers, or to those that are named; of several the last holds', () => {
    const MLP: BuiltinNetworkRecipe = { kind: 'perceptron', widths: [9, 8, 7, 6] };
    assert.deepEqual(formsOf(MLP), {
      'layers.0.weight': 'dense',
      'layers.1.weight': 'dense',
      'layers.2.weight': 'dense',
    });
    assert.deepEqual(formsOf(MLP, { kind: 'sine', rank: 2 }), {
      'layers.0.weight': 'sine',
      'layers.1.weight': 'sine',
      'layers.2.weight': 'dense',
    });
    const named: FormRecipe[] = [
      { kind: 'sine', rank: 2 },
      { kind: 'low-rank', rank: 3, layers: '[12]\\.weight$' },
      { kind: 'dense', layers: '^layers\\.1' },
    ];
    assert.deepEqual(formsOf(MLP, ...named), {
      'layers.0.weight': 'sine',
      'layers.1.weight': 'dense',
      'layers.2.weight': 'low-rank',
    });
  });

  test('carry ω and g: their own, or 500 and √n', () => {
    const [own, given] = ['', ', given'].map((_, i) =>
      build(
        { kind: 'perceptron', widths: [9, 8, 7] },
        { kind: 'sine', rank: 2, ...(i === 1 && { omega: 30, gain: 2 }) },
      ).layers.map(({ omega, gain }) => [omega, gain]),
    );
    assert.deepEqual(own, [
      [500, 3],
      [undefined, undefined],
    ]);
    assert.deepEqual(given?.[0], [30, 2]);
  });

  test('in a transformer, a gain with which sin(ω·U·Vᵀ)/g starts with the deviation of its law, 0.02', () => {
    const recipe: BuiltinNetworkRecipe = { kind: 'vit', width: 64, blocks: 1, heads: 4, patch: 8 };
    const { layers, parameters } = build(recipe, { kind: 'sine', rank: 5 });
    const [fc1] = layers.filter(({ name }) => name.endsWith('fc1.weight'));
    const [U, V] = ['U', 'V'].map(
      (side) => parameters.find(({ name }) => name === `${fc1?.name ?? ''}.${side}`)?.initial(1) ?? [],
    );
    const { omega = NaN, gain = NaN } = fc1 ?? {};
    let sum = 0;
    for (let i = 0; i < 256; i++) {
      for (let j = 0; j < 64; j++) {
        let product = 0;
        for (let t = 0; t < 5; t++) product += (U?.[5 * i + t] ?? NaN) * (V?.[5 * j + t] ?? NaN);
        sum += (Math.sin(omega * product) / gain) ** 2;
      }
    }
    assert.ok(Math.abs(Math.sqrt(sum / (256 * 64)) - 0.02) < 0.001);
  });

  const refused: readonly [string, BuiltinNetworkRecipe, FormRecipe[], RegExp][] = [
    [
      'a rank above the smaller side',
      { kind: 'resnet', depth: 20 },
      [{ kind: 'sine', rank: 17 }],
      /^Error: rank 17 is too large for layer "layer1\.0\.conv1\.weight", which is 16 × 144: it is at most 16; [^\n]+$/,
    ],
    [
      'a rank that is no count',
      { kind: 'coordinates' },
      [{ kind: 'lora', rank: 0.5 }],
      /^Error: the rank of layer "layers\.1\.weight" is 0\.5: [^\n]+$/,
    ],
    [
      'an ω of zero',
      { kind: 'coordinates' },
      [{ kind: 'sine', rank: 1, omega: 0 }],
      /^Error: omega of layer "layers\.1\.weight" is 0: [^\n]+$/,
    ],
    [
      'a g that is not finite',
      { kind: 'coordinates' },
      [{ kind: 'sine', rank: 1, gain: Infinity }],
      /^Error: gain of layer [^\n]+$/,
    ],
    [
      'an expression that fits nothing',
      { kind: 'coordinates' },
      [{ kind: 'sine', rank: 1, layers: 'fc1' }],
      /^Error: no layer of field[^\n]+ is called like "fc1": [^\n]+layers\.0\.weight"$/,
    ],
    [
      'an expression that is none',
      { kind: 'coordinates' },
      [{ kind: 'sine', rank: 1, layers: '(' }],
      /^Error: "layers" is no regular expression: [^\n]+$/,
    ],
    [
      'inner layers where there are none',
      { kind: 'perceptron', widths: [4, 3] },
      [{ kind: 'sine', rank: 1 }],
      /^Error: perceptron[^\n]+ has no inner layers [^\n]+$/,
    ],
  ];
  for (const [what, network, forms, message] of refused) {
    test(`refuse ${what}`, () => {
      assert.throws(
        () => build(network, ...forms),
        (error) => {
          assert.match(String(error), message);
          return true;
        },
      );
    });
  }
});

describe('sizes', () => {
  const refused: readonly [string, BuiltinNetworkRecipe, RegExp][] = [
    [
      'heads that do not divide the width',
      { ...VIT, heads: 5 },
      /^Error: a width of 12 does not divide into 5 heads[^\n]+$/,
    ],
    [
      'patches that do not divide the image',
      { ...VIT, patch: 5 },
      /^Error: an image of 16 pixels does not divide into patches of 5[^\n]+$/,
    ],
    ['a language model of unknown tokens', { kind: 'gpt' }, /^Error: [^\n]+ "vocabulary"$/],
    ['an encoder of unknown tokens', { kind: 'encoder' }, /^Error: [^\n]+ "vocabulary"$/],
    [
      'a perceptron without outputs',
      { kind: 'perceptron', widths: [3] },
      /^Error: a perceptron needs two widths[^\n]+$/,
    ],
    [
      'half a unit',
      { kind: 'perceptron', widths: [3, 0.5] },
      /^Error: width 1 of the perceptron is 0\.5[^\n]+$/,
    ],
    ['a factor of nothing', { kind: 'vgg', depth: 11, widthFactor: 0 }, /^Error: widthFactor is 0[^\n]+$/],
    ['an activation without width', { kind: 'coordinates', scale: 0 }, /^Error: scale is 0[^\n]+$/],
    ['dropout of everything', { ...VIT, dropout: 1 }, /^Error: dropout is 1[^\n]+$/],
  ];
  for (const [what, network, message] of refused) {
    test(`refuse ${what}`, () => {
      assert.throws(
        () => buildArchitecture(network, ALL_DENSE),
        (error) => {
          assert.match(String(error), message);
          return true;
        },
      );
    });
  }

  test('say what a network is', () => {
    const facts = (network: BuiltinNetworkRecipe) => {
      const { title, input, output, inputType } = buildArchitecture(network, ALL_DENSE);
      return [title, input, output, inputType];
    };
    assert.deepEqual(facts({ kind: 'resnet', depth: 20 }), [
      'ResNet-20, 10 classes',
      [32, 32, 3],
      [10],
      'float32',
    ]);
    assert.deepEqual(facts({ kind: 'vit', size: 'small' }), [
      'ViT-Small/4, 10 classes',
      [32, 32, 3],
      [10],
      'float32',
    ]);
    assert.deepEqual(facts(GPT), ['GPT of 2 × 12, 11 tokens', [6], [6, 11], 'int32']);
    assert.deepEqual(facts({ kind: 'nerf' }), ['NeRF, 8 × 256', [6], [4], 'float32']);
  });
});

describe('starting values', () => {
  const initial = (architecture: Architecture, name: string, seed = 1): Float32Array => {
    const found = architecture.parameters.find((one) => one.name === name);
    assert.ok(found !== undefined, name);
    return found.initial(seed);
  };
  const variance = (values: Float32Array): number =>
    values.reduce((sum, x) => sum + x * x, 0) / values.length;

  test('depend on seed and name alone', () => {
    const name = 'transformer.h.0.mlp.c_fc.weight';
    const small = initial(build(GPT), name);
    assert.deepEqual(initial(build({ ...GPT, blocks: 1, heads: 2, context: 9 }), name), small);
    assert.notDeepEqual(initial(build(GPT), name, 2), small);
    const other = initial(build(GPT), 'transformer.h.1.mlp.c_fc.weight');
    assert.notDeepEqual(other, small);
  });

  test('have the size that their parameter has, in every network and form', () => {
    const networks: BuiltinNetworkRecipe[] = [
      { kind: 'perceptron', widths: [5, 4, 3] },
      { kind: 'coordinates', width: 8 },
      { kind: 'nerf', width: 8 },
      { kind: 'vgg', depth: 13, widthFactor: 1 / 32 },
      { kind: 'resnet', depth: 18, widthFactor: 1 / 32 },
      VIT,
      GPT,
      { ...GPT, kind: 'encoder', head: 'classes' },
    ];
    for (const network of networks) {
      for (const kind of ['dense', 'low-rank', 'sine', 'lora', 'sine-lora'] as const) {
        const architecture = build(network, kind === 'dense' ? { kind, layers: '.' } : { kind, rank: 2 });
        for (const parameter of architecture.parameters) {
          const { name, shape } = parameter;
          const values = parameter.initial(3);
          assert.equal(
            values.length,
            shape.reduce((a, b) => a * b, 1),
            name,
          );
          assert.ok(values.every(Number.isFinite), name);
        }
      }
    }
  });

  test('of factors give a weight that varies as the dense one does', () => {
    const wide: BuiltinNetworkRecipe = { ...GPT, width: 192, heads: 2, blocks: 1 };
    const name = 'transformer.h.0.mlp.c_fc.weight';
    assert.ok(Math.abs(variance(initial(build(wide), name)) / 0.02 ** 2 - 1) < 0.02);
    const architecture = build(wide, { kind: 'low-rank', rank: 48 });
    const [U, V] = [initial(architecture, `${name}.U`), initial(architecture, `${name}.V`)];
    const product = tf.tidy(() =>
      Float32Array.from(
        tf.matMul(tf.tensor2d(U, [768, 48]), tf.tensor2d(V, [192, 48]), false, true).dataSync(),
      ),
    );
    assert.ok(Math.abs(variance(product) / 0.02 ** 2 - 1) < 0.1, String(variance(product)));
  });

  test('of adapters change nothing', () => {
    const x = tf.tensor(numbers('x', 2 * 16 * 16 * 3), [2, 16, 16, 3]);
    const values = (architecture: Architecture): Map<string, Float32Array> =>
      new Map(architecture.parameters.map((one) => [one.name, one.initial(5)]));
    const dense = build(VIT);
    const expected = outputsOf(dense, values(dense), x);
    for (const kind of ['lora', 'sine-lora'] as const) {
      const adapted = build(VIT, { kind, rank: 3 });
      assert.deepEqual(outputsOf(adapted, values(adapted), x), expected);
    }
    x.dispose();
  });
});

test('with adapters, only they and the output layer are trained', () => {
  const network: BuiltinNetworkRecipe = { ...GPT, kind: 'encoder', head: 'classes' };
  const trained = build(network, { kind: 'sine-lora', rank: 1 }).parameters.filter(
    ({ kind }) => kind === 'trained',
  );
  const names = trained.map(({ name }) => name);
  assert.ok(
    names.every((name) => /\.lora_[AB]\.weight$|^classifier\./.test(name)),
    names.join(' '),
  );
  assert.equal(names.length, 2 * 4 + 4);
});

describe('a pass', () => {
  test('shows the inputs of all layers, in their order, with as many vectors as they say', () => {
    const networks: BuiltinNetworkRecipe[] = [
      { kind: 'resnet', depth: 50, widthFactor: 1 / 32 },
      { kind: 'resnet', depth: 20, widthFactor: 1 / 8 },
      { kind: 'vgg', depth: 11, widthFactor: 1 / 32 },
      VIT,
      GPT,
      { ...GPT, kind: 'encoder' },
      { kind: 'nerf', width: 8 },
    ];
    for (const network of networks) {
      const architecture = build(network);
      const { layers, input, inputType } = architecture;
      const seen: number[] = [];
      const pass = {
        ...EVALUATION,
        onInput: (index: number, x: Tensor): void => {
          seen.push(index);
          const layer = layers[index];
          assert.ok(layer !== undefined);
          const [, n] = layer.shape;
          const values = Float32Array.from(x.dataSync());
          const chunks =
            layer.geometry === undefined ? [values] : [...patchRows(values, x.shape, layer.geometry)];
          const elements = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
          assert.equal(elements, 2 * layer.positions * n, layer.name);
        },
      };
      const values = new Map(architecture.parameters.map((one) => [one.name, one.initial(1)]));
      const x = tf.zeros([2, ...input], inputType);
      outputsOf(architecture, values, x, pass);
      x.dispose();
      assert.deepEqual(
        seen,
        layers.map((_, i) => i),
        architecture.title,
      );
    }
  });

  test('takes a weight in place of any form’s', () => {
    const x = tf.tensor(numbers('x', 2 * 16 * 16 * 3), [2, 16, 16, 3]);
    const values = (architecture: Architecture): Map<string, Float32Array> =>
      new Map(architecture.parameters.map(({ name, shape }) => [name, valuesOf(name, shape)]));
    const dense = build(VIT);
    const expected = outputsOf(dense, values(dense), x);
    for (const kind of ['dense', 'low-rank', 'sine', 'lora', 'sine-lora'] as const) {
      const architecture = build(VIT, { kind, rank: 2, layers: '.' });
      const given = tf.tidy(() =>
        architecture.layers.map(({ name, weightShape }) =>
          tf.keep(tf.tensor(valuesOf(name, weightShape), [...weightShape])),
        ),
      );
      const pass = { ...EVALUATION, weight: (layer: number) => given[layer] };
      const outputs = outputsOf(architecture, values(architecture), x, pass);
      outputs.forEach((value, i) => {
        assert.ok(Math.abs(value - (expected[i] ?? NaN)) < 1e-4, kind);
      });
      tf.dispose(given);
    }
    x.dispose();
  });

  test('leaves statistics alone where they are frozen', () => {
    const architecture = build({ kind: 'resnet', depth: 20, widthFactor: 1 / 8 });
    const values = new Map(architecture.parameters.map(({ name, shape }) => [name, valuesOf(name, shape)]));
    const x = tf.tensor(numbers('x', 2 * 32 * 32 * 3), [2, 32, 32, 3]);
    const moved: string[] = [];
    const onStatistic = (name: string): void => {
      moved.push(name);
    };
    const frozen = outputsOf(architecture, values, x, {
      training: true,
      freezeStatistics: true,
      seed: 0,
      onStatistic,
    });
    assert.deepEqual(moved, []);
    assert.deepEqual(frozen, outputsOf(architecture, values, x));
    const free = outputsOf(architecture, values, x, { training: true, seed: 0, onStatistic });
    assert.notDeepEqual(free, frozen);
    const statistics = architecture.parameters.filter(({ kind }) => kind === 'statistic');
    assert.deepEqual(moved.sort(), statistics.map(({ name }) => name).sort());
    x.dispose();
  });

  test('drops the same elements for the same seed, others in every place, none in evaluation', () => {
    const builder = new ArchitectureBuilder(ALL_DENSE);
    const [first, second] = [dropout(builder, 0.25), dropout(builder, 0.25)];
    const run = (block: typeof first, training: boolean, seed: number): number[] =>
      tf.tidy(() => {
        const pass = { training, seed };
        return [...block({ tf, values: valuesIn(new Map()), pass }, tf.ones([40, 100])).dataSync()];
      });
    const mask = run(first, true, 1);
    assert.deepEqual(run(first, true, 1), mask);
    assert.notDeepEqual(run(first, true, 2), mask);
    assert.notDeepEqual(run(second, true, 1), mask);
    assert.deepEqual(new Set(run(first, false, 1)), new Set([1]));
    assert.deepEqual([...new Set(mask)].sort(), [0, Math.fround(4 / 3)]);
    // Of 4000, the standard deviation is 27.
    const dropped = mask.filter((value) => value === 0).length;
    assert.ok(Math.abs(dropped - 1000) < 140, String(dropped));
  });

  test('of a language model does not see what comes later', () => {
    const architecture = build(GPT);
    const values = new Map(architecture.parameters.map(({ name, shape }) => [name, valuesOf(name, shape)]));
    const outputs = (...ids: number[]): Float32Array =>
      tf.tidy(() => outputsOf(architecture, values, tf.tensor2d(ids, [1, 6], 'int32')));
    const [one, other] = [outputs(1, 2, 3, 4, 5, 6), outputs(1, 2, 3, 4, 9, 6)];
    assert.deepEqual(one.subarray(0, 4 * 11), other.subarray(0, 4 * 11));
    assert.notDeepEqual(one.subarray(4 * 11), other.subarray(4 * 11));
  });
});

const data = sharedData();

test(
  'ResNet-20 and -32 have the names and shapes of real checkpoints',
  { skip: data === undefined && 'there are no shared checkpoints' },
  async () => {
    for (const [depth, file] of [
      [20, 'resnet20-12fca82f.th'],
      [32, 'resnet32-d509ac18.th'],
    ] as const) {
      const checkpoint = await openCheckpoint(`${data}/resnet_cifar10/${file}`);
      const there = checkpoint.tensors.map(({ name, shape }) => [name, ...shape].join(' '));
      const { parameters } = build({ kind: 'resnet', depth });
      const ours = parameters.map(({ name, shape }) => [`state_dict.module.${name}`, ...shape].join(' '));
      assert.deepEqual(ours.sort(), there.sort());
    }
  },
);
