/** A recipe file as training takes it: every field known to be right, paths absolute. */
import path from 'node:path';
import { CheckpointError } from '../checkpoint/errors';
import { isBuiltinKind } from '../network/builtin/readNetwork';
import type { BuiltinNetworkRecipe } from '../network/builtin/recipe';
import { readDataset } from '../network/readDataRecipe';
import { readNetwork } from '../network/readNetworkRecipe';
import { readUtilization } from '../network/readRecipe';
import { optional, type RecipeFields } from '../network/recipeFields';
import { readRecipeText, recipeFields } from '../network/recipeText';
import { readTraining } from './readTraining';
import type { ResolvedTrainingRecipe } from './recipe';
import type { TrainingData } from './tasks/recipe';

const SOLIDS = ['gyroid', 'torus', 'spheres'] as const;
const MAX_RESOLUTION = 512;
const MAX_SAMPLES = 2 ** 31;
const MAX_CONTEXT = 65_536;

/** @throws CheckpointError with one line that names the file and the field, and says what is allowed */
export async function readTrainingRecipe(file: string): Promise<ResolvedTrainingRecipe> {
  const absolute = path.resolve(file);
  return parseTrainingRecipe(await readRecipeText(absolute), absolute);
}

/** @param file absolute path that the text is said to come from: relative paths start in its folder */
export function parseTrainingRecipe(text: string, file: string): ResolvedTrainingRecipe {
  const fields = recipeFields(text, file);
  const folder = path.dirname(file);
  const section = fields.requiredObject('training', 'how the network is trained');
  const training = readTraining(section, folder);
  // Wrong here, it would be wrong when it is measured.
  readUtilization(fields.object('utilization'));
  if (training.script !== undefined) {
    // A script brings both; the recipe may name them for measuring.
    fields.has('network');
    fields.has('data');
    fields.done();
    return { path: file, training };
  }
  const network = readTrainedNetwork(fields, folder);
  const data = readData(fields.requiredObject('data', 'what the network is trained on'), folder);
  fields.done();
  return { path: file, network, data, training };
}

function readTrainedNetwork(fields: RecipeFields, folder: string): BuiltinNetworkRecipe {
  const network = readNetwork(fields.requiredObject('network', 'the network that is trained'), folder);
  if (isBuiltin(network)) return network;
  throw new CheckpointError(
    'unsupported',
    `network.kind "${network.kind}" is not trained here: choose a built-in network, or let a script of yours train (training.script)`,
    { file: fields.file },
  );
}

function isBuiltin(network: ReturnType<typeof readNetwork>): network is BuiltinNetworkRecipe {
  return isBuiltinKind(network.kind);
}

function readData(fields: RecipeFields, folder: string): TrainingData {
  const kind = fields.choice('kind', ['classification', 'occupancy', 'views', 'text']) ?? 'classification';
  const data = readKind(kind, fields, folder);
  fields.done();
  return data;
}

function readKind(kind: TrainingData['kind'], fields: RecipeFields, folder: string): TrainingData {
  switch (kind) {
    case 'classification':
      // Measurements take these; training has its own batch size.
      fields.has('batchSize');
      fields.has('gram');
      return {
        kind,
        train: readDataset(fields.requiredObject('train', 'what the network learns from'), folder),
        validation: readDataset(fields.requiredObject('validation', 'what accuracy is measured on'), folder),
      };
    case 'occupancy':
      return readOccupancy(fields, folder);
    case 'views':
      return readViews(fields, folder);
    case 'text':
      return readText(fields, folder);
  }
}

function count(fields: RecipeFields, name: string, max = MAX_SAMPLES): number | undefined {
  return fields.number(name, { min: 1, max, isWhole: true });
}

function readOccupancy(fields: RecipeFields, folder: string): TrainingData {
  const mesh = fields.text('mesh');
  const solid = fields.choice('solid', SOLIDS);
  const common = {
    kind: 'occupancy' as const,
    ...optional('resolution', fields.number('resolution', { min: 2, max: MAX_RESOLUTION, isWhole: true })),
    ...optional('samples', count(fields, 'samples')),
    ...optional('nearSurface', fields.number('nearSurface', { min: 0, max: 1 })),
    ...optional('evaluateAtMost', count(fields, 'evaluateAtMost')),
  };
  if (mesh !== undefined && solid !== undefined)
    throw fields.fieldError('solid', 'must be left out where a mesh is given', solid);
  if (mesh !== undefined) return { ...common, mesh: path.resolve(folder, mesh) };
  return { ...common, solid: solid ?? fields.missing('mesh', `or solid: ${SOLIDS.join(', ')}`) };
}

function readViews(fields: RecipeFields, folder: string): TrainingData {
  const source = fields.requiredText('path', 'an .npz, or a folder with transforms_train.json');
  return {
    kind: 'views',
    path: path.resolve(folder, source),
    ...optional('downscale', fields.number('downscale', { min: 1, max: 64, isWhole: true })),
    ...optional('near', fields.number('near', { min: 0 })),
    ...optional('far', fields.number('far', { above: 0 })),
    ...optional('samplesPerRay', fields.number('samplesPerRay', { min: 2, max: 4096, isWhole: true })),
    ...optional('background', fields.choice('background', ['white', 'black', 'alpha'])),
    ...optional('density', fields.choice('density', ['softplus', 'relu'])),
    ...optional('testViews', count(fields, 'testViews')),
    ...optional('evaluateAtMost', count(fields, 'evaluateAtMost')),
  };
}

function readText(fields: RecipeFields, folder: string): TrainingData {
  const absolute = (name: string): string | undefined => {
    const given = fields.text(name);
    return given === undefined ? undefined : path.resolve(folder, given);
  };
  return {
    kind: 'text',
    path: absolute('path') ?? fields.missing('path', 'a text file'),
    ...optional('task', fields.choice('task', ['next', 'masked', 'classes'])),
    ...optional('context', fields.number('context', { min: 2, max: MAX_CONTEXT, isWhole: true })),
    ...optional('validation', absolute('validation')),
    ...optional('validationShare', fields.number('validationShare', { above: 0, max: 0.9 })),
    ...optional('vocabulary', absolute('vocabulary')),
    ...optional('evaluateAtMost', count(fields, 'evaluateAtMost')),
  };
}
