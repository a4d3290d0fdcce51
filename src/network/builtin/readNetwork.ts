/** The fields of a built-in network in a recipe. */
import path from 'node:path';
import { optional, type NumberLimits, type RecipeFields } from '../recipeFields';
import type { BuiltinKind, BuiltinNetworkRecipe, FormRecipe } from './recipe';

/** Networks are defined by a few layers, each of a width that memory can hold. */
const MAX_WIDTH = 65_536;
const MAX_BLOCKS = 1000;
const MAX_WIDTHS = 1000;
const MAX_FORMS = 1000;
/** Octaves of an encoding: beyond, float32 holds nothing of the coordinate. */
const MAX_FREQUENCIES = 24;

const LARGEST_RANK = 65_536;

export const BUILTIN_KINDS = [
  'perceptron',
  'coordinates',
  'nerf',
  'vgg',
  'resnet',
  'vit',
  'gpt',
  'encoder',
] as const satisfies readonly BuiltinKind[];

export const FORM_KINDS = ['dense', 'low-rank', 'sine', 'lora', 'sine-lora'] as const;

export function isBuiltinKind(kind: string): kind is BuiltinKind {
  return BUILTIN_KINDS.some((known) => known === kind);
}

const WIDTH: NumberLimits = { min: 1, max: MAX_WIDTH, isWhole: true };
const BLOCKS: NumberLimits = { min: 1, max: MAX_BLOCKS, isWhole: true };
const FREQUENCIES: NumberLimits = { min: 0, max: MAX_FREQUENCIES, isWhole: true };
const DROPOUT: NumberLimits = { min: 0, max: 0.99 };
const FACTOR: NumberLimits = { above: 0, max: 64 };

/**
 * A built-in network, its checkpoint absolute.
 *
 * @throws CheckpointError for fields that are wrong; sizes that do not fit each other show when it is built
 */
export function readBuiltinNetwork(
  kind: BuiltinKind,
  fields: RecipeFields,
  folder: string,
): BuiltinNetworkRecipe {
  const checkpoint = fields.text('checkpoint');
  const forms = readForms(fields);
  return {
    ...readKind(kind, fields),
    ...optional('checkpoint', checkpoint === undefined ? undefined : path.resolve(folder, checkpoint)),
    ...optional('forms', forms),
  };
}

function readKind(kind: BuiltinKind, fields: RecipeFields): BuiltinNetworkRecipe {
  const number = <K extends string>(name: K, limits: NumberLimits): Partial<Record<K, number>> =>
    optional(name, fields.number(name, limits));
  switch (kind) {
    case 'perceptron': {
      const widths = fields.numbers('widths', { ...WIDTH, longest: MAX_WIDTHS });
      if (!Array.isArray(widths) || widths.length < 2)
        return fields.missing('widths', 'inputs, hidden widths and outputs, as [784, 256, 10]');
      const activation = fields.choice('activation', ['relu', 'tanh', 'sigmoid', 'gelu']);
      return { kind, widths, ...optional('activation', activation) };
    }
    case 'coordinates':
      return {
        kind,
        ...number('inputs', WIDTH),
        ...number('outputs', WIDTH),
        ...number('width', WIDTH),
        ...number('hidden', { min: 0, max: MAX_BLOCKS, isWhole: true }),
        ...optional('activation', fields.choice('activation', ['gaussian', 'relu', 'sine'])),
        ...number('scale', { above: 0 }),
        ...number('frequencies', FREQUENCIES),
      };
    case 'nerf':
      return {
        kind,
        ...number('width', WIDTH),
        ...number('hidden', BLOCKS),
        ...number('positionFrequencies', FREQUENCIES),
        ...number('directionFrequencies', FREQUENCIES),
      };
    case 'vgg':
      return { kind, depth: depthOf(fields, [11, 13, 16, 19]), ...pictures(fields) };
    case 'resnet':
      return { kind, depth: depthOf(fields, [18, 20, 32, 44, 50, 56, 110]), ...pictures(fields) };
    case 'vit':
      return {
        kind,
        ...optional('size', fields.choice('size', ['tiny', 'small', 'base'])),
        ...transformer(fields),
        ...number('mlpWidth', WIDTH),
        ...number('patch', WIDTH),
        ...number('image', WIDTH),
        ...number('channels', WIDTH),
        ...number('classes', WIDTH),
      };
    case 'gpt':
      return { kind, ...transformer(fields), ...tokens(fields) };
    case 'encoder':
      return {
        kind,
        ...transformer(fields),
        ...tokens(fields),
        ...optional('head', fields.choice('head', ['tokens', 'classes'])),
        ...number('classes', WIDTH),
      };
  }
}

function depthOf<const T extends number>(fields: RecipeFields, allowed: readonly T[]): T {
  const depth = fields.number('depth') ?? fields.missing('depth', allowed.join(', '));
  const found = allowed.find((one) => one === depth);
  if (found !== undefined) return found;
  throw fields.fieldError('depth', `must be one of ${allowed.join(', ')}`, depth);
}

function pictures(fields: RecipeFields): { classes?: number; widthFactor?: number } {
  return {
    ...optional('classes', fields.number('classes', WIDTH)),
    ...optional('widthFactor', fields.number('widthFactor', FACTOR)),
  };
}

function transformer(fields: RecipeFields): {
  width?: number;
  blocks?: number;
  heads?: number;
  dropout?: number;
} {
  return {
    ...optional('width', fields.number('width', WIDTH)),
    ...optional('blocks', fields.number('blocks', BLOCKS)),
    ...optional('heads', fields.number('heads', WIDTH)),
    ...optional('dropout', fields.number('dropout', DROPOUT)),
  };
}

function tokens(fields: RecipeFields): { context?: number; vocabulary?: number } {
  return {
    ...optional('context', fields.number('context', WIDTH)),
    ...optional('vocabulary', fields.number('vocabulary', WIDTH)),
  };
}

function readForms(fields: RecipeFields): readonly FormRecipe[] | undefined {
  return fields.objects('forms', MAX_FORMS)?.map((form) => {
    const read = readForm(form);
    form.done();
    return read;
  });
}

function readForm(fields: RecipeFields): FormRecipe {
  const kind = fields.choice('kind', FORM_KINDS) ?? fields.missing('kind', FORM_KINDS.join(', '));
  const layers = fields.text('layers');
  if (layers !== undefined) fields.requirePattern('layers', layers);
  const common = optional('layers', layers);
  if (kind === 'dense') return { kind, ...common };
  const rank =
    fields.number('rank', { min: 1, max: LARGEST_RANK, isWhole: true }) ??
    fields.missing('rank', 'columns of each factor');
  if (kind === 'low-rank') return { kind, rank, ...common };
  const sine = {
    ...optional('omega', kind === 'lora' ? undefined : fields.number('omega', { above: 0 })),
    ...optional('gain', kind === 'lora' ? undefined : fields.number('gain', { above: 0 })),
  };
  if (kind === 'sine') return { kind, rank, ...sine, ...common };
  const alpha = optional('alpha', fields.number('alpha', { above: 0 }));
  return kind === 'lora' ? { kind, rank, ...alpha, ...common } : { kind, rank, ...alpha, ...sine, ...common };
}
