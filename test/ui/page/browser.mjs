// A page of the panel in Chromium, and what a test says to it.
/* global window, requestAnimationFrame */
import { chromium } from 'playwright-core';

const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

export function launch() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  return chromium.launch({ executablePath, headless: true, args: FLAGS });
}

/** Opens the page; every console error, exception and policy violation is kept in `problems`. */
export async function openPanel(
  browser,
  origin,
  { page: kind = 'audit', theme = 'vscode-dark', width = 1280, height = 900, ...rest } = {},
) {
  const context = await browser.newContext({ viewport: { width, height }, ...rest });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.goto(`${origin}/?theme=${theme}&page=${kind}`);
  await page.waitForFunction(() => window.pageHost.said.some(({ type }) => type === 'ready'));
  return { context, page, problems };
}

export function tell(page, ...messages) {
  return page.evaluate((all) => {
    const placed = ({ type, layers }) => (type === 'layers' && Array.isArray(layers) ? layers : []);
    for (const message of all) {
      // Between test and page numbers travel as text; between host and page spectra are typed arrays.
      for (const { layer } of placed(message)) {
        if (layer.singularValues !== undefined) layer.singularValues = new Float64Array(layer.singularValues);
        for (const [name, values] of Object.entries(layer.spectra ?? {}))
          layer.spectra[name] = new Float64Array(values);
        for (const name of ['inputEnergies', 'outputEnergies'])
          if (layer[name] !== undefined) layer[name] = new Float64Array(layer[name]);
      }
      for (const curve of message.type === 'curves' ? message.curves : [])
        curve.values = new Float64Array(curve.values);
      for (const name of message.type === 'layers' ? ['utilized', 'ranks'] : [])
        if (message.layers[name] !== undefined) message.layers[name] = new Float32Array(message.layers[name]);
      window.postMessage(message, '*');
    }
  }, messages);
}

export function said(page, type) {
  return page.evaluate((wanted) => window.pageHost.said.filter((message) => message.type === wanted), type);
}

/** Two frames: what was told is on the screen. */
export function painted(page) {
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => resolve(undefined))), 150);
      }),
  );
}

/** The messages that a host sends for a finished audit. */
export function openedMessage(document) {
  return {
    type: 'opened',
    checkpoint: document.checkpoint,
    layerNames: document.layers.map(({ name }) => name),
    backend: { ...document.backend, threads: 2 },
  };
}

/** The finished document, as a host sends it: without spectra, which came with the layers. */
export function doneMessage(document) {
  const layers = document.layers.map((layer) => ({ ...layer, singularValues: undefined }));
  return { type: 'done', document: { ...document, layers } };
}

/** All that a host sends for a finished audit. */
export function wholeAudit(document) {
  const layers = layerMessage(document, 0, document.layers.length);
  return [openedMessage(document), layers, doneMessage(document)];
}

export function layerMessage(document, from = 0, to = document.layers.length) {
  const layers = document.layers.slice(from, to).map((layer, i) => ({ index: from + i, layer }));
  return { type: 'layers', layers };
}
