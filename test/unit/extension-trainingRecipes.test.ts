/** Recipes in the editor: what a look at their text tells, and what new ones say. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { lenientJson, lookAtRecipe } from '../../src/extension/training/recipeText';
import {
  NETWORK_CHOICES,
  TEMPLATE_FORMS,
  trainingRecipe,
} from '../../src/extension/training/trainingTemplate';
import { BUILTIN_KINDS, FORM_KINDS } from '../../src/network/builtin/readNetwork';
import { parseTrainingRecipe } from '../../src/training/readRecipe';
import { COMPARED_FORMS } from '../../src/training/sweep';

describe('JSON as it is being typed', () => {
  test('is read where it is right', () => {
    const value = { a: [1, -2.5e3, true, false, null, 'x"\\\n'], b: { c: {} }, d: [] };
    assert.deepEqual(lenientJson(JSON.stringify(value)), value);
    assert.deepEqual(lenientJson(JSON.stringify(value, undefined, 2)), value);
  });

  test('is read with comments, with commas too many, and as far as it goes', () => {
    assert.deepEqual(lenientJson('\ufeff{ // a\n "a": 1, /* b */ "b": [1, 2,], }'), { a: 1, b: [1, 2] });
    assert.deepEqual(lenientJson('{ "a": { "b": [1, { "c": "x'), { a: { b: [1, { c: 'x' }] } });
    assert.deepEqual(lenientJson('{ "a": '), { a: undefined });
    assert.deepEqual(lenientJson('{ "a"'), {});
    assert.deepEqual(lenientJson('{ "a": "no end\n "b": 2 }'), { a: 'no end', b: 2 });
    assert.deepEqual(lenientJson('{ a: 1, "b" : : 3, "c": 4 }'), { a: 1, b: undefined, c: 4 });
    assert.equal(lenientJson(''), undefined);
  });

  test('ends, whatever it is, and never throws', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"',
      '\\',
      '/',
      '/*',
      '//',
      '*/',
      '1',
      'a',
      '\n',
      ' ',
      '-',
      '\u0000',
    ];
    let state = 7;
    const next = (below: number): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    for (let i = 0; i < 20_000; i++) {
      const text = Array.from({ length: next(14) }, () => pieces[next(pieces.length)]).join('');
      lenientJson(text);
      lookAtRecipe(text);
    }
    lenientJson('['.repeat(500_000));
    lenientJson('{"a":'.repeat(100_000));
    assert.equal(lenientJson(' '.repeat(2_000_000)), undefined, 'too long to be a recipe');
    assert.deepEqual(
      Object.keys(lookAtRecipe('{"__proto__": {"training": 1}, "network": {"__proto__": 1}}')).includes(
        'trains',
      ),
      true,
    );
    assert.equal(lookAtRecipe('{"__proto__": {"training": 1}}').trains, false);
  });
});

describe('a look at a recipe', () => {
  const text = (recipe: object): string => JSON.stringify(recipe);

  test('tells whether it trains, and with what', () => {
    const look = lookAtRecipe(
      text({
        network: { kind: 'vit', forms: [{ kind: 'dense' }, { kind: 'sine', rank: 8, omega: 300 }] },
        training: { epochs: 1, seed: 4, optimizer: { kind: 'adam', learningRate: 0.002 } },
      }),
    );
    assert.deepEqual(look, {
      ...{
        trains: true,
        measures: false,
        script: false,
        rank: 8,
        omega: 300,
        seeds: [4],
        learningRate: 0.002,
      },
      forms: ['dense', 'low-rank', 'sine'],
    });
    assert.deepEqual(look.forms, COMPARED_FORMS);
  });

  test('compares adapters with adapters, and takes a rank and seeds of the sweep', () => {
    const look = lookAtRecipe(
      text({
        network: { kind: 'encoder', checkpoint: 'c', forms: [{ kind: 'lora' }] },
        training: { sweep: { rank: [4, 8], seed: [1, 2, 3] } },
      }),
    );
    assert.deepEqual([look.forms, look.rank, look.seeds], [['lora', 'sine-lora'], 4, [1, 2, 3]]);
  });

  test('tells whether the network can be measured as it is', () => {
    const measures = (recipe: object): boolean => lookAtRecipe(text(recipe)).measures;
    for (const kind of ['onnx', 'tfjs', 'mlp', 'python']) assert.ok(measures({ network: { kind } }), kind);
    assert.equal(measures({ network: { kind: 'resnet' }, training: {} }), false);
    assert.equal(measures({ network: { kind: 'resnet', checkpoint: 'a.safetensors' }, training: {} }), true);
    assert.equal(
      measures({ training: { script: { file: 'a.py' } } }),
      false,
      'a script brings its own network',
    );
    assert.equal(measures({}), true, 'who knows what will be typed');
  });

  test('knows a script', () => {
    assert.equal(lookAtRecipe('{ "training": { "script": { "file": "train.py" } } }').script, true);
    assert.equal(lookAtRecipe('{ "training": { "epochs": 3 } }').script, false);
  });
});

describe('a new recipe', () => {
  const file = path.resolve('/work/new.rankscope.json');

  test('of every network, in every form it is offered in, is one that is read', () => {
    for (const choice of NETWORK_CHOICES)
      for (const form of [undefined, ...TEMPLATE_FORMS]) {
        const adapts = form === 'lora' || form === 'sine-lora';
        const recipe = trainingRecipe({
          ...{ choice, data: {} },
          ...(form !== undefined && { form }),
          ...(form !== undefined && form !== 'dense' && { rank: 7 }),
          ...((adapts || form === undefined) && { checkpoint: 'weights.safetensors' }),
        });
        const { network, data, training } = parseTrainingRecipe(recipe, file);
        assert.equal(network?.kind, choice.network.kind);
        assert.equal(data?.kind, choice.task);
        assert.equal(network.forms?.[0]?.kind, form === 'dense' ? undefined : form, choice.title);
        assert.equal(training.seed, 1);
        const look = lookAtRecipe(recipe);
        assert.ok(look.trains);
        assert.equal(look.rank, form === undefined || form === 'dense' ? undefined : 7);
      }
  });

  test('can be of any built-in network, and in any form', () => {
    assert.deepEqual(
      [...new Set(NETWORK_CHOICES.map(({ network }) => network.kind))].sort(),
      [...BUILTIN_KINDS].sort(),
    );
    assert.deepEqual([...TEMPLATE_FORMS].sort(), [...FORM_KINDS].sort());
  });

  test('names the data that was chosen', () => {
    const of = (task: string) => NETWORK_CHOICES.find((choice) => choice.task === task) ?? assert.fail();
    const dataOf = (task: string, data: Parameters<typeof trainingRecipe>[0]['data']) =>
      parseTrainingRecipe(trainingRecipe({ choice: of(task), data, form: 'dense' }), file).data;
    const pictures = dataOf('classification', { path: 'a.npz', validation: '../b.npz' });
    assert.ok(pictures?.kind === 'classification');
    assert.deepEqual(
      [pictures.train.path, pictures.validation.path].flat(),
      ['/work/a.npz', '/b.npz'].map((one) => path.resolve(one)),
    );
    const solid = dataOf('occupancy', { solid: 'spheres' });
    assert.ok(solid?.kind === 'occupancy' && 'solid' in solid && solid.solid === 'spheres');
    const mesh = dataOf('occupancy', { path: 'bunny.ply' });
    assert.ok(mesh?.kind === 'occupancy' && 'mesh' in mesh && mesh.mesh === path.resolve('/work/bunny.ply'));
    assert.equal(dataOf('text', { path: 'a.txt' })?.kind, 'text');
  });
});
