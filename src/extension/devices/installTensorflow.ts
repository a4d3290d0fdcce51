import * as vscode from 'vscode';
import type { InstallStage } from '../../engine/tensorflowProtocol';
import type { EngineClient } from '../engineClient';

/** TensorFlow's folder in the extension's own storage. */
export function tensorflowFolder(storage: vscode.Uri): vscode.Uri {
  return vscode.Uri.joinPath(storage, 'tensorflow');
}

/**
 * Installs TensorFlow with CUDA into the extension's own storage, after a person has read what it needs. The only thing
 * in this extension that uses the network.
 */
export async function installTensorflow(
  engine: EngineClient,
  storage: vscode.Uri,
  useIt: () => PromiseLike<void>,
): Promise<void> {
  const { supported, lines } = await engine.request('tensorflowRequirements', {});
  const title = vscode.l10n.t('TensorFlow GPU Backend');
  if (!supported) {
    void vscode.window.showWarningMessage(title, { modal: true, detail: lines.join('\n') });
    return;
  }
  const install = vscode.l10n.t('Install');
  const detail = [vscode.l10n.t('It needs:'), ...lines.map((line) => `• ${line}`)].join('\n');
  const asked = await vscode.window.showInformationMessage(title, { modal: true, detail }, install);
  if (asked !== install) return;
  const installed = await vscode.window.withProgress(
    {
      location: vscode.ProgressLocation.Notification,
      title: vscode.l10n.t('Installing TensorFlow'),
      cancellable: true,
    },
    (progress, token) => {
      const cancel = new AbortController();
      token.onCancellationRequested(() => {
        cancel.abort();
      });
      const say = (message: string): void => {
        progress.report({ message });
      };
      return run(engine, tensorflowFolder(storage).fsPath, say, cancel.signal);
    },
  );
  if (!installed) return;
  engine.devicesChanged();
  await useIt();
}

/** @returns whether it is there now. @throws EngineError with one line */
async function run(
  engine: EngineClient,
  folder: string,
  say: (message: string) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const listener = {
    installStage: ({ stage }: { readonly stage: InstallStage }): void => {
      say(inWords(stage));
    },
    restarted: (): void => {
      say(vscode.l10n.t('once more: the engine was started again'));
    },
  };
  try {
    await engine.run('installTensorflow', { job: engine.newJob(), folder }, listener, signal);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}

function inWords({ kind, bytes }: InstallStage): string {
  const megabytes = (bytes / 1e6).toFixed(0);
  return kind === 'packages'
    ? vscode.l10n.t('packages, {0} MB', megabytes)
    : vscode.l10n.t('TensorFlow itself, {0} MB of several hundred', megabytes);
}
