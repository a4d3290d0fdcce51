/** From a recipe file, or from the flags of a command, to a recipe whose every field is known to be right. */
import path from 'node:path';
import { CheckpointError } from '../checkpoint/errors';
import { isBuiltinKind } from './builtin/readNetwork';
import { readDataset } from './readDataRecipe';
import { readNetwork, requireNoKerasFile } from './readNetworkRecipe';
import type { NetworkRecipe, ResolvedRecipe, UtilizationRecipe } from './recipe';
import { optional, type RecipeFields } from './recipeFields';
import { readRecipeText, recipeFields } from './recipeText';

/** Samples run at once, when the recipe does not say. */
const DEFAULT_BATCH_SIZE = 64;
/** More samples at once gain nothing and only take memory. */
const MAX_BATCH_SIZE = 65_536;

/**
 * Reads `*.rankscope.json`.
 *
 * @throws CheckpointError with one line that names the file and the field, and says what is allowed
 */
export async function readRecipe(file: string): Promise<ResolvedRecipe> {
  const absolute = path.resolve(file);
  return parseRecipe(await readRecipeText(absolute), absolute);
}

/**
 * A recipe from its text.
 *
 * @param file absolute path it is said to come from: relative paths start in its folder
 * @throws CheckpointError
 */
export function parseRecipe(text: string, file: string): ResolvedRecipe {
  const fields = recipeFields(text, file);
  const folder = path.dirname(file);
  const network = readNetwork(fields.requiredObject('network', 'the model that is measured'), folder);
  if (isBuiltinKind(network.kind) && !('checkpoint' in network))
    throw fields.error(
      'network.checkpoint',
      `is missing: a built-in network is measured with the weights that it was trained to, for example a run's model.safetensors`,
    );
  // How it is trained says nothing of how it is measured.
  fields.has('training');
  const data = readData(fields, network.kind, folder);
  const utilization = readUtilization(fields.object('utilization'));
  fields.done();
  return { path: file, network, ...(data !== undefined && { data }), utilization };
}

/**
 * The recipe of a model and its data, both given as flags: everything else is found by content.
 *
 * @param model an ONNX model, or the `model.json` of a TF.js layers model
 * @param data file, zip or folder of the validation data
 * @throws CheckpointError for models that need a recipe of their own
 */
export function recipeForModel(model: string, data: string): ResolvedRecipe {
  const file = path.resolve(model);
  const folder = path.dirname(file);
  return {
    path: file,
    network: networkOfModel(file),
    data: { validation: { path: [path.resolve(data)], folder }, batchSize: DEFAULT_BATCH_SIZE },
    utilization: {},
  };
}

function networkOfModel(file: string): NetworkRecipe {
  const name = path.basename(file).toLowerCase();
  if (name.endsWith('.onnx')) return { kind: 'onnx', model: file };
  if (name.endsWith('.rankscope.json')) {
    throw new CheckpointError('unsupported', 'a recipe names its data itself: leave --data out', { file });
  }
  requireNoKerasFile(file, undefined);
  if (name.endsWith('.json')) return { kind: 'tfjs', model: file };
  const reason =
    'no network that runs by itself: give an ONNX model, a TF.js model.json, or a recipe (*.rankscope.json)';
  throw new CheckpointError('unsupported', reason, { file });
}

function readData(
  recipe: RecipeFields,
  kind: NetworkRecipe['kind'],
  folder: string,
): ResolvedRecipe['data'] | undefined {
  const fields = recipe.object('data');
  if (kind === 'python') {
    if (fields !== undefined)
      throw recipe.error('data', 'must be left out: a Python function brings its own data');
    return undefined;
  }
  if (fields === undefined) return recipe.missing('data', 'what the network is run on');
  const gram = fields.object('gram');
  const validation = fields.requiredObject('validation', 'what accuracy is measured on');
  const batchSize = fields.number('batchSize', { min: 1, max: MAX_BATCH_SIZE, isWhole: true });
  fields.has('train');
  fields.done();
  return {
    ...(gram !== undefined && { gram: readDataset(gram, folder) }),
    validation: readDataset(validation, folder),
    batchSize: batchSize ?? DEFAULT_BATCH_SIZE,
  };
}

/** @throws CheckpointError */
export function readUtilization(fields: RecipeFields | undefined): UtilizationRecipe {
  if (fields === undefined) return {};
  const settings: UtilizationRecipe = {
    ...optional('mode', fields.choice('mode', ['cumulative', 'independent', 'label-free'])),
    ...optional('delta', fields.number('delta', { min: 0, max: 100 })),
    ...optional('energy', fields.number('energy', { above: 0, max: 1 })),
    ...optional('maxPasses', fields.number('maxPasses', { min: 1, isWhole: true })),
    ...optional('layers', fields.text('layers')),
  };
  if (settings.layers !== undefined) fields.requirePattern('layers', settings.layers);
  fields.done();
  return settings;
}
