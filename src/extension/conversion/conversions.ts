import path from 'node:path';
import * as vscode from 'vscode';
import type { KeptState } from '../../../webview/protocol';
import { webviewOptions } from '../panel/page';
import { ConversionController, type ConversionServices } from './conversionController';

/** The type of the panel; package.json names it where it activates the extension. */
const CONVERSION_PANEL = 'rankscope.conversion';

/** The conversion panels of the window, one a checkpoint. */
export class Conversions implements vscode.Disposable {
  private readonly controllers = new Map<string, ConversionController>();
  private readonly registration: vscode.Disposable;

  constructor(private readonly services: ConversionServices) {
    this.registration = vscode.window.registerWebviewPanelSerializer(CONVERSION_PANEL, {
      deserializeWebviewPanel: async (panel, state: unknown) => {
        const kept = state as Partial<KeptState> | null | undefined; // the page's own state: checked below
        if (typeof kept?.resource !== 'string') {
          panel.dispose();
          return;
        }
        const uri = vscode.Uri.parse(kept.resource);
        this.control(uri, await isDirectory(uri), panel);
      },
    });
  }

  /** Shows the conversion panel of a checkpoint beside what is open; at a layer where one is given. */
  async open(uri: vscode.Uri, layer?: string): Promise<void> {
    if (uri.scheme !== 'file')
      throw new Error(vscode.l10n.t('Only files on disk can be converted, not {0}.', `${uri.scheme}:`));
    const isFolder = await isDirectory(uri);
    const open = this.controllers.get(uri.toString());
    if (open !== undefined) {
      open.reveal(layer);
      return;
    }
    const panel = vscode.window.createWebviewPanel(
      CONVERSION_PANEL,
      vscode.l10n.t('Convert {0}', path.basename(uri.fsPath)),
      vscode.ViewColumn.Beside,
      webviewOptions(this.services.extensionUri),
    );
    this.control(uri, isFolder, panel, layer);
  }

  /** The controller of a checkpoint's panel. */
  of(uri: vscode.Uri): ConversionController | undefined {
    return this.controllers.get(uri.toString());
  }

  /** The checkpoint whose panel is in front and has the focus. */
  get active(): vscode.Uri | undefined {
    return [...this.controllers.values()].find(({ isActive }) => isActive)?.resource;
  }

  dispose(): void {
    this.registration.dispose();
  }

  private control(uri: vscode.Uri, isFolder: boolean, panel: vscode.WebviewPanel, layer?: string): void {
    panel.iconPath = vscode.Uri.joinPath(this.services.extensionUri, 'media', 'icon.svg');
    const key = uri.toString();
    this.controllers.set(key, new ConversionController(uri, isFolder, panel, this.services, layer));
    panel.onDidDispose(() => {
      this.controllers.delete(key);
    });
  }
}

async function isDirectory(uri: vscode.Uri): Promise<boolean> {
  try {
    const { type } = await vscode.workspace.fs.stat(uri);
    return (type & vscode.FileType.Directory) !== 0;
  } catch {
    // Gone since; the panel will say so.
    return false;
  }
}
