import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { PageKind } from '../../../webview/protocol';
import type { EngineClient } from '../engineClient';
import type { StatusBar } from '../statusBar';
import { pageHtml } from './html';

/** What every panel of the window shares. */
export interface PanelServices {
  readonly engine: EngineClient;
  readonly status: StatusBar;
  readonly log: vscode.LogOutputChannel;
  readonly extensionUri: vscode.Uri;
  /** The extension's own folder on this machine, for what it installs. */
  readonly storage: vscode.Uri;
}

/** What a panel may load: the built page, nothing of the workspace. */
export function webviewOptions(extensionUri: vscode.Uri): vscode.WebviewOptions {
  return { enableScripts: true, localResourceRoots: [vscode.Uri.joinPath(extensionUri, 'dist')] };
}

/** Fills a webview with a page. @param title name of what the page is about. */
export function fillPage(
  webview: vscode.Webview,
  extensionUri: vscode.Uri,
  {
    kind,
    resource,
    title,
  }: { readonly kind: PageKind; readonly resource: vscode.Uri; readonly title: string },
): void {
  const address = (name: string): string =>
    webview.asWebviewUri(vscode.Uri.joinPath(extensionUri, 'dist', name)).toString();
  webview.options = webviewOptions(extensionUri);
  webview.html = pageHtml({
    kind,
    script: address('webview.js'),
    style: address('webview.css'),
    cspSource: webview.cspSource,
    nonce: randomBytes(16).toString('hex'),
    title,
    resource: resource.toString(),
    language: vscode.env.language,
  });
}
