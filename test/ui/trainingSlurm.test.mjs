// A sweep of four on a real Slurm, one task of which fails: the panel of a real VS Code shows all four as they are.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { slurmInstalled, startSlurm } from '../../scripts/slurm.mjs';
import { Workbench } from './harness.mjs';
import { TrainingPanel } from './trainingPanel.mjs';

const isRequired = process.env.RANKSCOPE_REQUIRE_SLURM === '1';
const skip = isRequired || slurmInstalled() ? false : 'Slurm is missing: run "node scripts/slurm.mjs"';

const RECIPE = 'sweep.rankscope.json';
const PATIENCE_MS = 180_000;

/** Seed 2 is the one that does not come back. */
const SCRIPT = `
import os, sys
from rankscope_log import log
seed = int(os.environ["RANKSCOPE_SEED"])
for step in range(1, 6):
    log(step=step, loss=1 / (step + seed), accuracy=10 * step + seed)
    if seed == 2 and step == 3:
        sys.exit("out of luck")
`;

function fill(folder) {
  writeFileSync(path.join(folder, 'train.py'), SCRIPT);
  const training = {
    script: { file: 'train.py', python: '/usr/bin/python3' },
    launcher: { kind: 'slurm', jobs: 2, time: '5', memory: '100M' },
    sweep: { seed: [0, 1, 2, 3] },
  };
  const recipe = { schema: 'rankscope/recipe@1', training };
  writeFileSync(path.join(folder, RECIPE), JSON.stringify(recipe, undefined, 2));
}

describe('a sweep on Slurm', { skip, timeout: 600_000 }, () => {
  /** @type {Workbench} */
  let workbench;
  let slurm;
  const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-slurm-ui-'));

  before(async () => {
    slurm = await startSlurm(folder);
    workbench = await Workbench.open({ fill, env: slurm.env, viewport: { width: 1400, height: 900 } });
  });
  after(async () => {
    await workbench?.screenshot('last-training-slurm');
    await workbench?.close();
    await slurm?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is started with one click, and shows three that are done and the one that failed', async () => {
    await workbench.explorerRow(RECIPE).dblclick();
    await workbench.page.locator('.codelens-decoration a', { hasText: /^\s*Train$/ }).click();
    const panel = await TrainingPanel.of(workbench, RECIPE);
    const isOver = ({ state }) => state === 'Done' || state.startsWith('Failed');
    const rows = await panel.rowsWhen(
      'four ends',
      (all) => all.length === 4 && all.every(isOver),
      PATIENCE_MS,
    );
    const bySeed = new Map(rows.map((row) => [row.seed, row]));
    assert.deepEqual(
      ['0', '1', '2', '3'].map((seed) => bySeed.get(seed)?.state.split(' ')[0]),
      ['Done', 'Done', 'Failed', 'Done'],
    );
    // What it had reached before it failed is there as well.
    assert.match(bySeed.get('2').last, /^32/);
    assert.match(bySeed.get('3').last, /^53/);
    assert.match(await panel.facts.textContent(), /Slurm/);
    assert.match(await panel.command.textContent(), /sbatch/);
    await panel.row('seed 2').click();
    await workbench.screenshot('training-slurm');
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });
});
