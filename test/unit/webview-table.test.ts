import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { COLUMN_IDS, COLUMNS, fittingColumns } from '../../webview/model/columns';
import { matchesFilter, parseFilter } from '../../webview/model/filter';
import { kindsOf, skippedRows, tableRows, type TableQuery } from '../../webview/model/rows';
import { NO_SELECTION, select } from '../../webview/model/selection';
import { layerFacts, slots } from './panelLayers';

const QUERY: TableQuery = {
  filter: { kind: 'all' },
  kind: 'any',
  sort: { column: 'order', direction: 'ascending' },
  expanded: new Set(),
};
const LAYERS = slots(
  { name: 'layer10.conv', kind: 'conv', rank: 5, parameters: 10 },
  { name: 'layer2.fc', kind: 'linear', rank: 3, parameters: 30 },
  'pending.weight',
  { name: 'layer1.conv', kind: 'conv', rank: 3, parameters: 20 },
);
const names = (query: Partial<TableQuery>) =>
  tableRows(LAYERS, { ...QUERY, ...query }).map(({ name }) => name);

describe('the filter', () => {
  const keeps = (text: string, name: string) => matchesFilter(parseFilter(text), name);

  it('keeps names with the text in them, whatever its case', () => {
    assert.ok(keeps('CONV', 'layer1.conv1'));
    assert.ok(!keeps('conv', 'layer1.fc'));
    assert.ok(keeps('  ', 'anything'));
  });

  it('reads a regular expression between slashes, with flags', () => {
    assert.ok(keeps('/^layer[12]\\./', 'layer2.fc'));
    assert.ok(!keeps('/^layer[12]\\./', 'layer10.fc'));
    assert.ok(keeps('/FC$/i', 'layer2.fc'));
    assert.ok(!keeps('/FC$/', 'layer2.fc'));
  });

  it('takes lone slashes as text: some names have them', () => {
    assert.ok(keeps('dense/ker', 'model/dense/kernel'));
    assert.ok(keeps('/kernel', 'model/dense/kernel'));
  });

  it('tells the same name the same thing twice', () => {
    const filter = parseFilter('/a/');
    assert.ok(matchesFilter(filter, 'a'));
    assert.ok(matchesFilter(filter, 'a'));
  });

  it('says what is wrong with a pattern, and hides nothing', () => {
    const filter = parseFilter('/(/');
    assert.equal(filter.kind, 'invalid');
    assert.ok(matchesFilter(filter, 'x'));
  });
});

describe('the rows of the layer table', () => {
  it('are the layers in file order at first, those not computed too', () => {
    assert.deepEqual(names({}), ['layer10.conv', 'layer2.fc', 'pending.weight', 'layer1.conv']);
  });

  it('sort by numbers, ties in file order, the unknown last in both directions', () => {
    const by = (direction: 'ascending' | 'descending') => names({ sort: { column: 'rank', direction } });
    assert.deepEqual(by('ascending'), ['layer2.fc', 'layer1.conv', 'layer10.conv', 'pending.weight']);
    assert.deepEqual(by('descending'), ['layer10.conv', 'layer2.fc', 'layer1.conv', 'pending.weight']);
  });

  it('sort names with their numbers as numbers', () => {
    const sorted = names({ sort: { column: 'name', direction: 'ascending' } });
    assert.deepEqual(sorted, ['layer1.conv', 'layer2.fc', 'layer10.conv', 'pending.weight']);
  });

  it('can be sorted by every column', () => {
    for (const column of COLUMN_IDS) {
      for (const direction of ['ascending', 'descending'] as const) {
        assert.equal(names({ sort: { column, direction } }).length, LAYERS.length, column);
      }
    }
    assert.deepEqual(new Set(COLUMNS.map(({ id }) => id)), new Set(COLUMN_IDS));
  });

  it('keep one kind, and what the filter keeps', () => {
    assert.deepEqual(names({ kind: 'conv' }), ['layer10.conv', 'layer1.conv']);
    assert.deepEqual(names({ kind: 'conv', filter: parseFilter('10') }), ['layer10.conv']);
    assert.deepEqual(kindsOf(LAYERS), ['conv', 'linear']);
  });

  it('show the parts of a layer below it when it is opened, wherever it is sorted to', () => {
    const part = { ...layerFacts(), name: 'q' };
    const fused = slots(
      { name: 'a', rank: 9 },
      { name: 'qkv', rank: 1, parts: [part, { ...part, name: 'k' }] },
    );
    const sort = { column: 'rank', direction: 'ascending' } as const;
    const rows = tableRows(fused, { ...QUERY, sort, expanded: new Set(['qkv', 'a']) });
    assert.deepEqual(
      rows.map(({ name }) => name),
      ['qkv', 'q', 'k', 'a'],
    );
    assert.equal(new Set(rows.map(({ key }) => key)).size, 4);
  });

  it('say what a layer would save as a share of itself, and nothing where it would not', () => {
    const saves = COLUMNS.find(({ id }) => id === 'saves');
    const text = (changes: Parameters<typeof layerFacts>[0]) =>
      tableRows(slots(changes ?? {}), QUERY).map((row) => saves?.text(row))[0];
    // 1·(4 + 8) = 12 of 32 parameters stay.
    assert.equal(text({ rank: 1, decomposable: true }), '62.5\u00a0%');
    assert.equal(text({ rank: 3, decomposable: false }), '–');
    // Two groups of 4 × 8.
    assert.equal(text({ rank: 1, decomposable: true, groups: 2, parameters: 64 }), '62.5\u00a0%');
  });
});

describe('skipped tensors', () => {
  const tensor = (name: string, shape: number[], reason: string) => ({
    name,
    shape,
    dtype: 'float32',
    reason,
  });
  const skipped = [
    tensor('b.bias', [4], 'norm'),
    tensor('a.step', [], 'not a float'),
    tensor('c', [2, 3], 'norm'),
  ];

  it('sort and filter like layers, file order first', () => {
    const order = (column: 'order' | 'name' | 'shape') =>
      skippedRows(skipped, { kind: 'all' }, { column, direction: 'ascending' }).map(({ name }) => name);
    assert.deepEqual(order('order'), ['b.bias', 'a.step', 'c']);
    assert.deepEqual(order('name'), ['a.step', 'b.bias', 'c']);
    assert.deepEqual(order('shape'), ['a.step', 'b.bias', 'c']);
    assert.equal(
      skippedRows(skipped, parseFilter('bias'), { column: 'order', direction: 'ascending' }).length,
      1,
    );
  });
});

describe('columns in a narrow window', () => {
  const columns = [
    { id: 'number', width: 40, priority: 2 },
    { id: 'name', width: 100, priority: 0 },
    { id: 'rank', width: 50, priority: 1 },
  ];
  const fitting = (width: number) => fittingColumns(columns, width).map(({ id }) => id);

  it('leave by priority and keep their order; the first in rank always stays', () => {
    assert.deepEqual(fitting(190), ['number', 'name', 'rank']);
    assert.deepEqual(fitting(189), ['name', 'rank']);
    assert.deepEqual(fitting(149), ['name']);
    assert.deepEqual(fitting(10), ['name']);
  });
});

describe('selection', () => {
  const visible = ['a', 'b', 'c', 'd'];

  it('chooses one, adds and removes one', () => {
    const one = select(NO_SELECTION, 'b', 'only', visible);
    const two = select(one, 'd', 'toggle', visible);
    assert.deepEqual(two.names, ['b', 'd']);
    assert.deepEqual(select(two, 'b', 'toggle', visible).names, ['d']);
    assert.deepEqual(select(two, 'c', 'only', visible).names, ['c']);
  });

  it('runs a range from where it started, in the order shown, and back again', () => {
    const start = select(NO_SELECTION, 'c', 'only', visible);
    assert.deepEqual(select(start, 'a', 'range', visible).names, ['c', 'b', 'a']);
    const grown = select(start, 'd', 'range', visible);
    assert.deepEqual(grown.names, ['c', 'd']);
    assert.deepEqual(select(grown, 'b', 'range', visible).names, ['c', 'b']);
  });

  it('starts anew where the start of a range is filtered away', () => {
    const start = select(NO_SELECTION, 'a', 'only', visible);
    assert.deepEqual(select(start, 'c', 'range', ['b', 'c']), { names: ['c'], anchor: 'c' });
  });
});
