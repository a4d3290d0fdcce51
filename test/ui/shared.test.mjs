// Files of every kind in the shared data folder, checkpoints or not, good or hostile, by a user's clicks. The suite in the
// extension host opens all of them.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AuditPanel } from './auditPanel.mjs';
import { ROOT, Workbench } from './harness.mjs';
import { engineProcesses } from './processes.mjs';

const SHARED = path.join(process.env.RANKSCOPE_SHARED ?? path.join(ROOT, '../shared'), 'data');
const PATIENCE_MS = 15 * 60_000;
const AUDIT_MS = 120_000;
const OPENING_MS = 10_000;

/** The first file of each kind in each folder. */
function filesOfEveryKind(folder) {
  const files = readdirSync(folder, { recursive: true })
    .filter((name) => statSync(path.join(folder, name)).isFile())
    .sort();
  const byKind = new Map(files.reverse().map((name) => [path.dirname(name) + path.extname(name), name]));
  return [...byKind.values()].reverse();
}

const missing = !existsSync(SHARED);
if (missing && process.env.RANKSCOPE_REQUIRE_SHARED === '1') throw new Error(`${SHARED} is missing`);

describe(
  'files of every kind in the shared data',
  { skip: missing && `${SHARED} is missing`, timeout: PATIENCE_MS },
  () => {
    /** @type {Workbench} */
    let workbench;

    before(async () => {
      workbench = await Workbench.open({
        folder: SHARED,
        // Also files that nobody would open as a checkpoint.
        settings: {
          'workbench.editorAssociations': { '*': 'rankscope.audit' },
          // Each takes the place of the one before.
          'workbench.editor.enablePreviewFromQuickOpen': true,
        },
      });
    });
    after(async () => {
      await workbench?.screenshot('last-shared');
      await workbench?.close();
    });

    it('gives a panel, or a reason in the panel; nothing stops', async (test) => {
      const outcomes = [];
      let engine;
      for (const file of filesOfEveryKind(SHARED)) {
        outcomes.push(await openFile(workbench, file));
        const engines = engineProcesses(workbench.server.pid).map(({ pid }) => pid);
        assert.equal(engines.length, 1, `${file}: the engine runs`);
        engine ??= engines[0];
        assert.equal(engines[0], engine, `${file}: the engine was not started again`);
        assert.deepEqual(workbench.console.take(), [], file);
      }
      const failed = outcomes.filter(({ outcome }) => outcome === 'failed');
      test.diagnostic(
        `${outcomes.length} files: ${outcomes.length - failed.length} audited, ${failed.length} refused`,
      );
      for (const { file, reason } of failed) {
        assert.match(reason, /^The audit failed\. \S.{10,}/, `${file}: ${reason}`);
        assert.ok(!reason.includes('\n'), `${file}: one line`);
        assert.ok(!/undefined|\[object| {4}at /.test(reason), `${file}: ${reason}`);
      }
      assert.ok(outcomes.length > failed.length, 'some are checkpoints');
    });
  },
);

/** A click on a list that is being drawn anew is lost now and then; opening a file twice only shows it. */
async function openPanel(workbench, file) {
  for (let tries = 0; tries < 3; tries++) {
    await workbench.quickOpen(file);
    const panel = await AuditPanel.of(workbench, file, OPENING_MS).catch(() => undefined);
    if (panel !== undefined) return panel;
  }
  return AuditPanel.of(workbench, file);
}

async function openFile(workbench, file) {
  try {
    const panel = await openPanel(workbench, file);
    const outcome = await panel.outcome(AUDIT_MS);
    const message = panel.failure.locator('.message-text');
    return { file, outcome, reason: outcome === 'failed' ? (await message.textContent()).trim() : '' };
  } catch (error) {
    throw new Error(`${file}: ${error.message}`, { cause: error });
  }
}
