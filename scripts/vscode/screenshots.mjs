// npm run screenshots: the pictures of the README, of the packaged extension with its sample in a real VS Code.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { AuditPanel } from '../../test/ui/auditPanel.mjs';
import { ROOT, SAMPLE, Workbench } from '../../test/ui/harness.mjs';
import { recompressed } from './png.mjs';

const FOLDER = path.join(ROOT, 'media/screenshots');
const THEMES = { light: 'Light Modern', dark: 'Dark Modern' };
const WINDOW = { width: 1280, height: 990 };
/** A README loads on telephones, too. */
const MOST_BYTES = 200_000;

const workbench = await Workbench.open({
  files: [SAMPLE],
  viewport: WINDOW,
});
try {
  const name = path.basename(SAMPLE);
  await workbench.explorerRow(name).dblclick();
  const panel = await AuditPanel.of(workbench, name);
  await panel.outcome();
  // Two curves say more than one.
  await panel.row('fc3.weight').click();
  await panel.row('conv3.weight').click({ modifiers: ['Control'] });
  mkdirSync(FOLDER, { recursive: true });
  for (const [theme, label] of Object.entries(THEMES)) {
    await workbench.chooseTheme(label);
    await panel.frame.locator(`body[data-vscode-theme-kind="vscode-${theme}"]`).waitFor();
    await panel.frame.locator('main').evaluate((main) => main.scrollTo(0, 0));
    await workbench.settled();
    const png = recompressed(await workbench.page.screenshot());
    if (png.length > MOST_BYTES) throw new Error(`${theme}: ${png.length} bytes are more than ${MOST_BYTES}`);
    const file = path.join(FOLDER, `panel-${theme}.png`);
    writeFileSync(file, png);
    console.log(`${path.relative(ROOT, file)} (${(png.length / 1000).toFixed(0)} kB)`);
  }
} finally {
  await workbench.close();
}
