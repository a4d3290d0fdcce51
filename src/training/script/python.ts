import type { ScriptRecipe } from '../recipe';

/** The interpreter: the recipe's, else the one chosen in the editor, else the first on the path. */
export function pythonOf(script: ScriptRecipe, chosen: string | undefined): string {
  const byDefault = process.platform === 'win32' ? 'python' : 'python3';
  return [script.python, chosen].find((name) => name !== undefined && name !== '') ?? byDefault;
}
