/** The network of a recipe. */
import path from 'node:path';
import { CheckpointError } from '../checkpoint/errors';
import { BUILTIN_KINDS, isBuiltinKind, readBuiltinNetwork } from './builtin/readNetwork';
import type { BuiltinKind } from './builtin/recipe';
import type { NetworkRecipe } from './recipe';
import { optional, type RecipeFields } from './recipeFields';

/** Keyword arguments of a Python function. */
const MAX_ARGUMENTS = 1000;
const KINDS = ['onnx', 'tfjs', 'mlp', 'python', ...BUILTIN_KINDS] as const;

/** @param folder that relative paths start in. @throws CheckpointError */
export function readNetwork(fields: RecipeFields, folder: string): NetworkRecipe {
  const kind = fields.choice('kind', KINDS) ?? fields.missing('kind', KINDS.join(', '));
  const network = isBuiltinKind(kind)
    ? readBuiltinNetwork(kind, fields, folder)
    : readKind(kind, fields, folder);
  fields.done();
  return network;
}

type OtherKind = Exclude<NetworkRecipe['kind'], BuiltinKind>;

function readKind(kind: OtherKind, fields: RecipeFields, folder: string): NetworkRecipe {
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

/** @throws CheckpointError for a Keras file, which says what to do with it */
export function requireNoKerasFile(model: string, field: string | undefined): void {
  if (!/\.(?:keras|h5|hdf5)$/i.test(model)) return;
  const where = field === undefined ? '' : `${field}: `;
  const reason = `${where}Keras files are not read yet: convert the model to ONNX (tf2onnx) or to a TF.js layers model (tensorflowjs_converter --input_format=keras)`;
  throw new CheckpointError('unsupported', reason, { file: model });
}
