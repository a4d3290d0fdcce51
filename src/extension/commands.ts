import path from 'node:path';
import * as vscode from 'vscode';
import type { Conversions } from './conversion/conversions';
import type { PanelServices } from './panel/page';
import type { Panels } from './panels';
import { inspectSafety } from './inspectSafety';
import { installTensorflow } from './devices/installTensorflow';
import { chooseMeasured } from './measurement/chooseMeasured';
import type { Utilizations } from './measurement/utilizations';
import { newTrainingRecipe } from './training/newTrainingRecipe';
import type { Training } from './training/training';
import { chooseBackend, chosenBackend } from './settings';

/** What the palette takes for a checkpoint without asking; the Explorer's menu in package.json names the same. */
const CHECKPOINT_NAME =
  /\.(?:safetensors|pth|pt|th|ckpt|npz|npy|bin|pkl|pickle|state_dict|jit|onnx|gguf|keras|h5|hdf5|tflite|index)$|\.index\.json$|^saved_model\.pb$|^model\.json$/i;

/** Opening more at once is a slip of the mouse. */
const MAX_OPENED = 20;

/** What the commands act on. */
export interface CommandTargets {
  readonly panels: Panels;
  readonly conversions: Conversions;
  readonly utilizations: Utilizations;
  readonly training: Training;
}

/** Registers the commands that package.json declares. */
export function registerCommands(
  { panels, conversions, utilizations, training }: CommandTargets,
  services: PanelServices,
): vscode.Disposable {
  const { commands: runs } = training;
  const commands: Readonly<Record<string, (...given: unknown[]) => unknown>> = {
    'rankscope.audit': (given, selected) => auditCommand(given, selected, panels, services),
    'rankscope.inspect': (given, selected) => inspectCommand(given, selected, panels, services),
    'rankscope.convert': (given, selected) => convertCommand(given, selected, panels, conversions, services),
    'rankscope.utilize': (given) => utilizeCommand(given, panels, utilizations, services),
    'rankscope.train': (given) => telling(services, () => runs.train(given)),
    'rankscope.compareForms': (given) => telling(services, () => runs.compareForms(given)),
    'rankscope.openRuns': (given) => telling(services, () => runs.openRuns(given)),
    'rankscope.stopRun': (given) => telling(services, () => runs.stopRun(given)),
    'rankscope.resumeRun': (given) => telling(services, () => runs.resumeRun(given)),
    'rankscope.newTrainingRecipe': (given) =>
      telling(services, () => newTrainingRecipe(given instanceof vscode.Uri ? given : undefined)),
    'rankscope.openSample': () => panels.openFile(sampleOf(services.extensionUri)),
    'rankscope.selectBackend': () => selectBackend(services),
    'rankscope.installTensorflow': () => installCommand(services),
    'rankscope.showLog': () => {
      services.log.show();
    },
    'rankscope.clearCache': () => clearCache(services),
  };
  return vscode.Disposable.from(
    ...Object.entries(commands).map(([name, run]) => vscode.commands.registerCommand(name, run)),
  );
}

export function sampleOf(extensionUri: vscode.Uri): vscode.Uri {
  return vscode.Uri.joinPath(extensionUri, 'media', 'sample', 'sample.safetensors');
}

async function auditCommand(
  given: unknown,
  selected: unknown,
  panels: Panels,
  services: PanelServices,
): Promise<void> {
  const uris = givenResources(given, selected) ?? (await askForFiles(vscode.l10n.t('Audit Ranks')));
  await forEachResource(uris, services, (uri) => openAny(uri, panels, services));
}

async function inspectCommand(
  given: unknown,
  selected: unknown,
  panels: Panels,
  services: PanelServices,
): Promise<void> {
  const inFront = panels.active;
  const uris =
    givenResources(given, selected) ??
    (inFront === undefined ? await askForFiles(vscode.l10n.t('Inspect Safety')) : [inFront]);
  await forEachResource(uris, services, (uri) => inspectSafety(uri, services));
}

async function convertCommand(
  given: unknown,
  selected: unknown,
  panels: Panels,
  conversions: Conversions,
  services: PanelServices,
): Promise<void> {
  const inFront = conversions.active ?? panels.active;
  const uris =
    givenResources(given, selected) ??
    (inFront === undefined ? await askForFiles(vscode.l10n.t('Convert')) : [inFront]);
  await forEachResource(uris, services, (uri) => conversions.open(uri));
}

/** @param given a recipe, a model or a checkpoint; from the palette, what is in front. */
async function utilizeCommand(
  given: unknown,
  panels: Panels,
  utilizations: Utilizations,
  services: PanelServices,
): Promise<void> {
  const resource = given instanceof vscode.Uri ? given : (panels.active ?? activeFile());
  const act = async (): Promise<void> => {
    const measured = await chooseMeasured(resource);
    if (measured !== undefined) utilizations.open(measured);
  };
  await telling(services, act);
}

/** The file in the active text editor. */
function activeFile(): vscode.Uri | undefined {
  return vscode.window.activeTextEditor?.document.uri;
}

/** @param given the resource clicked in the Explorer, with all that are selected; undefined from the palette. */
function givenResources(given: unknown, selected: unknown): readonly vscode.Uri[] | undefined {
  const several = Array.isArray(selected) ? selected.filter((uri) => uri instanceof vscode.Uri) : [];
  if (several.length > 0) return several;
  return given instanceof vscode.Uri ? [given] : undefined;
}

/** One after the other; what fails is told, and the rest goes on. */
async function forEachResource(
  uris: readonly vscode.Uri[],
  services: PanelServices,
  act: (uri: vscode.Uri) => Promise<void>,
): Promise<void> {
  for (const uri of uris.slice(0, MAX_OPENED)) await telling(services, () => act(uri));
}

/** A failure is told to the person and to the log. */
async function telling(services: PanelServices, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    services.log.warn(reason);
    void vscode.window.showErrorMessage(vscode.l10n.t('Rankscope: {0}', reason));
  }
}

/** The checkpoint in the active editor, otherwise what the person chooses. */
async function askForFiles(openLabel: string): Promise<readonly vscode.Uri[]> {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  const isFile = input instanceof vscode.TabInputText || input instanceof vscode.TabInputCustom;
  if (isFile && CHECKPOINT_NAME.test(input.uri.path)) return [input.uri];
  const chosen = await vscode.window.showOpenDialog({
    canSelectMany: true,
    openLabel,
    filters: {
      [vscode.l10n.t('Checkpoints')]: [
        'safetensors',
        'pth',
        'pt',
        'th',
        'ckpt',
        'npz',
        'npy',
        'bin',
        'pkl',
        'json',
      ],
      [vscode.l10n.t('All files')]: ['*'],
    },
  });
  return chosen ?? [];
}

async function openAny(uri: vscode.Uri, panels: Panels, services: PanelServices): Promise<void> {
  const { type } = await vscode.workspace.fs.stat(uri);
  if ((type & vscode.FileType.Directory) === 0) {
    await panels.openFile(uri);
    return;
  }
  const found = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Window, title: vscode.l10n.t('Looking for checkpoints…') },
    () => services.engine.request('checkpoints', { folder: uri.fsPath }),
  );
  for (const file of await chooseAmong(found, uri)) {
    if (file === uri.fsPath) panels.openFolder(uri);
    else await openAny(vscode.Uri.file(file), panels, services);
  }
}

/** Which of a folder's checkpoints to open: all, when there is one; what the person ticks otherwise. */
async function chooseAmong(found: readonly string[], folder: vscode.Uri): Promise<readonly string[]> {
  if (found.length === 0) {
    const name = path.basename(folder.fsPath);
    void vscode.window.showInformationMessage(vscode.l10n.t('There are no checkpoints in {0}.', name));
    return [];
  }
  if (found.length === 1) return found;
  const items = found.map((file) => ({ label: path.relative(folder.fsPath, file), file }));
  const chosen = await vscode.window.showQuickPick(items, {
    canPickMany: true,
    title: vscode.l10n.t('Checkpoints to audit'),
  });
  return (chosen ?? []).slice(0, MAX_OPENED).map(({ file }) => file);
}

async function selectBackend(services: PanelServices): Promise<void> {
  const current = chosenBackend();
  const mark = (name: string): string => (name === current ? '$(check) ' : '');
  const backends = await services.engine.request('backends', {});
  const choices = [
    { name: 'auto', description: vscode.l10n.t('The fastest one that works here') },
    ...backends.map(({ name, usable, about }) => ({
      name,
      description: usable ? about : vscode.l10n.t('not usable: {0}', about),
    })),
  ];
  const items: (vscode.QuickPickItem & { run: () => PromiseLike<void> | void })[] = [
    ...choices.map(({ name, description }) => ({
      label: mark(name) + name,
      description,
      run: () => chooseBackend(name),
    })),
    { label: '', kind: vscode.QuickPickItemKind.Separator, run: () => undefined },
    {
      label: `$(cloud-download) ${vscode.l10n.t('Install TensorFlow GPU Backend')}…`,
      run: () => installCommand(services),
    },
    {
      label: `$(output) ${vscode.l10n.t('Show Log')}`,
      run: () => {
        services.log.show();
      },
    },
  ];
  const chosen = await vscode.window.showQuickPick(items, { title: vscode.l10n.t('Compute backend') });
  await chosen?.run();
}

async function installCommand({ engine, storage }: PanelServices): Promise<void> {
  const useIt = async (): Promise<void> => {
    const use = vscode.l10n.t('Use It');
    const words = vscode.l10n.t(
      'TensorFlow is installed. Whether a graphics card works with it is told when it is used.',
    );
    if ((await vscode.window.showInformationMessage(words, use)) === use) await chooseBackend('tensorflow');
  };
  try {
    await installTensorflow(engine, storage, useIt);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    void vscode.window.showErrorMessage(reason);
  }
}

async function clearCache(services: PanelServices): Promise<void> {
  await services.engine.request('clearCache', {});
  services.log.info('cache cleared');
  vscode.window.setStatusBarMessage(vscode.l10n.t('Rankscope: the cache is empty'), 4000);
}
