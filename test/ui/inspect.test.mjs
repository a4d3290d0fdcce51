// Whether a file is safe to load, in a real workbench: by the command, and at the head of its audit.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { AuditPanel } from './auditPanel.mjs';
import { SAMPLE, Workbench } from './harness.mjs';

const SAMPLE_NAME = path.basename(SAMPLE);
const DANGER = 'weights.pkl';
/** What names os.system, and calls it with a command that would do nothing. */
const CALL = 'cos\nsystem\n(Vtrue\ntR.';

describe('the safety of a file in a real VS Code', { timeout: 300_000 }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-inspect-'));
  /** @type {Workbench} */
  let workbench;

  before(async () => {
    writeFileSync(path.join(folder, DANGER), CALL);
    workbench = await Workbench.open({ files: [SAMPLE, path.join(folder, DANGER)] });
  });
  after(async () => {
    await workbench?.screenshot('last-inspect');
    await workbench?.close();
    rmSync(folder, { recursive: true });
  });
  afterEach(() => {
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });

  it('is told by Inspect Safety, with what a pickle names', async () => {
    await workbench.chooseInContextMenu(DANGER, 'Inspect Safety');
    const told = workbench.notification('dangerous to load');
    await told.waitFor();
    assert.match(await told.textContent(), /os\.system/);
    await workbench.screenshot('inspect-dangerous');
    await told.getByRole('button', { name: 'Show Details' }).click();
    await workbench.page.locator('.view-lines', { hasText: 'rankscope/inspection@1' }).waitFor();
    // The workbench repeats messages of errors on its console.
    for (const line of workbench.console.take()) assert.match(line, /^weights\.pkl is dangerous to load/);
  });

  it('is told of a file that holds no code, too', async () => {
    await workbench.chooseInContextMenu(SAMPLE_NAME, 'Inspect Safety');
    await workbench.notification('is safe to load').waitFor();
  });

  it('stands at the head of the audit, also where there is nothing to audit', async () => {
    await workbench.chooseInContextMenu(DANGER, 'Audit Ranks');
    const panel = await AuditPanel.of(workbench, DANGER);
    assert.equal(await panel.outcome(), 'failed');
    const line = panel.frame.locator('.verdict-place');
    await line.getByText('os.system').first().waitFor();
    await workbench.screenshot('inspect-panel');
  });
});
