// The packaged extension in a real workbench: from the click on a file to the report on disk.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Ajv from 'ajv/dist/2020.js';
import { AuditPanel } from './auditPanel.mjs';
import { eventually, ROOT, SAMPLE, Workbench } from './harness.mjs';

const SAMPLE_NAME = path.basename(SAMPLE);
/** The page stores its state when nothing has changed for a moment. */
const STATE_KEPT_MS = 500;
const NOTES = path.join(ROOT, 'media/sample/README.md');

/** The same audit from the other door: the command line. */
function auditFromTerminal() {
  const output = execFileSync(process.execPath, [
    path.join(ROOT, 'dist/cli.js'),
    'audit',
    SAMPLE,
    ...['--spectra', '--json', '-'],
  ]);
  return JSON.parse(output.toString());
}

describe('a checkpoint in a real VS Code', { timeout: 300_000 }, () => {
  const reference = auditFromTerminal();
  /** @type {Workbench} */
  let workbench;
  /** @type {AuditPanel} */
  let panel;

  before(async () => {
    workbench = await Workbench.open({ files: [SAMPLE, NOTES] });
  });
  after(async () => {
    await workbench?.screenshot('last-audit');
    await workbench?.close();
  });
  afterEach(() => {
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });

  it('offers Audit Ranks in the Explorer for a checkpoint, and opens it as its audit', async () => {
    await workbench.chooseInContextMenu(SAMPLE_NAME, 'Audit Ranks');
    panel = await AuditPanel.of(workbench, SAMPLE_NAME);
    assert.equal(await panel.outcome(), 'done');
    assert.equal((await panel.title.textContent()).trim(), SAMPLE_NAME);
    await workbench.screenshot('sample');
  });

  it('does not offer it for other files', async () => {
    const items = await workbench.openContextMenu(path.basename(NOTES));
    await workbench.page.keyboard.press('Escape');
    assert.ok(items.length > 0);
    assert.deepEqual(
      items.filter((item) => /Audit Ranks/.test(item)),
      [],
    );
  });

  it('shows the numbers that the command line gives', async () => {
    const rows = await panel.rows();
    assert.deepEqual(
      rows.map(({ name, rank, maxRank }) => [name, Number(rank), Number(maxRank)]),
      reference.layers.map(({ name, rank, maxRank }) => [name, rank, maxRank]),
    );
  });

  it('sorts by a column, up and down', async () => {
    const direction = await panel.sortBy('utilization');
    const ranked = (await panel.rows()).map(({ utilization }) => parseFloat(utilization));
    const sorted = [...ranked].sort((a, b) => (direction === 'ascending' ? a - b : b - a));
    assert.deepEqual(ranked, sorted);
    assert.ok(new Set(ranked).size > 1, 'the layers differ');
    const again = await panel.sortBy('utilization');
    assert.notEqual(again, direction);
    const reversed = (await panel.rows()).map(({ utilization }) => parseFloat(utilization));
    assert.deepEqual(reversed, [...sorted].reverse());
  });

  it('filters by a part of a name and by a pattern', async () => {
    const named = (pattern) =>
      reference.layers
        .map(({ name }) => name)
        .filter((name) => pattern.test(name))
        .sort();
    const part = reference.layers[0].name.split('.')[0];
    for (const [typed, pattern] of [
      [part, new RegExp(part)],
      [`/^${part}.*weight$/`, new RegExp(`^${part}.*weight$`)],
    ]) {
      await panel.filter.fill(typed);
      await eventually(`the layers that match ${typed}`, async () => {
        const names = (await panel.rows()).map(({ name }) => name).sort();
        return names.join() === named(pattern).join();
      });
    }
    await panel.filter.fill('');
    await eventually('all layers', async () => (await panel.rows()).length === reference.layers.length);
  });

  it('selects layers: their curves are named beside the spectrum', async () => {
    const [first, second] = reference.layers;
    await panel.row(first.name).click();
    await panel.row(second.name).click({ modifiers: ['Control'] });
    await eventually('two selected rows', async () => {
      const selected = (await panel.rows()).filter((row) => row.selected).map(({ name }) => name);
      return selected.sort().join() === [first.name, second.name].sort().join();
    });
    const legend = panel.frame.getByRole('region', { name: 'Spectrum' });
    for (const { name } of [first, second]) await legend.getByTitle(name).first().waitFor();
    await workbench.screenshot('sample-two-selected');
  });

  it('exports the audit as JSON: the document of the command line, valid by its schema', async () => {
    const target = path.join(workbench.folder, 'exported.json');
    await panel.chooseExport('Audit as JSON…');
    await workbench.saveAs(target);
    const document = JSON.parse((await written(target)).toString());
    const schema = JSON.parse(readFileSync(path.join(ROOT, 'media/schema/audit.schema.json'), 'utf8'));
    const validate = new Ajv({ strict: false, allErrors: true, logger: false }).compile(schema);
    assert.ok(validate(document), JSON.stringify(validate.errors));
    assertSameNumbers(document.layers, reference.layers);
    assert.deepEqual(document.skipped, reference.skipped);
    assert.deepEqual(document.summary, reference.summary);
  });

  it('exports the layers as CSV and the report as Markdown', async () => {
    const csv = path.join(workbench.folder, 'exported.csv');
    await panel.chooseExport('Layers as CSV…');
    await workbench.saveAs(csv);
    const lines = (await written(csv)).toString().trimEnd().split(/\r?\n/);
    const parts = reference.layers.flatMap((layer) => layer.parts ?? []);
    assert.equal(lines.length, 1 + reference.layers.length + parts.length);
    for (const { name } of reference.layers) assert.ok(lines.some((line) => line.includes(`,${name},`)));
    const markdown = path.join(workbench.folder, 'exported.md');
    await panel.chooseExport('Report as Markdown…');
    await workbench.saveAs(markdown);
    const report = (await written(markdown)).toString();
    for (const { name } of reference.layers) assert.ok(report.includes(name.split('.').at(-1)));
  });

  it('exports a chart as PNG', async () => {
    const target = path.join(workbench.folder, 'exported.png');
    await panel.chooseExport('Utilization Snapshot as PNG…');
    await workbench.saveAs(target);
    const bytes = await written(target);
    assert.equal(bytes.subarray(1, 4).toString(), 'PNG');
    assert.ok(bytes.readUInt32BE(16) >= 600, 'wide enough to print');
  });

  it('keeps what was chosen when the panel was hidden and comes back', async () => {
    await panel.filter.fill('/weight$/');
    await panel.sortBy('rank');
    const before = (await panel.rows()).map(({ name }) => name);
    await sleep(STATE_KEPT_MS);
    await workbench.explorerRow('README.md').dblclick();
    await workbench.tab('README.md').waitFor();
    await workbench.tab(SAMPLE_NAME).click();
    panel = await AuditPanel.of(workbench, SAMPLE_NAME);
    assert.equal(await panel.outcome(), 'done');
    await eventually('the filter', async () => (await panel.filter.inputValue()) === '/weight$/');
    assert.deepEqual(
      (await panel.rows()).map(({ name }) => name),
      before,
    );
  });

  it('comes back after the window is loaded again', async () => {
    await workbench.reloadWindow();
    panel = await AuditPanel.of(workbench, SAMPLE_NAME);
    assert.equal(await panel.outcome(), 'done');
    await eventually('the filter', async () => (await panel.filter.inputValue()) === '/weight$/');
  });

  it('runs from the palette on the file in the active editor', async () => {
    await workbench.runCommand('View: Close All Editors');
    await eventually('no tabs', async () => (await workbench.tab(SAMPLE_NAME).count()) === 0);
    await workbench.runCommand('Rankscope: Open the Sample Checkpoint');
    panel = await AuditPanel.of(workbench, SAMPLE_NAME);
    assert.equal(await panel.outcome(), 'done');
  });
});

/** The editor's Node may run the kernels with fused multiply-add where the terminal's does not: the last digits differ. */
const ROUNDING = 1e-9;

/** Deep equality, numbers up to rounding. */
function assertSameNumbers(actual, expected, where = 'document') {
  if (typeof expected === 'number') {
    const difference = Math.abs(actual - expected);
    assert.ok(
      difference <= ROUNDING * Math.max(1, Math.abs(expected)),
      `${where}: ${actual}, not ${expected}`,
    );
  } else if (typeof expected === 'object' && expected !== null) {
    assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort(), where);
    for (const key of Object.keys(expected)) {
      assertSameNumbers(actual[key], expected[key], `${where}.${key}`);
    }
  } else {
    assert.equal(actual, expected, where);
  }
}

async function written(file) {
  await eventually(file, () => existsSync(file));
  return readFileSync(file);
}
