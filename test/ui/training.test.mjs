// From a recipe to runs that are watched, stopped, resumed and compared, in a real VS Code with the real engine.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { eventually, Workbench } from './harness.mjs';
import { descendants } from './processes.mjs';
import { TrainingPanel } from './trainingPanel.mjs';

const LONG = 'long.rankscope.json';
const SHORT = 'short.rankscope.json';
/** A run on a busy machine. */
const PATIENCE_MS = 180_000;
const LONG_STEPS = 4000;

/** A field of 32 units on an analytic solid: milliseconds a step. */
const recipe = (steps) => ({
  schema: 'rankscope/recipe@1',
  network: { kind: 'coordinates', width: 32, hidden: 2, forms: [{ kind: 'sine', rank: 2 }] },
  data: { kind: 'occupancy', solid: 'torus', resolution: 16 },
  training: {
    optimizer: { kind: 'adam', learningRate: 0.003 },
    ...{ batchSize: 256, steps, seed: 1, evaluate: { everySteps: 50 } },
  },
});

function fill(folder) {
  writeFileSync(path.join(folder, LONG), JSON.stringify(recipe(LONG_STEPS), undefined, 2));
  writeFileSync(path.join(folder, SHORT), JSON.stringify(recipe(150), undefined, 2));
}

const lens = (workbench, title) => workbench.page.locator('.codelens-decoration a', { hasText: title });

describe('training in a real VS Code', { timeout: 1_200_000 }, () => {
  /** @type {Workbench} */
  let workbench;
  /** @type {TrainingPanel} */
  let panel;

  before(async () => {
    workbench = await Workbench.open({ fill, viewport: { width: 1600, height: 1000 } });
  });
  after(async () => {
    await workbench?.screenshot('last-training');
    stopRuns(workbench);
    await workbench?.close();
  });
  afterEach(() => {
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });

  it('starts from the lens above a recipe, and is watched live', async () => {
    await workbench.explorerRow(LONG).dblclick();
    await lens(workbench, 'Compare Forms').waitFor();
    await lens(workbench, /^\s*Train$/).click();
    panel = await TrainingPanel.of(workbench, LONG);
    await eventually('steps', async () => (await panel.step()) > 0, PATIENCE_MS);
    const before = await panel.step();
    await eventually('more steps', async () => (await panel.step()) > before, PATIENCE_MS);
    assert.match(await panel.command.textContent(), /trainer\.js .*long\.runs/);
    await panel.chart.focus();
    await workbench.page.keyboard.press('End');
    await eventually('a curve', async () =>
      /^step [\d,]+, .*sine-low-rank.* [\d.]+/.test((await panel.chart.getAttribute('aria-valuetext')) ?? ''),
    );
    await eventually('layers', async () =>
      /mean utilized/.test((await panel.layers.getAttribute('aria-valuetext')) ?? ''),
    );
    await workbench.screenshot('training-live');
  });

  it('goes on through a reload of the window, which finds it again, with its task', async () => {
    const before = await panel.step();
    const [run] = trainers(workbench);
    assert.ok(run, 'a process of its own');
    await workbench.reloadWindow();
    panel = await TrainingPanel.of(workbench, LONG);
    await eventually('the run further on', async () => (await panel.step()) > before, PATIENCE_MS);
    const [state] = states(workbench, LONG);
    assert.deepEqual([state.state, state.attempt], ['running', 1]);
    assert.equal(trainers(workbench)[0]?.pid, run.pid, 'the same process');
    await workbench.runCommand('Terminal: Focus Terminal');
    await workbench.page
      .locator('.terminal-tab, .terminal-tabs-entry, .single-terminal-tab', {
        hasText: 'long: sine-low-rank, k = 2',
      })
      .first()
      .waitFor();
    await workbench.screenshot('training-task');
    await workbench.runCommand('View: Hide Panel');
  });

  it('stops with a checkpoint, and goes on from there to the end', async () => {
    await panel.button('Stop').click();
    await panel.rowsWhen('a stop', ([row]) => /^Stopped \d+ %$/.test(row.state), PATIENCE_MS);
    const stopped = await panel.step();
    assert.ok(stopped > 0 && stopped < LONG_STEPS);
    assert.equal(states(workbench, LONG)[0].state, 'stopped');
    assert.deepEqual(trainers(workbench), []);
    await workbench.screenshot('training-stopped');
    await panel.action('Resume').click();
    await panel.rowsWhen('the run going on', ([row]) => /^Running/.test(row.state), PATIENCE_MS);
    const [done] = await panel.rowsWhen('its end', ([row]) => row.state === 'Done', PATIENCE_MS);
    assert.equal(done.step, LONG_STEPS.toLocaleString('en-US'));
    assert.match(done.best, /^\d+\.\d\d %$/);
    const [state] = states(workbench, LONG);
    assert.deepEqual([state.state, state.attempt, state.step], ['done', 2, LONG_STEPS]);
    await workbench.screenshot('training-done');
  });

  it('opens the audit of what was trained, and the log of the run', async () => {
    await panel.action('Log').click();
    await workbench.tab('log.txt').waitFor();
    await workbench.tab(`${LONG}: runs`).click();
    panel = await TrainingPanel.of(workbench, LONG);
    await panel.action('Audit').click();
    await workbench.tab('model.safetensors').waitFor();
    await workbench.tab(`${LONG}: runs`).click();
    panel = await TrainingPanel.of(workbench, LONG);
  });

  it('compares forms with one click, and shows which is ahead at equal rank', async () => {
    await workbench.runCommand('View: Close All Editors');
    await workbench.explorerRow(SHORT).dblclick();
    await lens(workbench, 'Compare Forms').click();
    panel = await TrainingPanel.of(workbench, SHORT);
    const rows = await panel.rowsWhen(
      'three ends',
      (all) => all.length === 3 && all.every(({ state }) => state === 'Done'),
      PATIENCE_MS,
    );
    assert.deepEqual(
      rows.map(({ label }) => label.split(',')[0]),
      ['dense', 'low-rank', 'sine-low-rank'],
    );
    const [dense, low, sine] = rows;
    assert.equal(low.parameters, sine.parameters);
    assert.deepEqual([dense.rate, low.rate], ['100 %', sine.rate]);
    assert.match(
      await panel.comparison.textContent(),
      /sine-low-rank against low-rank: [+−]\d+\.\d\d\spoints/,
    );
    assert.equal(await panel.legend.getByRole('button').count(), 3);
    await workbench.screenshot('training-compared');
  });

  it('starts a comparison of one’s own, after saying what it would be', async () => {
    await panel.button('New Comparison…').click();
    const { form } = panel;
    await form.getByRole('checkbox', { name: 'dense', exact: true }).click();
    await form.getByRole('textbox', { name: 'Ranks' }).fill('1-2');
    await form.getByRole('textbox', { name: 'Seeds' }).fill('4');
    await form.getByText(/^4\sruns, on this machine/).waitFor();
    await workbench.screenshot('training-form');
    await form.getByRole('button', { name: /^Start 4\sruns$/ }).click();
    const all = await panel.rowsWhen(
      'four more ends',
      (rows) => rows.length === 7 && rows.every(({ state }) => state === 'Done'),
      PATIENCE_MS,
    );
    assert.deepEqual([...new Set(all.slice(0, 4).map(({ seed }) => seed))], ['4']);
    assert.match(await panel.comparison.textContent(), /k = 1.*k = 2/s);
    assert.equal(await panel.legend.getByRole('button').count(), 4);
  });

  it('deletes runs that are over, after asking', async () => {
    await panel.row('seed 4').first().click();
    await panel.action('Delete…').click();
    const dialog = workbench.page.locator('.monaco-dialog-box');
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await panel.rowsWhen('one run less', (rows) => rows.length === 6);
    assert.equal(runFolders(workbench, SHORT).length, 6);
  });

  it('opens the last run from the lens, and comes back with what was chosen', async () => {
    await panel.frame.getByRole('button', { name: 'Epoch', exact: true }).click();
    await workbench.runCommand('View: Close All Editors');
    await workbench.explorerRow(SHORT).dblclick();
    await lens(workbench, 'Open Last Run').click();
    panel = await TrainingPanel.of(workbench, SHORT);
    await panel.rowsWhen('the runs', (rows) => rows.length === 6);
    await panel.frame.getByRole('button', { name: 'Epoch', exact: true }).click();
    await workbench.reloadWindow();
    panel = await TrainingPanel.of(workbench, SHORT);
    await panel.rowsWhen('the runs again', (rows) => rows.length === 6);
    const epoch = panel.frame.getByRole('button', { name: 'Epoch', exact: true });
    assert.equal(await epoch.getAttribute('aria-pressed'), 'true');
  });

  it('writes a new recipe that trains, asking three things', async () => {
    await workbench.runCommand('View: Close All Editors');
    await workbench.runCommand('Rankscope: New Training Recipe');
    const pick = async (label) => {
      const row = workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: label });
      await row.first().click();
    };
    await pick('Coordinate network');
    await pick('torus');
    await pick('W = U·Vᵀ');
    const input = workbench.page.locator('.quick-input-widget input.input');
    await eventually('a rank to be changed', async () => (await input.inputValue()) === '5');
    await input.fill('3');
    await workbench.page.keyboard.press('Enter');
    const file = path.join(workbench.folder, 'coordinates.rankscope.json');
    await eventually('the recipe', () => existsSync(file));
    const written = JSON.parse(readFileSync(file, 'utf8'));
    assert.deepEqual(written.network.forms, [{ kind: 'low-rank', rank: 3 }]);
    assert.equal(written.data.solid, 'torus');
    await lens(workbench, /^\s*Train$/).waitFor();
  });
});

describe('training in a workspace that is not trusted', { timeout: 300_000 }, () => {
  /** @type {Workbench} */
  let workbench;
  before(async () => {
    workbench = await Workbench.open({
      ...{ fill, trust: true, viewport: { width: 1280, height: 800 } },
      // The folder opens in restricted mode without asking.
      settings: {
        'security.workspace.trust.enabled': true,
        'security.workspace.trust.startupPrompt': 'never',
      },
    });
  });
  after(async () => {
    await workbench?.screenshot('last-training-untrusted');
    await workbench?.close();
  });

  it('is not offered; the lens says why, and leads to where trust is given', async () => {
    await workbench.explorerRow(SHORT).dblclick();
    const why = lens(workbench, 'Training Needs a Trusted Workspace');
    await why.waitFor();
    assert.equal(await lens(workbench, /^\s*Train$/).count(), 0);
    await why.click();
    await workbench.page.locator('.workspace-trust-editor').waitFor();
    await workbench.page
      .locator('.workspace-trust-editor')
      .getByRole('button', { name: 'Trust', exact: true })
      .first()
      .click();
    // The editor of trust lies over all others.
    const close = workbench.page.locator('.monaco-modal-editor-block .codicon-close').first();
    if (await close.isVisible()) await close.click();
    await workbench.explorerRow(SHORT).dblclick();
    await lens(workbench, /^\s*Train$/).waitFor();
  });
});

/** Processes that train, of those that this server's extension hosts started; they outlive them, as they shall. */
function trainers(workbench) {
  const own = descendants(1).filter(({ command }) => command.includes('trainer.js'));
  return own.filter(({ command }) => command.includes(workbench.folder));
}

function runFolders(workbench, file) {
  const folder = path.join(workbench.folder, file.replace('.rankscope.json', '.runs'));
  return existsSync(folder) ? readdirSync(folder).map((name) => path.join(folder, name)) : [];
}

function states(workbench, file) {
  return runFolders(workbench, file).map((folder) =>
    JSON.parse(readFileSync(path.join(folder, 'state.json'), 'utf8')),
  );
}

/** A test that failed may leave a run behind. */
function stopRuns(workbench) {
  if (workbench === undefined) return;
  for (const { pid } of trainers(workbench)) process.kill(pid, 'SIGKILL');
}
