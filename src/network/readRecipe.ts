/** From a recipe file, or from the flags of a command, to a recipe whose every field is known to be right. */
import path from 'node:path';
import { CheckpointError, printable } from '../checkpoint/errors';
import { withFile } from '../checkpoint/file';
import { RecipeFields } from './recipeFields';
import type { DataRecipe, NetworkRecipe, ResolvedData, ResolvedRecipe, UtilizationRecipe } from './recipe';

/** A recipe has about a thousand bytes; the longest lists are means of channels. */
const MAX_RECIPE_BYTES = 1024 * 1024;
/** Samples run at once, when the recipe does not say. */
const DEFAULT_BATCH_SIZE = 64;
/** More samples at once gain nothing and only take memory. */
const MAX_BATCH_SIZE = 65_536;
/** Means and deviations: one a channel, or one a value of flat data. */
const MAX_CHANNELS = 1_000_000;
/** Pictures are resized to at most this many pixels a side; networks take a few hundred. */
const MAX_SIDE = 8192;
/** CIFAR-10 comes in six files; nothing comes in more than a few hundred. */
const MAX_FILES = 1000;
/** Keyword arguments of a Python function. */
const MAX_ARGUMENTS = 1000;

export const RECIPE_SCHEMA = 'rankscope/recipe@1';
const KINDS = ['onnx', 'tfjs', 'mlp', 'python'] as const;
const FORMATS = ['npz', 'npy', 'idx', 'cifar', 'images'] as const;
const LAYOUTS = ['chw', 'hwc', 'flat'] as const;

/**
 * Reads `*.rankscope.json`.
 *
 * @throws CheckpointError with one line that names the file and the field, and says what is allowed
 */
export async function readRecipe(file: string): Promise<ResolvedRecipe> {
  const absolute = path.resolve(file);
  const text = await withFile(absolute, async (opened) => {
    if (opened.size > MAX_RECIPE_BYTES) {
      const reason = `${opened.size} bytes are too many for a recipe: at most ${MAX_RECIPE_BYTES}`;
      throw new CheckpointError('unsupported', reason, { file: absolute });
    }
    return Buffer.from(await opened.read(0, opened.size)).toString('utf8');
  });
  return parseRecipe(text, absolute);
}

/**
 * A recipe from its text.
 *
 * @param file absolute path it is said to come from: relative paths start in its folder
 * @throws CheckpointError
 */
export function parseRecipe(text: string, file: string): ResolvedRecipe {
  const fields = new RecipeFields(parseJson(text, file), '', file);
  fields.has('$schema');
  const schema = fields.requiredText('schema', `"${RECIPE_SCHEMA}"`);
  if (schema !== RECIPE_SCHEMA) throw fields.fieldError('schema', `must be "${RECIPE_SCHEMA}"`, schema);
  const folder = path.dirname(file);
  const network = readNetwork(fields.requiredObject('network', 'the model that is measured'), folder);
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

function requireNoKerasFile(model: string, field: string | undefined): void {
  if (!/\.(?:keras|h5|hdf5)$/i.test(model)) return;
  const where = field === undefined ? '' : `${field}: `;
  const reason = `${where}Keras files are not read yet: convert the model to ONNX (tf2onnx) or to a TF.js layers model (tensorflowjs_converter --input_format=keras)`;
  throw new CheckpointError('unsupported', reason, { file: model });
}

function parseJson(text: string, file: string): unknown {
  try {
    // Editors on Windows begin files with this mark.
    return JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const offset = /position (\d+)/.exec(detail)?.[1];
    const location = offset === undefined ? { file } : { file, offset: Number(offset) };
    throw new CheckpointError('malformed', `not valid JSON: ${printable(detail)}`, location, {
      cause: error,
    });
  }
}

function readNetwork(fields: RecipeFields, folder: string): NetworkRecipe {
  const kind = fields.choice('kind', KINDS) ?? fields.missing('kind', KINDS.join(', '));
  const network = readKind(kind, fields, folder);
  fields.done();
  return network;
}

function readKind(kind: NetworkRecipe['kind'], fields: RecipeFields, folder: string): NetworkRecipe {
  const file = (name: string): string | undefined => {
    const given = fields.text(name);
    return given === undefined ? undefined : path.resolve(folder, given);
  };
  const required = (name: string, what: string): string => file(name) ?? fields.missing(name, what);
  const checkpoint = (): { checkpoint?: string } => {
    const given = file('checkpoint');
    return given === undefined ? {} : { checkpoint: given };
  };
  switch (kind) {
    case 'onnx': {
      const model = required('model', 'path of the .onnx file');
      requireNoKerasFile(model, fields.nameOf('model'));
      return { kind, model, ...checkpoint() };
    }
    case 'tfjs': {
      const model = required('model', 'path of the model.json');
      requireNoKerasFile(model, fields.nameOf('model'));
      return { kind, model };
    }
    case 'mlp': {
      const activation = fields.choice('activation', ['relu', 'tanh', 'sigmoid', 'gelu']);
      const weights = required('checkpoint', 'path of the file with its linear layers');
      return { kind, checkpoint: weights, ...(activation !== undefined && { activation }) };
    }
    case 'python':
      return {
        kind,
        file: required('file', 'path of the .py file with the function'),
        ...optional('function', fields.text('function')),
        ...optional('arguments', readArguments(fields.object('arguments'))),
        ...checkpoint(),
        ...optional('python', interpreter(fields.text('python'), folder)),
      };
  }
}

/** A command is looked up by the system; a path starts in the recipe's folder. */
function interpreter(given: string | undefined, folder: string): string | undefined {
  return given !== undefined && /[/\\]/.test(given) ? path.resolve(folder, given) : given;
}

function readArguments(
  fields: RecipeFields | undefined,
): Readonly<Record<string, string | number | boolean>> | undefined {
  if (fields === undefined) return undefined;
  const names = fields.names();
  if (names.length > MAX_ARGUMENTS)
    throw fields.error(fields.place, `has ${names.length} arguments, more than ${MAX_ARGUMENTS}`);
  const entries = names.map((name): [string, string | number | boolean] => {
    const value = fields.raw(name);
    const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
    if (!isPlain) throw fields.fieldError(name, 'must be a text, a number, true or false', value);
    return [name, value];
  });
  // fromEntries defines fields: a name like __proto__ stays an ordinary one.
  return Object.fromEntries(entries);
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
  fields.done();
  return {
    ...(gram !== undefined && { gram: readDataset(gram, folder) }),
    validation: readDataset(validation, folder),
    batchSize: batchSize ?? DEFAULT_BATCH_SIZE,
  };
}

function readDataset(fields: RecipeFields, folder: string): ResolvedData {
  const settings: Omit<DataRecipe, 'path'> = {
    ...optional('format', fields.choice('format', FORMATS)),
    ...optional('inputs', fields.text('inputs')),
    ...optional('labels', fields.text('labels')),
    ...optional('from', fields.number('from', { min: 0, isWhole: true })),
    ...optional('to', fields.number('to', { min: 1, isWhole: true })),
    ...optional('scale', readScale(fields)),
    ...optional('mean', fields.numbers('mean', { longest: MAX_CHANNELS })),
    ...optional('std', fields.numbers('std', { above: 0, longest: MAX_CHANNELS })),
    ...optional('layout', fields.choice('layout', LAYOUTS)),
    ...optional('networkLayout', fields.choice('networkLayout', LAYOUTS)),
    ...optional('size', readSize(fields)),
    ...optional('colours', fields.choice('colours', ['rgb', 'grey'])),
  };
  const { from = 0, to = Infinity } = settings;
  if (to <= from) throw fields.fieldError('to', `must be above from (${from})`, to);
  const given = readPaths(fields);
  fields.done();
  return { ...settings, path: given.map((one) => path.resolve(folder, one)), folder };
}

function readScale(fields: RecipeFields): number | undefined {
  const scale = fields.number('scale');
  if (scale === 0) throw fields.fieldError('scale', 'must be a number other than 0', scale);
  return scale;
}

function readPaths(fields: RecipeFields): readonly string[] {
  const value = fields.raw('path');
  if (!Array.isArray(value)) return [fields.requiredText('path', 'a file, a folder or a zip with the data')];
  const paths: readonly unknown[] = value;
  const isPath = (one: unknown): one is string =>
    typeof one === 'string' && one !== '' && !one.includes('\0');
  if (paths.length === 0 || paths.length > MAX_FILES || !paths.every(isPath))
    throw fields.fieldError('path', `must be a path, or a list of 1 to ${MAX_FILES} paths`, value);
  return paths;
}

function readSize(fields: RecipeFields): readonly [number, number] | undefined {
  const value = fields.raw('size');
  if (value === undefined) return undefined;
  const sides: readonly unknown[] = Array.isArray(value) ? value : [];
  const [height, width, more] = sides;
  const isSide = (side: unknown): side is number =>
    typeof side === 'number' && Number.isInteger(side) && side >= 1 && side <= MAX_SIDE;
  if (!isSide(height) || !isSide(width) || more !== undefined)
    throw fields.fieldError('size', `must be [height, width], each from 1 to ${MAX_SIDE}`, value);
  return [height, width];
}

function readUtilization(fields: RecipeFields | undefined): UtilizationRecipe {
  if (fields === undefined) return {};
  const settings: UtilizationRecipe = {
    ...optional('mode', fields.choice('mode', ['cumulative', 'independent', 'label-free'])),
    ...optional('delta', fields.number('delta', { min: 0, max: 100 })),
    ...optional('energy', fields.number('energy', { above: 0, max: 1 })),
    ...optional('maxPasses', fields.number('maxPasses', { min: 1, isWhole: true })),
    ...optional('layers', fields.text('layers')),
  };
  if (settings.layers !== undefined) requirePattern(fields, settings.layers);
  fields.done();
  return settings;
}

function requirePattern(fields: RecipeFields, source: string): void {
  try {
    new RegExp(source);
  } catch {
    throw fields.fieldError('layers', 'must be a regular expression', source);
  }
}

/** `{ [name]: value }`, or nothing when there is no value. */
function optional<K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> {
  // One field, whose name and type are those asked for.
  return value === undefined ? {} : ({ [name]: value } as Record<K, V>);
}
