/** The command and its panel in an extension host, with the real engine: files appear, and the engine may be killed. */
import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import type { RankscopeTestApi } from '../../src/extension/extension';
import { checkpointBytes, closeAll, eventually, rankscope, workspaceFile } from './panels';

type State = NonNullable<ReturnType<RankscopeTestApi['conversionState']>>;

/** Two webviews beside each other and fits behind them, on a small machine that has other work as well. */
const PATIENCE_MS = 150_000;
const TEST_TIMEOUT_MS = 300_000;

/** The panel of a checkpoint once its page listens and its preview is there. */
async function opened(uri: vscode.Uri): Promise<State> {
  const { conversionState } = await rankscope();
  return eventually(
    `the conversion panel of ${uri.path}`,
    () => {
      const state = conversionState(uri);
      return state?.pageListens === true && state.preview !== undefined ? state : undefined;
    },
    PATIENCE_MS,
  );
}

function conversionTabs(): readonly vscode.Tab[] {
  return vscode.window.tabGroups.all.flatMap(({ tabs }) =>
    tabs.filter(
      ({ input }) =>
        input instanceof vscode.TabInputWebview && input.viewType.includes('rankscope.conversion'),
    ),
  );
}

describe('Convert to Sine-Low-Rank', function () {
  this.timeout(TEST_TIMEOUT_MS);
  afterEach(closeAll);

  it('opens a panel that knows the checkpoint’s layers, once, beside the original', async () => {
    const uri = workspaceFile('sample.safetensors');
    await vscode.commands.executeCommand('vscode.openWith', uri, 'rankscope.audit');
    await vscode.commands.executeCommand('rankscope.convert', uri);
    const { preview, status } = await opened(uri);
    assert.equal(status, 'opening', 'nothing is converted before somebody says so');
    assert.equal(preview?.layers.length, 10);
    const [embedding] = preview.layers.filter(({ byDefault }) => !byDefault);
    assert.deepEqual([embedding?.name, embedding?.kind], ['position_embedding.weight', 'embedding']);
    await vscode.commands.executeCommand('rankscope.convert', uri);
    const [tab, ...others] = conversionTabs();
    assert.ok(tab);
    assert.equal(others.length, 0);
    assert.equal(tab.group.viewColumn, vscode.ViewColumn.Two);
  });

  it('says in the panel why a file cannot be converted', async () => {
    const { conversionState } = await rankscope();
    const uri = workspaceFile('unconvertible.safetensors');
    await vscode.workspace.fs.writeFile(uri, Buffer.from('not a checkpoint'));
    await vscode.commands.executeCommand('rankscope.convert', uri);
    const failure = await eventually('a reason', () => conversionState(uri)?.previewFailure, PATIENCE_MS);
    assert.match(failure, /^[^\n]*unconvertible\.safetensors[^\n]*$/);
    await vscode.workspace.fs.delete(uri);
  });

  it('converts the sample: files beside it, sine no worse than truncated SVD', async () => {
    const { convert } = await rankscope();
    const uri = workspaceFile('sample.safetensors');
    await vscode.commands.executeCommand('rankscope.convert', uri);
    await opened(uri);
    convert(uri, { ranks: { kind: 'share', share: 0.1 }, materialize: true });
    const { document } = await ended(uri);
    assert.ok(document);
    assert.equal(document.summary.converted, 9);
    assert.ok(document.summary.compressionRate < 0.3);
    for (const layer of document.layers) {
      if (layer.outcome === 'converted')
        assert.ok(layer.relativeError <= layer.svdRelativeError + 1e-4, layer.name);
    }
    const { factors, document: report, loader, materialized } = document.files;
    for (const file of [factors, report, loader, materialized]) {
      assert.ok(file);
      const { size } = await vscode.workspace.fs.stat(vscode.Uri.file(file));
      assert.ok(size > 0, file);
      await vscode.workspace.fs.delete(vscode.Uri.file(file));
    }
  });

  it('goes on in a new engine when the old one is killed half-way', async () => {
    const { convert, conversionState, enginePid } = await rankscope();
    const uri = workspaceFile('fitting.safetensors');
    await vscode.workspace.fs.writeFile(uri, checkpointBytes(6, 256));
    await vscode.commands.executeCommand('rankscope.convert', uri);
    await opened(uri);
    convert(uri, { ranks: { kind: 'rank', rank: 12 }, materialize: false });
    await eventually(
      'a fitted layer',
      () => {
        const state = conversionState(uri);
        return state?.status === 'running' && state.finishedLayers > 0 ? true : undefined;
      },
      PATIENCE_MS,
    );
    const pid = await eventually('a running engine', enginePid);
    process.kill(pid, 'SIGKILL');
    const { status, document, notices } = await ended(uri);
    assert.equal(status, 'done');
    assert.equal(document?.summary.converted, 6);
    assert.match(notices.join(), /SIGKILL/);
    for (const file of Object.values(document.files)) await vscode.workspace.fs.delete(vscode.Uri.file(file));
    await vscode.workspace.fs.delete(uri);
  });
});

/** The conversion of a panel once it has ended one way or the other. */
async function ended(uri: vscode.Uri): Promise<State> {
  const { conversionState } = await rankscope();
  const state = await eventually(
    `the end of the conversion of ${uri.path}`,
    () => {
      const now = conversionState(uri);
      return now !== undefined && now.status !== 'opening' && now.status !== 'running' ? now : undefined;
    },
    PATIENCE_MS,
  );
  assert.notEqual(state.status, 'failed', state.message);
  return state;
}
