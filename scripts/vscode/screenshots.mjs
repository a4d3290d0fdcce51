// npm run screenshots [-- panel convert utilize train]: the pictures of the README, of the packaged extension with its sample in a real
// VS Code.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { AuditPanel } from '../../test/ui/auditPanel.mjs';
import { ConversionPanel } from '../../test/ui/conversionPanel.mjs';
import { eventually, ROOT, SAMPLE, Workbench } from '../../test/ui/harness.mjs';
import { MeasurementPanel } from '../../test/ui/measurementPanel.mjs';
import { TrainingPanel } from '../../test/ui/trainingPanel.mjs';
import { recompressed } from './png.mjs';

const FOLDER = path.join(ROOT, 'media/screenshots');
const THEMES = { light: 'Light Modern', dark: 'Dark Modern' };
const WINDOW = { width: 1280, height: 990 };
/** A README loads on telephones, too. */
const MOST_BYTES = 200_000;
/** Fits of the sample's layers, or a search; a busy machine takes minutes. */
const JOB_MS = 300_000;

const NAME = path.basename(SAMPLE);
const RECIPE = 'glyphs.rankscope.json';
const TRAINED = 'spheres.rankscope.json';

/** Each opens something in a workbench with these files and gives the page's frame, with the themes it is taken in. */
const PICTURES = {
  panel: {
    files: [SAMPLE],
    themes: ['light', 'dark'],
    open: async (workbench) => {
      await workbench.explorerRow(NAME).dblclick();
      const panel = await AuditPanel.of(workbench, NAME);
      await panel.outcome();
      // Two curves say more than one.
      await panel.row('fc3.weight').click();
      await panel.row('conv3.weight').click({ modifiers: ['Control'] });
      return panel.frame;
    },
  },
  convert: {
    files: [SAMPLE],
    themes: ['dark'],
    open: async (workbench) => {
      await workbench.chooseInContextMenu(NAME, 'Convert to Sine-Low-Rank');
      const panel = await ConversionPanel.of(workbench, NAME);
      await panel.convert.click();
      await panel.outcome(JOB_MS);
      await panel.row('conv3.weight').click();
      return panel.frame;
    },
  },
  utilize: {
    files: [RECIPE, 'glyphs.npz', 'network'].map((name) => path.join(path.dirname(SAMPLE), name)),
    themes: ['dark'],
    open: async (workbench) => {
      await workbench.chooseInContextMenu(RECIPE, 'Measure Utilized Rank');
      const panel = await MeasurementPanel.of(workbench, RECIPE);
      await panel.outcome(JOB_MS);
      await panel.row('hidden/kernel').click();
      return panel.frame;
    },
  },
  train: {
    files: [path.join(path.dirname(SAMPLE), TRAINED)],
    themes: ['dark'],
    open: async (workbench) => {
      await workbench.explorerRow(TRAINED).dblclick();
      await workbench.page.locator('.codelens-decoration a', { hasText: 'Compare Forms' }).click();
      const panel = await TrainingPanel.of(workbench, TRAINED);
      const isDone = (rows) => rows.length === 3 && rows.every(({ state }) => state === 'Done');
      await eventually('three runs', async () => isDone(await panel.rows()), JOB_MS);
      return panel.frame;
    },
  },
};

async function take(name, { files, themes, open }) {
  const workbench = await Workbench.open({ files, viewport: WINDOW });
  try {
    const frame = await open(workbench);
    for (const theme of themes) {
      await workbench.chooseTheme(THEMES[theme]);
      await frame.locator(`body[data-vscode-theme-kind="vscode-${theme}"]`).waitFor();
      await frame.locator('main').evaluate((main) => main.scrollTo(0, 0));
      await workbench.settled();
      const png = recompressed(await workbench.page.screenshot());
      if (png.length > MOST_BYTES)
        throw new Error(`${name}, ${theme}: ${png.length} bytes are more than ${MOST_BYTES}`);
      const file = path.join(FOLDER, `${name}-${theme}.png`);
      writeFileSync(file, png);
      console.log(`${path.relative(ROOT, file)} (${(png.length / 1000).toFixed(0)} kB)`);
    }
  } finally {
    await workbench.close();
  }
}

const wanted = process.argv.slice(2);
mkdirSync(FOLDER, { recursive: true });
for (const [name, picture] of Object.entries(PICTURES)) {
  if (wanted.length === 0 || wanted.includes(name)) await take(name, picture);
}
