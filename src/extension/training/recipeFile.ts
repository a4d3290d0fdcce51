import path from 'node:path';
import * as vscode from 'vscode';
import type { RecipeLook, SweepRecipe } from '../../../webview/training/protocol';
import { lookAtRecipe } from './recipeText';

/** As it stands in the editor, otherwise on disk; nothing where it is gone. */
export async function lookAtFile(recipe: vscode.Uri): Promise<RecipeLook> {
  const open = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === recipe.toString());
  if (open !== undefined) return lookAtRecipe(open.getText());
  try {
    return lookAtRecipe(new TextDecoder().decode(await vscode.workspace.fs.readFile(recipe)));
  } catch {
    return lookAtRecipe('');
  }
}

/** What is trained is what is seen: a recipe with changes is saved first. */
export async function saveRecipe(recipe: vscode.Uri): Promise<void> {
  const open = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === recipe.toString());
  if (open?.isDirty === true) await open.save();
}

/** Where the runs of a recipe are: beside it (`training/runs.ts`). */
export function runsFolderOf(recipe: vscode.Uri): vscode.Uri {
  const name = path.posix.basename(recipe.path).replace(/\.rankscope\.json$/i, '');
  return vscode.Uri.joinPath(recipe, '..', `${name}.runs`);
}

/** How many runs there are beside a recipe. */
export async function countRuns(recipe: vscode.Uri): Promise<number> {
  try {
    const entries = await vscode.workspace.fs.readDirectory(runsFolderOf(recipe));
    return entries.filter(([, type]) => (type & vscode.FileType.Directory) !== 0).length;
  } catch {
    // There is no such folder yet.
    return 0;
  }
}

/** Every form that a comparison has, at one rank; the recipe's seeds stay. Undefined when nobody wants to name a rank. */
export async function comparisonSweep({ forms, rank, seeds }: RecipeLook): Promise<SweepRecipe | undefined> {
  const chosen = rank ?? (await askRank());
  if (chosen === undefined) return undefined;
  return { form: forms, rank: [chosen], ...(seeds.length > 1 && { seed: seeds }) };
}

async function askRank(): Promise<number | undefined> {
  const text = await vscode.window.showInputBox({
    title: vscode.l10n.t('Compare forms at which rank?'),
    prompt: vscode.l10n.t('The rank k of the low-rank and the sine-low-rank layers; the recipe names none'),
    value: '5',
    validateInput: (typed) => (isRank(typed) ? undefined : vscode.l10n.t('A whole number from 1 on, please')),
  });
  return text === undefined ? undefined : Number(text);
}

function isRank(text: string): boolean {
  return /^\s*[1-9]\d{0,5}\s*$/.test(text);
}
