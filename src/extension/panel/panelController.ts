import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import type { FromPanel, ToPanel, VerdictShown } from '../../../webview/protocol';
import { auditSettings } from '../settings';
import { AuditFeed, type AuditState } from './auditFeed';
import { AuditRunner } from './auditRunner';
import { fillPage, type PanelServices } from './page';
import { ResourceWatcher } from './resourceWatcher';
import { pythonSnippet } from './snippet';
import { verdictShown } from './verdict';

/** An audit panel also opens the other panels of its checkpoint. */
export interface AuditPanelServices extends PanelServices {
  readonly openConversion: (resource: vscode.Uri, layer?: string) => void;
  readonly measure: (resource: vscode.Uri) => void;
}

type Export = Extract<FromPanel, { type: 'export' }>;

const EXPORTS = {
  json: { extension: 'json', label: 'JSON' },
  csv: { extension: 'csv', label: 'CSV' },
  markdown: { extension: 'md', label: 'Markdown' },
  png: { extension: 'png', label: 'PNG' },
} as const;

const PNG_SIGNATURE: readonly number[] = [0x89, 0x50, 0x4e, 0x47];

/** Longest file name offered for saving: all file systems take 255 bytes. */
const MAX_NAME = 120;

/** One panel and the audit it shows: an editor's, or that of a folder. Lives as long as the panel. */
export class PanelController {
  private readonly feed: AuditFeed;
  private readonly runner: AuditRunner;
  private readonly subscriptions: Pick<vscode.Disposable, 'dispose'>[] = [];
  /** The file changed while nobody looked: audited again when somebody does. */
  private stale = false;
  private attached = false;
  /** Whether the file may be loaded elsewhere, once that is known. */
  private verdict: VerdictShown | undefined;
  private inspecting: AbortController | undefined;

  constructor(
    readonly resource: vscode.Uri,
    isFolder: boolean,
    private readonly panel: vscode.WebviewPanel,
    private readonly services: AuditPanelServices,
  ) {
    this.feed = new AuditFeed((message: ToPanel) => {
      void panel.webview.postMessage(message);
    });
    const label = path.basename(resource.fsPath);
    this.runner = new AuditRunner(
      resource.fsPath,
      services.engine,
      this.feed,
      auditSettings,
      services.status.listener(label),
      (reason) =>
        vscode.l10n.t(
          'The engine stopped ({0}) and was started again; finished layers come from the cache.',
          reason,
        ),
    );
    this.subscriptions.push(
      panel.webview.onDidReceiveMessage((message: FromPanel) => {
        this.receive(message).catch((error: unknown) => {
          services.log.error(error instanceof Error ? error : String(error));
        });
      }),
      panel.onDidChangeViewState(() => {
        if (!panel.visible) this.detach();
      }),
    );
    panel.onDidDispose(() => {
      this.dispose();
    });
    fillPage(panel.webview, services.extensionUri, { kind: 'audit', resource, title: label });
    if (resource.scheme === 'file') {
      this.subscriptions.push(
        new ResourceWatcher(resource.fsPath, isFolder, (what) => {
          this.changed(what);
        }),
      );
      void this.runner.start();
      void this.inspect();
    } else {
      this.feed.end({
        type: 'failed',
        message: vscode.l10n.t('Only files on disk can be audited, not {0}.', `${resource.scheme}:`),
      });
    }
  }

  get state(): AuditState {
    return this.feed.state;
  }

  get isActive(): boolean {
    return this.panel.active;
  }

  /** Whether the page has said that it listens. */
  get pageListens(): boolean {
    return this.attached;
  }

  private detach(): void {
    this.attached = false;
    this.feed.detach();
  }

  private changed(what: 'changed' | 'gone'): void {
    if (what === 'gone') {
      this.feed.notice(vscode.l10n.t('The file is gone; this is what it was.'));
    } else if (this.panel.visible) this.auditChanged();
    else this.stale = true;
  }

  private auditChanged(): void {
    this.stale = false;
    void this.inspect();
    void this.runner.start(vscode.l10n.t('The file changed on disk and is audited again.'));
  }

  private async receive(message: FromPanel): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.attached = true;
        this.feed.attach();
        this.tellVerdict();
        if (this.stale) this.auditChanged();
        return;
      case 'cancel':
        this.runner.cancel();
        return;
      case 'retry':
        await this.runner.start();
        return;
      case 'export':
        await this.answer(message.request, () => this.export(message));
        return;
      case 'copySnippet':
        await this.answer(message.request, () => this.copySnippet(message.layer));
        return;
      case 'convert':
        this.services.openConversion(this.resource, message.layer);
        return;
      case 'measure':
        this.services.measure(this.resource);
        return;
      case 'openLog':
        this.services.log.show();
        return;
    }
  }

  /** Beside the audit, and whatever comes of that: never rejects. */
  private async inspect(): Promise<void> {
    this.inspecting?.abort();
    const controller = new AbortController();
    this.inspecting = controller;
    try {
      const params = { path: this.resource.fsPath };
      const document = await this.services.engine.request('inspect', params, controller.signal);
      if (this.inspecting !== controller) return;
      this.verdict = verdictShown(document);
      this.tellVerdict();
    } catch (error) {
      // The audit says by itself what keeps the file from being read.
      if (!controller.signal.aborted)
        this.services.log.warn(error instanceof Error ? error.message : String(error));
    }
  }

  private tellVerdict(): void {
    const { verdict } = this;
    if (!this.attached || verdict === undefined) return;
    const message: ToPanel = { type: 'verdict', verdict };
    void this.panel.webview.postMessage(message);
  }

  /** @param work gives what the page shows, or undefined when the person thought better of it. */
  private async answer(request: number, work: () => Promise<string | undefined>): Promise<void> {
    let reply: ToPanel;
    try {
      const message = await work();
      reply = {
        type: 'reply',
        request,
        ok: message !== undefined,
        ...(message !== undefined && { message }),
      };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.services.log.warn(message);
      reply = { type: 'reply', request, ok: false, message };
    }
    await this.panel.webview.postMessage(reply);
  }

  private async export({ format, suggestedName, png }: Export): Promise<string | undefined> {
    const { extension, label } = EXPORTS[format];
    const name = `${plainName(suggestedName, extension)}.${extension}`;
    const target = await vscode.window.showSaveDialog({
      defaultUri: vscode.Uri.joinPath(this.resource, '..', name),
      filters: { [label]: [extension] },
      title: vscode.l10n.t('Export'),
    });
    if (target === undefined) return undefined;
    if (target.toString() === this.resource.toString())
      throw new Error(vscode.l10n.t('This would overwrite the checkpoint.'));
    if (format === 'png') await vscode.workspace.fs.writeFile(target, checkedPng(png));
    else if (target.scheme === 'file') await this.runner.report(format, target.fsPath);
    else await this.reportElsewhere(format, target);
    return vscode.l10n.t('Saved as {0}', path.basename(target.path));
  }

  /** The engine writes to disk only; VS Code takes it from there (to the other end of a remote window). */
  private async reportElsewhere(format: Exclude<Export['format'], 'png'>, target: vscode.Uri): Promise<void> {
    const temporary = path.join(tmpdir(), `rankscope-${randomUUID()}.${EXPORTS[format].extension}`);
    const source = vscode.Uri.file(temporary);
    try {
      await this.runner.report(format, temporary);
      await vscode.workspace.fs.copy(source, target, { overwrite: true });
    } finally {
      await vscode.workspace.fs.delete(source).then(undefined, () => undefined);
    }
  }

  private async copySnippet(name: string): Promise<string> {
    const { opened } = this.feed.state;
    const layer = this.feed.layerNamed(name);
    if (opened === undefined || layer === undefined)
      throw new Error(vscode.l10n.t('This layer is not finished yet.'));
    await vscode.env.clipboard.writeText(pythonSnippet(opened.checkpoint, layer));
    return vscode.l10n.t('Python code copied');
  }

  private dispose(): void {
    this.detach();
    this.inspecting?.abort();
    this.runner.dispose();
    for (const subscription of this.subscriptions.splice(0)) subscription.dispose();
  }
}

/** A file name offered by the page, without folders and without what some file system refuses. */
function plainName(suggested: string, extension: string): string {
  const base = path.basename(suggested.replaceAll('\\', '/'));
  const stem = base.toLowerCase().endsWith(`.${extension}`) ? base.slice(0, -extension.length - 1) : base;
  // Control characters too: names come from the page, and the page has them from a file.
  return (
    stem
      // eslint-disable-next-line no-control-regex -- these are the characters to replace
      .replace(/[<>:"/|?*\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e]+/g, '-')
      .replace(/^\.+/, '')
      .slice(0, MAX_NAME)
      .trim() || 'audit'
  );
}

function checkedPng(png: Uint8Array | undefined): Uint8Array {
  const isPng = png instanceof Uint8Array && PNG_SIGNATURE.every((byte, i) => png[i] === byte);
  if (!isPng) throw new Error(vscode.l10n.t('The picture did not arrive whole.'));
  return png;
}
