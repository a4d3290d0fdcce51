import * as vscode from 'vscode';
import type { RunSummary, SweepRecipe, TrainingOutline } from '../../../webview/training/protocol';
import type { TrainParams, TrainStarted } from '../../engine/trainingProtocol';
import type { EngineClient } from '../engineClient';
import { chosenInterpreter } from '../measurement/interpreter';
import { auditSettings } from '../settings';
import type { RecipeRunsHub } from './recipeRunsHub';

/** What is asked of the engine about runs, whoever asks: the panel, a command, a task. */
export class RunRequests {
  constructor(
    private readonly engine: EngineClient,
    private readonly hub: RecipeRunsHub,
  ) {}

  /** @param sweep in place of the recipe's own */
  async start(recipe: vscode.Uri, sweep?: SweepRecipe): Promise<TrainStarted> {
    requireTrust();
    const started = await this.engine.request('train', await this.params(recipe, sweep));
    this.hub.started(recipe.fsPath, started.runs);
    return started;
  }

  async outline(recipe: vscode.Uri, sweep: SweepRecipe): Promise<TrainingOutline> {
    return this.engine.request('trainingOutline', await this.params(recipe, sweep));
  }

  /** Keeps a checkpoint of each; they end by themselves, within a moment. */
  async stop(folders: readonly string[]): Promise<void> {
    if (folders.length > 0) await this.engine.request('stopRuns', { folders });
  }

  async resume(recipe: vscode.Uri, folders: readonly string[]): Promise<readonly RunSummary[]> {
    requireTrust();
    const python = await chosenInterpreter(recipe);
    const params = { folders, trusted: true, ...(python !== undefined && { python }) };
    const { runs } = await this.engine.request('resumeRuns', params);
    this.hub.started(recipe.fsPath, runs);
    return runs;
  }

  async delete(folders: readonly string[]): Promise<void> {
    await this.engine.request('deleteRuns', { folders });
  }

  private async params(recipe: vscode.Uri, sweep: SweepRecipe | undefined): Promise<TrainParams> {
    // Asked every time: trust can be granted while a panel is open.
    const trusted = vscode.workspace.isTrusted;
    const python = trusted ? await chosenInterpreter(recipe) : undefined;
    const { backend } = auditSettings();
    return {
      path: recipe.fsPath,
      trusted,
      ...(sweep !== undefined && { sweep }),
      ...(python !== undefined && { python }),
      ...(backend !== undefined && { backend }),
    };
  }
}

/** The workspace is not trusted: nothing was started. */
export class UntrustedError extends Error {
  override readonly name = 'UntrustedError';
}

function requireTrust(): void {
  if (!vscode.workspace.isTrusted)
    throw new UntrustedError(vscode.l10n.t('Training needs a trusted workspace.'));
}
