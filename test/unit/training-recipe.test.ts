/** The training section of recipes: what is taken, what is refused and in which words; the schema says the same. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Ajv } from 'ajv';
import schema from '../../media/schema/recipe.schema.json';
import { BUILTIN_KINDS } from '../../src/network/builtin/readNetwork';
import { parseRecipe } from '../../src/network/readRecipe';
import { parseTrainingRecipe } from '../../src/training/readRecipe';
import type { ScriptRecipe, SweepRecipe, TrainingRecipe } from '../../src/training/recipe';

const ajv = new Ajv({ strict: true, strictTypes: false, strictRequired: false, validateFormats: false });
ajv.addVocabulary(['defaultSnippets', 'enumDescriptions']);
const isValid = ajv.compile(schema);

const FILE = path.resolve('/recipes/field.rankscope.json');
const parse = (recipe: unknown) => parseTrainingRecipe(JSON.stringify(recipe), FILE);

const field = {
  schema: 'rankscope/recipe@1',
  network: { kind: 'coordinates' },
  data: { kind: 'occupancy', solid: 'torus' },
  training: { steps: 10 },
};
const withTraining = (training: object) => ({ ...field, training: { steps: 10, ...training } });
const withNetwork = (network: object) => ({ ...field, network });
const withData = (data: object) => ({ ...field, data });
const script = { schema: 'rankscope/recipe@1', training: { script: { file: 'train.py' } } };

const NETWORKS: readonly object[] = [
  { kind: 'perceptron', widths: [4, 8, 2], activation: 'tanh' },
  {
    kind: 'coordinates',
    inputs: 2,
    outputs: 3,
    width: 64,
    hidden: 3,
    activation: 'sine',
    scale: 0.05,
    frequencies: 4,
  },
  { kind: 'nerf', width: 64, hidden: 4, positionFrequencies: 6, directionFrequencies: 2 },
  { kind: 'vgg', depth: 16, classes: 100, widthFactor: 0.25 },
  { kind: 'resnet', depth: 20 },
  {
    kind: 'vit',
    size: 'tiny',
    width: 64,
    blocks: 4,
    heads: 4,
    mlpWidth: 128,
    patch: 8,
    image: 64,
    channels: 1,
    classes: 7,
    dropout: 0.1,
  },
  { kind: 'gpt', width: 32, blocks: 2, heads: 2, context: 16, vocabulary: 65, dropout: 0 },
  {
    kind: 'encoder',
    width: 32,
    blocks: 2,
    heads: 2,
    context: 16,
    vocabulary: 65,
    head: 'classes',
    classes: 3,
  },
];

const FORMS = [
  { kind: 'dense', layers: 'head' },
  { kind: 'low-rank', rank: 2 },
  { kind: 'sine', rank: 2, omega: 300, gain: 8, layers: '^a|b$' },
  { kind: 'lora', rank: 4, alpha: 8 },
  { kind: 'sine-lora', rank: 4, alpha: 8, omega: 200, gain: 5 },
];

const GOOD: Readonly<Record<string, object>> = {
  'a field': field,
  ...Object.fromEntries(NETWORKS.map((network) => [JSON.stringify(network), withNetwork(network)])),
  'all forms, from a checkpoint': withNetwork({
    kind: 'coordinates',
    checkpoint: 'a.safetensors',
    forms: FORMS,
  }),
  'a mesh': withData({
    kind: 'occupancy',
    mesh: 'bunny.obj',
    resolution: 32,
    samples: 100,
    nearSurface: 0.5,
    evaluateAtMost: 1000,
  }),
  views: withData({
    kind: 'views',
    path: 'lego',
    downscale: 2,
    near: 1,
    far: 4,
    samplesPerRay: 32,
    background: 'black',
    density: 'relu',
    testViews: 3,
    evaluateAtMost: 100,
  }),
  text: withData({
    kind: 'text',
    path: 'a.txt',
    task: 'masked',
    context: 32,
    validation: 'b.txt',
    validationShare: 0.2,
    vocabulary: 'c.txt',
    evaluateAtMost: 10,
  }),
  classes: withData({ train: { path: 'a.npz' }, validation: { path: 'b.npz' }, batchSize: 8 }),
  'classes, said': withData({
    kind: 'classification',
    train: { path: 'a.npz' },
    validation: { path: 'b.npz' },
  }),
  epochs: { ...field, training: { epochs: 0.5 } },
  sgd: withTraining({
    optimizer: { kind: 'sgd', learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 1e-4 },
    schedule: { kind: 'steps', epochs: [2, 3], factor: 0.2, warmupSteps: 5 },
  }),
  adamw: withTraining({
    optimizer: { kind: 'adamw', learningRate: 0.1, beta1: 0.8, beta2: 0.9, epsilon: 1e-6, weightDecay: 0 },
    schedule: { kind: 'exponential', final: 0.01 },
  }),
  'everything else': withTraining({
    ema: 0.99,
    batchSize: 7,
    seed: 4294967295,
    augment: { flip: true, crop: 4 },
    labelSmoothing: 0.1,
    clipNorm: 1,
    freezeStatistics: true,
    evaluate: { everySteps: 5, utilization: false, keepBest: true },
    checkpointMinutes: 0.5,
  }),
  'a place': withTraining({ launcher: { kind: 'here', jobs: 2 } }),
  'a cluster': withTraining({
    launcher: {
      kind: 'slurm',
      jobs: 4,
      partition: 'gpu',
      time: '1:00:00',
      cpus: 8,
      memory: '8G',
      gpus: 'a100:1',
      setup: ['module load cuda'],
      options: ['--account=x'],
      node: '/opt/node',
    },
  }),
  'a sweep': withTraining({
    sweep: {
      form: ['dense', 'sine'],
      rank: [1, 2],
      omega: 100,
      gain: [1],
      seed: [0, 1],
      learningRate: [0.1],
    },
  }),
  'a script': script,
  'a script with everything': {
    ...script,
    training: {
      script: {
        module: 'pkg.train',
        arguments: ['--lr', '0.1'],
        python: 'venv/bin/python',
        torchrun: 2,
        folder: 'work',
        environment: { CUDA_VISIBLE_DEVICES: '0' },
      },
      launcher: { kind: 'slurm' },
    },
  },
};

describe('a training recipe', () => {
  for (const [name, recipe] of Object.entries(GOOD)) {
    test(`takes ${name}, and so does the schema`, () => {
      assert.doesNotThrow(() => parse(recipe));
      assert.ok(isValid(recipe), ajv.errorsText(isValid.errors));
    });
  }

  const BAD: Readonly<Record<string, readonly [object, RegExp]>> = {
    'no length': [{ ...field, training: {} }, /training\.epochs is missing: or steps/],
    'two lengths': [withTraining({ epochs: 2 }), /training\.steps must be left out where epochs are given/],
    'no network': [{ ...script, training: { steps: 1 } }, /network is missing/],
    'another field': [
      withTraining({ step: 3 }),
      /training\.step is no field of a recipe \(did you mean steps\?\)/,
    ],
    'another form': [
      withNetwork({ kind: 'coordinates', forms: [{ kind: 'sin', rank: 1 }] }),
      /network\.forms\[0\]\.kind must be "dense".*not "sin" \(did you mean sine\?\)/,
    ],
    'a form without a rank': [
      withNetwork({ kind: 'coordinates', forms: [{ kind: 'sine' }] }),
      /network\.forms\[0\]\.rank is missing/,
    ],
    'a dense form with a rank': [
      withNetwork({ kind: 'coordinates', forms: [{ kind: 'dense', rank: 1 }] }),
      /network\.forms\[0\]\.rank is no field/,
    ],
    'a depth there is not': [
      withNetwork({ kind: 'vgg', depth: 12 }),
      /network\.depth must be one of 11, 13, 16, 19, not 12/,
    ],
    'widths of one number': [withNetwork({ kind: 'perceptron', widths: [3] }), /network\.widths is missing/],
    'mesh and solid': [
      withData({ kind: 'occupancy', mesh: 'a.obj', solid: 'torus' }),
      /data\.solid must be left out where a mesh is given/,
    ],
    'no training data': [withData({ validation: { path: 'a.npz' } }), /data\.train is missing/],
    'a schedule of steps without epochs': [
      withTraining({ schedule: { kind: 'steps' } }),
      /training\.schedule\.epochs is missing/,
    ],
    'a rate of 0': [
      withTraining({ optimizer: { kind: 'adam', learningRate: 0 } }),
      /learningRate must be a number above 0/,
    ],
    'a form in the sweep': [
      withTraining({ sweep: { form: ['sin'] } }),
      /training\.sweep\.form must hold some of dense/,
    ],
    'file and module': [
      { ...script, training: { script: { file: 'a.py', module: 'b' } } },
      /training\.script\.file is missing: a \.py file, or module in its place/,
    ],
    'a variable with a blank': [
      { ...script, training: { script: { file: 'a.py', environment: { 'A B': '1' } } } },
      /environment\.A B must be a text in quotes, under a name of letters/,
    ],
    'a network of others': [
      withNetwork({ kind: 'onnx', model: 'a.onnx' }),
      /network\.kind "onnx" is not trained here: choose a built-in network, or let a script/,
    ],
  };
  /** What only a reader of two fields at once, or of the training section, can tell. */
  const VALID_SCHEMA = new Set(['no training data', 'a network of others']);
  for (const [name, [recipe, message]] of Object.entries(BAD)) {
    test(`refuses ${name}, and so does the schema`, () => {
      assert.throws(
        () => parse(recipe),
        (error: Error) => {
          assert.match(error.message, message);
          assert.ok(!error.message.includes('\n'));
          return true;
        },
      );
      assert.equal(isValid(recipe), VALID_SCHEMA.has(name));
    });
  }

  test('makes paths absolute, from the recipe’s folder', () => {
    const { network, data } = parse(withData({ kind: 'occupancy', mesh: '../meshes/bunny.obj' }));
    assert.ok(network?.kind === 'coordinates' && data?.kind === 'occupancy' && 'mesh' in data);
    assert.equal(data.mesh, path.resolve('/meshes/bunny.obj'));
    const run = parse({
      ...script,
      training: { script: { file: 'a.py', python: './env/python', folder: '..' } },
    });
    assert.deepEqual(run.training.script, {
      file: path.resolve('/recipes/a.py'),
      python: path.resolve('/recipes/env/python'),
      folder: path.resolve('/'),
    });
  });

  test('is measured by the same file once its network has weights', () => {
    const classes = withData({ train: { path: 'a.npz' }, validation: { path: 'b.npz' } });
    const trained = { ...classes, network: { kind: 'vgg', depth: 11, checkpoint: 'model.safetensors' } };
    const { network, data } = parseRecipe(JSON.stringify(trained), FILE);
    assert.ok(network.kind === 'vgg' && network.checkpoint === path.resolve('/recipes/model.safetensors'));
    assert.deepEqual(data?.validation.path, [path.resolve('/recipes/b.npz')]);
    const untrained = { ...classes, network: { kind: 'vgg', depth: 11 } };
    assert.throws(
      () => parseRecipe(JSON.stringify(untrained), FILE),
      /network\.checkpoint is missing: a built-in network is measured/,
    );
  });
});

describe('the schema of training', () => {
  const fieldsOf = <T>(fields: Record<keyof Required<T>, true>) => Object.keys(fields).sort();

  test('knows exactly the fields that there are', () => {
    const { training } = schema.properties;
    assert.deepEqual(
      Object.keys(training.properties).sort(),
      fieldsOf<TrainingRecipe>({
        optimizer: true,
        schedule: true,
        ema: true,
        batchSize: true,
        epochs: true,
        steps: true,
        seed: true,
        augment: true,
        labelSmoothing: true,
        clipNorm: true,
        freezeStatistics: true,
        evaluate: true,
        checkpointMinutes: true,
        script: true,
        launcher: true,
        sweep: true,
      }),
    );
    assert.deepEqual(
      Object.keys(training.properties.script.properties).sort(),
      fieldsOf<ScriptRecipe>({
        file: true,
        module: true,
        arguments: true,
        python: true,
        torchrun: true,
        folder: true,
        environment: true,
      }),
    );
    assert.deepEqual(
      Object.keys(training.properties.sweep.properties).sort(),
      fieldsOf<SweepRecipe>({
        form: true,
        rank: true,
        omega: true,
        gain: true,
        seed: true,
        learningRate: true,
      }),
    );
    for (const kind of BUILTIN_KINDS) assert.ok(kind in schema.definitions, kind);
  });
});
