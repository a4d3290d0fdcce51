import * as vscode from 'vscode';
import type { KeptState } from '../../../webview/protocol';
import { webviewOptions } from '../panel/page';
import { measuredStem } from './recipeNames';
import {
  UtilizationController,
  type MeasuredResource,
  type UtilizationServices,
} from './utilizationController';

/** The type of the panel; package.json names it where it activates the extension. */
const UTILIZATION_PANEL = 'rankscope.utilization';

/** The measurement panels of the window, one a recipe or model. */
export class Utilizations implements vscode.Disposable {
  private readonly controllers = new Map<string, UtilizationController>();
  private readonly registration: vscode.Disposable;

  constructor(
    private readonly services: UtilizationServices,
    /** Where the data of models without a recipe is remembered, for panels that come back after a restart. */
    private readonly memory: vscode.Memento,
  ) {
    this.registration = vscode.window.registerWebviewPanelSerializer(UTILIZATION_PANEL, {
      deserializeWebviewPanel: (panel, state: unknown) => {
        const kept = state as Partial<KeptState> | null | undefined; // the page's own state: checked below
        if (typeof kept?.resource === 'string') this.restore(vscode.Uri.parse(kept.resource), panel);
        else panel.dispose();
        return Promise.resolve();
      },
    });
  }

  /** Shows a measurement's panel; measures when there is none yet or the one there is has ended without a result. */
  open(measured: MeasuredResource): void {
    const { uri, data } = measured;
    const open = this.controllers.get(uri.toString());
    if (open !== undefined) {
      open.reveal();
      const { status } = open.state;
      if (status === 'failed' || status === 'cancelled') void open.measure();
      return;
    }
    void this.memory.update(dataKey(uri), data?.toString());
    const panel = vscode.window.createWebviewPanel(
      UTILIZATION_PANEL,
      vscode.l10n.t('Utilized Rank of {0}', measuredStem(uri.path)),
      vscode.ViewColumn.Active,
      webviewOptions(this.services.extensionUri),
    );
    this.control(measured, panel);
  }

  /** The controller of a recipe's or model's panel. */
  of(uri: vscode.Uri): UtilizationController | undefined {
    return this.controllers.get(uri.toString());
  }

  dispose(): void {
    this.registration.dispose();
  }

  private restore(uri: vscode.Uri, panel: vscode.WebviewPanel): void {
    const data = this.memory.get<string>(dataKey(uri));
    this.control({ uri, ...(data !== undefined && { data: vscode.Uri.parse(data) }) }, panel);
  }

  private control(measured: MeasuredResource, panel: vscode.WebviewPanel): void {
    panel.iconPath = vscode.Uri.joinPath(this.services.extensionUri, 'media', 'icon.svg');
    const key = measured.uri.toString();
    this.controllers.set(key, new UtilizationController(measured, panel, this.services));
    panel.onDidDispose(() => {
      this.controllers.delete(key);
    });
  }
}

function dataKey(uri: vscode.Uri): string {
  return `utilization.data ${uri.toString()}`;
}
