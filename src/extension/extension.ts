import * as vscode from 'vscode';
import type { ConversionChoices } from '../../webview/conversion/protocol';
import { EngineClient, type EngineEvents } from './engineClient';
import { tensorflowFolder } from './devices/installTensorflow';
import { engineProgram } from './engineProcess';
import { registerCommands, sampleOf } from './commands';
import { Conversions } from './conversion/conversions';
import type { ConversionController } from './conversion/conversionController';
import type { AuditState } from './panel/auditFeed';
import { Panels } from './panels';
import { StatusBar } from './statusBar';
import type { DeviceSettings } from '../compute';
import { tensorflowSetting } from './settings';
import { RECIPES, RecipeLens } from './recipeLens';
import type { UtilizationController } from './measurement/utilizationController';
import { Utilizations } from './measurement/utilizations';
import { startTraining, type Training } from './training/training';
import type { TrainingController } from './training/trainingController';

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
  /** What is known of a recipe's runs, if its panel is open. */
  readonly trainingState: (uri: vscode.Uri) => TrainingController['state'] | undefined;
  readonly enginePid: () => number | undefined;
  readonly sample: vscode.Uri;
}

export function activate(context: vscode.ExtensionContext): RankscopeTestApi {
  const log = vscode.window.createOutputChannel('Rankscope', { log: true });
  const engineFile = vscode.Uri.joinPath(context.extensionUri, 'dist', 'engine.js').fsPath;
  const engine = new EngineClient(
    engineProgram(engineFile),
    engineEvents(log, () => deviceSettings(context)),
  );
  const status = new StatusBar();
  const services = {
    ...{ engine, status, log },
    extensionUri: context.extensionUri,
    storage: context.globalStorageUri,
  };
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
  const training: Training = startTraining({ ...services, openAudit }, context.workspaceState);
  const commands = registerCommands({ panels, conversions, utilizations, training }, services);
  const lens = new RecipeLens(training.hub);
  const lenses = vscode.languages.registerCodeLensProvider(RECIPES, lens);
  const devicesChanged = (): void => {
    engine.devicesChanged();
  };
  context.subscriptions.push(
    vscode.workspace.onDidGrantWorkspaceTrust(devicesChanged),
    vscode.workspace.onDidChangeWorkspaceFolders(devicesChanged),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration('rankscope.tensorflow')) devicesChanged();
    }),
  );
  context.subscriptions.push(log, engine, status, panels, conversions, utilizations, training);
  context.subscriptions.push(commands, lens, lenses);
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
    trainingState: (uri) => training.panels.of(uri)?.state,
    enginePid: () => engine.pid,
    sample: sampleOf(context.extensionUri),
  };
}

/**
 * Where TensorFlow may be: where the settings say, in the extension's own storage, and among the packages of the workspace.
 * Loading a package runs it, so a workspace that is not trusted is not looked at.
 */
function deviceSettings({ globalStorageUri }: vscode.ExtensionContext): DeviceSettings {
  const tensorflow = tensorflowSetting();
  const folders = vscode.workspace.isTrusted ? (vscode.workspace.workspaceFolders ?? []) : [];
  const local = folders.flatMap(({ uri }) => (uri.scheme === 'file' ? [uri.fsPath] : []));
  return {
    ...(tensorflow !== undefined && { tensorflow }),
    folders: [tensorflowFolder(globalStorageUri).fsPath, ...local],
  };
}

function engineEvents(log: vscode.LogOutputChannel, devices: () => DeviceSettings): EngineEvents {
  const showLog = vscode.l10n.t('Show Log');
  return {
    log: (level, message) => {
      log[level](message);
    },
    devices,
    backendNotice: (notice) => {
      const choose = vscode.l10n.t('Choose Backend');
      void vscode.window.showWarningMessage(notice, choose, showLog).then((chosen) => {
        if (chosen === showLog) log.show();
        if (chosen === choose) void vscode.commands.executeCommand('rankscope.selectBackend');
      });
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
