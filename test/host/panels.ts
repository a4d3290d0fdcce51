/** What the suites do with panels: open a file as its audit, wait for its end, read its state. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';
import type { RankscopeTestApi } from '../../src/extension/extension';

export type PanelState = NonNullable<ReturnType<RankscopeTestApi['auditState']>>;

/** The first webview of a fresh profile takes this long on a small machine. */
const PATIENCE_MS = 30_000;

export async function rankscope(): Promise<RankscopeTestApi> {
  const extension = vscode.extensions.getExtension<RankscopeTestApi>('rankscope.rankscope');
  assert.ok(extension, 'the extension is installed');
  return extension.activate();
}

/** Tries until there is an answer. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined,
  milliseconds = PATIENCE_MS,
): Promise<T> {
  for (const end = Date.now() + milliseconds; ;) {
    const answer = probe();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${milliseconds / 1000} s`);
    await sleep(20);
  }
}

/** A file of the workspace the suite runs in. */
export function workspaceFile(name: string): vscode.Uri {
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(folder, 'a folder is open');
  return vscode.Uri.joinPath(folder.uri, name);
}

/** The panel's audit once it has ended one way or the other, and its page listens. */
export async function ended(uri: vscode.Uri, milliseconds?: number): Promise<PanelState> {
  const { auditState } = await rankscope();
  return eventually(
    `the end of the audit of ${uri.path}`,
    () => {
      const state = auditState(uri);
      const isOver = state?.status === 'done' || state?.status === 'failed' || state?.status === 'cancelled';
      return isOver && state.pageListens ? state : undefined;
    },
    milliseconds,
  );
}

export async function openAsAudit(uri: vscode.Uri): Promise<PanelState> {
  await vscode.commands.executeCommand('vscode.openWith', uri, 'rankscope.audit');
  return ended(uri);
}

export async function closeAll(): Promise<void> {
  await vscode.commands.executeCommand('workbench.action.closeAllEditors');
}

/** A safetensors file of float32 layers, filled by a fixed rule; the same for the same arguments. */
export function checkpointBytes(layers: number, side: number): Uint8Array {
  const bytes = side * side * 4;
  const header = Object.fromEntries(
    Array.from({ length: layers }, (_, i) => [
      `blocks.${i}.weight`,
      { dtype: 'F32', shape: [side, side], data_offsets: [i * bytes, (i + 1) * bytes] },
    ]),
  );
  const json = Buffer.from(JSON.stringify(header));
  const file = Buffer.alloc(8 + json.length + layers * bytes);
  file.writeBigUInt64LE(BigInt(json.length));
  json.copy(file, 8);
  // A multiplicative congruence: no two layers alike, none of them of low rank.
  let state = 1;
  for (let offset = 8 + json.length; offset < file.length; offset += 4) {
    state = (state * 48_271) % 2_147_483_647;
    file.writeFloatLE(state / 2_147_483_647 - 0.5, offset);
  }
  return file;
}
