// Timings as a person at the screen has them, taken inside the browser: a wait from outside is a poll late.
/* global document, window, requestAnimationFrame, setInterval, clearInterval */

/** Runs in every frame before its scripts: notes clicks in the workbench, and in the panel what shows when. */
function watch() {
  const marks = {};
  const frames = [];
  window.rankscopeTimings = { marks, frames };
  const mark = (name) => (marks[name] ??= Date.now());
  window.addEventListener('pointerdown', () => (marks.click = Date.now()), { capture: true });
  const text = (selector) => document.querySelector(selector)?.textContent ?? '';
  let last;
  const count = (now) => {
    if (marks.header !== undefined && last !== undefined) frames.push(now - last);
    last = now;
    if (marks.done === undefined) requestAnimationFrame(count);
  };
  const look = () => {
    if (document.body?.dataset.resource === undefined) return;
    // Only now: a request made before the webview fills its document is forgotten.
    if (marks.page === undefined) requestAnimationFrame(count);
    mark('page');
    if (/\(\d/.test(text('#tab-layers'))) mark('header');
    if (/\d/.test(text('.card-value'))) mark('firstLayer');
    if (/\(\d/.test(text('#tab-skipped'))) {
      mark('done');
      clearInterval(timer);
    }
  };
  const timer = setInterval(look, 4);
}

/** Before the pages to watch are opened. */
export async function installStopwatch(context) {
  await context.addInitScript(watch);
}

/**
 * Milliseconds from the last click in the workbench to what the panel showed first, and how its frames came while
 * layers streamed in.
 */
export async function readStopwatch(workbench, panel) {
  const clicked = await workbench.page.evaluate(() => window.rankscopeTimings.marks.click);
  const { marks, frames } = await panel.frame.locator('body').evaluate(() => window.rankscopeTimings);
  const since = (time) => time - clicked;
  const sorted = [...frames].sort((a, b) => a - b);
  const streaming = frames.reduce((sum, milliseconds) => sum + milliseconds, 0);
  return {
    page: since(marks.page),
    header: since(marks.header),
    firstLayer: since(marks.firstLayer),
    done: since(marks.done),
    frames: {
      perSecond: (1000 * frames.length) / streaming,
      median: sorted[Math.floor(sorted.length / 2)],
      worst: sorted.at(-1),
    },
  };
}
