import path from 'node:path';
import * as vscode from 'vscode';
import { printable } from '../../../webview/model/names';
import type { PanelServices } from '../panel/page';
import { GroupTerminal, type Followed } from './groupTerminal';
import { comparisonSweep, lookAtFile, saveRecipe } from './recipeFile';
import type { RecipeRuns } from './recipeRuns';
import type { RecipeRunsHub } from './recipeRunsHub';
import type { RunRequests } from './runRequests';

/** The type of our tasks in `tasks.json`; package.json says what its fields are. */
const TASK_TYPE = 'rankscope';

/** More recipes than this are not offered one by one. */
const MAX_OFFERED = 100;

interface RunTaskDefinition extends vscode.TaskDefinition {
  readonly type: typeof TASK_TYPE;
  /** Absolute, or relative to the workspace folder. */
  readonly recipe: string;
  /** dense, low-rank and sine at the recipe's rank. */
  readonly compare?: boolean;
  /** Runs that go on already, whoever started them. */
  readonly group?: string;
}

type Services = Pick<PanelServices, 'engine' | 'log'>;

/** Runs as tasks: what a `tasks.json` starts, and whatever goes on, each group with a terminal. */
export class RunTasks implements vscode.TaskProvider, vscode.Disposable {
  private readonly terminals = new Set<GroupTerminal>();
  /** Groups that have a terminal, or had one: whoever closed it does not want another. */
  private readonly shown = new Set<string>();
  /** Starts that were asked for by a task and have not been answered: their groups get the terminals they have. */
  private starting = 0;
  private readonly registration: vscode.Disposable;

  constructor(
    private readonly hub: RecipeRunsHub,
    private readonly requests: RunRequests,
    private readonly services: Services,
  ) {
    this.registration = vscode.tasks.registerTaskProvider(TASK_TYPE, this);
    hub.onChange((runs) => {
      this.attach(runs);
    });
  }

  async provideTasks(): Promise<vscode.Task[]> {
    const recipes = await vscode.workspace.findFiles(
      '**/*.rankscope.json',
      '**/node_modules/**',
      MAX_OFFERED,
    );
    const offered = await Promise.all(
      recipes.map(async (recipe) => {
        const folder = vscode.workspace.getWorkspaceFolder(recipe);
        const { trains, script } = await lookAtFile(recipe);
        if (!trains || folder === undefined) return [];
        const definition: RunTaskDefinition = {
          type: TASK_TYPE,
          recipe: path.posix.relative(folder.uri.path, recipe.path),
        };
        const train = this.task(definition, folder);
        return script ? [train] : [train, this.task({ ...definition, compare: true }, folder)];
      }),
    );
    return offered.flat();
  }

  resolveTask(task: vscode.Task): vscode.Task | undefined {
    const { definition, scope } = task;
    if (!isRunTask(definition)) return undefined;
    const folder = typeof scope === 'object' ? scope : undefined;
    // The same definition, or the workbench would not know its task again.
    return this.task(definition, folder, definition);
  }

  dispose(): void {
    this.registration.dispose();
    // The window goes: runs are let go of, not stopped.
    for (const terminal of this.terminals) terminal.dispose();
  }

  /** Every group that goes on has a terminal. */
  private attach(runs: RecipeRuns): void {
    if (this.starting > 0 || !vscode.workspace.isTrusted) return;
    const folder = vscode.workspace.getWorkspaceFolder(vscode.Uri.file(runs.path));
    for (const { record } of runs.live) {
      const { group } = record;
      if (this.shown.has(group)) continue;
      this.shown.add(group);
      const task = this.task({ type: TASK_TYPE, recipe: runs.path, group }, folder);
      const together = runs.runs.filter((run) => run.record.group === group).length;
      const what = together > 1 ? vscode.l10n.t('{0} runs', together) : printable(record.label);
      task.name = `${stemOf(runs.path)}: ${what}`;
      void this.execute(task);
    }
    this.forget(runs);
  }

  /** A group that is over may go on again, when it is resumed: then it has a terminal again. */
  private forget(runs: RecipeRuns): void {
    const live = new Set(runs.live.map(({ record }) => record.group));
    for (const { record } of runs.runs) if (!live.has(record.group)) this.shown.delete(record.group);
  }

  private async execute(task: vscode.Task): Promise<void> {
    try {
      await vscode.tasks.executeTask(task);
    } catch (error) {
      // The run goes on without a terminal.
      this.services.log.warn(`task: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private task(
    definition: RunTaskDefinition,
    folder: vscode.WorkspaceFolder | undefined,
    same: vscode.TaskDefinition = definition,
  ): vscode.Task {
    const task = new vscode.Task(
      same,
      folder ?? vscode.TaskScope.Workspace,
      nameOf(definition),
      'Rankscope',
      new vscode.CustomExecution(() => Promise.resolve(this.terminal(definition, folder))),
    );
    task.presentationOptions = {
      reveal: definition.group === undefined ? vscode.TaskRevealKind.Always : vscode.TaskRevealKind.Never,
      panel: vscode.TaskPanelKind.Shared,
      ...{ echo: false, focus: false, showReuseMessage: false },
    };
    task.detail = vscode.l10n.t('Train with Rankscope');
    return task;
  }

  private terminal(definition: RunTaskDefinition, folder: vscode.WorkspaceFolder | undefined): GroupTerminal {
    const recipe = recipeOf(definition, folder);
    const begin = (): Promise<Followed> =>
      definition.group === undefined
        ? this.start(recipe, definition.compare === true)
        : Promise.resolve({ ...this.hub.hold(recipe.fsPath), group: definition.group });
    const terminal = new GroupTerminal(begin, { engine: this.services.engine, requests: this.requests });
    this.terminals.add(terminal);
    terminal.onDidClose(() => {
      this.terminals.delete(terminal);
    });
    return terminal;
  }

  private async start(recipe: vscode.Uri, compare: boolean): Promise<Followed> {
    await saveRecipe(recipe);
    const sweep = compare ? await comparisonSweep(await lookAtFile(recipe)) : undefined;
    if (compare && sweep === undefined) throw new Error(vscode.l10n.t('Nothing was started.'));
    this.starting++;
    try {
      const { runs } = await this.requests.start(recipe, sweep);
      const group = runs[0]?.record.group;
      if (group === undefined) throw new Error(vscode.l10n.t('Nothing was started.'));
      this.shown.add(group);
      return { ...this.hub.hold(recipe.fsPath), group };
    } finally {
      this.starting--;
      for (const runs of this.hub.all) this.attach(runs);
    }
  }
}

function isRunTask(definition: vscode.TaskDefinition): definition is RunTaskDefinition {
  return definition.type === TASK_TYPE && typeof definition.recipe === 'string';
}

function recipeOf({ recipe }: RunTaskDefinition, folder: vscode.WorkspaceFolder | undefined): vscode.Uri {
  if (path.isAbsolute(recipe)) return vscode.Uri.file(recipe);
  const base = folder ?? vscode.workspace.workspaceFolders?.[0];
  if (base === undefined) throw new Error(vscode.l10n.t('{0} is relative, and no folder is open.', recipe));
  return vscode.Uri.joinPath(base.uri, recipe);
}

/** What the list of tasks and the terminal call it. */
function nameOf({ recipe, compare }: RunTaskDefinition): string {
  const name = stemOf(recipe);
  return compare === true ? vscode.l10n.t('compare forms of {0}', name) : vscode.l10n.t('train {0}', name);
}

function stemOf(recipe: string): string {
  return path.basename(recipe).replace(/\.rankscope\.json$/i, '');
}
