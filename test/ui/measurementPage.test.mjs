// The measurement page in a real browser, under the policy that the extension sets, fed with measurements made here.
/* global document, window */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, openPanel, painted, said, tell } from './page/browser.mjs';
import { servePage } from './page/server.mjs';
import { measurementMessages, syntheticMeasurement } from './page/syntheticMeasurement.mjs';

const THEMES = ['vscode-dark', 'vscode-light', 'vscode-high-contrast', 'vscode-high-contrast-light'];
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const ARTIFACTS = path.join(path.dirname(fileURLToPath(import.meta.url)), 'artifacts');

let server;
let browser;
before(async () => {
  mkdirSync(ARTIFACTS, { recursive: true });
  server = await servePage();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.close();
});

/** Runs a test in a fresh page; a console error, an exception or a breach of the policy fails it. */
async function inPage(options, run) {
  const { context, page, problems } = await openPanel(browser, server.origin, {
    ...{ page: 'utilization', width: 1180, height: 900, ...options },
  });
  try {
    await run(page);
    assert.deepEqual(problems, []);
    assert.deepEqual(await page.evaluate(() => window.pageHost.violations), []);
  } finally {
    await context.close();
  }
}

async function show(page, messages) {
  await tell(page, ...messages);
  await painted(page);
  await painted(page);
}

const text = (locator) => locator.evaluate((node) => node.textContent.replaceAll('\u00a0', ' '));
const rows = (page) =>
  page.getByRole('grid', { name: 'Layers', exact: true }).locator('.grid-body [role=row]');
const button = (page, name) => page.locator('vscode-button', { hasText: name });

describe('the measurement page', () => {
  it('shows the search as it goes: layer, side, what is tried, what is left', () =>
    inPage({}, async (page) => {
      await show(page, measurementMessages(syntheticMeasurement(20), 7));
      assert.match(
        await text(page.locator('.stage')),
        /trying \d+ input dimensions, between \d+ and \d+ · pass \d+/,
      );
      assert.match(await text(page.locator('.progress-text')), /7 of 20 layers · 41 s left/);
      assert.match(await text(page.locator('.cards')), /Mean layer utilization, so far/);
      assert.ok(await page.locator('.plot .legend', { hasText: 'hollow' }).count());
      await button(page, 'Cancel').click();
      assert.equal((await said(page, 'cancel')).length, 1);
      await page.screenshot({ path: path.join(ARTIFACTS, 'measurement-running.png') });
    }));

  it('tells the story when it is done, and saves it', () =>
    inPage({}, async (page) => {
      const measurement = syntheticMeasurement(20);
      await show(page, measurementMessages(measurement));
      const { mlu, before: original, guaranteedDrop } = measurement.summary;
      const words = await text(page.locator('.cards'));
      assert.ok(words.includes(`${Math.round(mlu * 1000) / 10} %`), words);
      assert.ok(words.includes(`allowed ${(original - guaranteedDrop).toFixed(2)} %`), words);
      assert.equal(await rows(page).count(), 20);
      await button(page, 'Save…').click();
      assert.equal((await said(page, 'export')).length, 1);
      await button(page, 'Decompose…').click();
      assert.equal((await said(page, 'decompose')).length, 1);
    }));

  it('keeps the result on show while a checkpoint is written from it, then says what that costs', () =>
    inPage({}, async (page) => {
      const measurement = syntheticMeasurement(5);
      const messages = measurementMessages(measurement);
      await show(page, [...messages, { type: 'stage', stage: { kind: 'grams' } }]);
      assert.match(await text(page.locator('.stage')), /^Writing the decomposed checkpoint/);
      assert.equal(await button(page, 'Decompose…').isVisible(), false);
      assert.equal(await rows(page).count(), 5);
      await button(page, 'Cancel').click();
      assert.equal((await said(page, 'cancel')).length, 1);
      const { document } = messages.at(-1);
      const summary = { ...document.summary, afterDecomposition: 90.125 };
      await show(page, [{ type: 'done', document: { ...document, summary } }]);
      assert.equal(await page.locator('.stage').isVisible(), false);
      assert.match(await text(page.locator('.cards')), /90\.13 % decomposed/);
      await button(page, 'Measure Again').click();
      assert.equal((await said(page, 'resume')).length, 1);
    }));

  it('puts the least used layers first when asked to', () =>
    inPage({}, async (page) => {
      const measurement = syntheticMeasurement(20);
      await show(page, measurementMessages(measurement));
      await page.locator('.card', { hasText: 'Mean layer utilization' }).click();
      await painted(page);
      const least = measurement.layers.reduce((a, b) => (b.utilization < a.utilization ? b : a));
      const name = least.name.replace(/\.weight$/, '');
      assert.ok((await text(rows(page).first())).includes(name.split('.').slice(0, 2).join('.')));
    }));

  it('shows the spectra of a layer’s inputs and outputs, with what was kept', () =>
    inPage({}, async (page) => {
      const measurement = syntheticMeasurement(12);
      await show(page, measurementMessages(measurement));
      await rows(page).nth(3).click();
      await page.getByRole('button', { name: 'Spectrum' }).click();
      await painted(page);
      const { kS, kT, shape } = measurement.layers[3];
      const legend = page.getByRole('region', { name: 'Layer', exact: true }).locator('.legend');
      assert.equal(await text(legend), `k_S = ${kS} of ${shape[1]} (dotted).`);
      await page.screenshot({ path: path.join(ARTIFACTS, 'measurement-spectrum.png') });
      await page.getByRole('button', { name: 'Outputs' }).click();
      await painted(page);
      assert.equal(await text(legend), `k_T = ${kT} of ${shape[0]} (dotted).`);
    }));

  it('offers to go on after a cancel, and to try again after a failure', () =>
    inPage({}, async (page) => {
      await show(page, [...measurementMessages(syntheticMeasurement(5), 2), { type: 'cancelled' }]);
      assert.match(
        await text(page.locator('.progress-text')),
        /Stopped after \d+ passes; what was probed is kept/,
      );
      await button(page, 'Resume').click();
      assert.equal((await said(page, 'resume')).length, 1);
      await show(page, [{ type: 'failed', message: 'load.py:12: no module named nets' }]);
      assert.match(
        await text(page.locator('.failure')),
        /The measurement failed\. load\.py:12: no module named nets/,
      );
    }));

  it('never takes a name for markup', () =>
    inPage({}, async (page) => {
      const names = ['<img src=x onerror=alert(1)>', 'a\u202eb', '__proto__'];
      await show(page, measurementMessages(syntheticMeasurement(3, { names })));
      assert.equal(await page.locator('img').count(), 0);
      assert.ok((await text(rows(page).first())).includes('<img src=x'));
    }));

  for (const theme of THEMES)
    it(`can be read by everyone in ${theme}`, () =>
      inPage({ theme }, async (page) => {
        await show(page, measurementMessages(syntheticMeasurement(20)));
        await page.screenshot({ path: path.join(ARTIFACTS, `measurement-${theme}.png`) });
        // The page's policy forbids script tags: the library goes in through the debugger.
        await page.evaluate(readFileSync(AXE, 'utf8'));
        const { violations } = await page.evaluate(() => window.axe.run(document));
        const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
        assert.deepEqual(
          serious.map(({ id, nodes }) => `${id}: ${nodes[0].html}`),
          [],
        );
      }));

  for (const [count, width] of [
    [3, 360],
    [500, 360],
    [500, 1600],
  ])
    it(`fits ${count} layers into ${width} pixels`, () =>
      inPage({ width }, async (page) => {
        await show(page, measurementMessages(syntheticMeasurement(count)));
        const { scroll, client } = await page.evaluate(() => {
          const main = document.querySelector('main');
          return { scroll: main.scrollWidth, client: main.clientWidth };
        });
        assert.ok(scroll <= client, `${scroll} > ${client}`);
        await page.screenshot({ path: path.join(ARTIFACTS, `measurement-${count}-${width}.png`) });
      }));
});
