import path from 'node:path';
import * as vscode from 'vscode';
import type { KeptState } from '../../../webview/protocol';
import { webviewOptions } from '../panel/page';
import { TrainingController, type TrainingServices } from './trainingController';

/** The type of the panel; package.json names it where it activates the extension. */
const TRAINING_PANEL = 'rankscope.training';

/** The panels of runs in the window, one a recipe. */
export class Trainings implements vscode.Disposable {
  private readonly controllers = new Map<string, TrainingController>();
  private readonly registration: vscode.Disposable;

  constructor(private readonly services: TrainingServices) {
    this.registration = vscode.window.registerWebviewPanelSerializer(TRAINING_PANEL, {
      deserializeWebviewPanel: (panel, state: unknown) => {
        const kept = state as Partial<KeptState> | null | undefined; // the page's own state: checked below
        if (typeof kept?.resource === 'string') this.control(vscode.Uri.parse(kept.resource), panel);
        else panel.dispose();
        return Promise.resolve();
      },
    });
  }

  /** Shows the panel of a recipe's runs. */
  open(recipe: vscode.Uri): void {
    const open = this.controllers.get(recipe.toString());
    if (open !== undefined) {
      open.reveal();
      return;
    }
    const panel = vscode.window.createWebviewPanel(
      TRAINING_PANEL,
      vscode.l10n.t('{0}: runs', path.posix.basename(recipe.path)),
      vscode.ViewColumn.Active,
      webviewOptions(this.services.extensionUri),
    );
    this.control(recipe, panel);
  }

  /** The controller of a recipe's panel. */
  of(recipe: vscode.Uri): TrainingController | undefined {
    return this.controllers.get(recipe.toString());
  }

  /** The recipe of the panel in front, if it is one of these. */
  get active(): vscode.Uri | undefined {
    return [...this.controllers.values()].find(({ isActive }) => isActive)?.recipe;
  }

  dispose(): void {
    this.registration.dispose();
  }

  private control(recipe: vscode.Uri, panel: vscode.WebviewPanel): void {
    panel.iconPath = vscode.Uri.joinPath(this.services.extensionUri, 'media', 'icon.svg');
    const key = recipe.toString();
    this.controllers.set(key, new TrainingController(recipe, panel, this.services));
    panel.onDidDispose(() => {
      this.controllers.delete(key);
    });
  }
}
