import path from 'node:path';
import * as vscode from 'vscode';
import type { RunSummary } from '../../../webview/training/protocol';
import { stateTitle } from '../../../webview/training/model/words';
import { isRecipe } from '../measurement/recipeNames';
import { comparisonSweep, lookAtFile, saveRecipe } from './recipeFile';
import { isLive } from './recipeRuns';
import type { TrainingServices } from './trainingController';
import { UntrustedError } from './runRequests';
import type { Trainings } from './trainings';

/** More recipes than this in a workspace are not offered. */
const MAX_RECIPES = 200;

/** The commands about runs, by the part of their names after `rankscope.`; each rejects with one line for the person. */
export class TrainingCommands {
  constructor(
    private readonly trainings: Trainings,
    private readonly services: TrainingServices,
  ) {}

  /** @param given a recipe; from the palette, what is in front. */
  async train(given: unknown): Promise<void> {
    await this.starting(given, async (recipe) => {
      await this.services.requests.start(recipe);
    });
  }

  async compareForms(given: unknown): Promise<void> {
    await this.starting(given, async (recipe) => {
      const sweep = await comparisonSweep(await lookAtFile(recipe));
      if (sweep !== undefined) await this.services.requests.start(recipe, sweep);
    });
  }

  async openRuns(given: unknown): Promise<void> {
    const recipe = await this.recipe(given);
    if (recipe !== undefined) this.trainings.open(recipe);
  }

  async stopRun(given: unknown): Promise<void> {
    const title = vscode.l10n.t('Stop which runs?');
    const chosen = await this.chooseRuns(given, title, ({ status: { state } }) => isLive(state));
    if (chosen !== undefined) await this.services.requests.stop(chosen.folders);
  }

  async resumeRun(given: unknown): Promise<void> {
    const title = vscode.l10n.t('Resume which runs?');
    const resumable = ['stopped', 'failed', 'lost'];
    const chosen = await this.chooseRuns(given, title, ({ status }) => resumable.includes(status.state));
    if (chosen === undefined) return;
    await this.trusting(async () => {
      this.trainings.open(chosen.recipe);
      await this.services.requests.resume(chosen.recipe, chosen.folders);
    });
  }

  /** Shows the panel first, as what is started takes a moment to be seen there. */
  private async starting(given: unknown, start: (recipe: vscode.Uri) => Promise<void>): Promise<void> {
    const recipe = await this.recipe(given);
    if (recipe === undefined) return;
    await this.trusting(async () => {
      await saveRecipe(recipe);
      if (!(await lookAtFile(recipe)).trains)
        throw new Error(
          vscode.l10n.t('{0} has no training section: it says nothing of how to train.', nameOf(recipe)),
        );
      this.trainings.open(recipe);
      await start(recipe);
    });
  }

  private async trusting(act: () => Promise<void>): Promise<void> {
    try {
      if (!vscode.workspace.isTrusted)
        throw new UntrustedError(vscode.l10n.t('Training needs a trusted workspace.'));
      await act();
    } catch (error) {
      if (!(error instanceof UntrustedError)) throw error;
      const manage = vscode.l10n.t('Manage Workspace Trust');
      const chosen = await vscode.window.showWarningMessage(error.message, manage);
      if (chosen === manage) await vscode.commands.executeCommand('workbench.trust.manage');
    }
  }

  /** What was clicked, the panel or editor in front, or what is chosen among the recipes of the workspace. */
  private async recipe(given: unknown): Promise<vscode.Uri | undefined> {
    return given instanceof vscode.Uri ? given : (this.inFront ?? this.chooseRecipe());
  }

  /** The recipe of the panel or of the editor in front. */
  private get inFront(): vscode.Uri | undefined {
    const open = vscode.window.activeTextEditor?.document.uri;
    const isOpen = open?.scheme === 'file' && isRecipe(open.path);
    return this.trainings.active ?? (isOpen ? open : undefined);
  }

  private async chooseRecipe(): Promise<vscode.Uri | undefined> {
    const found = await vscode.workspace.findFiles('**/*.rankscope.json', '**/node_modules/**', MAX_RECIPES);
    const looks = await Promise.all(found.map(lookAtFile));
    const items = found
      .filter((_, i) => looks[i]?.trains === true)
      .map((uri) => ({
        label: nameOf(uri),
        description: vscode.workspace.asRelativePath(vscode.Uri.joinPath(uri, '..')),
        uri,
      }));
    if (items.length === 0) {
      const words = vscode.l10n.t('There is no recipe with a training section in the workspace.');
      const fresh = vscode.l10n.t('New Training Recipe…');
      const chosen = await vscode.window.showInformationMessage(words, fresh);
      if (chosen === fresh) await vscode.commands.executeCommand('rankscope.newTrainingRecipe');
      return undefined;
    }
    const title = vscode.l10n.t('Which recipe?');
    return (await vscode.window.showQuickPick(items, { title }))?.uri;
  }

  /** Those of a recipe in front, otherwise of all that are followed. One that is alone is not asked for. */
  private async chooseRuns(
    given: unknown,
    title: string,
    applies: (run: RunSummary) => boolean,
  ): Promise<{ readonly recipe: vscode.Uri; readonly folders: readonly string[] } | undefined> {
    const candidates = await this.candidates(given, applies);
    if (candidates.length === 0) {
      void vscode.window.showInformationMessage(vscode.l10n.t('There is no such run.'));
      return undefined;
    }
    const chosen = candidates.length === 1 ? candidates : await pickRuns(candidates, title);
    const [one] = chosen;
    if (one === undefined) return undefined;
    // What is asked at once is of one recipe.
    const folders = chosen.filter(({ file }) => file === one.file).map(({ run }) => run.folder);
    return { recipe: vscode.Uri.file(one.file), folders };
  }

  private async candidates(
    given: unknown,
    applies: (run: RunSummary) => boolean,
  ): Promise<readonly Candidate[]> {
    const followed = this.services.hub.all.map(({ path: file }) => file);
    const front = given instanceof vscode.Uri ? given : this.inFront;
    const recipe = front ?? (followed.length === 0 ? await this.chooseRecipe() : undefined);
    const files = recipe === undefined ? followed : [recipe.fsPath];
    const all = await Promise.all(
      files.map(async (file) => {
        const runs = await this.services.engine.request('runs', { path: file });
        return runs.filter(applies).map((run) => ({ file, run }));
      }),
    );
    return all.flat();
  }
}

interface Candidate {
  readonly file: string;
  readonly run: RunSummary;
}

async function pickRuns(candidates: readonly Candidate[], title: string): Promise<readonly Candidate[]> {
  const items = candidates.map((candidate) => ({
    label: candidate.run.record.label,
    description: `${path.basename(candidate.file)} · ${stateTitle(candidate.run.status.state)}`,
    candidate,
  }));
  const chosen = await vscode.window.showQuickPick(items, { title, canPickMany: true });
  return (chosen ?? []).map(({ candidate }) => candidate);
}

function nameOf(recipe: vscode.Uri): string {
  return path.posix.basename(recipe.path);
}
