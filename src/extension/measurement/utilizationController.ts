import path from 'node:path';
import * as vscode from 'vscode';
import type { FromUtilization, ToUtilization } from '../../../webview/measurement/protocol';
import { renderJson } from '../../engine/report/json';
import { fillPage, type PanelServices } from '../panel/page';
import { ResourceWatcher } from '../panel/resourceWatcher';
import { auditSettings } from '../settings';
import { chosenInterpreter } from './interpreter';
import { measuredStem } from './recipeNames';
import { UtilizationFeed, type UtilizationState } from './utilizationFeed';
import { UtilizationRunner, type MeasurementParams } from './utilizationRunner';

export interface UtilizationServices extends PanelServices {
  readonly openAudit: (uri: vscode.Uri) => Promise<void>;
}

/** What a measurement panel is about: a recipe, or a model with its data. */
export interface MeasuredResource {
  readonly uri: vscode.Uri;
  /** Data for a model that is opened without a recipe. */
  readonly data?: vscode.Uri;
}

/** One panel and the measurement it shows. Lives as long as the panel. */
export class UtilizationController {
  private readonly feed: UtilizationFeed;
  private readonly runner: UtilizationRunner;
  private readonly watcher: ResourceWatcher;
  private attached = false;

  constructor(
    readonly measured: MeasuredResource,
    private readonly panel: vscode.WebviewPanel,
    private readonly services: UtilizationServices,
  ) {
    const { uri } = measured;
    const label = path.basename(uri.fsPath);
    this.feed = new UtilizationFeed((message) => {
      this.post(message);
    });
    this.runner = new UtilizationRunner(
      services.engine,
      this.feed,
      auditSettings,
      services.status.listener(label),
      (reason) =>
        vscode.l10n.t(
          'The engine stopped ({0}) and was started again; the measurement goes on where it was.',
          reason,
        ),
    );
    panel.webview.onDidReceiveMessage((message: FromUtilization) => {
      this.receive(message).catch((error: unknown) => {
        services.log.error(error instanceof Error ? error : String(error));
      });
    });
    panel.onDidChangeViewState(() => {
      if (!panel.visible) this.detach();
    });
    panel.onDidDispose(() => {
      this.detach();
      this.watcher.dispose();
      this.runner.dispose();
    });
    this.watcher = new ResourceWatcher(uri.fsPath, false, (what) => {
      this.changed(what);
    });
    fillPage(panel.webview, services.extensionUri, { kind: 'utilization', resource: uri, title: label });
    void this.measure();
  }

  get state(): UtilizationState & { readonly pageListens: boolean } {
    return { ...this.feed.state, pageListens: this.attached };
  }

  get isActive(): boolean {
    return this.panel.active;
  }

  reveal(): void {
    this.panel.reveal();
  }

  /** Measures, going on where an earlier run of the same stopped. */
  async measure(): Promise<void> {
    await this.runner.start(await this.params());
  }

  private async params(decompose?: string): Promise<MeasurementParams> {
    const { uri, data } = this.measured;
    // Asked every time: trust can be granted while the panel is open.
    const trusted = vscode.workspace.isTrusted;
    const python = trusted ? await chosenInterpreter(uri) : undefined;
    return {
      path: uri.fsPath,
      trusted,
      ...(data !== undefined && { data: data.fsPath }),
      ...(python !== undefined && { python }),
      ...(decompose !== undefined && { decompose }),
    };
  }

  private async receive(message: FromUtilization): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.attached = true;
        this.feed.attach();
        return;
      case 'cancel':
        this.runner.cancel();
        return;
      case 'resume':
        await this.measure();
        return;
      case 'openRecipe':
        await vscode.commands.executeCommand('vscode.open', this.measured.uri);
        return;
      case 'openAudit':
        await this.openAudit();
        return;
      case 'export':
        await this.answer(message.request, () => this.export());
        return;
      case 'decompose':
        await this.answer(message.request, () => this.decompose());
        return;
      case 'openLog':
        this.services.log.show();
        return;
    }
  }

  private async openAudit(): Promise<void> {
    const checkpoint = this.feed.document?.checkpoint?.path;
    if (checkpoint !== undefined) await this.services.openAudit(vscode.Uri.file(checkpoint));
  }

  private async export(): Promise<string | undefined> {
    const { document } = this.feed;
    if (document === undefined) throw new Error(vscode.l10n.t('There is no result yet.'));
    const target = await this.askWhere('utilization.json', { JSON: ['json'] });
    if (target === undefined) return undefined;
    await vscode.workspace.fs.writeFile(target, new TextEncoder().encode(renderJson(document)));
    return vscode.l10n.t('Saved as {0}', path.basename(target.path));
  }

  private async decompose(): Promise<string | undefined> {
    const { document } = this.feed;
    if (document === undefined) throw new Error(vscode.l10n.t('There is no result yet.'));
    const target = await this.askWhere('decomposed.safetensors', { safetensors: ['safetensors'] });
    if (target === undefined) return undefined;
    if (target.scheme !== 'file') throw new Error(vscode.l10n.t('Files can only be written to disk.'));
    const written = await this.runner.decompose(await this.params(target.fsPath), document);
    switch (written.kind) {
      case 'cancelled':
        return undefined;
      case 'changed':
        throw new Error(
          vscode.l10n.t(
            'The network, its data or the recipe changed since it was measured. Measure again before writing a checkpoint.',
          ),
        );
      case 'done': {
        const { files, notes } = written.document;
        if (files?.decomposed === undefined)
          throw new Error(notes.at(-1) ?? vscode.l10n.t('There is nothing to write.'));
        return vscode.l10n.t('Saved as {0}', path.basename(files.decomposed));
      }
    }
  }

  private async askWhere(
    ending: string,
    filters: Readonly<Record<string, string[]>>,
  ): Promise<vscode.Uri | undefined> {
    const { uri } = this.measured;
    const target = await vscode.window.showSaveDialog({
      defaultUri: vscode.Uri.joinPath(uri, '..', `${measuredStem(uri.path)}.${ending}`),
      filters,
    });
    if (target?.toString() === uri.toString())
      throw new Error(vscode.l10n.t('This would overwrite what is measured.'));
    return target;
  }

  /** @param work gives what the page shows, or undefined when the person thought better of it. */
  private async answer(request: number, work: () => Promise<string | undefined>): Promise<void> {
    try {
      const message = await work();
      const ok = message !== undefined;
      this.post({ type: 'reply', request, ok, ...(ok && { message }) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.services.log.warn(message);
      this.post({ type: 'reply', request, ok: false, message });
    }
  }

  private changed(what: 'changed' | 'gone'): void {
    const name = path.basename(this.measured.uri.fsPath);
    this.feed.notice(
      what === 'gone'
        ? vscode.l10n.t('{0} is gone; it cannot be measured any more.', name)
        : vscode.l10n.t(
            '{0} changed on disk; the result is of the file as it was. Measure Again goes by the new one.',
            name,
          ),
    );
  }

  private detach(): void {
    this.attached = false;
    this.feed.detach();
  }

  private post(message: ToUtilization): void {
    void this.panel.webview.postMessage(message);
  }
}
