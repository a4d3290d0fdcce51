// The panel's page in a real browser, under the policy that the extension sets, fed with audits made here.
/* global document, window, requestAnimationFrame, PerformanceObserver */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';
import {
  doneMessage,
  launch,
  layerMessage,
  openedMessage,
  openPanel,
  painted,
  said,
  tell,
  wholeAudit,
} from './page/browser.mjs';
import { servePage } from './page/server.mjs';
import { syntheticAudit } from './page/syntheticAudit.mjs';

const THEMES = ['vscode-dark', 'vscode-light', 'vscode-high-contrast', 'vscode-high-contrast-light'];
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

let server;
let browser;
before(async () => {
  server = await servePage();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.close();
});

/** Runs a test in a fresh page; a console error, an exception or a breach of the policy fails it. */
async function inPanel(options, run) {
  const { context, page, problems } = await openPanel(browser, server.origin, options);
  try {
    await run(page);
    assert.deepEqual(problems, []);
    assert.deepEqual(await page.evaluate(() => window.pageHost.violations), []);
  } finally {
    await context.close();
  }
}

/** A verdict as a host sends it; its texts are a file's. */
function verdictMessage(level, reason) {
  const global = { called: true, count: 1, where: 'archive/data.pkl', offset: 2 };
  const globals = [{ ...global, name: '<b>os</b>.system', level: 'dangerous', reason: 'runs commands' }];
  const findings = [
    { level: 'suspicious', kind: 'archive', message: 'two entries are called "x"', where: '' },
  ];
  const found = level === 'safe' ? { globals: [], findings: [] } : { globals, findings };
  return {
    type: 'verdict',
    verdict: { level, meaning: 'What it means.', reason, ...found, notes: [], further: 0 },
  };
}

const layerGrid = (page) => page.getByRole('treegrid', { name: 'Layers' });
const rows = (page) => layerGrid(page).locator('.grid-body [role=row]');
const rowOf = (page, name) =>
  rows(page)
    .filter({ has: page.getByTitle(name, { exact: true }) })
    .first();

/** Full names of the rows drawn, top to bottom. */
async function shownNames(page) {
  const found = await rows(page).evaluateAll((all) =>
    all.map((row) => [Number(row.getAttribute('aria-rowindex')), row.querySelector('bdi').title]),
  );
  return found.sort(([a], [b]) => a - b).map(([, name]) => name);
}

const text = (locator) => locator.evaluate((node) => node.textContent.replaceAll('\u00a0', ' '));

describe('an audit that streams in', () => {
  it('shows the file at once, then layers, then the whole; cancel is there while it runs', async () => {
    const audit = syntheticAudit(20);
    await inPanel({}, async (page) => {
      await tell(page, openedMessage(audit));
      await painted(page);
      assert.equal(await text(page.getByRole('heading', { level: 1 })), 'synthetic.safetensors');
      assert.match(await text(page.locator('.facts')), /20 matrices.*2 threads/);
      assert.equal((await shownNames(page)).length, 20, 'names before numbers');
      assert.equal(await rows(page).locator('[data-column=rank]').first().textContent(), '·');

      const progress = { done: 5, total: 20, fraction: 0.3, secondsLeft: 42 };
      await tell(page, layerMessage(audit, 0, 5), { type: 'progress', progress });
      await painted(page);
      assert.match(await text(page.locator('.progress-text')), /5 of 20 layers · 42 s left/);
      assert.equal(await page.getByRole('progressbar').getAttribute('aria-valuenow'), '30');
      // Results that stream in are painted a few times a second.
      const firstRank = rows(page).locator('[data-column=rank]').first();
      await firstRank.filter({ hasText: new RegExp(`^${audit.layers[0].rank}$`) }).waitFor();
      await page.getByRole('button', { name: 'Cancel' }).click();
      assert.deepEqual(await said(page, 'cancel'), [{ type: 'cancel' }]);

      await tell(page, layerMessage(audit, 5), doneMessage(audit));
      await painted(page);
      assert.ok(await page.getByRole('progressbar').isHidden());
      assert.ok(await page.getByRole('button', { name: 'Cancel' }).isHidden());
      assert.match(await text(page.locator('.facts')), /2 tensors skipped.*1\.3 s/);
      const mean = Math.round(audit.summary.meanUtilization * 1000) / 10;
      assert.match(await text(page.locator('.card').first()), new RegExp(`${mean} %`));
      const saved = audit.checkpoint.parameters - audit.summary.parametersIfDecomposed;
      assert.match(
        await text(page.locator('.card').nth(1)),
        new RegExp(`saves ${saved.toLocaleString('en-US')} parameters`),
      );
    });
  });

  it('says what failed, keeps what it has, tries again and shows the log', async () => {
    const audit = syntheticAudit(6);
    await inPanel({}, async (page) => {
      const message = 'm.pt: tensor "a" at byte 12: data ends early';
      await tell(page, openedMessage(audit), layerMessage(audit, 0, 2), { type: 'failed', message });
      await painted(page);
      assert.match(await text(page.getByRole('alert')), /The audit failed\. m\.pt: tensor "a" at byte 12/);
      assert.equal(await rows(page).count(), 6);
      await page.getByRole('button', { name: 'Show Log' }).click();
      await page.getByRole('button', { name: 'Retry' }).click();
      await painted(page);
      assert.equal((await said(page, 'openLog')).length, 1);
      assert.equal((await said(page, 'retry')).length, 1);
      assert.equal(await page.getByRole('alert').count(), 0);
    });
  });

  it('offers to go on after a cancel, and shows notices until they are dismissed', async () => {
    const audit = syntheticAudit(6);
    await inPanel({}, async (page) => {
      const notice = { type: 'notice', message: 'The file changed on disk.' };
      await tell(page, openedMessage(audit), layerMessage(audit, 0, 2), notice, { type: 'cancelled' });
      await painted(page);
      assert.match(await text(page.locator('.progress-text')), /Cancelled after 2 of 6 layers/);
      await page.getByRole('button', { name: 'Dismiss' }).click();
      await painted(page);
      assert.equal(await page.getByText('The file changed on disk.').count(), 0);
      await page.getByRole('button', { name: 'Audit Again' }).click();
      assert.equal((await said(page, 'retry')).length, 1);
    });
  });

  it('fails in one line before anything is known', async () => {
    await inPanel({}, async (page) => {
      await tell(page, { type: 'failed', message: 'no.pt: not a checkpoint' });
      await painted(page);
      assert.ok(await page.getByText('no.pt: not a checkpoint').isVisible());
      assert.ok(await page.locator('.results').isHidden());
    });
  });
});

describe('the verdict on a file', () => {
  it('is one line, and says what it rests on when asked, with the keyboard too', async () => {
    await inPanel({}, async (page) => {
      await tell(
        page,
        verdictMessage('dangerous', 'names <b>os</b>.system'),
        ...wholeAudit(syntheticAudit(12)),
      );
      const line = page.locator('.verdict > summary');
      await line.waitFor();
      assert.match(await line.textContent(), /^Dangerous to loadnames <b>os<\/b>\.system$/);
      const list = page.locator('.verdict li');
      assert.equal(await list.first().isVisible(), false);
      await line.focus();
      await page.keyboard.press('Enter');
      assert.equal(await list.first().isVisible(), true);
      assert.deepEqual(await list.allTextContents(), [
        'dangerous<b>os</b>.system: runs commands (called)archive/data.pkl, byte 2',
        'suspicioustwo entries are called "x"',
      ]);
      await tell(page, { type: 'failed', message: 'cannot be read' });
      await painted(page);
      assert.equal(await line.isVisible(), true);
      await tell(page, verdictMessage('safe', 'holds no code'));
      await painted(page);
      assert.match(await line.textContent(), /^Safe to load/);
    });
  });
});

describe('the layer table', () => {
  const audit = syntheticAudit(30);
  const byUtilization = [...audit.layers]
    .sort((a, b) => a.utilization - b.utilization)
    .map(({ name }) => name);

  it('sorts by a click on a column, back by another, and says so to screen readers', async () => {
    await inPanel({ width: 1600 }, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      const head = layerGrid(page).getByRole('columnheader', { name: 'Utilization' });
      await head.getByRole('button').click();
      await painted(page);
      assert.equal(await head.getAttribute('aria-sort'), 'ascending');
      assert.deepEqual((await shownNames(page)).slice(0, 5), byUtilization.slice(0, 5));
      await head.getByRole('button').click();
      await painted(page);
      assert.equal(await head.getAttribute('aria-sort'), 'descending');
      assert.deepEqual(
        (await shownNames(page)).slice(0, 3),
        [...audit.layers]
          .sort((a, b) => b.utilization - a.utilization)
          .map(({ name }) => name)
          .slice(0, 3),
      );
      assert.equal(await layerGrid(page).getByRole('columnheader').count(), 20, 'every metric has a column');
    });
  });

  it('filters by a part of a name, by a pattern and by kind', async () => {
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      const field = page.getByLabel('Filter by name').locator('input');
      await field.fill('k_proj');
      await painted(page);
      const expected = audit.layers.filter(({ name }) => name.includes('k_proj')).map(({ name }) => name);
      assert.deepEqual(await shownNames(page), expected);
      assert.match(await text(page.locator('.table-summary')), new RegExp(`${expected.length} of 30`));
      await field.fill('/layers\\.[01]\\..*down/');
      await painted(page);
      assert.equal((await shownNames(page)).length, 2);
      await field.fill('/(/');
      await painted(page);
      assert.equal(await layerGrid(page).getAttribute('aria-rowcount'), '31', '30 rows and the head');
      assert.match(await text(page.locator('.table-summary')), /[Uu]nterminated/);
      await field.fill('');
      await page.getByLabel('Filter by kind').click();
      await page.getByRole('option', { name: 'conv' }).click();
      await painted(page);
      assert.equal(
        (await shownNames(page)).length,
        audit.layers.filter(({ kind }) => kind === 'conv').length,
      );
    });
  });

  it('is complete with keys alone: move, select, add, range, all, none', async () => {
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      const selected = () =>
        rows(page).evaluateAll((all) =>
          all
            .filter((row) => row.ariaSelected === 'true')
            .map((row) => Number(row.getAttribute('aria-rowindex')) - 1)
            .sort((a, b) => a - b),
        );
      const press = async (...keys) => {
        for (const key of keys) await page.keyboard.press(key);
        await painted(page);
      };
      await layerGrid(page).focus();
      await press('ArrowDown', 'ArrowDown', 'Enter');
      assert.deepEqual(await selected(), [3]);
      await press('ArrowDown', 'Control+Space');
      assert.deepEqual(await selected(), [3, 4]);
      await press('Home', 'Space', 'Shift+ArrowDown', 'Shift+ArrowDown');
      assert.deepEqual(await selected(), [1, 2, 3]);
      await press('End');
      const active = await layerGrid(page).getAttribute('aria-activedescendant');
      assert.equal(await page.locator(`[id="${active}"]`).getAttribute('aria-rowindex'), '31');
      await press('Control+a');
      assert.match(await text(page.locator('.table-summary')), /30 layers selected/);
      assert.match(await text(page.locator('.legend-list')), /18 more selected layers not drawn/);
      await press('Escape');
      assert.deepEqual(await selected(), []);
      await page.keyboard.press('Tab');
      await press('ArrowRight', 'Enter');
      assert.equal(
        await layerGrid(page).getByRole('columnheader', { name: 'Layer' }).getAttribute('aria-sort'),
        'ascending',
      );
    });
  });

  it('opens the parts of a fused layer', async () => {
    const fused = syntheticAudit(2);
    const [q] = fused.layers;
    const part = { ...q, name: 'q', singularValues: undefined };
    fused.layers[1] = { ...fused.layers[1], kind: 'attention', parts: [part, { ...part, name: 'k' }] };
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(fused));
      await painted(page);
      assert.equal(await rows(page).count(), 2);
      await layerGrid(page).focus();
      for (const key of ['ArrowDown', 'ArrowRight']) await page.keyboard.press(key);
      await painted(page);
      assert.deepEqual((await shownNames(page)).slice(2), ['q', 'k']);
      assert.equal(await rows(page).nth(1).getAttribute('aria-expanded'), 'true');
      await page.keyboard.press('ArrowLeft');
      await painted(page);
      assert.equal(await rows(page).count(), 2);
    });
  });

  it('tells why tensors were skipped', async () => {
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await page.getByRole('button', { name: /^why/ }).click();
      await painted(page);
      const grid = page.getByRole('grid', { name: 'Skipped tensors' });
      assert.match(await text(grid), /model\.norm\.weight.*norm or bias: one dimension/);
      await page.getByRole('tab', { name: /Layers/ }).click();
      await painted(page);
      assert.ok(await layerGrid(page).isVisible());
    });
  });

  it('holds 5,000 layers with as many rows in the page as are in sight, and scrolls smoothly', async () => {
    const large = syntheticAudit(5000, { values: 8 });
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(large));
      await painted(page);
      assert.ok((await rows(page).count()) < 60);
      assert.equal(await layerGrid(page).getAttribute('aria-rowcount'), '5001');
      const times = await page.evaluate(async () => {
        const grid = document.querySelector('[role=treegrid]');
        const durations = [];
        let last = performance.now();
        for (let frame = 0; frame < 120; frame++) {
          grid.scrollTop += 900;
          await new Promise((resolve) => requestAnimationFrame(resolve));
          durations.push(performance.now() - last);
          last = performance.now();
        }
        return durations.sort((a, b) => a - b);
      });
      console.log(`5,000 rows, 900 px a frame: ${frameWords(times)}`);
      await layerGrid(page).focus();
      await page.keyboard.press('End');
      await painted(page);
      assert.equal((await shownNames(page)).at(-1), large.layers.at(-1).name);
    });
  });
});

function frameWords(times) {
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(1);
  const late = times.filter((time) => time > 34).length;
  return `frame time median ${at(0.5)} ms, 95th percentile ${at(0.95)} ms, worst ${at(1)} ms; ${late} of ${times.length} frames dropped`;
}

describe('the plots', () => {
  const audit = syntheticAudit(20);

  it('select a layer by a click on its bar, and show everything of it under the pointer', async () => {
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      const stage = page.getByRole('slider', { name: 'Layers of the utilization snapshot' });
      const { width } = await stage.boundingBox();
      await stage.hover({ position: { x: width - 20, y: 90 } });
      const last = audit.layers.at(-1);
      assert.match(
        await text(page.locator('.hover-card')),
        new RegExp(`${last.name}.*rank${last.rank} of ${last.maxRank}`),
      );
      await stage.click({ position: { x: width - 20, y: 90 } });
      await painted(page);
      assert.equal(await rowOf(page, last.name).getAttribute('aria-selected'), 'true');
      assert.match(
        await text(page.locator('.legend-layer')),
        new RegExp(`rank ${last.rank} of ${last.maxRank}`),
      );
    });
  });

  it('can be read and used with keys', async () => {
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      const bars = page.getByRole('slider', { name: 'Layers of the utilization snapshot' });
      await bars.focus();
      for (const key of ['ArrowRight', 'ArrowRight', 'Enter']) await page.keyboard.press(key);
      await painted(page);
      const [, , third] = audit.layers;
      assert.match(
        await bars.getAttribute('aria-valuetext'),
        new RegExp(`^${third.name}, rank ${third.rank} of ${third.maxRank}`),
      );
      assert.equal(await rowOf(page, third.name).getAttribute('aria-selected'), 'true');
      const spectrum = page.getByRole('slider', { name: 'Singular values of the selected layers' });
      await spectrum.focus();
      await page.keyboard.press('Home');
      assert.match(await spectrum.getAttribute('aria-valuetext'), /^index 1, σ over σ₁: .* 1 /);
    });
  });

  it('have tables behind them with the same numbers', async () => {
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      for (const name of ['Utilization snapshot', 'Spectrum']) {
        await page.getByRole('region', { name }).getByRole('button', { name: 'Show as table' }).click();
      }
      await painted(page);
      const [first] = audit.layers;
      const bars = page.getByRole('grid', { name: 'Utilization snapshot as a table' });
      const cells = await bars
        .locator('.grid-body [role=row]')
        .first()
        .getByRole('gridcell')
        .allTextContents();
      assert.deepEqual(cells.slice(0, 3), [first.name, String(first.maxRank), String(first.rank)]);
      const curve = page.getByRole('grid', { name: 'Spectrum as a table' });
      assert.equal(
        await curve.locator('.grid-body [role=row]').first().getByRole('gridcell').nth(1).textContent(),
        '1',
      );
    });
  });

  it('switch between values and energy, logarithmic and linear, rank and share', async () => {
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      const press = async (name) => {
        const button = page.locator('.segmented').getByRole('button', { name, exact: true });
        await button.click();
        await painted(page);
        assert.equal(await button.getAttribute('aria-pressed'), 'true');
      };
      await press('Energy');
      assert.match(await text(page.locator('.legend-layer')), /0\.9 at \d+ · 0\.99 at \d+ · 0\.9999 at \d+/);
      for (const name of ['Linear', 'σ', 'Log', 'Share', 'Rank']) await press(name);
    });
  });

  it('draw in the colours of the theme, also when it changes', async () => {
    await inPanel({ theme: 'vscode-dark' }, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      const colours = () =>
        page.evaluate(() => {
          const canvas = document.querySelector('.plot-stage canvas');
          const copy = document.createElement('canvas');
          [copy.width, copy.height] = [canvas.width, canvas.height];
          const context = copy.getContext('2d', { willReadFrequently: true });
          context.drawImage(canvas, 0, 0);
          const { data } = context.getImageData(0, 0, copy.width, copy.height);
          const counts = new Map();
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] !== 255) continue;
            const key = `${data[i]},${data[i + 1]},${data[i + 2]}`;
            counts.set(key, (counts.get(key) ?? 0) + 1);
          }
          return [...counts].sort((a, b) => b[1] - a[1]).map(([key]) => key);
        });
      assert.equal((await colours())[0], '55,148,255');
      await page.evaluate(() => {
        document.body.className = 'vscode-light';
      });
      await painted(page);
      assert.equal((await colours())[0], '26,133,255');
    });
  });
});

describe('what leaves the page', () => {
  const audit = syntheticAudit(8);

  it('asks the host for CSV, JSON and Markdown when all is there, and says how it went', async () => {
    await inPanel({}, async (page) => {
      await tell(page, openedMessage(audit), layerMessage(audit, 0, 3));
      await painted(page);
      await page.getByRole('button', { name: 'Export' }).click();
      assert.ok(await page.getByRole('menuitem', { name: 'Layers as CSV…' }).isDisabled());
      await page.keyboard.press('Escape');
      await tell(page, layerMessage(audit, 3), doneMessage(audit));
      await painted(page);
      for (const name of ['Layers as CSV…', 'Audit as JSON…', 'Report as Markdown…']) {
        await page.getByRole('button', { name: 'Export' }).click();
        await page.getByRole('menuitem', { name }).click();
        await page.getByText('Saved').waitFor();
      }
      assert.deepEqual(
        (await said(page, 'export')).map(({ format, suggestedName }) => [format, suggestedName]),
        [
          ['csv', 'synthetic.safetensors.audit.csv'],
          ['json', 'synthetic.safetensors.audit.json'],
          ['markdown', 'synthetic.safetensors.audit.md'],
        ],
      );
    });
  });

  it('makes PNGs of both plots itself', async () => {
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      for (const name of ['Utilization Snapshot as PNG…', 'Spectrum as PNG…']) {
        await page.getByRole('button', { name: 'Export' }).click();
        await page.getByRole('menuitem', { name }).click();
        await page.getByText('Saved').waitFor();
        await page.evaluate(() => {
          document.querySelector('.toast').textContent = '';
        });
      }
      const pictures = await page.evaluate(() =>
        window.pageHost.said
          .filter(({ format }) => format === 'png')
          .map(({ png, suggestedName }) => [
            suggestedName,
            [...png.slice(0, 8)],
            png.length,
            png instanceof Uint8Array,
          ]),
      );
      assert.deepEqual(
        pictures.map(([name]) => name),
        ['synthetic.safetensors.snapshot.png', 'synthetic.safetensors.spectrum.png'],
      );
      for (const [, head, length, typed] of pictures) {
        assert.deepEqual(head, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
        assert.ok(length > 10_000 && typed);
      }
    });
  });

  it('says why nothing was written', async () => {
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await page.evaluate(() => {
        window.pageHost.replies.export = { ok: false, message: 'The disk is full.' };
      });
      await painted(page);
      await page.getByRole('button', { name: 'Export' }).press('Enter');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.getByText('The disk is full.').waitFor();
      assert.equal((await said(page, 'export'))[0].format, 'json');
    });
  });

  it('asks for the Python snippet of a layer, from the legend and from its row', async () => {
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      const { name } = audit.layers[2];
      await rowOf(page, name).hover();
      await rowOf(page, name)
        .getByRole('button', { name: /as Python$/, includeHidden: true })
        .click();
      await page.getByText('Copied as Python').waitFor();
      await rowOf(page, name).click();
      await painted(page);
      await page
        .locator('.legend-layer')
        .getByRole('button', { name: /as Python$/ })
        .click();
      await painted(page);
      assert.deepEqual(
        (await said(page, 'copySnippet')).map(({ layer }) => layer),
        [name, name],
      );
    });
  });
});

describe('the page that comes back', () => {
  it('is as it was left: filter, order, selection, views and scroll', async () => {
    const audit = syntheticAudit(300);
    await inPanel({}, async (page) => {
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      await page.getByLabel('Filter by name').locator('input').fill('proj');
      await layerGrid(page).getByRole('columnheader', { name: 'Utilization' }).getByRole('button').click();
      await page.getByRole('button', { name: 'Energy', exact: true }).click();
      await page.getByRole('button', { name: 'Share', exact: true }).click();
      await painted(page);
      await rows(page).nth(2).click();
      await rows(page)
        .nth(4)
        .click({ modifiers: ['Control'] });
      await layerGrid(page).evaluate((grid) => {
        grid.scrollTop = 960;
      });
      await painted(page);
      const look = async () => ({
        names: await shownNames(page),
        legend: await text(page.locator('.legend-list')),
        scroll: await layerGrid(page).evaluate((grid) => grid.scrollTop),
        filter: await page.getByLabel('Filter by name').locator('input').inputValue(),
        pressed: await page.locator('[aria-pressed=true]').allTextContents(),
      });
      await page.waitForTimeout(400);
      const left = await look();
      assert.equal(left.scroll, 960);
      await page.reload();
      await tell(page, ...wholeAudit(audit));
      await painted(page);
      await painted(page);
      assert.deepEqual(await look(), left);
    });
  });
});

describe('names from strangers', () => {
  it('are text and nothing else, escaped, isolated and cut', async () => {
    const hostile = [
      '<img src=x onerror="window.broken=1">',
      'evil\u202egnp.thgiew',
      '\u001b[31mred\u0000',
      `${'long.'.repeat(200)}weight`,
      '__proto__',
      '</script><script>window.broken=1</script>',
    ];
    const audit = syntheticAudit(6, {
      names: hostile,
      skipped: [{ name: hostile[0], shape: [1], dtype: '<b>x</b>', reason: '<i>no</i>' }],
    });
    audit.checkpoint.path = '/m/<b>bold</b>\u202e.pt';
    audit.checkpoint.notes = ['<u>note</u>'];
    await inPanel({ width: 500 }, async (page) => {
      await tell(page, ...wholeAudit(audit), { type: 'notice', message: '<script>window.broken=1</script>' });
      await painted(page);
      for (const name of hostile) {
        await tell(page, { type: 'notice', message: name });
        await rows(page).nth(hostile.indexOf(name)).click();
        await page.getByRole('slider', { name: 'Layers of the utilization snapshot' }).press('ArrowRight');
        await painted(page);
      }
      await page.getByRole('tab', { name: /Skipped/ }).click();
      await painted(page);
      assert.equal(await page.evaluate(() => window.broken), undefined);
      assert.equal(await page.locator('main :is(img, b, i, u, script)').count(), 0);
      await page.getByRole('tab', { name: /Layers/ }).click();
      await painted(page);
      const names = await shownNames(page);
      assert.equal(names[1], 'evil\\u{202e}gnp.thgiew');
      assert.equal(names[2], '\\u{001b}[31mred\\u{0000}');
      assert.ok(!(await page.locator('body').innerText()).includes('\u202e'));
      const overflow = await page.evaluate(
        () => document.querySelector('.page').scrollWidth - window.innerWidth,
      );
      assert.ok(overflow <= 0, `${overflow} px too wide`);
    });
  });
});

describe('for everyone', () => {
  const audit = syntheticAudit(12);
  for (const theme of THEMES) {
    it(`has no serious accessibility violation in ${theme}`, async () => {
      await inPanel({ theme }, async (page) => {
        await page.evaluate(await import('node:fs').then(({ readFileSync }) => readFileSync(AXE, 'utf8')));
        const check = async (state) => {
          await painted(page);
          const { violations } = await page.evaluate(() =>
            window.axe.run(document, { resultTypes: ['violations'] }),
          );
          const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
          assert.deepEqual(
            serious.map(({ id, nodes }) => [
              state,
              id,
              ...nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`),
            ]),
            [],
          );
        };
        const progress = { done: 3, total: 12, fraction: 0.2, secondsLeft: 9 };
        await tell(page, openedMessage(audit), layerMessage(audit, 0, 3), { type: 'progress', progress });
        await check('streaming');
        for (const level of ['safe', 'unknown', 'suspicious', 'dangerous']) {
          await tell(page, verdictMessage(level, 'names os.system'));
          await page.locator('.verdict > summary').click();
          await check(`a file that is ${level}`);
        }
        await tell(page, { type: 'notice', message: 'Restarted.' }, { type: 'failed', message: 'torn' });
        await check('failed');
        await tell(page, ...wholeAudit(audit));
        await painted(page);
        await rows(page).nth(1).click();
        await rows(page)
          .nth(3)
          .click({ modifiers: ['Control'] });
        await check('done');
        await page.getByRole('button', { name: 'Export' }).click();
        await check('menu');
        await page.keyboard.press('Escape');
        for (const name of ['Utilization snapshot', 'Spectrum']) {
          await page.getByRole('region', { name }).getByRole('button', { name: 'Show as table' }).click();
        }
        await page.getByRole('tab', { name: /Skipped/ }).click();
        await check('tables');
      });
    });
  }

  for (const width of [400, 800, 1280, 1600]) {
    it(`fits ${width} px without a horizontal scroll bar`, async () => {
      await inPanel({ width }, async (page) => {
        await tell(page, ...wholeAudit(audit));
        await painted(page);
        const wide = await page.evaluate(() =>
          [...document.querySelectorAll('.page, .grid')].map(
            (place) => place.scrollWidth - place.clientWidth,
          ),
        );
        assert.ok(
          wide.every((excess) => excess <= 0),
          String(wide),
        );
        const columns = await layerGrid(page).getByRole('columnheader').count();
        assert.ok(width < 500 ? columns >= 3 && columns < 8 : columns >= 6, `${columns} columns`);
      });
    });
  }

  it('moves nothing for people who asked for less motion', async () => {
    await inPanel({ reducedMotion: 'reduce' }, async (page) => {
      await tell(page, openedMessage(audit));
      await painted(page);
      const moving = await page.evaluate(() => document.getAnimations().length);
      assert.equal(moving, 0);
    });
  });
});

describe('500 layers of 1,024 singular values', () => {
  it('stream in at the screen’s pace', async () => {
    const audit = syntheticAudit(500, { values: 1024 });
    await inPanel({}, async (page) => {
      // The messages are made in the page beforehand: what is measured is the page, not the test's own channel.
      await page.evaluate(
        (messages) => {
          for (const { layers = [] } of messages) {
            for (const { layer } of layers) layer.singularValues = new Float64Array(layer.singularValues);
          }
          window.replay = messages;
        },
        [
          openedMessage(audit),
          ...Array.from({ length: 50 }, (_, i) => layerMessage(audit, i * 10, i * 10 + 10)),
          doneMessage(audit),
        ],
      );
      const { times, longest } = await page.evaluate(async () => {
        const tasks = [];
        new PerformanceObserver((list) =>
          tasks.push(...list.getEntries().map(({ duration }) => duration)),
        ).observe({
          entryTypes: ['longtask'],
        });
        const durations = [];
        let last = performance.now();
        const total = window.replay.length;
        for (let frame = 0; window.replay.length > 0 || frame < 300; frame++) {
          // One message every five frames: twelve a second.
          if (frame % 5 === 0 && window.replay.length > 0) window.postMessage(window.replay.shift(), '*');
          const done = total - window.replay.length;
          window.postMessage({ type: 'progress', progress: { done, total, fraction: done / total } }, '*');
          await new Promise((resolve) => requestAnimationFrame(resolve));
          const now = performance.now();
          durations.push(now - last);
          last = now;
        }
        return { times: durations.sort((a, b) => a - b), longest: tasks.sort((a, b) => b - a).slice(0, 3) };
      });
      console.log(
        `500 × 1,024 streaming: ${frameWords(times)}; long tasks ${longest.map(Math.round).join(', ') || 'none'} ms`,
      );
      await painted(page);
      assert.match(await text(page.getByRole('tab', { name: /Layers/ })), /500/);
      assert.equal(
        await rows(page).locator('[data-column=rank]').first().textContent(),
        String(audit.layers[0].rank),
      );
    });
  });
});
