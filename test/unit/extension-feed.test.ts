/** What a panel's page is told, in which order, and how much at a time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LayerAudit } from '../../src/engine/document';
import { AuditFeed, type Opened } from '../../src/extension/panel/auditFeed';
import type { ToPanel } from '../../webview/protocol';
import { auditDocument, layer } from './auditDocument';

const ROUND_MS = 20;
/** Long enough for every message that is due. */
const SETTLED_MS = 200;

function layers(count: number, values: number): LayerAudit[] {
  const singularValues = Array.from({ length: values }, (_, i) => values - i);
  return Array.from({ length: count }, (_, i) => layer(`layer${i}`, [values, values], 1, { singularValues }));
}

function openedWith(audits: readonly LayerAudit[]): Opened {
  return {
    checkpoint: auditDocument().checkpoint,
    layerNames: audits.map(({ name }) => name),
    backend: { name: 'wasm', build: 'wasm simd 1', threads: 2, why: 'it was asked for' },
  };
}

function feedAndPage(valuesPerMessage = 1000): { feed: AuditFeed; page: ToPanel[] } {
  const page: ToPanel[] = [];
  const timing = { roundMs: ROUND_MS, pauseMs: 1, valuesPerMessage };
  return { feed: new AuditFeed((message) => page.push(message), timing), page };
}

const kinds = (page: readonly ToPanel[]): string[] => page.map(({ type }) => type);

function batches(page: readonly ToPanel[]): number[][] {
  return page.flatMap((message) =>
    message.type === 'layers' ? [message.layers.map(({ index }) => index)] : [],
  );
}

describe('the feed of a panel', () => {
  test('gathers layers that come close together, and ends after the last of them', async () => {
    const { feed, page } = feedAndPage(100_000);
    const audits = layers(30, 10);
    feed.attach();
    feed.open(openedWith(audits));
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['opened']);
    audits.forEach((audit, i) => {
      feed.layer(i, audit);
    });
    feed.progressed({ done: 30, total: 30, fraction: 1 });
    feed.end({ type: 'done', document: auditDocument(audits) });
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['opened', 'layers', 'progress', 'done']);
    assert.deepEqual(batches(page), [audits.map((_, i) => i)]);
  });

  test('splits what would take the host too long, without losing or repeating a layer', async () => {
    const { feed, page } = feedAndPage(1000);
    const audits = layers(40, 200);
    feed.attach();
    feed.open(openedWith(audits));
    audits.forEach((audit, i) => {
      feed.layer(i, audit);
    });
    feed.end({ type: 'done', document: auditDocument(audits) });
    await sleep(SETTLED_MS);
    const sent = batches(page);
    assert.ok(sent.every((batch) => batch.length >= 1 && batch.length * 200 <= 1000));
    assert.deepEqual(
      sent.flat(),
      audits.map((_, i) => i),
    );
    assert.equal(page.at(-1)?.type, 'done');
  });

  test('sends a layer that is larger than a message by itself', async () => {
    const { feed, page } = feedAndPage(10);
    const audits = layers(2, 500);
    feed.attach();
    feed.open(openedWith(audits));
    audits.forEach((audit, i) => {
      feed.layer(i, audit);
    });
    await sleep(SETTLED_MS);
    assert.deepEqual(batches(page), [[0], [1]]);
  });

  test('says nothing to a page that is not there, and everything to one that comes', async () => {
    const { feed, page } = feedAndPage();
    const audits = layers(3, 10);
    feed.open(openedWith(audits));
    audits.forEach((audit, i) => {
      feed.layer(i, audit);
    });
    feed.notice('the engine was started again');
    await sleep(SETTLED_MS);
    assert.deepEqual(page, []);
    feed.attach();
    feed.end({ type: 'done', document: auditDocument(audits) });
    await sleep(SETTLED_MS);
    const everything = ['opened', 'notice', 'layers', 'done'];
    assert.deepEqual(kinds(page), everything);
    // Hidden, and shown again: the page was reloaded and knows nothing.
    feed.detach();
    page.splice(0);
    feed.attach();
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), everything);
  });

  test('keeps the old audit on show until the new one is open, then says why', async () => {
    const { feed, page } = feedAndPage();
    const audits = layers(2, 10);
    feed.attach();
    feed.open(openedWith(audits));
    feed.end({ type: 'cancelled' });
    await sleep(SETTLED_MS);
    page.splice(0);
    feed.begin();
    feed.notice('the file changed');
    await sleep(SETTLED_MS);
    assert.deepEqual(page, []);
    assert.equal(feed.state.status, 'opening');
    feed.open(openedWith(audits.slice(1)));
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['opened', 'notice']);
  });

  test('goes on after a restart of the engine without showing anything twice', async () => {
    const { feed, page } = feedAndPage();
    const audits = layers(3, 10);
    const [first, second, third] = audits;
    assert.ok(first && second && third);
    feed.attach();
    feed.open(openedWith(audits));
    feed.layer(1, second);
    await sleep(SETTLED_MS);
    feed.resume();
    feed.open(openedWith(audits));
    feed.layer(1, second);
    feed.layer(0, first);
    feed.layer(2, third);
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['opened', 'layers', 'layers']);
    assert.deepEqual(batches(page), [[1], [0, 2]]);
    // Had the file become another one, its layers would not be these.
    feed.resume();
    feed.open(openedWith(audits.slice(1)));
    await sleep(SETTLED_MS);
    assert.equal(page.at(-1)?.type, 'opened');
    assert.equal(feed.state.finishedLayers, 0);
  });

  test('tells of a failure before the file was open', async () => {
    const { feed, page } = feedAndPage();
    feed.attach();
    feed.begin();
    feed.end({ type: 'failed', message: 'x.pt, byte 12: cut off' });
    await sleep(SETTLED_MS);
    assert.deepEqual(page, [{ type: 'failed', message: 'x.pt, byte 12: cut off' }]);
    assert.equal(feed.state.message, 'x.pt, byte 12: cut off');
  });
});
