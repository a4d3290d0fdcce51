import path from 'node:path';
import * as vscode from 'vscode';
import {
  NETWORK_CHOICES,
  trainingRecipe,
  type NetworkChoice,
  type TaskKind,
  type TemplateChoices,
  type TemplateForm,
} from './trainingTemplate';

/** Names that are tried for a new file beside one that is there. */
const MAX_NAMES = 100;

/**
 * Asks what cannot be known (which network, which data, which form), and writes a recipe that trains; opens it.
 *
 * @param checkpoint weights to start from, which the recipe is put beside
 */
export async function newTrainingRecipe(checkpoint: vscode.Uri | undefined): Promise<void> {
  const folder = checkpoint === undefined ? await askFolder() : vscode.Uri.joinPath(checkpoint, '..');
  if (folder === undefined) return;
  const choice = await askNetwork();
  if (choice === undefined) return;
  const data = await askData(choice.task, folder);
  if (data === undefined) return;
  const form = await askForm(checkpoint !== undefined);
  if (form === undefined) return;
  const rank = form.form === undefined || form.form === 'dense' ? undefined : await askRank();
  if (form.form !== undefined && form.form !== 'dense' && rank === undefined) return;
  const choices: TemplateChoices = {
    ...{ choice, data },
    ...(form.form !== undefined && { form: form.form }),
    ...(rank !== undefined && { rank }),
    ...(checkpoint !== undefined && { checkpoint: path.posix.basename(checkpoint.path) }),
  };
  const stem = checkpoint === undefined ? choice.network.kind : path.posix.parse(checkpoint.path).name;
  const target = await freeName(folder, stem);
  await vscode.workspace.fs.writeFile(target, new TextEncoder().encode(trainingRecipe(choices)));
  await vscode.window.showTextDocument(target, { preview: false });
}

/** Of the workspace; without one, or with several, a person says which. */
async function askFolder(): Promise<vscode.Uri | undefined> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  const [only] = folders;
  if (only !== undefined && folders.length === 1) return only.uri;
  const openLabel = vscode.l10n.t('Folder of the Recipe');
  const [chosen] =
    (await vscode.window.showOpenDialog({ canSelectFiles: false, canSelectFolders: true, openLabel })) ?? [];
  return chosen;
}

async function askNetwork(): Promise<NetworkChoice | undefined> {
  const items = NETWORK_CHOICES.map((choice) => ({
    label: choice.title,
    description: taskTitle(choice.task),
    choice,
  }));
  const title = vscode.l10n.t('New training recipe (1 of 3): which network?');
  return (await vscode.window.showQuickPick(items, { title }))?.choice;
}

function taskTitle(task: TaskKind): string {
  switch (task) {
    case 'classification':
      return vscode.l10n.t('classes of pictures or vectors');
    case 'occupancy':
      return vscode.l10n.t('inside or outside of a solid');
    case 'views':
      return vscode.l10n.t('views of a scene');
    case 'text':
      return vscode.l10n.t('text');
  }
}

type Data = TemplateChoices['data'];

type DataItem = vscode.QuickPickItem & { readonly run: () => Promise<Data | undefined> };

async function askData(task: TaskKind, folder: vscode.Uri): Promise<Data | undefined> {
  const later: DataItem = {
    label: vscode.l10n.t('Fill in later'),
    detail: vscode.l10n.t('The recipe names a file that is not there yet'),
    run: () => Promise.resolve({}),
  };
  const items = task === 'occupancy' ? solidItems(folder) : [fileItem(task, folder), later];
  const title = vscode.l10n.t('New training recipe (2 of 3): which data?');
  const chosen = await vscode.window.showQuickPick(items, { title });
  return chosen?.run();
}

function solidItems(folder: vscode.Uri): DataItem[] {
  const solid = (name: string, detail: string): DataItem => ({
    label: name,
    detail,
    run: () => Promise.resolve({ solid: name }),
  });
  return [
    solid('gyroid', vscode.l10n.t('Walls along a gyroid, inside a ball; needs no file')),
    solid('torus', vscode.l10n.t('One ring; needs no file')),
    solid('spheres', vscode.l10n.t('Balls of many sizes; needs no file')),
    {
      label: `$(file) ${vscode.l10n.t('A mesh…')}`,
      detail: vscode.l10n.t('OBJ or PLY'),
      run: async () => {
        const mesh = await askFile(vscode.l10n.t('Mesh'), { [vscode.l10n.t('Meshes')]: ['obj', 'ply'] });
        return mesh === undefined ? undefined : { path: relative(folder, mesh) };
      },
    },
  ];
}

function fileItem(task: TaskKind, folder: vscode.Uri): DataItem {
  return {
    label: `$(file) ${vscode.l10n.t('A file…')}`,
    detail: fileDetail(task),
    run: async () => {
      const train = await askFile(vscode.l10n.t('Training Data'), {});
      if (train === undefined) return undefined;
      if (task !== 'classification') return { path: relative(folder, train) };
      const validation = await askFile(vscode.l10n.t('Validation Data'), {}, train);
      if (validation === undefined) return undefined;
      return { path: relative(folder, train), validation: relative(folder, validation) };
    },
  };
}

function fileDetail(task: TaskKind): string {
  switch (task) {
    case 'views':
      return vscode.l10n.t('A NumPy archive, or transforms_train.json');
    case 'text':
      return vscode.l10n.t('Plain text');
    default:
      return vscode.l10n.t('npz, npy, IDX, CIFAR batches or a zip of pictures');
  }
}

async function askFile(
  openLabel: string,
  filters: Readonly<Record<string, string[]>>,
  beside?: vscode.Uri,
): Promise<vscode.Uri | undefined> {
  const [chosen] =
    (await vscode.window.showOpenDialog({
      ...{ openLabel, title: openLabel },
      filters: { ...filters, [vscode.l10n.t('All files')]: ['*'] },
      ...(beside !== undefined && { defaultUri: beside }),
    })) ?? [];
  return chosen;
}

/** As a recipe names it: from its own folder, with slashes; a folder's description names the folder. */
function relative(folder: vscode.Uri, file: vscode.Uri): string {
  const isDescription = /^transforms_\w+\.json$/.test(path.posix.basename(file.path));
  const target = isDescription ? vscode.Uri.joinPath(file, '..') : file;
  const found = path.posix.relative(folder.path, target.path);
  return found === '' ? '.' : found;
}

async function askForm(
  hasCheckpoint: boolean,
): Promise<{ readonly form: TemplateForm | undefined } | undefined> {
  const item = (form: TemplateForm, detail: string) => ({ label: form, detail, form });
  const kept = {
    label: vscode.l10n.t('As the checkpoint keeps its layers'),
    detail: vscode.l10n.t('Dense layers stay dense, factors stay factors of the same rank'),
    form: undefined,
  };
  const adapters = [
    item('lora', vscode.l10n.t('W₀ + BA: adapters beside frozen weights')),
    item('sine-lora', vscode.l10n.t('W₀ + sin(ω·BA)/g: adapters beside frozen weights')),
  ];
  const items = [
    ...(hasCheckpoint ? [kept] : []),
    item('sine', vscode.l10n.t('W = sin(ω·U·Vᵀ)/g')),
    item('low-rank', vscode.l10n.t('W = U·Vᵀ')),
    item('dense', vscode.l10n.t('W itself')),
    ...(hasCheckpoint ? adapters : []),
  ];
  const title = vscode.l10n.t('New training recipe (3 of 3): in which form are layers kept?');
  return vscode.window.showQuickPick(items, { title });
}

async function askRank(): Promise<number | undefined> {
  const typed = await vscode.window.showInputBox({
    title: vscode.l10n.t('Rank k of these layers'),
    value: '5',
    validateInput: (text) =>
      /^\s*[1-9]\d{0,5}\s*$/.test(text) ? undefined : vscode.l10n.t('A whole number from 1 on, please'),
  });
  return typed === undefined ? undefined : Number(typed);
}

/** Nothing that is there is written over. */
async function freeName(folder: vscode.Uri, stem: string): Promise<vscode.Uri> {
  const taken = new Set((await vscode.workspace.fs.readDirectory(folder)).map(([name]) => name));
  for (let n = 1; n <= MAX_NAMES; n++) {
    const name = `${stem}${n === 1 ? '' : `-${n}`}.rankscope.json`;
    if (!taken.has(name)) return vscode.Uri.joinPath(folder, name);
  }
  throw new Error(vscode.l10n.t('There are too many recipes named {0} already.', stem));
}
