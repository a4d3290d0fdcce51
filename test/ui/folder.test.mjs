// A folder that is one model in shards: no editor can open it, so its panel has to find its way back by itself.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AuditPanel } from './auditPanel.mjs';
import { eventually, SAMPLE, Workbench } from './harness.mjs';

const FOLDER = 'sharded-model';

describe('a folder that is one model in shards', { timeout: 300_000 }, () => {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'rankscope-folder-'));
  /** @type {Workbench} */
  let workbench;

  before(async () => {
    const folder = path.join(scratch, FOLDER);
    mkdirSync(folder);
    cpSync(SAMPLE, path.join(folder, 'model-00001-of-00001.safetensors'));
    workbench = await Workbench.open({ files: [folder] });
  });
  after(async () => {
    await workbench?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  it('opens from the context menu of the Explorer', async () => {
    await workbench.chooseInContextMenu(FOLDER, 'Audit Ranks');
    const panel = await AuditPanel.of(workbench, FOLDER);
    assert.equal(await panel.outcome(), 'done');
    assert.equal((await panel.rows()).length, 10);
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });

  it('is there again, audited, when the window was loaded again', async () => {
    // The workbench stores its layout when it is idle.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await workbench.reloadWindow();
    await eventually('the tab of the folder', async () => (await workbench.tab(FOLDER).count()) > 0);
    const panel = await AuditPanel.of(workbench, FOLDER);
    assert.equal(await panel.outcome(), 'done');
    assert.equal((await panel.rows()).length, 10);
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });
});
