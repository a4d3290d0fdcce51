/** What the names of recipes and models tell. */
import path from 'node:path';

const RECIPE = /\.rankscope\.json$/i;

/** Models that run without a program of the user's; they need data. */
const RUNNABLE = /\.onnx$|(?:^|\/)model\.json$/i;

/** @param file path with forward slashes, of a URI */
export function isRecipe(file: string): boolean {
  return RECIPE.test(file);
}

/** @param file path with forward slashes, of a URI */
export function isRunnableModel(file: string): boolean {
  return RUNNABLE.test(file);
}

/** What a recipe or model is called without its endings. */
export function measuredStem(file: string): string {
  return path.posix.basename(file).replace(/\.(?:rankscope\.json|onnx|json)$/i, '');
}

/** Name of the Python file beside a new recipe: one that Python could import. */
export function programFor(recipe: string): string {
  return `${measuredStem(recipe).replace(/\W/g, '_')}_load.py`;
}

/** Whether a recipe's text names a file; whether it means this one is seen when it is read. */
export function namesFile(recipe: string, file: string): boolean {
  const name = JSON.stringify(path.posix.basename(file)).slice(1, -1);
  return new RegExp(`["/\\\\]${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}"`).test(recipe);
}
