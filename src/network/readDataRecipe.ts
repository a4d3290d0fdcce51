/** The data sets of a recipe. */
import path from 'node:path';
import type { DataRecipe, ResolvedData } from './recipe';
import { optional, type RecipeFields } from './recipeFields';

/** Means and deviations: one a channel, or one a value of flat data. */
const MAX_CHANNELS = 1_000_000;
/** Pictures are resized to at most this many pixels a side; networks take a few hundred. */
const MAX_SIDE = 8192;
/** CIFAR-10 comes in six files; nothing comes in more than a few hundred. */
const MAX_FILES = 1000;

const FORMATS = ['npz', 'npy', 'idx', 'cifar', 'images'] as const;
const LAYOUTS = ['chw', 'hwc', 'flat'] as const;

/** One data set, its paths absolute. @throws CheckpointError */
export function readDataset(fields: RecipeFields, folder: string): ResolvedData {
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
