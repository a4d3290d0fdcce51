import path from 'node:path';
import * as vscode from 'vscode';
import { isRecipe, isRunnableModel, namesFile, programFor } from './recipeNames';
import { recipeTemplate } from './recipeTemplate';
import type { MeasuredResource } from './utilizationController';

/** More recipes than this in a workspace are not looked at one by one. */
const MAX_RECIPES = 200;

/** Recipes are small; a larger file is something else of that name. */
const MAX_RECIPE_BYTES = 1 << 20;

/**
 * What to measure, for a resource that was clicked, or for none: a recipe as it is, a model after asking for its data,
 * a checkpoint by a recipe that names it. Undefined when the person thought better of it, or a new recipe was opened.
 */
export async function chooseMeasured(
  resource: vscode.Uri | undefined,
): Promise<MeasuredResource | undefined> {
  if (resource !== undefined && isRecipe(resource.path)) return { uri: resource };
  if (resource !== undefined && isRunnableModel(resource.path)) return modelWithData(resource);
  const recipes = await findRecipes(resource);
  const naming = resource === undefined ? [] : await thoseNaming(recipes, resource);
  const [only] = naming;
  if (only !== undefined && naming.length === 1) return { uri: only };
  return pick(naming.length > 0 ? naming : recipes, resource);
}

/** Of the workspace, and of the folder of a checkpoint outside it. */
async function findRecipes(resource: vscode.Uri | undefined): Promise<readonly vscode.Uri[]> {
  const found = await vscode.workspace.findFiles('**/*.rankscope.json', '**/node_modules/**', MAX_RECIPES);
  if (resource === undefined || vscode.workspace.getWorkspaceFolder(resource) !== undefined) return found;
  const folder = vscode.Uri.joinPath(resource, '..');
  const entries = await vscode.workspace.fs.readDirectory(folder);
  const beside = entries
    .filter(([name, type]) => (type & vscode.FileType.File) !== 0 && isRecipe(name))
    .map(([name]) => vscode.Uri.joinPath(folder, name));
  return [...beside, ...found];
}

async function thoseNaming(recipes: readonly vscode.Uri[], resource: vscode.Uri): Promise<vscode.Uri[]> {
  const texts = await Promise.all(recipes.map(readText));
  return recipes.filter((_, i) => namesFile(texts[i] ?? '', resource.path));
}

async function readText(uri: vscode.Uri): Promise<string> {
  try {
    const { size } = await vscode.workspace.fs.stat(uri);
    if (size > MAX_RECIPE_BYTES) return '';
    return new TextDecoder().decode(await vscode.workspace.fs.readFile(uri));
  } catch {
    // It went away, or cannot be read: then it names nothing.
    return '';
  }
}

async function pick(
  recipes: readonly vscode.Uri[],
  resource: vscode.Uri | undefined,
): Promise<MeasuredResource | undefined> {
  type Choice = vscode.QuickPickItem & { readonly run?: () => Promise<MeasuredResource | undefined> };
  const choices: Choice[] = recipes.map((uri) => ({
    label: path.posix.basename(uri.path),
    description: vscode.workspace.asRelativePath(vscode.Uri.joinPath(uri, '..')),
    run: () => Promise.resolve({ uri }),
  }));
  if (choices.length > 0) choices.push({ label: '', kind: vscode.QuickPickItemKind.Separator });
  choices.push(
    {
      label: `$(new-file) ${vscode.l10n.t('New recipe…')}`,
      detail: vscode.l10n.t('A PyTorch model and its data, by a function of yours'),
      run: () => newRecipe(resource),
    },
    {
      label: `$(file-binary) ${vscode.l10n.t('An ONNX or TensorFlow.js model…')}`,
      detail: vscode.l10n.t('Runs here, on data in a file'),
      run: async () => {
        const model = await openFile(vscode.l10n.t('Model'), {
          [vscode.l10n.t('Models')]: ['onnx', 'json'],
        });
        if (model === undefined) return undefined;
        return isRecipe(model.path) ? { uri: model } : modelWithData(model);
      },
    },
  );
  const chosen = await vscode.window.showQuickPick(choices, {
    title: vscode.l10n.t('Measure utilized rank: which network, on which data?'),
    placeHolder: vscode.l10n.t('A recipe says how the network runs and where its data is'),
  });
  return chosen?.run?.();
}

async function modelWithData(model: vscode.Uri): Promise<MeasuredResource | undefined> {
  const data = await openFile(vscode.l10n.t('Validation Data'), {
    [vscode.l10n.t('Data')]: ['npz', 'npy', 'gz', 'bin', 'zip', 'idx3-ubyte'],
    [vscode.l10n.t('All files')]: ['*'],
  });
  return data === undefined ? undefined : { uri: model, data };
}

async function openFile(
  label: string,
  filters: Readonly<Record<string, string[]>>,
): Promise<vscode.Uri | undefined> {
  const [chosen] = (await vscode.window.showOpenDialog({ openLabel: label, title: label, filters })) ?? [];
  return chosen;
}

/** Writes a recipe and the Python file it points at, where nothing of these names exists, and opens both to be filled in. */
async function newRecipe(resource: vscode.Uri | undefined): Promise<undefined> {
  const folder =
    resource === undefined
      ? vscode.workspace.workspaceFolders?.[0]?.uri
      : vscode.Uri.joinPath(resource, '..');
  const stem = resource === undefined ? 'model' : path.posix.parse(resource.path).name;
  const target = await vscode.window.showSaveDialog({
    title: vscode.l10n.t('New recipe'),
    ...(folder !== undefined && { defaultUri: vscode.Uri.joinPath(folder, `${stem}.rankscope.json`) }),
    filters: { [vscode.l10n.t('Recipe')]: ['rankscope.json'] },
  });
  if (target === undefined) return undefined;
  const place = vscode.Uri.joinPath(target, '..');
  const program = vscode.Uri.joinPath(place, programFor(target.path));
  const checkpoint = resource === undefined ? undefined : path.posix.relative(place.path, resource.path);
  const { recipe, python } = recipeTemplate(path.posix.basename(program.path), checkpoint);
  await vscode.workspace.fs.writeFile(target, new TextEncoder().encode(recipe));
  if (!(await exists(program)))
    await vscode.workspace.fs.writeFile(program, new TextEncoder().encode(python));
  await vscode.window.showTextDocument(target, { preview: false });
  await vscode.window.showTextDocument(program, { preview: false, viewColumn: vscode.ViewColumn.Beside });
  return undefined;
}

async function exists(uri: vscode.Uri): Promise<boolean> {
  try {
    await vscode.workspace.fs.stat(uri);
    return true;
  } catch {
    return false;
  }
}
