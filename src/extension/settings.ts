import * as vscode from 'vscode';
import type { AuditSettings } from './panel/auditRunner';

/** The only place where settings are read. Names and defaults stand in package.json. */
function settings(): vscode.WorkspaceConfiguration {
  return vscode.workspace.getConfiguration('rankscope');
}

/** What the settings say about every audit that begins now. */
export function auditSettings(): AuditSettings {
  const backend = settings().get<string>('backend', 'auto');
  const threads = settings().get<number>('threads', 0);
  return {
    cache: settings().get<boolean>('cache.enabled', true),
    ...(backend !== 'auto' && { backend }),
    // Zero leaves the number to the backend.
    ...(Number.isInteger(threads) && threads > 0 && { threads }),
  };
}

export function chosenBackend(): string {
  return settings().get<string>('backend', 'auto');
}

/** The folder of TensorFlow's package that the settings name; undefined when they leave it open. */
export function tensorflowSetting(): string | undefined {
  const path = settings().get<string>('tensorflow', '').trim();
  return path === '' ? undefined : path;
}

/** For this user, on this machine. */
export async function chooseBackend(name: string): Promise<void> {
  await settings().update('backend', name, vscode.ConfigurationTarget.Global);
}

/** The interpreter that the settings name for recipes; undefined when they leave it open. */
export function pythonSetting(resource: vscode.Uri): string | undefined {
  const path = vscode.workspace.getConfiguration('rankscope', resource).get<string>('python', '').trim();
  return path === '' ? undefined : path;
}
