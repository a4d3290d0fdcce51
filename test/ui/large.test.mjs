// A checkpoint of 500 layers: what a person waits for, measured in the browser and printed. Times depend on the machine
// and are not asserted; that everything arrives and is right is.
//   RANKSCOPE_UI_WIDTH=1024 makes every layer give 1,024 singular values (1 GB, minutes).
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { AuditPanel } from './auditPanel.mjs';
import { eventually, SAMPLE, Workbench } from './harness.mjs';
import { layerName, randomColumns, writeLayeredCheckpoint } from './layeredCheckpoint.mjs';
import { installStopwatch, readStopwatch } from './stopwatch.mjs';

const LAYERS = 500;
const WIDTH = Number(process.env.RANKSCOPE_UI_WIDTH ?? 256);
const NAME = 'large.safetensors';
const PATIENCE_MS = 15 * 60_000;

describe(`a checkpoint of ${LAYERS} layers`, { timeout: PATIENCE_MS }, () => {
  /** @type {Workbench} */
  let workbench;
  let panel;

  before(async () => {
    workbench = await Workbench.open({
      files: [SAMPLE],
      fill: (folder) => writeLayeredCheckpoint(path.join(folder, NAME), { layers: LAYERS, width: WIDTH }),
      prepare: installStopwatch,
    });
    // The engine is warm: it has audited something.
    await workbench.explorerRow(path.basename(SAMPLE)).dblclick();
    const sample = await AuditPanel.of(workbench, path.basename(SAMPLE));
    await sample.outcome();
  });
  after(async () => {
    await workbench?.screenshot('last-large');
    await workbench?.close();
  });
  afterEach(() => {
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });

  it('streams in; times from the click', async (test) => {
    await workbench.explorerRow(NAME).click();
    panel = await AuditPanel.of(workbench, NAME);
    await eventually('a layer', async () => /\d/.test(await panel.status.textContent()));
    await workbench.screenshot('streaming');
    assert.equal(await panel.outcome(PATIENCE_MS), 'done');
    const times = await readStopwatch(workbench, panel);
    const { perSecond, median, worst } = times.frames;
    test.diagnostic(clicked(times));
    test.diagnostic(
      `while ${LAYERS} layers × ${WIDTH} values streamed: ${perSecond.toFixed(0)} frames a second, ` +
        `median ${median.toFixed(1)} ms, longest ${worst.toFixed(0)} ms`,
    );
    await workbench.screenshot('large');
  });

  it('shows at most the rank that each layer was made with', async () => {
    const rows = await panel.rows();
    assert.ok(rows.length >= 10);
    for (const [position, { name, rank }] of rows.entries()) {
      assert.equal(name, layerName(position), 'in the order of the file');
      const most = randomColumns(position, WIDTH);
      assert.ok(Number(rank) <= most && Number(rank) > 0.8 * most, `${name}: rank ${rank} of ${most}`);
    }
  });

  it('reaches the last layer by the keyboard', async () => {
    await panel.layers.focus();
    await panel.layers.press('End');
    await panel.row(layerName(LAYERS - 1)).waitFor();
    await panel.layers.press('Enter');
    await eventually('the last layer selected', async () =>
      (await panel.rows()).some(({ name, selected }) => selected && name === layerName(LAYERS - 1)),
    );
  });

  it('opens again out of the cache', async (test) => {
    await workbench.runCommand('View: Close All Editors');
    await eventually('no tabs', async () => (await workbench.tab(NAME).count()) === 0);
    await workbench.explorerRow(NAME).click();
    panel = await AuditPanel.of(workbench, NAME);
    assert.equal(await panel.outcome(PATIENCE_MS), 'done');
    const times = await readStopwatch(workbench, panel);
    test.diagnostic(`out of the cache: ${clicked(times)}`);
  });
});

/** Until its page stands, VS Code is at work: any panel takes as long. */
function clicked({ page, header, firstLayer, done }) {
  return (
    `click → page ${page} ms; from there: header ${header - page} ms, first layer ${firstLayer - page} ms, ` +
    `done ${done - page} ms`
  );
}
