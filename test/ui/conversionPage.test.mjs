// The conversion page in a real browser, under the policy that the extension sets, fed with conversions made here.
/* global document, window */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';
import { artifact } from './harness.mjs';
import { launch, openPanel, painted, said, tell } from './page/browser.mjs';
import { servePage } from './page/server.mjs';
import {
  doneMessage,
  layersMessage,
  previewMessage,
  startMessages,
  syntheticConversion,
  wholeConversion,
} from './page/syntheticConversion.mjs';

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
async function inPage(options, run) {
  const { context, page, problems } = await openPanel(browser, server.origin, {
    ...{ page: 'conversion', width: 640, height: 900, ...options },
  });
  try {
    await answerSpectra(page);
    await run(page);
    assert.deepEqual(problems, []);
    assert.deepEqual(await page.evaluate(() => window.pageHost.violations), []);
  } finally {
    await context.close();
  }
}

/** Answers as an engine does: the spectrum of sin(ωA)/g for a diagonal A, whose singular values are its entries'. */
function answerSpectra(page) {
  return page.evaluate(() => {
    const host = window.pageHost;
    host.latency = 0;
    host.underWay = 0;
    host.mostUnderWay = 0;
    const energy = (values) => values.reduce((sum, value) => sum + value * value, 0);
    host.replies.sineSpectrum = async ({ params: { rank, omega, gain } }) => {
      host.mostUnderWay = Math.max(host.mostUnderWay, ++host.underWay);
      await new Promise((resolve) => setTimeout(resolve, host.latency));
      host.underWay--;
      const original = Float64Array.from({ length: 64 }, (_, i) => 2 * 0.93 ** i);
      const lowRank = original.slice(0, rank);
      const diagonal = lowRank.map((value) => Math.sin(omega * value) / gain);
      const missing = energy(original.slice(rank));
      const error = energy(diagonal.map((value, i) => original[i] - value));
      const sine = new Float64Array(64);
      sine.set(diagonal.map(Math.abs).sort().reverse());
      const result = {
        ...{ original, lowRank, sine, stableRank: energy(sine) / sine[0] ** 2, effectiveRank: 5 },
        ...{ energyRank99: rank, rank, relativeError: Math.sqrt((error + missing) / energy(original)) },
        svdRelativeError: Math.sqrt(missing / energy(original)),
        proposition1: { omegaLimit: 100, rankBound: 0.25 * omega },
      };
      return { ok: true, result };
    };
  });
}

const text = (locator) => locator.evaluate((node) => node.textContent.replaceAll('\u00a0', ' '));
const rows = (page) =>
  page.getByRole('grid', { name: 'Layers', exact: true }).locator('.grid-body [role=row]');
const form = (page) => page.getByRole('region', { name: 'What to convert' });
const explorer = (page) => page.getByRole('region', { name: 'ω explorer' });
const amount = (page) => page.getByRole('textbox', { name: 'How much is kept, as a number' });
const convertButton = (page) => form(page).getByRole('button', { name: 'Convert' });
const slider = (page, name) => explorer(page).getByRole('slider', { name: new RegExp(`^${name},`) });

/** How many CSS pixels the page is too wide. */
function overflow(page) {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.querySelector('main');
    return scrollWidth - clientWidth;
  });
}

/** The pixels of a plot. */
function picture(locator) {
  return locator.locator('canvas').evaluate((canvas) => canvas.toDataURL());
}

describe('the form', () => {
  it('shows what a share of each layer would cost, and follows the number as it is typed and dragged', async () => {
    const conversion = syntheticConversion(12);
    await inPage({}, async (page) => {
      await tell(page, previewMessage(conversion));
      await painted(page);
      const { parametersAfter, parametersBefore } = conversion.summary;
      const words = await text(form(page).getByRole('status'));
      assert.ok(words.includes(parametersAfter.toLocaleString('en-US')), words);
      assert.ok(words.includes(`${Math.round((1000 * parametersAfter) / parametersBefore) / 10} %`), words);
      assert.match(words, /11 of 12 layers converted; dense: 1 embedding/);
      await amount(page).fill('30');
      await painted(page);
      const more = await text(form(page).locator('.form-rate'));
      assert.ok(parseFloat(more) > 40, more);
      assert.equal(await rows(page).first().locator('[data-column=k]').textContent(), '19', '30 % of 64');
      await form(page).getByRole('slider').press('ArrowLeft');
      await painted(page);
      assert.equal(await amount(page).inputValue(), '29.5');
    });
  });

  it('says what is wrong, and converts only when nothing is', async () => {
    const conversion = syntheticConversion(12);
    await inPage({}, async (page) => {
      await tell(page, previewMessage(conversion));
      await painted(page);
      for (const [typed, problem] of [
        ['', /number is needed/],
        ['abc', /number is needed/],
        ['0', /From 0.01 to 100/],
      ]) {
        await amount(page).fill(typed);
        await form(page).getByText(problem).waitFor();
        assert.ok(await convertButton(page).isDisabled());
      }
      await form(page).getByRole('button', { name: 'Compression' }).click();
      await amount(page).fill('0.5');
      await form(page)
        .getByText(/Less than .* is not possible/)
        .waitFor();
      await amount(page).fill('40');
      await painted(page);
      await form(page).getByText('Options').click();
      const layers = form(page).getByRole('textbox', { name: 'Layers' });
      await layers.fill('(');
      await painted(page);
      assert.ok(await convertButton(page).isDisabled());
      await layers.fill('mlp');
      await form(page).getByRole('checkbox').click();
      await painted(page);
      assert.match(await text(form(page).getByRole('status')), /6 of 12 layers converted/);
      await convertButton(page).click();
      await painted(page);
      assert.deepEqual(await said(page, 'convert'), [
        {
          type: 'convert',
          choices: { ranks: { kind: 'compression', rate: 0.4 }, layers: 'mlp', materialize: true },
        },
      ]);
      assert.ok(await convertButton(page).isDisabled(), 'one at a time');
    });
  });

  it('writes beside the checkpoint unless a folder is chosen', async () => {
    await inPage({}, async (page) => {
      await page.evaluate(() => {
        window.pageHost.replies.chooseFolder = { ok: true, result: '/elsewhere/converted' };
      });
      await tell(page, previewMessage(syntheticConversion(4)));
      await painted(page);
      await form(page).getByText('Options').click();
      assert.equal(await text(form(page).locator('.form-folder')), '/models');
      await form(page).getByRole('button', { name: 'Choose…' }).click();
      await form(page).getByText('/elsewhere/converted').waitFor();
      await convertButton(page).click();
      const [{ choices }] = await said(page, 'convert');
      assert.equal(choices.out, '/elsewhere/converted');
      await form(page).getByRole('button', { name: 'Beside the checkpoint' }).click();
      await painted(page);
      assert.equal(await text(form(page).locator('.form-folder')), '/models');
    });
  });

  it('says why a checkpoint cannot be converted, and tries again', async () => {
    await inPage({}, async (page) => {
      await tell(page, { type: 'previewFailed', message: 'm.pt, byte 12: data ends early' });
      await painted(page);
      assert.match(await text(page.getByRole('alert')), /cannot be converted\. m\.pt, byte 12/);
      await page.getByRole('button', { name: 'Retry' }).click();
      assert.equal((await said(page, 'retry')).length, 1);
    });
  });
});

describe('a conversion that streams in', () => {
  it('shows progress and time left, can be cancelled, and keeps what was fitted', async () => {
    const conversion = syntheticConversion(12);
    await inPage({}, async (page) => {
      await tell(
        page,
        previewMessage(conversion),
        ...startMessages(conversion),
        layersMessage(conversion, 0, 4),
      );
      const progress = { done: 4, total: 11, fraction: 0.3, secondsLeft: 42 };
      await tell(page, { type: 'progress', progress });
      await painted(page);
      assert.match(await text(page.locator('.progress-text')), /4 of 11 layers · 42 s left/);
      assert.equal(await page.getByRole('progressbar').getAttribute('aria-valuenow'), '30');
      const error = conversion.layers[0].relativeError.toFixed(4);
      assert.equal(await rows(page).first().locator('[data-column=error]').textContent(), error);
      await page.getByRole('button', { name: 'Cancel' }).click();
      assert.equal((await said(page, 'cancel')).length, 1);
      await tell(page, { type: 'cancelled' });
      await painted(page);
      assert.match(await text(page.locator('.progress-text')), /Cancelled; 4 fitted layers kept/);
      assert.ok(await convertButton(page).isEnabled());
    });
  });

  it('ends with statements, ledger and files; spectra of the layer that is chosen', async () => {
    const conversion = syntheticConversion(12);
    await inPage({}, async (page) => {
      await tell(page, ...wholeConversion(conversion));
      await painted(page);
      const { meanErrorRatio } = conversion.summary;
      const result = await text(page.getByRole('region', { name: 'Result' }));
      assert.ok(result.includes(meanErrorRatio.toFixed(3)), result);
      assert.match(result, /saves storage and trainable parameters, not FLOPs/);
      assert.match(await text(page.getByRole('region', { name: 'Ledger' })), /FLOPs.*100 %/);
      const files = page.getByRole('region', { name: 'Files' });
      await files.getByRole('button', { name: 'Audit synthetic.sine-k15pct.safetensors' }).click();
      await files.getByRole('button', { name: 'Reveal sine_lowrank.py' }).click();
      await files.getByRole('button', { name: 'Copy Python to Load It' }).click();
      assert.deepEqual(
        (await said(page, 'call')).map(({ call, params }) => [call, params]),
        [
          ['open', { file: 'factors' }],
          ['reveal', { file: 'loader' }],
          ['copyPython', {}],
        ],
      );
      await page.locator('.toast', { hasText: 'Copied as Python' }).waitFor();
      const spectrum = page.getByRole('region', { name: 'Spectrum', exact: true });
      const before = await picture(spectrum);
      await rows(page).nth(2).click();
      await spectrum.getByTitle(conversion.layers[2].name).waitFor();
      await painted(page);
      assert.notEqual(await picture(spectrum), before);
      await rows(page).nth(9).click();
      await page.getByText('Dense: embedding: a table, not a map').waitFor();
    });
  });

  it('says what failed, and notes what the files lack', async () => {
    const conversion = syntheticConversion(4);
    await inPage({}, async (page) => {
      await tell(page, previewMessage(conversion), ...startMessages(conversion));
      await tell(page, { type: 'failed', message: 'disk full: /models' });
      await painted(page);
      assert.match(await text(page.getByRole('alert')), /The conversion failed\. disk full: \/models/);
      await page.getByRole('button', { name: 'Retry' }).click();
      assert.equal((await said(page, 'convert')).length, 1);
      const done = doneMessage(conversion);
      done.document.notes = ['optimizer state was left out'];
      await tell(page, ...startMessages(conversion), layersMessage(conversion), done);
      await painted(page);
      assert.equal(await page.getByRole('alert').filter({ visible: true }).count(), 0);
      assert.ok(await page.getByText('optimizer state was left out').isVisible());
    });
  });
});

describe('the ω explorer', () => {
  it('moves the spectrum as ω is dragged; at most one question at a time, the newest answered last', async () => {
    const conversion = syntheticConversion(4);
    await inPage({}, async (page) => {
      await tell(page, ...wholeConversion(conversion));
      await painted(page);
      await explorer(page).getByRole('button', { name: 'Explore ω' }).click();
      await explorer(page).getByText('Stable rank').waitFor();
      await painted(page);
      const readout = () => text(explorer(page).locator('.readouts'));
      const [before, words] = [await picture(explorer(page)), await readout()];
      await page.evaluate(() => {
        window.pageHost.latency = 60;
        window.pageHost.mostUnderWay = 0;
        window.pageHost.said.length = 0;
      });
      const omega = slider(page, 'ω');
      const box = await omega.boundingBox();
      await omega.hover();
      await page.mouse.down();
      for (let x = 0.5; x <= 0.9; x += 0.02)
        await page.mouse.move(box.x + box.width * x, box.y + box.height / 2);
      await page.mouse.up();
      await page.waitForFunction(() => window.pageHost.underWay === 0);
      await painted(page);
      assert.notEqual(await picture(explorer(page)), before, 'the curve moved');
      assert.notEqual(await readout(), words);
      const asked = await said(page, 'call');
      assert.equal(await page.evaluate(() => window.pageHost.mostUnderWay), 1);
      assert.ok(asked.length >= 2 && asked.length < 20, `${asked.length} questions for 21 moves`);
      const shown = Number(await explorer(page).getByRole('textbox', { name: /^ω/ }).inputValue());
      assert.equal(asked.at(-1).params.omega, shown, 'the last question is where the slider stands');
    });
  });

  it('marks where Proposition 1 holds, and says what it gives', async () => {
    await inPage({}, async (page) => {
      await tell(page, ...wholeConversion(syntheticConversion(4)));
      await painted(page);
      await explorer(page).getByRole('button', { name: 'Explore ω' }).click();
      const omega = explorer(page).getByRole('textbox', { name: /^ω/ });
      await omega.fill('20');
      await explorer(page)
        .getByText(/for ω up to 100 \(marked\).*here at least 5\./)
        .waitFor();
      const [range, track] = await Promise.all(
        ['.slider-range', '.slider-marks'].map(
          async (part) => (await explorer(page).locator(part).first().boundingBox()).width,
        ),
      );
      assert.ok(range > 0.1 * track && range < 0.9 * track, `${range} of ${track}`);
      await omega.fill('200');
      await explorer(page)
        .getByText(/nothing is said of this ω/)
        .waitFor();
    });
  });

  it('works from the keyboard, and says its values', async () => {
    await inPage({}, async (page) => {
      await tell(page, ...wholeConversion(syntheticConversion(4)));
      await painted(page);
      await explorer(page).getByRole('button', { name: 'Explore ω' }).press('Enter');
      const rank = slider(page, 'k');
      await rank.focus();
      const before = await rank.getAttribute('aria-valuetext');
      await page.keyboard.press('ArrowRight');
      await painted(page);
      const after = await rank.getAttribute('aria-valuetext');
      assert.equal(Number(after.slice(2)), Number(before.slice(2)) + 1);
      // One angle below π: the sine turns nothing round.
      await explorer(page).getByRole('textbox', { name: /^ω/ }).fill('1.5');
      const gain = slider(page, 'g');
      const error = () =>
        explorer(page)
          .locator('.readouts div', { has: page.getByText('Error', { exact: true }) })
          .locator('dd');
      await gain.press('Home');
      await painted(page);
      const far = Number(await error().textContent());
      await explorer(page).getByRole('button', { name: 'Best g for this ω' }).press('Enter');
      await painted(page);
      assert.ok(Number(await error().textContent()) < far);
    });
  });

  it('opens at a layer that the audit sends', async () => {
    const conversion = syntheticConversion(40);
    await inPage({}, async (page) => {
      const layer = conversion.layers[33].name;
      await tell(page, previewMessage(conversion), { type: 'show', layer });
      await explorer(page).getByTitle(layer).waitFor();
      await page.waitForFunction(() => document.activeElement?.getAttribute('type') === 'range');
      const [{ params }] = await said(page, 'call');
      assert.equal(params.layer, layer);
    });
  });

  it('says why there is no answer, and asks again', async () => {
    await inPage({}, async (page) => {
      await page.evaluate(() => {
        window.pageHost.replies.sineSpectrum = { ok: false, message: 'm.pt: gone' };
      });
      await tell(page, previewMessage(syntheticConversion(4)));
      await painted(page);
      await explorer(page).getByRole('button', { name: 'Explore ω' }).click();
      await explorer(page).getByText('m.pt: gone').waitFor();
      await answerSpectra(page);
      await explorer(page).getByRole('button', { name: 'Retry' }).click();
      await explorer(page).getByText('Stable rank').waitFor();
    });
  });
});

describe('any checkpoint', () => {
  it('shows hostile names as text', async () => {
    const names = ['<img src=x onerror=alert(1)>', 'a\u202etxt.exe', `${'deep.'.repeat(400)}weight`];
    await inPage({}, async (page) => {
      await tell(page, ...wholeConversion(syntheticConversion(3, { names })));
      await painted(page);
      assert.equal(await page.locator('img').count(), 0);
      assert.ok(await page.getByText('a\\u{202e}txt.exe').first().isVisible());
      assert.ok((await overflow(page)) <= 0);
    });
  });

  it('draws only the rows in sight of 500 layers', async () => {
    const conversion = syntheticConversion(500);
    await inPage({}, async (page) => {
      await tell(page, ...wholeConversion(conversion));
      await painted(page);
      assert.ok((await rows(page).count()) < 60);
      await page.getByRole('columnheader', { name: 'Ratio' }).getByRole('button').click();
      await painted(page);
      const ratios = conversion.layers.flatMap((layer) =>
        layer.outcome === 'converted' ? [layer.relativeError / layer.svdRelativeError] : [],
      );
      const first = await rows(page).evaluateAll(
        (all) =>
          all.sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)[0].querySelector('[data-column=ratio]')
            .textContent,
      );
      assert.equal(first, Math.min(...ratios).toFixed(3));
    });
  });

  it('keeps what was chosen when the page is loaded again', async () => {
    await inPage({}, async (page) => {
      await tell(page, previewMessage(syntheticConversion(8)));
      await painted(page);
      await form(page).getByRole('button', { name: 'One k' }).click();
      await amount(page).fill('9');
      await page.waitForTimeout(400);
      await page.reload();
      await tell(page, previewMessage(syntheticConversion(8)));
      await painted(page);
      assert.equal(await amount(page).inputValue(), '9');
    });
  });
});

describe('for everyone', () => {
  for (const theme of THEMES) {
    it(`has no serious accessibility problem, and fits 350 pixels: ${theme}`, async () => {
      const conversion = syntheticConversion(12);
      await inPage({ theme, width: 350, reducedMotion: 'reduce' }, async (page) => {
        await page.evaluate(readFileSync(AXE, 'utf8'));
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
          assert.ok((await overflow(page)) <= 0, `${state}: too wide`);
        };
        await tell(page, previewMessage(conversion));
        await painted(page);
        await form(page).getByText('Options').click();
        await check('form');
        await tell(page, ...startMessages(conversion), layersMessage(conversion, 0, 3));
        await check('running');
        await tell(page, layersMessage(conversion), doneMessage(conversion));
        await painted(page);
        await explorer(page).getByRole('button', { name: 'Explore ω' }).click();
        await check('done');
        for (const [size, width] of Object.entries({ narrow: 350, wide: 1280 })) {
          await page.setViewportSize({ width, height: 1000 });
          await painted(page);
          // The whole page in one picture.
          const height = await page.locator('main').evaluate((main) => main.scrollHeight);
          await page.setViewportSize({ width, height });
          await painted(page);
          await page.screenshot({ path: artifact(`convert-${theme.replace('vscode-', '')}-${size}.png`) });
        }
      });
    });
  }
});
