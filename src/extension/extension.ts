import * as vscode from 'vscode';
import type { ConversionChoices } from '../../webview/conversion/protocol';
import { EngineClient, type EngineEvents } from './engineClient';
import { engineProgram } from './engineProcess';
import { registerCommands, sampleOf } from './commands';
import { Conversions } from './conversion/conversions';
import type { ConversionController } from './conversion/conversionController';
import type { AuditState } from './panel/auditFeed';
import { Panels } from './panels';
import { StatusBar } from './statusBar';
import { RECIPES, RecipeLens } from './measurement/recipeLens';
import type { UtilizationController } from './measurement/utilizationController';
import { Utilizations } from './measurement/utilizations';

/** For this extension's own tests; not an interface for other extensions, and changed without notice. */
export interface RankscopeTestApi {
  /** State of the newest panel of a resource; `pageListens` once its page has loaded. */
  readonly auditState: (uri: vscode.Uri) => (AuditState & { readonly pageListens: boolean }) | undefined;
  /** State of a checkpoint's conversion panel. */
  readonly conversionState: (uri: vscode.Uri) => ConversionController['state'] | undefined;
  /** The click on Convert in that panel. */
  readonly convert: (uri: vscode.Uri, choices: ConversionChoices) => void;
  /** State of a recipe's or model's measurement panel. */
  readonly utilizationState: (uri: vscode.Uri) => UtilizationController['state'] | undefined;
  readonly enginePid: () => number | undefined;
  readonly sample: vscode.Uri;
}

export function activate(context: vscode.ExtensionContext): RankscopeTestApi {
  const log = vscode.window.createOutputChannel('Rankscope', { log: true });
  const engineFile = vscode.Uri.joinPath(context.extensionUri, 'dist', 'engine.js').fsPath;
  const engine = new EngineClient(engineProgram(engineFile), engineEvents(log));
  const status = new StatusBar();
  const services = { engine, status, log, extensionUri: context.extensionUri };
  const openAudit = (uri: vscode.Uri): Promise<void> => panels.openFile(uri);
  const conversions = new Conversions({ ...services, openAudit });
  const utilizations = new Utilizations({ ...services, openAudit }, context.workspaceState);
  const panels = new Panels({
    ...services,
    openConversion: (uri, layer) => {
      conversions.open(uri, layer).catch((error: unknown) => {
        log.error(error instanceof Error ? error : String(error));
      });
    },
    measure: (uri) => {
      void vscode.commands.executeCommand('rankscope.utilize', uri);
    },
  });
  const commands = registerCommands(panels, conversions, utilizations, services);
  const lenses = vscode.languages.registerCodeLensProvider(RECIPES, new RecipeLens());
  context.subscriptions.push(log, engine, status, panels, conversions, utilizations, commands, lenses);
  // Whatever activated the extension needs the engine next.
  engine.warm();
  return {
    auditState: (uri) => {
      const controller = panels.of(uri).at(-1);
      return controller === undefined
        ? undefined
        : { ...controller.state, pageListens: controller.pageListens };
    },
    conversionState: (uri) => conversions.of(uri)?.state,
    convert: (uri, choices) => {
      void conversions.of(uri)?.convert(choices);
    },
    utilizationState: (uri) => utilizations.of(uri)?.state,
    enginePid: () => engine.pid,
    sample: sampleOf(context.extensionUri),
  };
}

function engineEvents(log: vscode.LogOutputChannel): EngineEvents {
  const showLog = vscode.l10n.t('Show Log');
  return {
    log: (level, message) => {
      log[level](message);
    },
    stopped: (reason, restarts) => {
      const message = restarts
        ? vscode.l10n.t(
            'The Rankscope engine stopped ({0}) and was started again. Audits go on where they were.',
            reason,
          )
        : vscode.l10n.t(
            'The Rankscope engine stopped several times within a minute ({0}). It is not started again for now.',
            reason,
          );
      void vscode.window.showWarningMessage(message, showLog).then((chosen) => {
        if (chosen === showLog) log.show();
      });
    },
  };
}
