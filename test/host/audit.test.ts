/** Checkpoints open as their audit: by themselves, by the command, as folders; and follow the file on disk. */
import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import {
  checkpointBytes,
  closeAll,
  ended,
  eventually,
  openAsAudit,
  rankscope,
  workspaceFile,
} from './panels';

describe('Rankscope in an extension host', () => {
  afterEach(closeAll);

  it('has its commands', async () => {
    await rankscope();
    const commands = await vscode.commands.getCommands(true);
    for (const name of ['audit', 'selectBackend', 'showLog', 'clearCache', 'openSample'])
      assert.ok(commands.includes(`rankscope.${name}`), name);
  });

  it('opens a .safetensors file as its audit', async () => {
    const uri = workspaceFile('sample.safetensors');
    await vscode.commands.executeCommand('vscode.open', uri);
    const { status, document, opened, finishedLayers } = await ended(uri);
    assert.equal(status, 'done');
    assert.equal(opened?.checkpoint.format, 'safetensors');
    assert.equal(finishedLayers, 10);
    // Ranks that the sample's README has from numpy.
    const ranks = Object.fromEntries((document?.layers ?? []).map(({ name, rank }) => [name, rank]));
    assert.deepEqual(
      [ranks['fc1.weight'], ranks['fc2.weight'], ranks['fc3.weight'], ranks['classifier.weight']],
      [122, 77, 27, 10],
    );
    const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
    assert.ok(input instanceof vscode.TabInputCustom);
    assert.equal(input.viewType, 'rankscope.audit');
  });

  it('opens the sample that it brings', async () => {
    const { sample } = await rankscope();
    await vscode.commands.executeCommand('rankscope.openSample');
    assert.equal((await ended(sample)).finishedLayers, 10);
  });

  it('leaves a .pt file to its usual editor, and audits it when asked', async () => {
    const uri = workspaceFile('zip_state_dict.pt');
    const { auditState } = await rankscope();
    await vscode.commands.executeCommand('vscode.open', uri);
    assert.equal(auditState(uri), undefined);
    await closeAll();
    await vscode.commands.executeCommand('rankscope.audit', uri);
    const { status, opened } = await ended(uri);
    assert.deepEqual([status, opened?.checkpoint.format], ['done', 'PyTorch (zip)']);
  });

  it('opens a folder that is one model in shards as a panel, once', async () => {
    const folder = workspaceFile('sharded');
    const bytes = await vscode.workspace.fs.readFile(workspaceFile('sample.safetensors'));
    const shard = vscode.Uri.joinPath(folder, 'model-00001-of-00001.safetensors');
    await vscode.workspace.fs.writeFile(shard, bytes);
    try {
      await vscode.commands.executeCommand('rankscope.audit', folder);
      const { status, opened } = await ended(folder);
      assert.deepEqual([status, opened?.checkpoint.format], ['done', 'safetensors (1 shard)']);
      await vscode.commands.executeCommand('rankscope.audit', folder);
      const panels = vscode.window.tabGroups.all.flatMap(({ tabs }) =>
        tabs.filter(({ input }) => input instanceof vscode.TabInputWebview),
      );
      assert.equal(panels.length, 1);
    } finally {
      await vscode.workspace.fs.delete(folder, { recursive: true });
    }
  });

  it('audits again when the file changes, says so, and keeps the numbers when it goes', async () => {
    const { auditState } = await rankscope();
    const uri = workspaceFile('changing.safetensors');
    await vscode.workspace.fs.writeFile(uri, checkpointBytes(3, 16));
    assert.equal((await openAsAudit(uri)).finishedLayers, 3);
    await vscode.workspace.fs.writeFile(uri, checkpointBytes(5, 16));
    const changed = await eventually('the audit of the changed file', () => {
      const state = auditState(uri);
      return state?.status === 'done' && state.finishedLayers === 5 ? state : undefined;
    });
    assert.match(changed.notices.join(), /changed on disk/);
    await vscode.workspace.fs.delete(uri);
    const left = await eventually('a word about the missing file', () => {
      const state = auditState(uri);
      return state?.notices.some((notice) => notice.includes('gone')) === true ? state : undefined;
    });
    assert.deepEqual([left.status, left.finishedLayers], ['done', 5]);
  });

  it('says in the panel why a file cannot be audited', async () => {
    const uri = workspaceFile('broken.safetensors');
    await vscode.workspace.fs.writeFile(uri, Buffer.from('not a checkpoint'));
    const { status, message } = await openAsAudit(uri);
    assert.equal(status, 'failed');
    assert.match(message ?? '', /^[^\n]*broken\.safetensors[^\n]*$/);
    await vscode.workspace.fs.delete(uri);
  });

  it('says that what is not on disk cannot be audited', async () => {
    const uri = vscode.Uri.parse('untitled:nowhere.safetensors');
    const { status, message } = await openAsAudit(uri);
    assert.deepEqual([status, message], ['failed', 'Only files on disk can be audited, not untitled:.']);
  });
});
