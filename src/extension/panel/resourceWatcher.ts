import { stat } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';

/** A file being written tells of many changes; the audit waits until it is left alone this long. */
const SETTLE_MS = 700;

/**
 * Tells when a checkpoint on disk is other than it was: a file by its own changes; a folder, or an index whose shards
 * lie beside it, by those of the files in the folder.
 */
export class ResourceWatcher implements vscode.Disposable {
  private readonly wholeFolder: boolean;
  private readonly subscriptions: vscode.Disposable[] = [];
  private timer: NodeJS.Timeout | undefined;
  private fingerprint: Promise<string | undefined>;

  /** @param onChange `gone` when there is nothing any more. */
  constructor(
    private readonly file: string,
    isFolder: boolean,
    private readonly onChange: (what: 'changed' | 'gone') => void,
  ) {
    this.wholeFolder = isFolder || file.endsWith('.index.json');
    const folder = isFolder ? file : path.dirname(file);
    // Names may hold what a glob pattern would take for its own: all changes of the one folder are looked through.
    const pattern = new vscode.RelativePattern(vscode.Uri.file(folder), '*');
    const watcher = vscode.workspace.createFileSystemWatcher(pattern);
    const seen = (uri: vscode.Uri): void => {
      if (this.wholeFolder || path.basename(uri.fsPath) === path.basename(file)) this.settle();
    };
    this.subscriptions.push(
      watcher,
      watcher.onDidChange(seen),
      watcher.onDidCreate(seen),
      watcher.onDidDelete(seen),
    );
    this.fingerprint = this.takeFingerprint();
  }

  dispose(): void {
    clearTimeout(this.timer);
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private settle(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      void this.compare();
    }, SETTLE_MS);
  }

  private async compare(): Promise<void> {
    const before = await this.fingerprint;
    this.fingerprint = this.takeFingerprint();
    const after = await this.fingerprint;
    if (after === undefined) {
      if (before !== undefined) this.onChange('gone');
    } else if (this.wholeFolder || before !== after) this.onChange('changed');
  }

  /** Size, time and identity of the file; undefined when there is none. Never rejects. */
  private async takeFingerprint(): Promise<string | undefined> {
    try {
      const { size, mtimeMs, ino } = await stat(this.file);
      return `${size} ${mtimeMs} ${ino}`;
    } catch {
      return undefined;
    }
  }
}
