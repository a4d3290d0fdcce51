import path from 'node:path';
import * as vscode from 'vscode';
import type { InspectionDocument } from '../engine/inspectionDocument';
import { inspectionReason } from '../engine/report/inspectionSummary';
import { renderJson } from '../engine/report/json';
import type { PanelServices } from './panel/page';

/** Says whether a file, or a folder that is one model, may be loaded; the whole document opens on request. */
export async function inspectSafety(resource: vscode.Uri, { engine }: PanelServices): Promise<void> {
  const document = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Window, title: vscode.l10n.t('Inspecting…') },
    () => engine.request('inspect', { path: resource.fsPath }),
  );
  // The message stays until somebody closes it: other files do not wait for that.
  void tellAndShow(document);
}

async function tellAndShow(document: InspectionDocument): Promise<void> {
  const details = vscode.l10n.t('Show Details');
  if ((await tell(document, details)) !== details) return;
  const shown = await vscode.workspace.openTextDocument({ language: 'json', content: renderJson(document) });
  await vscode.window.showTextDocument(shown, { preview: true });
}

function tell(document: InspectionDocument, details: string): Thenable<string | undefined> {
  const name = path.basename(document.checkpoint.path);
  const reason = inspectionReason(document);
  const { showErrorMessage, showInformationMessage, showWarningMessage } = vscode.window;
  switch (document.verdict) {
    case 'safe':
      return showInformationMessage(vscode.l10n.t('{0} is safe to load: {1}.', name, reason), details);
    case 'unknown':
      return showWarningMessage(
        vscode.l10n.t('{0} is safe to load only if you trust its source: {1}.', name, reason),
        details,
      );
    case 'suspicious':
      return showWarningMessage(vscode.l10n.t('{0} is suspicious: {1}.', name, reason), details);
    case 'dangerous':
      return showErrorMessage(vscode.l10n.t('{0} is dangerous to load: {1}.', name, reason), details);
  }
}
