// What the panel looks like: pictures for people, and what a machine can say of them.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { AuditPanel } from './auditPanel.mjs';
import { eventually, SAMPLE, Workbench } from './harness.mjs';

/** Themes that VS Code brings along, and the kind that a page is told. */
const THEMES = [
  { name: 'dark', label: 'Dark Modern', kind: 'vscode-dark' },
  { name: 'light', label: 'Light Modern', kind: 'vscode-light' },
  { name: 'high-contrast', label: 'Dark High Contrast', kind: 'vscode-high-contrast' },
  { name: 'high-contrast-light', label: 'Light High Contrast', kind: 'vscode-high-contrast-light' },
];

/** CSS pixels of the window; without the side bar the panel is some 50 narrower. */
const WIDTHS = [
  { name: 'narrow', width: 450, height: 1400 },
  { name: 'wide', width: 1680, height: 1050 },
];

describe('how the panel looks', { timeout: 300_000 }, () => {
  /** @type {Workbench} */
  let workbench;
  /** @type {AuditPanel} */
  let panel;

  before(async () => {
    workbench = await Workbench.open({ files: [SAMPLE] });
    await workbench.explorerRow(path.basename(SAMPLE)).dblclick();
    panel = await AuditPanel.of(workbench, path.basename(SAMPLE));
    await panel.outcome();
    await workbench.runCommand('View: Toggle Primary Side Bar Visibility');
    await workbench.page.locator('.explorer-folders-view').waitFor({ state: 'hidden' });
  });
  after(async () => {
    await workbench?.close();
  });
  afterEach(() => {
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });

  for (const theme of THEMES) {
    it(`follows a change to the theme ${theme.label}, narrow and wide`, async () => {
      await workbench.chooseTheme(theme.label);
      await panel.frame.locator(`body[data-vscode-theme-kind="${theme.kind}"]`).waitFor();
      for (const { name, width, height } of WIDTHS) {
        await workbench.page.setViewportSize({ width, height });
        const { overflow, painted } = await eventually('a page that has drawn itself', async () => {
          const look = await lookOf(panel);
          return look.painted.length === 2 && look.painted.every((share) => share > 0) && look;
        });
        assert.ok(overflow <= 0, `${overflow} pixels wider than the window`);
        assert.equal(painted.length, 2);
        await workbench.screenshot(`panel-${theme.name}-${name}`);
      }
    });
  }
});

/** How many pixels the page is too wide, and the share of each chart's canvas that is painted. */
function lookOf(panel) {
  return panel.frame.locator('body').evaluate((body) => ({
    overflow: body.ownerDocument.documentElement.scrollWidth - body.ownerDocument.documentElement.clientWidth,
    painted: [...body.querySelectorAll('canvas')].map((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let alpha = 3; alpha < data.length; alpha += 4) if (data[alpha] > 0) count++;
      return count / (data.length / 4);
    }),
  }));
}
