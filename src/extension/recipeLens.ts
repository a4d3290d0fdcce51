import * as vscode from 'vscode';
import type { RecipeLook } from '../../webview/training/protocol';
import { countRuns } from './training/recipeFile';
import type { RecipeRunsHub } from './training/recipeRunsHub';
import { lookAtRecipe } from './training/recipeText';

/** Runs of other windows and of the command line make their folders without a word to this one. */
const RUN_FOLDERS = '**/*.runs/*';

/** Above the first line of a recipe: what can be done with it. */
export class RecipeLens implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.changed.event;
  private readonly subscriptions: readonly vscode.Disposable[];

  constructor(private readonly hub: RecipeRunsHub) {
    const change = (): void => {
      this.changed.fire();
    };
    const folders = vscode.workspace.createFileSystemWatcher(RUN_FOLDERS, false, true, false);
    this.subscriptions = [
      ...[this.changed, folders, folders.onDidCreate(change), folders.onDidDelete(change)],
      vscode.workspace.onDidGrantWorkspaceTrust(change),
    ];
    // Runs that get further are told of every second: only how many there are, and how many go on, is on show.
    const counts = new Map<string, string>();
    hub.onChange(({ path, runs, live }) => {
      const count = `${runs.length} ${live.length}`;
      if (counts.get(path) === count) return;
      counts.set(path, count);
      change();
    });
  }

  async provideCodeLenses(document: vscode.TextDocument): Promise<vscode.CodeLens[]> {
    const { uri } = document;
    const look = lookAtRecipe(document.getText());
    const runs = await countRuns(uri);
    const lens = (command: string, title: string, tooltip?: string): vscode.CodeLens =>
      new vscode.CodeLens(new vscode.Range(0, 0, 0, 0), {
        ...{ command, title, arguments: [uri] },
        ...(tooltip !== undefined && { tooltip }),
      });
    return [
      ...(look.trains ? trainingLenses(look, lens) : []),
      ...(look.measures ? [lens('rankscope.utilize', measureTitle(look))] : []),
      ...(runs > 0 ? [lens('rankscope.openRuns', this.runsTitle(uri))] : []),
    ];
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private runsTitle(recipe: vscode.Uri): string {
    const live = this.hub.of(recipe.fsPath)?.live.length ?? 0;
    return live === 0
      ? vscode.l10n.t('Open Last Run')
      : `$(sync~spin) ${vscode.l10n.t('Open Last Run ({0} running)', live)}`;
  }
}

type MakeLens = (command: string, title: string, tooltip?: string) => vscode.CodeLens;

function trainingLenses({ script, forms }: RecipeLook, lens: MakeLens): vscode.CodeLens[] {
  if (!vscode.workspace.isTrusted) {
    const why = vscode.l10n.t('Training writes files and may run programs that the recipe names.');
    return [
      lens('workbench.trust.manage', `$(shield) ${vscode.l10n.t('Training Needs a Trusted Workspace')}`, why),
    ];
  }
  const train = lens('rankscope.train', `$(play) ${vscode.l10n.t('Train')}`);
  if (script) return [train];
  const compared = vscode.l10n.t('The same network as {0}, at equal rank', forms.join(', '));
  return [train, lens('rankscope.compareForms', vscode.l10n.t('Compare Forms'), compared)];
}

/** Where it is the only thing to do, it begins with the sign for doing it. */
function measureTitle({ trains }: RecipeLook): string {
  const words = vscode.l10n.t('Measure Utilized Rank');
  return trains ? words : `$(play) ${words}`;
}

/** Recipes, by their names. */
export const RECIPES: vscode.DocumentSelector = { scheme: 'file', pattern: '**/*.rankscope.json' };
