/** Every shared file, good or hostile, through the editor: a panel with numbers or one clear line, and a living host. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import { closeAll, openAsAudit, rankscope } from './panels';

const { RANKSCOPE_SHARED: shared, RANKSCOPE_REQUIRE_SHARED: required } = process.env;
const data = shared === undefined ? undefined : path.join(shared, 'data');

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}

describe('every shared file through the editor', () => {
  after(closeAll);
  if (data === undefined || !existsSync(data)) {
    it('is skipped: no shared data folder here', function () {
      assert.notEqual(required, '1', 'the shared data is required and missing');
      this.skip();
    });
    return;
  }
  const byFolder = new Map<string, string[]>();
  for (const file of filesIn(data)) {
    const [folder = ''] = path.relative(data, file).split(path.sep);
    byFolder.set(folder, [...(byFolder.get(folder) ?? []), file]);
  }
  for (const [folder, files] of byFolder) {
    it(`${folder}: ${files.length} files`, async function () {
      this.timeout(files.length * 30_000);
      const { enginePid } = await rankscope();
      const pid = enginePid();
      for (const file of files) {
        const { status, message, document } = await openAsAudit(vscode.Uri.file(file));
        if (status === 'done') assert.ok(document, file);
        else {
          assert.equal(status, 'failed', file);
          assert.match(message ?? '', /^[^\n]+$/, file);
          assert.ok(message?.includes(path.basename(file)), `${message ?? ''} names ${file}`);
        }
        await closeAll();
      }
      assert.equal(enginePid(), pid, 'no file brought the engine down');
    });
  }
});
