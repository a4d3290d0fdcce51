// From a recipe to its utilized ranks, in a real VS Code with the real engine.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { eventually, ROOT, Workbench } from './harness.mjs';
import { MeasurementPanel } from './measurementPanel.mjs';

const SAMPLES = path.join(ROOT, 'media/sample');
const RECIPE = 'glyphs.rankscope.json';
const COMMAND = 'Measure Utilized Rank';
const PATIENCE_MS = 180_000;

describe('a measurement in a real VS Code', { timeout: 900_000 }, () => {
  /** @type {Workbench} */
  let workbench;
  /** @type {MeasurementPanel} */
  let panel;
  let document;

  before(async () => {
    workbench = await Workbench.open({
      files: [RECIPE, 'glyphs.npz', 'network'].map((name) => path.join(SAMPLES, name)),
      viewport: { width: 1600, height: 1000 },
    });
  });
  after(async () => {
    await workbench?.screenshot('last-measurement');
    await workbench?.close();
  });
  afterEach(() => {
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });

  it('starts from the lens above a recipe, and shows what is known at once', async () => {
    await workbench.explorerRow(RECIPE).dblclick();
    await workbench.page.locator('.codelens-decoration a', { hasText: COMMAND }).click();
    panel = await MeasurementPanel.of(workbench, RECIPE);
    await eventually('the layers', async () => (await panel.rows()).length === 4, PATIENCE_MS);
    const [first] = await panel.rows();
    assert.match(first.shape, /^\d+ × \d+$/);
    await workbench.screenshot('measurement-first');
  });

  it('ends with three series, and what the document on disk says', async () => {
    assert.equal(await panel.outcome(PATIENCE_MS), 'done');
    assert.match(
      await panel.ranks.locator('.legend').textContent(),
      /utilized rank.*rank \(99\.99 % of the energy\).*most possible/,
    );
    const target = path.join(workbench.folder, 'glyphs.utilization.json');
    await panel.button('Save…').click();
    await workbench.saveAs(target);
    await eventually(
      'the document',
      () => existsSync(target) && readFileSync(target, 'utf8').endsWith('}\n'),
    );
    document = JSON.parse(readFileSync(target, 'utf8'));
    assert.equal(document.schema, 'rankscope/utilization@1');
    assert.deepEqual(
      (await panel.rows()).map(({ name, kS, kT, utilized }) => [name, kS, kT, utilized]),
      document.layers.map(({ name, kS, kT, utilizedRank }) => [name, ...[kS, kT, utilizedRank].map(String)]),
    );
    const words = (await panel.cards.textContent()).replaceAll('\u00a0', ' ');
    assert.ok(words.includes(`${Math.round(document.summary.mlu * 1000) / 10} %`), words);
    assert.ok(words.includes(`${document.summary.afterProjection.toFixed(2)} %`), words);
    await workbench.screenshot('measurement-done');
  });

  it('shows the spectra of a layer with its dimension marked', async () => {
    const { name, kS, shape } = document.layers[2];
    await panel.row(name).click();
    await panel.layer.getByRole('button', { name: 'Spectrum' }).click();
    await panel.layer.getByText(`k_S = ${kS} of ${shape[1].toLocaleString('en-US')} (dotted).`).waitFor();
    await workbench.screenshot('measurement-spectrum-panel');
  });

  it('writes a decomposed checkpoint without losing the result', async () => {
    const target = path.join(workbench.folder, 'glyphs.decomposed.safetensors');
    await panel.button('Decompose…').click();
    await workbench.saveAs(target);
    await panel.toast
      .filter({ hasText: 'Saved as glyphs.decomposed.safetensors' })
      .waitFor({ timeout: PATIENCE_MS });
    assert.equal((await panel.rows()).length, document.layers.length);
    await panel.cards.getByText(/% decomposed/).waitFor();
    assert.ok(existsSync(target));
    assert.ok(existsSync(path.join(workbench.folder, 'glyphs.decomposed.rank_pattern.json')));
  });

  it('comes back with its result after the window is loaded again', async () => {
    await workbench.reloadWindow();
    panel = await MeasurementPanel.of(workbench, RECIPE);
    assert.equal(await panel.outcome(PATIENCE_MS), 'done');
    assert.deepEqual(
      (await panel.rows()).map(({ utilized }) => utilized),
      document.layers.map(({ utilizedRank }) => String(utilizedRank)),
    );
    // What was chosen, too.
    const spectrum = panel.layer.getByRole('button', { name: 'Spectrum' });
    assert.equal(await spectrum.getAttribute('aria-pressed'), 'true');
  });

  it('is reached from the Explorer’s menu', async () => {
    await workbench.runCommand('View: Close All Editors');
    await workbench.chooseInContextMenu(RECIPE, COMMAND);
    panel = await MeasurementPanel.of(workbench, RECIPE);
    assert.equal(await panel.outcome(PATIENCE_MS), 'done');
  });
});
