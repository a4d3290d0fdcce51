// From the Explorer's menu to files on disk, in a real VS Code with the real engine.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { AuditPanel } from './auditPanel.mjs';
import { ConversionPanel } from './conversionPanel.mjs';
import { eventually, SAMPLE, Workbench } from './harness.mjs';
import { writeLayeredCheckpoint } from './layeredCheckpoint.mjs';

const SAMPLE_NAME = path.basename(SAMPLE);
const STEM = 'sample.sine-s0.15';
const COMMAND = 'Convert to Sine-Low-Rank';
/** Minutes of fitting, in a file of 16 MB: enough to cancel in the middle. */
const SLOW = { name: 'slow.safetensors', layers: 8, width: 1024 };
const PATIENCE_MS = 120_000;

describe('a conversion in a real VS Code', { timeout: 600_000 }, () => {
  /** @type {Workbench} */
  let workbench;
  /** @type {ConversionPanel} */
  let panel;
  let document;

  before(async () => {
    workbench = await Workbench.open({
      files: [SAMPLE],
      fill: (folder) => writeLayeredCheckpoint(path.join(folder, SLOW.name), SLOW),
      viewport: { width: 1600, height: 1000 },
    });
  });
  after(async () => {
    await workbench?.screenshot('last-conversion');
    await workbench?.close();
  });
  afterEach(() => {
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });

  it('opens from the Explorer’s menu, with a price before anything is computed', async () => {
    await workbench.chooseInContextMenu(SAMPLE_NAME, COMMAND);
    panel = await ConversionPanel.of(workbench, SAMPLE_NAME);
    // conv1 to conv3, both attention projections, fc1 to fc3 and the classifier; k = 15 % of the smaller side, at least 1.
    const after = {
      conv1: 21,
      conv2: 248,
      conv3: 880,
      in: 640,
      out: 320,
      fc1: 29184,
      fc2: 19456,
      fc3: 7296,
      classifier: 276,
    };
    const before = {
      conv1: 108,
      conv2: 1728,
      conv3: 4608,
      in: 3072,
      out: 1024,
      fc1: 131072,
      fc2: 65536,
      fc3: 32768,
      classifier: 1280,
    };
    const sum = (of) => Object.values(of).reduce((total, one) => total + one, 0);
    const parameters = 242_670 - sum(before) + sum(after);
    const words = await panel.preview.textContent();
    assert.ok(words.includes(`242,670 → ${parameters.toLocaleString('en-US')}`), words);
    assert.match(words, /9 of 10\slayers converted; dense: 1 embedding/);
    await workbench.screenshot('conversion-form');
  });

  it('converts, and shows what the document on disk says', async () => {
    await panel.convert.click();
    assert.equal(await panel.outcome(PATIENCE_MS), 'done');
    document = JSON.parse(readFileSync(path.join(workbench.folder, `${STEM}.json`), 'utf8'));
    const { layers, summary } = document;
    const words = await panel.result.textContent();
    assert.ok(words.includes(summary.meanErrorRatio.toFixed(3)), words);
    assert.ok(words.includes(summary.parametersAfter.toLocaleString('en-US')), words);
    const preview = await panel.preview.textContent();
    assert.ok(preview.includes(`→ ${summary.parametersAfter.toLocaleString('en-US')}`), 'as the form said');
    const rows = await panel.rows();
    assert.deepEqual(
      rows.map(({ name, k, error, svdError }) => [name, k, error, svdError]),
      layers.map((layer) =>
        layer.outcome === 'dense'
          ? [layer.name, 'dense', '–', '–']
          : [layer.name, String(layer.k), layer.relativeError.toFixed(4), layer.svdRelativeError.toFixed(4)],
      ),
    );
    for (const layer of layers.filter(({ outcome }) => outcome === 'converted'))
      assert.ok(layer.relativeError <= layer.svdRelativeError + 1e-4, layer.name);
    for (const name of [`${STEM}.safetensors`, 'sine_lowrank.py'])
      assert.ok(existsSync(path.join(workbench.folder, name)), name);
    await workbench.screenshot('conversion-done');
  });

  it('moves the spectrum while ω is dragged', async () => {
    await panel.row('fc1.weight').click();
    await panel.explorer.getByRole('button', { name: 'Explore ω' }).click();
    const rank = panel.explorer
      .locator('.readouts div', { has: panel.frame.getByText('Rank at 99.99 %') })
      .locator('dd');
    await rank.waitFor();
    const picture = () => panel.explorer.locator('canvas').evaluate((canvas) => canvas.toDataURL());
    const omega = panel.explorer.getByRole('slider', { name: /^ω/ });
    await panel.explorer.scrollIntoViewIfNeeded();
    // From the linear limit, where the sine is its argument and the rank is k …
    await omega.press('Home');
    await eventually('rank k', async () => Number(await rank.textContent()) <= 38);
    const before = await picture();
    const box = await omega.boundingBox();
    await workbench.page.mouse.move(box.x + 8, box.y + box.height / 2);
    await workbench.page.mouse.down();
    for (let share = 0.05; share <= 0.75; share += 0.05)
      await workbench.page.mouse.move(box.x + share * box.width, box.y + box.height / 2);
    await workbench.page.mouse.up();
    // … to where most angles have gone round: seed 000's claim, that the rank rises with ω.
    await eventually('a rank above k', async () => Number(await rank.textContent()) > 100);
    assert.notEqual(await picture(), before);
    await panel.explorer.getByText(/Proposition 1: for ω up to/).waitFor();
    await workbench.screenshot('conversion-explorer');
  });

  it('opens the audit of the result, and its factors are recognised', async () => {
    await panel.files.getByRole('button', { name: `Audit ${STEM}.safetensors` }).click();
    const audit = await AuditPanel.of(workbench, `${STEM}.safetensors`);
    assert.equal(await audit.outcome(), 'done');
    await workbench.screenshot('conversion-audited');
    await workbench.runCommand('View: Close Editor');
  });

  it('copies the Python lines, and reveals a file', async () => {
    panel = await ConversionPanel.of(workbench, SAMPLE_NAME);
    await workbench.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await panel.files.getByRole('button', { name: 'Copy Python to Load It' }).click();
    await panel.toast.filter({ hasText: 'Copied as Python' }).waitFor();
    const copied = await workbench.page.evaluate('navigator.clipboard.readText()');
    assert.match(copied, /from sine_lowrank import load_into/);
    assert.ok(copied.includes(document.files.factors));
    await panel.files.getByRole('button', { name: 'Reveal sine_lowrank.py' }).click();
    await workbench.explorerRow('sine_lowrank.py').and(workbench.page.locator('.selected')).waitFor();
  });

  it('is reached from the audit, at a layer', async () => {
    await workbench.runCommand('View: Close All Editors');
    await workbench.explorerRow(SAMPLE_NAME).dblclick();
    const audit = await AuditPanel.of(workbench, SAMPLE_NAME);
    assert.equal(await audit.outcome(), 'done');
    await audit.row('fc3.weight').click();
    await audit.frame.getByRole('button', { name: 'Explore ω for fc3.weight' }).click();
    panel = await ConversionPanel.of(workbench, SAMPLE_NAME);
    await panel.explorer.getByTitle('fc3.weight').waitFor();
    await panel.explorer.getByText('Stable rank').waitFor();
    await workbench.screenshot('conversion-beside');
  });

  it('comes back after the window is loaded again, with what was chosen', async () => {
    await panel.amount.fill('20');
    await eventually(
      'k of 20 %',
      async () => (await panel.rows()).find(({ name }) => name === 'fc1.weight').k === '51',
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    await workbench.reloadWindow();
    panel = await ConversionPanel.of(workbench, SAMPLE_NAME);
    await eventually('the number', async () => (await panel.amount.inputValue()) === '20');
  });

  it('is cancelled half-way, leaves no file, and goes on where it was', async () => {
    await workbench.runCommand('View: Close All Editors');
    await workbench.chooseInContextMenu(SLOW.name, COMMAND);
    panel = await ConversionPanel.of(workbench, SLOW.name);
    await panel.amount.fill('5');
    await panel.convert.click();
    await eventually(
      'a layer',
      async () => /^[1-7] of 8/.test(await panel.status.textContent()),
      PATIENCE_MS,
    );
    await workbench.screenshot('conversion-running');
    await panel.cancel.click();
    assert.equal(await panel.outcome(), 'cancelled');
    const left = readdirSync(workbench.folder).filter((name) => name.startsWith('slow'));
    assert.deepEqual(left, [SLOW.name]);
    const [, kept] = /(\d+)\sfitted/.exec(await panel.status.textContent());
    await panel.convert.click();
    await eventually(
      'the layers of before',
      async () => parseInt(await panel.status.textContent(), 10) >= Number(kept),
      10_000,
    );
    await panel.cancel.click();
    assert.equal(await panel.outcome(), 'cancelled');
  });
});
