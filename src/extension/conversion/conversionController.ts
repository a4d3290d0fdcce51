import path from 'node:path';
import * as vscode from 'vscode';
import type { ConversionPreview } from '../../engine/conversionProtocol';
import type {
  Call,
  CallReply,
  ConversionCalls,
  ConversionChoices,
  FromConversion,
  PageSineSpectrum,
  ToConversion,
  WrittenFile,
} from '../../../webview/conversion/protocol';
import { fillPage, type PanelServices } from '../panel/page';
import { ResourceWatcher } from '../panel/resourceWatcher';
import { auditSettings } from '../settings';
import { ConversionFeed, type ConversionFeedState } from './conversionFeed';
import { ConversionRunner } from './conversionRunner';
import { loadingLines } from './loadingLines';

export interface ConversionServices extends PanelServices {
  readonly openAudit: (uri: vscode.Uri) => Promise<void>;
}

/** A conversion panel as far as it is; for tests. */
export interface ConversionState extends ConversionFeedState {
  readonly preview?: ConversionPreview;
  /** Why there is no preview. */
  readonly previewFailure?: string;
}

/** One panel and the conversion it asks for. Lives as long as the panel. */
export class ConversionController {
  private readonly feed: ConversionFeed;
  private readonly runner: ConversionRunner;
  private readonly watcher: ResourceWatcher;
  /** Ends what the page asked for when nobody waits for it any more. */
  private readonly closing = new AbortController();
  private preview: ConversionPreview | undefined;
  private previewFailure: string | undefined;
  private attached = false;

  /** @param layer the page shall show at first. */
  constructor(
    readonly resource: vscode.Uri,
    isFolder: boolean,
    private readonly panel: vscode.WebviewPanel,
    private readonly services: ConversionServices,
    private layer: string | undefined,
  ) {
    const label = path.basename(resource.fsPath);
    this.feed = new ConversionFeed((message) => {
      this.post(message);
    });
    this.runner = new ConversionRunner(
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
    this.watcher = new ResourceWatcher(resource.fsPath, isFolder, (what) => {
      this.changed(what);
    });
    this.listen();
    fillPage(panel.webview, services.extensionUri, { kind: 'conversion', resource, title: label });
    void this.loadPreview();
  }

  get state(): ConversionState & { readonly pageListens: boolean } {
    return {
      ...this.feed.state,
      ...(this.preview !== undefined && { preview: this.preview }),
      ...(this.previewFailure !== undefined && { previewFailure: this.previewFailure }),
      pageListens: this.attached,
    };
  }

  get isActive(): boolean {
    return this.panel.active;
  }

  /** Brings the panel to the front, at a layer where one is given. */
  reveal(layer: string | undefined): void {
    this.panel.reveal();
    if (layer === undefined) return;
    this.layer = layer;
    this.postLayer();
  }

  /** Never rejects: failures are shown in the panel. */
  async convert(choices: ConversionChoices): Promise<void> {
    this.post({ type: 'started', choices });
    await this.runner.start(choices);
  }

  private listen(): void {
    const { panel, services } = this;
    panel.webview.onDidReceiveMessage((message: FromConversion) => {
      this.receive(message).catch((error: unknown) => {
        services.log.error(error instanceof Error ? error : String(error));
      });
    });
    panel.onDidChangeViewState(() => {
      if (!panel.visible) this.detach();
    });
    panel.onDidDispose(() => {
      this.dispose();
    });
  }

  private async receive(message: FromConversion): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.attach();
        return;
      case 'convert':
        await this.convert(message.choices);
        return;
      case 'cancel':
        this.runner.cancel();
        return;
      case 'retry':
        await this.loadPreview();
        return;
      case 'openLog':
        this.services.log.show();
        return;
      case 'call':
        await this.answer(message);
        return;
    }
  }

  private attach(): void {
    this.attached = true;
    this.postPreview();
    const { choices } = this.runner;
    if (choices !== undefined) this.post({ type: 'started', choices });
    this.feed.attach();
    this.postLayer();
  }

  private detach(): void {
    this.attached = false;
    this.feed.detach();
  }

  private async loadPreview(): Promise<void> {
    try {
      const params = { path: this.resource.fsPath };
      this.preview = await this.services.engine.request('conversionPreview', params, this.closing.signal);
      this.previewFailure = undefined;
    } catch (error) {
      this.previewFailure = error instanceof Error ? error.message : String(error);
    }
    this.postPreview();
    this.postLayer();
  }

  private changed(what: 'changed' | 'gone'): void {
    if (what === 'gone')
      this.feed.notice(vscode.l10n.t('The file is gone; it cannot be converted any more.'));
    else {
      if (this.runner.choices !== undefined)
        this.feed.notice(vscode.l10n.t('The file changed on disk; the result is of the file as it was.'));
      void this.loadPreview();
    }
  }

  private postPreview(): void {
    if (!this.attached) return;
    if (this.previewFailure !== undefined) this.post({ type: 'previewFailed', message: this.previewFailure });
    else if (this.preview !== undefined) {
      const folder = path.dirname(this.resource.fsPath);
      this.post({ type: 'preview', preview: this.preview, folder });
    }
  }

  private postLayer(): void {
    if (!this.attached || this.layer === undefined || this.preview === undefined) return;
    this.post({ type: 'show', layer: this.layer });
    this.layer = undefined;
  }

  private async answer(call: Call): Promise<void> {
    const { request } = call;
    let reply: CallReply;
    try {
      reply = { type: 'reply', request, ok: true, result: await this.resultOf(call) };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.services.log.warn(message);
      reply = { type: 'reply', request, ok: false, message };
    }
    this.post(reply);
  }

  /** @throws {Error} whose one-line message the page shows. */
  private async resultOf(call: Call): Promise<ConversionCalls[keyof ConversionCalls]['result']> {
    switch (call.call) {
      case 'chooseFolder':
        return this.chooseFolder();
      case 'sineSpectrum':
        return this.sineSpectrum(call.params);
      case 'reveal':
        await revealFile(this.written(call.params.file));
        return null;
      case 'open':
        await this.open(call.params.file);
        return null;
      case 'copyPython':
        await vscode.env.clipboard.writeText(loadingLines(this.document()));
        return null;
    }
  }

  private async chooseFolder(): Promise<string | null> {
    const [folder] =
      (await vscode.window.showOpenDialog({
        ...{ canSelectFiles: false, canSelectFolders: true },
        defaultUri: vscode.Uri.joinPath(this.resource, '..'),
        openLabel: vscode.l10n.t('Write Here'),
        title: vscode.l10n.t('Folder for the converted files'),
      })) ?? [];
    if (folder === undefined) return null;
    if (folder.scheme !== 'file') throw new Error(vscode.l10n.t('Files can only be written to disk.'));
    return folder.fsPath;
  }

  private async sineSpectrum(params: ConversionCalls['sineSpectrum']['params']): Promise<PageSineSpectrum> {
    const { backend } = auditSettings();
    const { original, lowRank, sine, ...facts } = await this.services.engine.request(
      'sineSpectrum',
      { path: this.resource.fsPath, ...params, ...(backend !== undefined && { backend }) },
      this.closing.signal,
    );
    const typed = (values: readonly number[]): Float64Array => Float64Array.from(values);
    return { ...facts, original: typed(original), lowRank: typed(lowRank), sine: typed(sine) };
  }

  private async open(file: WrittenFile): Promise<void> {
    const uri = this.written(file);
    if (file === 'factors' || file === 'materialized') await this.services.openAudit(uri);
    else await vscode.commands.executeCommand('vscode.open', uri);
  }

  private document() {
    const { document } = this.feed;
    if (document === undefined) throw new Error(vscode.l10n.t('There is no result yet.'));
    return document;
  }

  private written(file: WrittenFile): vscode.Uri {
    const written = this.document().files[file];
    if (written === undefined) throw new Error(vscode.l10n.t('This file was not written.'));
    return vscode.Uri.file(written);
  }

  private post(message: ToConversion): void {
    void this.panel.webview.postMessage(message);
  }

  private dispose(): void {
    this.detach();
    this.closing.abort();
    this.watcher.dispose();
    this.runner.dispose();
  }
}

/** In the Explorer where the workspace has it, otherwise in the system's file manager. */
async function revealFile(uri: vscode.Uri): Promise<void> {
  const inWorkspace = vscode.workspace.getWorkspaceFolder(uri) !== undefined;
  await vscode.commands.executeCommand(inWorkspace ? 'revealInExplorer' : 'revealFileInOS', uri);
}
