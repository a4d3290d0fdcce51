import path from 'node:path';
import * as vscode from 'vscode';
import type { KeptState } from '../../webview/protocol';
import { webviewOptions } from './panel/page';
import { PanelController, type AuditPanelServices } from './panel/panelController';

/** The editor of file types that are checkpoints and nothing else: what such a file opens as. */
export const AUDIT_EDITOR = 'rankscope.audit';
/** The same editor, offered by "Open With…" for types that other programs use too. */
export const OPTIONAL_AUDIT_EDITOR = 'rankscope.auditOptional';
/** The panel of a folder, which no editor can open. */
const FOLDER_PANEL = 'rankscope.folder';

interface AuditFile extends vscode.CustomDocument {
  readonly uri: vscode.Uri;
}

/** Every open panel of the window: editors of files, and panels of folders that are one model. */
export class Panels implements vscode.Disposable, vscode.CustomReadonlyEditorProvider<AuditFile> {
  private readonly controllers = new Set<PanelController>();
  private readonly folders = new Map<string, vscode.WebviewPanel>();
  private readonly registrations: vscode.Disposable;

  constructor(private readonly services: AuditPanelServices) {
    const options = { supportsMultipleEditorsPerDocument: true };
    this.registrations = vscode.Disposable.from(
      vscode.window.registerCustomEditorProvider(AUDIT_EDITOR, this, options),
      vscode.window.registerCustomEditorProvider(OPTIONAL_AUDIT_EDITOR, this, options),
      vscode.window.registerWebviewPanelSerializer(FOLDER_PANEL, {
        deserializeWebviewPanel: (panel, state: unknown) => {
          this.restoreFolder(panel, state);
          return Promise.resolve();
        },
      }),
    );
  }

  openCustomDocument(uri: vscode.Uri): AuditFile {
    return { uri, dispose: () => undefined };
  }

  resolveCustomEditor({ uri }: AuditFile, panel: vscode.WebviewPanel): void {
    this.control(uri, false, panel);
  }

  /** Shows a file in the audit editor, whatever its type. */
  async openFile(uri: vscode.Uri): Promise<void> {
    await vscode.commands.executeCommand('vscode.openWith', uri, AUDIT_EDITOR);
  }

  /** Shows a folder that is one model in shards; its panel, when there is one already. */
  openFolder(uri: vscode.Uri): void {
    const open = this.folders.get(uri.toString());
    if (open !== undefined) {
      open.reveal();
      return;
    }
    const panel = vscode.window.createWebviewPanel(
      FOLDER_PANEL,
      path.basename(uri.fsPath),
      vscode.ViewColumn.Active,
      webviewOptions(this.services.extensionUri),
    );
    this.controlFolder(uri, panel);
  }

  /** The controllers of a resource's panels, oldest first. */
  of(uri: vscode.Uri): readonly PanelController[] {
    return [...this.controllers].filter(({ resource }) => resource.toString() === uri.toString());
  }

  /** What the panel in front, if it is one of these, is an audit of. */
  get active(): vscode.Uri | undefined {
    return [...this.controllers].find(({ isActive }) => isActive)?.resource;
  }

  dispose(): void {
    this.registrations.dispose();
  }

  private restoreFolder(panel: vscode.WebviewPanel, state: unknown): void {
    const kept = state as Partial<KeptState> | null | undefined; // the page's own state: checked below
    if (typeof kept?.resource !== 'string') {
      panel.dispose();
      return;
    }
    this.controlFolder(vscode.Uri.parse(kept.resource), panel);
  }

  private controlFolder(uri: vscode.Uri, panel: vscode.WebviewPanel): void {
    panel.iconPath = vscode.Uri.joinPath(this.services.extensionUri, 'media', 'icon.svg');
    this.folders.set(uri.toString(), panel);
    panel.onDidDispose(() => {
      this.folders.delete(uri.toString());
    });
    this.control(uri, true, panel);
  }

  private control(uri: vscode.Uri, isFolder: boolean, panel: vscode.WebviewPanel): void {
    const controller = new PanelController(uri, isFolder, panel, this.services);
    this.controllers.add(controller);
    panel.onDidDispose(() => {
      this.controllers.delete(controller);
    });
  }
}
