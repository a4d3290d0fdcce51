import * as vscode from 'vscode';

/** Above the first line of a recipe: measure it. */
export class RecipeLens implements vscode.CodeLensProvider {
  provideCodeLenses({ uri }: vscode.TextDocument): vscode.CodeLens[] {
    return [
      new vscode.CodeLens(new vscode.Range(0, 0, 0, 0), {
        command: 'rankscope.utilize',
        title: `$(play) ${vscode.l10n.t('Measure Utilized Rank')}`,
        arguments: [uri],
      }),
    ];
  }
}

/** Recipes, by their names. */
export const RECIPES: vscode.DocumentSelector = { scheme: 'file', pattern: '**/*.rankscope.json' };
