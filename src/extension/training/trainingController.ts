import path from 'node:path';
import * as vscode from 'vscode';
import type {
  FromTraining,
  RunAction,
  ToTraining,
  TrainingOutline,
} from '../../../webview/training/protocol';
import { fillPage, type PanelServices } from '../panel/page';
import { ResourceWatcher } from '../panel/resourceWatcher';
import type { RecipeRuns } from './recipeRuns';
import type { RecipeRunsHub } from './recipeRunsHub';
import { comparisonSweep, lookAtFile, saveRecipe } from './recipeFile';
import type { RunRequests } from './runRequests';
import type { TrainingState } from './trainingFeed';

export interface TrainingServices extends PanelServices {
  readonly openAudit: (uri: vscode.Uri) => Promise<void>;
  readonly hub: RecipeRunsHub;
  readonly requests: RunRequests;
}

/** What the page is answered: words for the person, or an outline. */
interface Answer {
  readonly message?: string;
  readonly outline?: TrainingOutline;
}

/** One panel and the runs it shows. Lives as long as the panel; the runs do not care. */
export class TrainingController {
  private readonly runs: RecipeRuns;
  private readonly watcher: ResourceWatcher;
  private readonly trust: vscode.Disposable;
  private attached = false;

  constructor(
    readonly recipe: vscode.Uri,
    private readonly panel: vscode.WebviewPanel,
    private readonly services: TrainingServices,
  ) {
    const held = services.hub.hold(recipe.fsPath);
    this.runs = held.runs;
    panel.webview.onDidReceiveMessage((message: FromTraining) => {
      this.receive(message).catch((error: unknown) => {
        services.log.error(error instanceof Error ? error : String(error));
      });
    });
    panel.onDidChangeViewState(() => {
      if (!panel.visible) this.detach();
    });
    this.watcher = new ResourceWatcher(recipe.fsPath, false, () => {
      void this.look();
    });
    this.trust = vscode.workspace.onDidGrantWorkspaceTrust(() => {
      void this.look();
    });
    panel.onDidDispose(() => {
      this.detach();
      this.watcher.dispose();
      this.trust.dispose();
      held.letGo();
    });
    const title = path.basename(recipe.fsPath);
    fillPage(panel.webview, services.extensionUri, { kind: 'training', resource: recipe, title });
    void this.look();
  }

  get state(): TrainingState & { readonly pageListens: boolean } {
    return { ...this.runs.feed.state, pageListens: this.attached };
  }

  get isActive(): boolean {
    return this.panel.active;
  }

  reveal(): void {
    this.panel.reveal();
  }

  private async look(): Promise<void> {
    this.runs.feed.looked(await lookAtFile(this.recipe), vscode.workspace.isTrusted);
  }

  private async receive(message: FromTraining): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.attached = true;
        this.runs.feed.attach((told) => {
          this.post(told);
        });
        return;
      case 'wantLayers':
        this.runs.feed.wantLayers(message.folder);
        return;
      case 'train':
        await this.answer(message.request, async () => {
          await saveRecipe(this.recipe);
          await this.services.requests.start(this.recipe, message.sweep);
          return {};
        });
        return;
      case 'compare':
        await this.answer(message.request, () => this.compare());
        return;
      case 'outline':
        await this.answer(message.request, async () => ({
          outline: await this.services.requests.outline(this.recipe, message.sweep),
        }));
        return;
      case 'act':
        await this.answer(message.request, () => this.act(message.action, message.folders));
        return;
      case 'copy':
        await this.answer(message.request, async () => {
          await vscode.env.clipboard.writeText(message.text);
          return {};
        });
        return;
      case 'openRecipe':
        await vscode.commands.executeCommand('vscode.open', this.recipe);
        return;
      case 'manageTrust':
        await vscode.commands.executeCommand('workbench.trust.manage');
        return;
      case 'retry':
        this.runs.watchNow();
        return;
      case 'openLog':
        this.services.log.show();
        return;
    }
  }

  private async compare(): Promise<Answer | undefined> {
    await saveRecipe(this.recipe);
    const sweep = await comparisonSweep(await lookAtFile(this.recipe));
    if (sweep === undefined) return undefined;
    await this.services.requests.start(this.recipe, sweep);
    return {};
  }

  private async act(action: RunAction, folders: readonly string[]): Promise<Answer | undefined> {
    const known = this.runs.runs.map(({ folder }) => folder).filter((folder) => folders.includes(folder));
    const [folder] = known;
    if (folder === undefined) return undefined;
    const { requests, openAudit } = this.services;
    switch (action) {
      case 'stop':
        await requests.stop(known);
        return {};
      case 'resume':
        await requests.resume(this.recipe, known);
        return {};
      case 'delete':
        return this.delete(known);
      case 'openAudit':
        await openAudit(vscode.Uri.file(path.join(folder, 'model.safetensors')));
        return {};
      case 'openLog':
        await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(path.join(folder, 'log.txt')));
        return {};
      case 'reveal':
        await revealFolder(vscode.Uri.file(folder));
        return {};
    }
  }

  private async delete(folders: readonly string[]): Promise<Answer | undefined> {
    const [only] = folders;
    const question =
      folders.length === 1
        ? vscode.l10n.t('Delete the run {0}, with its checkpoints and its log?', path.basename(only ?? ''))
        : vscode.l10n.t('Delete {0} runs, with their checkpoints and logs?', folders.length);
    const yes = vscode.l10n.t('Delete');
    const chosen = await vscode.window.showWarningMessage(question, { modal: true }, yes);
    if (chosen !== yes) return undefined;
    await this.services.requests.delete(folders);
    return {};
  }

  /** @param work gives what the page shows, or undefined when the person thought better of it. */
  private async answer(request: number, work: () => Promise<Answer | undefined>): Promise<void> {
    try {
      const answer = await work();
      this.post({ type: 'reply', request, ok: answer !== undefined, ...answer });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.services.log.warn(message);
      this.post({ type: 'reply', request, ok: false, message });
    }
  }

  private detach(): void {
    this.attached = false;
    this.runs.feed.detach();
  }

  private post(message: ToTraining): void {
    void this.panel.webview.postMessage(message);
  }
}

/** In the Explorer where the workspace has it, otherwise where the system shows folders. */
async function revealFolder(folder: vscode.Uri): Promise<void> {
  const isInside = vscode.workspace.getWorkspaceFolder(folder) !== undefined;
  await vscode.commands.executeCommand(isInside ? 'revealInExplorer' : 'revealFileInOS', folder);
}
