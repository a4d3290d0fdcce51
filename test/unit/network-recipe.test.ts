/** Recipes: what is taken, what is refused and in which words; the schema says the same. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Ajv } from 'ajv';
import schema from '../../media/schema/recipe.schema.json';
import type { DataRecipe, Recipe, UtilizationRecipe } from '../../src/network/recipe';
import { parseRecipe, readRecipe, recipeForModel } from '../../src/network/readRecipe';
import { parseTrainingRecipe } from '../../src/training/readRecipe';
import { temporaryFolder } from '../fixtures/handmade';

const ajv = new Ajv({ strict: true, strictTypes: false, strictRequired: false, validateFormats: false });
// What VS Code reads beside the standard.
ajv.addVocabulary(['defaultSnippets', 'enumDescriptions']);
const isValid = ajv.compile(schema);

const FILE = path.resolve('/models/small.rankscope.json');
const parse = (recipe: unknown) => parseRecipe(JSON.stringify(recipe), FILE);

const validation = { path: 'data.npz' };
const data = { validation };
const onnx = { schema: 'rankscope/recipe@1', network: { kind: 'onnx', model: 'a.onnx' }, data };
const withNetwork = (network: object) => ({ ...onnx, network });
const withValidation = (fields: object) => ({ ...onnx, data: { validation: { ...validation, ...fields } } });
const withSearch = (utilization: object) => ({ ...onnx, utilization });
const python = { schema: 'rankscope/recipe@1', network: { kind: 'python', file: 'm.py' } };

const GOOD: Readonly<Record<string, unknown>> = {
  'an ONNX model': onnx,
  'names of a checkpoint': withNetwork({ kind: 'onnx', model: 'a.onnx', checkpoint: 'a.pt' }),
  'a TF.js model': withNetwork({ kind: 'tfjs', model: 'model.json' }),
  'linear layers': withNetwork({ kind: 'mlp', checkpoint: 'a.pt', activation: 'tanh' }),
  'Python without data': python,
  'Python with everything': {
    ...python,
    network: {
      ...python.network,
      function: 'load',
      arguments: { depth: 20, name: 'a', half: false },
      checkpoint: 'a.pt',
      python: 'venv/bin/python',
    },
  },
  'every field of data': withValidation({
    format: 'npz',
    inputs: 'x',
    labels: 'y',
    from: 0,
    to: 10,
    scale: 0.5,
    mean: [0.1, 0.2, 0.3],
    std: 2,
    layout: 'hwc',
    networkLayout: 'chw',
    size: [32, 48],
    colours: 'rgb',
  }),
  'Gram data of its own': { ...onnx, data: { gram: { path: ['a.bin', 'b.bin'] }, validation, batchSize: 8 } },
  'every field of the search': withSearch({
    mode: 'label-free',
    delta: 0,
    energy: 1,
    maxPasses: 1,
    layers: 'conv|fc',
  }),
  'the editor’s own field': { $schema: './recipe.schema.json', ...onnx },
};

/** Recipes, and a part of the line that refuses them. */
const BAD: Readonly<Record<string, readonly [unknown, RegExp]>> = {
  'no object': [[], /the recipe must be an object/],
  'no schema': [{ network: onnx.network, data }, /schema is missing: "rankscope\/recipe@1"/],
  'another version': [{ ...onnx, schema: 'rankscope/recipe@2' }, /schema must be "rankscope\/recipe@1"/],
  'no network': [{ schema: onnx.schema, data }, /network is missing/],
  'a network that is text': [{ ...onnx, network: 'a.onnx' }, /network must be an object/],
  'no kind': [withNetwork({ model: 'a.onnx' }), /network\.kind is missing: onnx, tfjs, mlp, python/],
  'an unknown kind': [
    withNetwork({ kind: 'onx', model: 'a' }),
    /network\.kind must be "onnx", "tfjs", .* or "encoder", not "onx" \(did you mean onnx\?\)/,
  ],
  'no model': [withNetwork({ kind: 'tfjs' }), /network\.model is missing/],
  'a model that is a number': [withNetwork({ kind: 'onnx', model: 1 }), /network\.model must be a text/],
  'an empty model': [withNetwork({ kind: 'onnx', model: '' }), /network\.model must be a text/],
  'a name no file has': [withNetwork({ kind: 'onnx', model: 'a\0b' }), /network\.model has a character/],
  'a field of another kind': [
    withNetwork({ kind: 'tfjs', model: 'm.json', checkpoint: 'a' }),
    /network\.checkpoint is no field/,
  ],
  'a Keras file': [withNetwork({ kind: 'tfjs', model: 'm.keras' }), /Keras files are not read yet/],
  'an activation that is not there': [
    withNetwork({ kind: 'mlp', checkpoint: 'a', activation: 'rellu' }),
    /did you mean relu\?/,
  ],
  'arguments that are lists': [
    { ...python, network: { ...python.network, arguments: { sizes: [1] } } },
    /network\.arguments\.sizes must be a text, a number, true or false/,
  ],
  'data for Python': [{ ...python, data }, /data must be left out: a Python function brings its own data/],
  'no data': [{ schema: onnx.schema, network: onnx.network }, /data is missing/],
  'no validation data': [{ ...onnx, data: { gram: validation } }, /data\.validation is missing/],
  'no path': [{ ...onnx, data: { validation: {} } }, /data\.validation\.path is missing/],
  'an empty list of paths': [
    withValidation({ path: [] }),
    /data\.validation\.path must be a path, or a list/,
  ],
  'paths that are numbers': [withValidation({ path: ['a', 1] }), /data\.validation\.path/],
  'a slip in a name': [
    withValidation({ means: 1 }),
    /data\.validation\.means is no field .*did you mean mean\?/,
  ],
  'a field at the top': [{ ...onnx, extra: 1 }, /extra is no field/],
  'an unknown format': [withValidation({ format: 'zip' }), /data\.validation\.format must be/],
  'a start before the first': [
    withValidation({ from: -1 }),
    /data\.validation\.from must be a whole number from 0/,
  ],
  'half a sample': [withValidation({ to: 1.5 }), /data\.validation\.to must be a whole number/],
  'a deviation of 0': [withValidation({ std: 0 }), /data\.validation\.std must be a number above 0/],
  'a deviation below 0': [withValidation({ std: [1, -1] }), /data\.validation\.std\[1\]/],
  'a mean in words': [withValidation({ mean: 'imagenet' }), /data\.validation\.mean must be a number/],
  'no means': [withValidation({ mean: [] }), /data\.validation\.mean must be a number, or a list/],
  'a scale of 0': [withValidation({ scale: 0 }), /data\.validation\.scale must be a number other than 0/],
  'a size of one number': [
    withValidation({ size: [32] }),
    /data\.validation\.size must be \[height, width\]/,
  ],
  'a size of nothing': [withValidation({ size: [0, 32] }), /data\.validation\.size/],
  'an empty batch': [
    { ...onnx, data: { validation, batchSize: 0 } },
    /data\.batchSize must be a whole number/,
  ],
  'an unknown mode': [withSearch({ mode: 'labelfree' }), /did you mean label-free\?/],
  'a δ below 0': [withSearch({ delta: -0.1 }), /utilization\.delta must be a number from 0 up to 100/],
  'no energy': [withSearch({ energy: 0 }), /utilization\.energy must be a number above 0 up to 1/],
  'more than all energy': [withSearch({ energy: 1.5 }), /utilization\.energy/],
  'no passes': [withSearch({ maxPasses: 0 }), /utilization\.maxPasses/],
  'an unknown setting': [withSearch({ epsilon: 1 }), /utilization\.epsilon is no field/],
};

describe('a recipe', () => {
  for (const [name, recipe] of Object.entries(GOOD)) {
    test(`takes ${name}, and so does the schema`, () => {
      assert.doesNotThrow(() => parse(recipe));
      assert.ok(isValid(recipe), JSON.stringify(isValid.errors));
    });
  }

  for (const [name, [recipe, reason]] of Object.entries(BAD)) {
    test(`refuses ${name}, and so does the schema`, () => {
      assert.throws(
        () => parse(recipe),
        (error: unknown) => {
          assert.ok(error instanceof Error);
          assert.match(error.message, reason);
          assert.ok(error.message.startsWith(FILE) || error.message.startsWith('/models/'), error.message);
          assert.ok(!error.message.includes('\n'));
          return true;
        },
      );
      assert.equal(isValid(recipe), false);
    });
  }

  test('is asked for more than a schema can say: an end after the start, a pattern', () => {
    assert.throws(
      () => parse(withValidation({ from: 5, to: 5 })),
      /data\.validation\.to must be above from \(5\)/,
    );
    assert.throws(
      () => parse(withSearch({ layers: '(' })),
      /utilization\.layers must be a regular expression/,
    );
  });

  test('has its paths from its own folder', () => {
    const recipe = parse({
      ...onnx,
      network: { kind: 'onnx', model: '../nets/a.onnx', checkpoint: '/weights/a.pt' },
      data: { gram: { path: ['a.bin', 'sub/b.bin'] }, validation },
    });
    assert.deepEqual(recipe.network, {
      kind: 'onnx',
      model: path.resolve('/nets/a.onnx'),
      checkpoint: path.resolve('/weights/a.pt'),
    });
    assert.ok(recipe.data);
    assert.deepEqual(recipe.data.gram?.path, [
      path.resolve('/models/a.bin'),
      path.resolve('/models/sub/b.bin'),
    ]);
    assert.deepEqual(recipe.data.validation.path, [path.resolve('/models/data.npz')]);
    assert.equal(recipe.data.batchSize, 64);
  });

  test('looks a Python command up, but has a Python path from its own folder', () => {
    const interpreter = (name: string) => {
      const { network } = parse({ ...python, network: { ...python.network, python: name } });
      return network.kind === 'python' ? network.python : undefined;
    };
    assert.equal(interpreter('python3.11'), 'python3.11');
    assert.equal(interpreter('venv/bin/python'), path.resolve('/models/venv/bin/python'));
  });

  test('is no way to change what objects are', () => {
    const text =
      '{"schema":"rankscope/recipe@1","network":{"kind":"python","file":"m.py","arguments":{"__proto__":5}}}';
    const { network } = parseRecipe(text, FILE);
    assert.equal(network.kind === 'python' && Object.hasOwn(network.arguments ?? {}, '__proto__'), true);
    assert.throws(
      () => parseRecipe('{"schema":"rankscope/recipe@1","__proto__":{"network":1}}', FILE),
      /network is missing/,
    );
  });

  test('tells where JSON breaks off, and refuses what is no recipe by its size', async () => {
    const { write } = temporaryFolder();
    const broken = write('broken.rankscope.json', '{"schema": "rankscope/recipe@1",');
    await assert.rejects(readRecipe(broken), (error: Error) => {
      assert.match(error.message, /broken\.rankscope\.json.*not valid JSON/);
      return true;
    });
    const huge = write('huge.rankscope.json', ' '.repeat(1024 * 1024 + 1));
    await assert.rejects(readRecipe(huge), /too many for a recipe/);
    await assert.rejects(readRecipe('/nowhere/a.rankscope.json'), /not found/);
    const fine = write('fine.rankscope.json', `\ufeff${JSON.stringify(onnx)}`);
    assert.equal((await readRecipe(fine)).path, fine);
  });
});

describe('the recipe of a model and its data', () => {
  test('runs ONNX and TF.js models by themselves', () => {
    const recipe = recipeForModel('/nets/a.onnx', '/data/test.npz');
    assert.deepEqual(recipe.network, { kind: 'onnx', model: path.resolve('/nets/a.onnx') });
    assert.deepEqual(recipe.data?.validation.path, [path.resolve('/data/test.npz')]);
    assert.equal(recipeForModel('/nets/model.json', '/d').network.kind, 'tfjs');
  });

  test('says what to do for other files', () => {
    assert.throws(() => recipeForModel('/nets/a.h5', '/d'), /Keras files are not read yet: convert/);
    assert.throws(
      () => recipeForModel('/nets/a.safetensors', '/d'),
      /give an ONNX model, a TF\.js model\.json, or a recipe/,
    );
    assert.throws(() => recipeForModel('/nets/a.rankscope.json', '/d'), /leave --data out/);
  });
});

describe('the recipe schema', () => {
  /** Names of an object type's fields, all of them: the compiler refuses a record that leaves one out. */
  const fieldsOf = <T>(fields: Record<keyof Required<T>, true>) => Object.keys(fields).sort();

  test('knows exactly the fields that recipes have', () => {
    const { properties, definitions } = schema;
    assert.deepEqual(
      Object.keys(properties).sort(),
      [
        '$schema',
        ...fieldsOf<Recipe>({ schema: true, network: true, data: true, utilization: true, training: true }),
      ].sort(),
    );
    assert.deepEqual(
      Object.keys(definitions.dataset.properties).sort(),
      fieldsOf<DataRecipe>({
        format: true,
        path: true,
        inputs: true,
        labels: true,
        from: true,
        to: true,
        scale: true,
        mean: true,
        std: true,
        layout: true,
        networkLayout: true,
        size: true,
        colours: true,
      }),
    );
    assert.deepEqual(
      Object.keys(properties.utilization.properties).sort(),
      fieldsOf<UtilizationRecipe>({ mode: true, delta: true, energy: true, maxPasses: true, layers: true }),
    );
  });

  test('describes every field, and its snippets are recipes', () => {
    const visit = (node: unknown, place: string): void => {
      if (typeof node !== 'object' || node === null) return;
      for (const [key, child] of Object.entries(node)) {
        if (key === 'properties' && !/\/(?:if|then|anyOf)(?:\/|$)/.test(place)) {
          // Values under `properties` are schemas, by the rules of JSON Schema.
          for (const [name, field] of Object.entries(child as Record<string, object>)) {
            assert.ok('description' in field, `${place}/${name}`);
            visit(field, `${place}/${name}`);
          }
        } else if (key !== 'defaultSnippets') visit(child, `${place}/${key}`);
      }
    };
    visit(schema, '');
    for (const { body, label } of schema.defaultSnippets) {
      const text = JSON.stringify(body);
      const read = () => ('training' in body ? parseTrainingRecipe(text, FILE) : parseRecipe(text, FILE));
      assert.doesNotThrow(read, label);
      assert.ok(isValid(body), label);
    }
  });
});
