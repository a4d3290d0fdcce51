import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NOTHING_YET, type AuditState } from '../../webview/model/audit';
import {
  axisLabels,
  baseName,
  printable,
  sharedPrefix,
  shortenMiddle,
  splitForEllipsis,
} from '../../webview/model/names';
import { bytes, percent, rank, remaining, seconds, significant } from '../../webview/model/numbers';
import { cards, defaultLayer } from '../../webview/model/summary';
import { INITIAL_VIEW, restoredView, storedView, type ViewState } from '../../webview/model/viewState';
import { slots } from './panelLayers';

/** Spaces before units do not break; tests read better with plain ones. */
const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('numbers', () => {
  it('never call nearly everything everything, nor a little nothing', () => {
    assert.equal(plain(percent(1)), '100 %');
    assert.equal(plain(percent(0.99999)), '99.9 %');
    assert.equal(plain(percent(0.9577)), '95.8 %');
    assert.equal(plain(percent(0.0001)), '< 0.1 %');
    assert.equal(plain(percent(0)), '0 %');
  });

  it('tell sizes in decimal units', () => {
    assert.deepEqual([0, 999, 1000, 1_140_000, 999_600, 2.5e12].map(bytes).map(plain), [
      ...['0 B', '999 B', '1 kB', '1.1 MB', '1 MB', '2.5 TB'],
    ]);
  });

  it('tell time taken, and time left no finer than an estimate', () => {
    assert.deepEqual([0.412, 12.34, 245].map(seconds).map(plain), ['0.41 s', '12.3 s', '4 min 05 s']);
    assert.deepEqual([0.2, 7.1, 78, 1000, 7300].map(remaining).map(plain), [
      ...['1 s', '8 s', '1 min 20 s', '17 min', '2 h 05 min'],
    ]);
  });

  it('give three digits that count', () => {
    assert.deepEqual([0, 1234.5, 12.345, 0.012345, 1.23e-7, 4.5e9].map(significant), [
      ...['0', '1,235', '12.3', '0.0123', '1.2e-7', '4.5e+9'],
    ]);
    assert.deepEqual([62, 62.44, 12_000].map(rank), ['62', '62.4', '12,000']);
  });
});

describe('names from strangers', () => {
  it('show what steers and what turns text around', () => {
    assert.equal(printable('a\u202eb'), 'a\\u{202e}b');
    assert.equal(printable('\u001b[31m\n\u0000'), '\\u{001b}[31m\\u{000a}\\u{0000}');
    assert.equal(printable('\u200b\u2066x\u2069'), '\\u{200b}\\u{2066}x\\u{2069}');
    assert.equal(printable('\ud800'), '\\u{d800}');
    assert.equal(printable('<img src=x onerror=alert(1)>'), '<img src=x onerror=alert(1)>');
    assert.equal(printable('层.重み.weight'), '层.重み.weight');
  });

  it('are cut in the middle, never inside a character', () => {
    assert.equal(shortenMiddle('short', 10), 'short');
    assert.equal(shortenMiddle('transformer.h.11.attn.c_attn.weight', 15), 'trans…tn.weight');
    assert.equal(Array.from(shortenMiddle('😀'.repeat(40), 11)).length, 11);
    assert.ok(!shortenMiddle('😀'.repeat(40), 11).includes('\ufffd'));
  });

  it('keep their last two keys whole in a narrow cell', () => {
    assert.deepEqual(splitForEllipsis('model.layers.0.attn.weight'), ['model.layers.0', '.attn.weight']);
    assert.deepEqual(splitForEllipsis('weight'), ['', 'weight']);
    assert.deepEqual(splitForEllipsis('0.q_proj.weight'), ['', '0.q_proj.weight']);
    const [head, tail] = splitForEllipsis('x'.repeat(500));
    assert.equal(head + tail, 'x'.repeat(500));
    assert.ok(tail.length < 40);
  });

  it('share whole keys only', () => {
    assert.equal(sharedPrefix(['module.layer1.w', 'module.layer2.w']), 'module.'.length);
    assert.equal(sharedPrefix(['abc', 'abd']), 0);
    assert.equal(sharedPrefix(['a.b', 'a.b']), 'a.'.length);
    assert.equal(sharedPrefix(['only.one']), 0);
    assert.deepEqual(axisLabels(['', ''], 10), ['', '']);
  });

  it('have a base name on every system', () => {
    assert.equal(baseName('/models/a.pt'), 'a.pt');
    assert.equal(baseName('C:\\models\\a.pt'), 'a.pt');
    assert.equal(baseName('/models/folder/'), 'folder');
  });
});

describe('the four cards', () => {
  const CHECKPOINT = { path: 'm', format: 'f', bytes: 1, tensors: 3, parameters: 1000 };
  const done = (layers: AuditState['slots']): AuditState => ({
    ...NOTHING_YET,
    ...{ phase: { kind: 'done', seconds: 1 }, checkpoint: CHECKPOINT, slots: layers },
  });
  const LAYERS = slots(
    { name: 'a', utilization: 0.5, rank: 2 },
    { name: 'b', utilization: 1, rank: 4, kind: 'conv' },
    { name: 'e', utilization: 0.1, kind: 'embedding', rank: 1, decomposable: true },
    { name: 'd', utilization: 0.2, kind: 'conv', trivialRank: true },
  );
  const [mean, savings, least] = cards(done(LAYERS));

  it('average linear layers and convolutions, not embeddings, not depthwise ones', () => {
    assert.deepEqual(mean?.value, { text: percent(0.75) });
    assert.match(plain(mean.detail), /over 2 layers; 1 at full rank/);
  });

  it('count what low rank would save: m·n − r·(m + n) for each layer', () => {
    assert.deepEqual(savings?.value, { text: `1 of 4\u00a0layers` });
    // 32 − 1·(4 + 8) = 20 of 1,000.
    assert.match(plain(savings.detail), /saves 20 parameters \(2 %\)/);
  });

  it('count layers that share their bytes once', () => {
    const shrinking = { kind: 'linear', rank: 1, decomposable: true } as const;
    const tied = slots({ ...shrinking, name: 'a' }, { ...shrinking, name: 'b', tiedTo: 'a' });
    assert.match(plain(cards(done(tied))[1]?.detail ?? ''), /saves 20 parameters/);
  });

  it('name the least used layer of those that count, and select it', () => {
    assert.deepEqual(least?.value, { name: 'a' });
    assert.deepEqual(least.action, { kind: 'select', name: 'a', says: 'Select this layer' });
    assert.equal(defaultLayer(done(LAYERS)), 'a');
  });

  it('say so while not all is known, and invent nothing when nothing is', () => {
    assert.ok(
      cards({ ...done(LAYERS), phase: { kind: 'running' } }).every(({ title }) => title.endsWith('so far')),
    );
    assert.deepEqual(
      cards(NOTHING_YET).map(({ value }) => value),
      Array(4).fill({ text: '–' }),
    );
    assert.ok(cards(NOTHING_YET).every(({ action }) => action === undefined));
  });

  it('do not call a layer of full rank little used', () => {
    assert.deepEqual(cards(done(slots({ utilization: 1 })))[2]?.value, { text: 'none' });
  });
});

describe('the view that comes back', () => {
  const changed: ViewState = {
    ...INITIAL_VIEW,
    ...{ filter: '/x/', kind: 'conv', tab: 'skipped', snapshotScale: 'share', tableScroll: 240 },
    ...{ selection: { names: ['a', 'b'], anchor: 'b' }, expanded: ['a'] },
    sort: { column: 'saves', direction: 'descending' },
  };

  it('is the one that was stored', () => {
    assert.deepEqual(restoredView(JSON.parse(JSON.stringify(storedView(changed)))), changed);
  });

  it('is a fresh one when there is none, or one of another version', () => {
    for (const stored of [undefined, null, 3, 'x', [], {}, { version: 0, filter: 'x' }]) {
      assert.deepEqual(restoredView(stored), INITIAL_VIEW);
    }
  });

  it('is fresh where a part of it is damaged', () => {
    const damaged = {
      ...storedView(changed),
      sort: { column: 'evil' },
      selection: 5,
      tableScroll: -1,
      kind: {},
    };
    const { sort, selection, tableScroll, kind, filter } = restoredView(damaged);
    assert.deepEqual(sort, INITIAL_VIEW.sort);
    assert.deepEqual(selection, INITIAL_VIEW.selection);
    assert.equal(tableScroll, 0);
    assert.equal(kind, 'any');
    assert.equal(filter, '/x/');
  });

  it('stores no more than a thousand names', () => {
    const names = Array.from({ length: 5000 }, (_, i) => `layer${i}`);
    const stored = restoredView(storedView({ ...INITIAL_VIEW, selection: { names } }));
    assert.equal(stored.selection.names.length, 1000);
  });
});
