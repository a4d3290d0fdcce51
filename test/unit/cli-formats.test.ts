import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderCsvHeader, renderCsvRows } from '../../src/engine/report/csv';
import { renderJson } from '../../src/engine/report/json';
import { escapeMarkdown, renderMarkdown } from '../../src/engine/report/markdown';
import { renderSummary } from '../../src/engine/report/summary';
import { renderTable } from '../../src/cli/table';
import { textWidth, type Display } from '../../src/engine/report/display';
import {
  auditDocument,
  completeDocument,
  convolution,
  depthwise,
  full,
  layer,
  narrow,
} from './auditDocument';

const piped: Display = { color: false, unicode: true };
const plain: Display = { color: false, unicode: false };
const terminal = (width: number): Display => ({ width, color: false, unicode: true });

/** What a file may call its tensors. */
const HOSTILE = [
  '\u001b[2Jcleared',
  'two\nlines',
  'right\u202eleft',
  '=cmd|"/c calc"!A1',
  '<img src=x onerror=alert(1)>',
  'a|b`c`*d*[e](http://f)',
  'x'.repeat(5000),
];
const hostile = auditDocument(HOSTILE.map((name) => layer(name, [4, 4], 2, { tiedTo: name })));

// eslint-disable-next-line no-control-regex -- what terminals obey begins with it
const ESCAPE = /\u001b/;

describe('the summary', () => {
  it('says what a person wants to know', () => {
    assert.deepEqual(renderSummary(auditDocument(), piped), [
      // (12/16 + 10/64 + 10/10) / 3; the depthwise layer does not count.
      'Mean layer utilization 63.5 % over 3 layers; outside it: 1 depthwise.',
      '2 layers would shrink as two low-rank layers each: 40,596 → 9,748 parameters (−76 %).',
      'Least used: layer3.2.conv2.weight, 15.6 % of its 64 dimensions.',
      '3 tensors skipped: 2 norm, 1 bias.',
    ]);
  });
  it('names what could not be analysed, and why', () => {
    const bad = (i: number) => ({
      name: `l${i}`,
      shape: [2, 2],
      dtype: 'float32',
      reason: 'not finite: 1 NaN',
    });
    const document = { ...auditDocument([full]), skipped: [1, 2, 3, 4, 5].map(bad) };
    assert.equal(
      renderSummary(document, piped).at(-1),
      'Could not be analysed: l1 (not finite: 1 NaN); l2 (not finite: 1 NaN); l3 (not finite: 1 NaN); and 2 more.',
    );
  });
  it('does not call a small saving none', () => {
    const document = auditDocument([narrow]);
    const summary = { ...document.summary, decomposableLayers: 1, parametersIfDecomposed: 40_576 };
    assert.match(renderSummary({ ...document, summary }, plain)[1] ?? '', /^1 layer would .* 40,596 -> 40,576 parameters \(-0\.049 %\)\.$/); // prettier-ignore
  });
  it('has words for nothing', () => {
    const document = auditDocument([]);
    const summary = { ...document.summary, meanUtilization: null, decomposableLayers: 0 };
    assert.equal(renderSummary({ ...document, summary }, piped)[0], 'No layers to analyse.');
    const embedding = layer('wte.weight', [10, 4], 4, { kind: 'embedding' });
    assert.equal(
      renderSummary({ ...document, layers: [embedding], summary }, piped)[0],
      'No linear or convolution layers among 1 layer, so no mean utilization.',
    );
  });
  it('repeats the notes', () => {
    assert.ok(renderSummary(completeDocument(), piped).includes('Note: optimizer state left out'));
  });
});

describe('the table', () => {
  it('piped: whole names, every column, no pictures, no escapes', () => {
    assert.equal(
      renderTable(auditDocument([narrow, depthwise]), piped, 'order'),
      [
        'models/resnet.pt · PyTorch (zip) · 164 kB · 40,596 parameters',
        '',
        'LAYER                  KIND   SHAPE  PARAMS   RANK    USED  AS TWO  STABLE  EFFECTIVE  SPIKES',
        'layer3.2.conv2.weight  conv  64×576  36,864  10/64  15.6 %   −83 %     2.5       7.25       2',
        'blocks.0.dw.weight     conv     1×9     288    1/1   100 %             2.5       7.25       2  depthwise, 32 groups',
        '',
        'Mean layer utilization 63.5 % over 1 layer; outside it: 1 depthwise.',
        '2 layers would shrink as two low-rank layers each: 40,596 → 9,748 parameters (−76 %).',
        'Least used: layer3.2.conv2.weight, 15.6 % of its 64 dimensions.',
        '3 tensors skipped: 2 norm, 1 bias.',
        '',
      ].join('\n'),
    );
  });

  it('fits every width, keeping name and utilization', () => {
    const long = layer('model.decoder.layers.11.self_attn.attention.out_proj.weight', [64, 64], 16);
    const wide = layer('模型.编码器.注意力层.权重.模型.编码器.注意力层.权重', [64, 64], 16);
    for (let width = 40; width <= 200; width++) {
      const text = renderTable(auditDocument([long, wide, narrow, depthwise]), terminal(width), 'order');
      for (const line of text.split('\n')) {
        assert.ok(textWidth(line) <= width, `${textWidth(line)} columns of ${width}: ${line}`);
      }
      assert.match(text, /model.*weight {2}.*25 %/);
    }
  });

  it('draws utilization in eighths of a cell, or in ASCII', () => {
    const quarter = auditDocument([layer('a', [64, 64], 16)]);
    assert.match(renderTable(quarter, terminal(120), 'order'), /16\/64 {2}███ {9} {2}25 %/);
    assert.match(renderTable(quarter, { ...terminal(120), unicode: false }, 'order'), /#{3}\.{9}/);
    // 12 cells × 15.625 % = 1.875 cells, seven eighths beyond the first.
    assert.match(renderTable(auditDocument([narrow]), terminal(120), 'order'), /10\/64 {2}█▉ {10}/);
  });

  it('is ASCII alone where the display is', () => {
    // eslint-disable-next-line no-control-regex -- this is what ASCII is
    assert.match(renderTable(auditDocument(), { ...plain, width: 60 }, 'order'), /^[\x00-\x7f]*$/);
  });

  it('colours only where colours show', () => {
    assert.match(renderTable(auditDocument(), { ...terminal(100), color: true }, 'order'), ESCAPE);
    assert.doesNotMatch(renderTable(auditDocument(), terminal(100), 'order'), ESCAPE);
  });

  it('leaves out the path that all names begin with before it shortens them', () => {
    const names = [3, 11].map((i) => `transformer.encoder.h.${i}.attention.c_attn.weight`);
    const table = renderTable(
      auditDocument(names.map((name) => layer(name, [64, 64], 16))),
      terminal(60),
      'order',
    );
    for (const i of [3, 11]) assert.match(table, new RegExp(`^…${i}\\.attention\\.c_attn\\.weight `, 'm'));
  });

  it('puts parts below their layer', () => {
    assert.match(renderTable(completeDocument(), piped, 'order'), /attn\.qkv\.weight .*\n {2}q {2,}.* 2×2 /);
  });

  it('sorts as asked', () => {
    const order = (sort: 'order' | 'name' | 'utilization' | 'rank' | 'parameters') =>
      renderTable(auditDocument([convolution, narrow, full]), piped, sort)
        .split('\n')
        .slice(3, 6)
        .map((line) => line.split(' ')[0]);
    const [c, n, f] = [convolution.name, narrow.name, full.name];
    assert.deepEqual(order('order'), [c, n, f]);
    assert.deepEqual(order('name'), [f, c, n]);
    assert.deepEqual(order('utilization'), [n, c, f]);
    assert.deepEqual(order('rank'), [n, f, c]);
    assert.deepEqual(order('parameters'), [n, c, f]);
  });
});

describe('hostile names', () => {
  // eslint-disable-next-line no-control-regex -- these must not reach a terminal
  const unprintable = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;
  it('stay on their line and obey nothing', () => {
    for (const text of [
      renderTable(hostile, piped, 'order'),
      renderTable(hostile, terminal(80), 'order'),
      renderCsvRows(hostile, 'order'),
      renderMarkdown(hostile, 'order'),
      renderJson(hostile),
    ]) {
      assert.doesNotMatch(text, unprintable);
      assert.doesNotMatch(text, /^lines/m);
    }
    assert.equal(renderCsvRows(hostile, 'order').split('\n').length, HOSTILE.length + 1);
  });
  it('survive JSON unchanged', () => {
    assert.deepEqual(JSON.parse(renderJson(hostile)), hostile);
  });
  it('are no formulas in CSV', () => {
    const csv = renderCsvRows(hostile, 'order');
    assert.match(csv, /,"'=cmd\|""\/c calc""!A1",/);
    const cells = ['+1', '-1', '@x', '=1'].map((name) => layer(name, [2, 2], 1));
    for (const line of renderCsvRows(auditDocument(cells), 'order').trim().split('\n')) {
      assert.match(line, /^models\/resnet\.pt,'[+\-@=]/);
    }
  });
  it('are text in Markdown', () => {
    const markdown = renderMarkdown(hostile, 'order');
    assert.doesNotMatch(markdown, /<img|\[e\]|`c`|http:\/\//);
    const rows = markdown.split('\n').filter((line) => line.startsWith('| '));
    for (const row of rows) assert.equal(row.split('|').length, 12, row);
    assert.equal(escapeMarkdown('__init__.in_proj_weight'), '&#95;&#95;init&#95;&#95;.in_proj_weight');
  });
});

describe('CSV', () => {
  it('has a value for each column, whole numbers and fractions unrounded', () => {
    const [header = '', row = ''] = (
      renderCsvHeader() + renderCsvRows(auditDocument([narrow]), 'order')
    ).split('\n');
    const cells = row.split(',');
    const record = Object.fromEntries(header.split(',').map((name, i) => [name, cells[i]]));
    assert.equal(record.layer, 'layer3.2.conv2.weight');
    assert.equal(record.m, '64');
    assert.equal(record.n, '576');
    assert.equal(record.rank, '10');
    assert.equal(record.utilization, '0.15625');
    assert.equal(record['rank_0.9'], '5');
    assert.equal(record.decomposable, 'true');
    assert.equal(cells.length, header.split(',').length);
  });
});

describe('Markdown', () => {
  it('is a heading, a table and a list', () => {
    const lines = renderMarkdown(auditDocument([narrow]), 'order').split('\n');
    assert.equal(lines[0], '## models/resnet.pt · PyTorch (zip) · 164 kB · 40,596 parameters');
    assert.equal(
      lines[4],
      '| layer3.2.conv2.weight | conv | 64×576 | 36,864 | 10/64 | 15.6 % | 2.5 | 7.25 | 2 |  |',
    );
    assert.equal(lines[6], '- Mean layer utilization 63.5 % over 1 layer.');
  });
});

describe('JSON', () => {
  it('is the document itself, arrays of numbers on a line', () => {
    const text = renderJson(completeDocument());
    assert.deepEqual(JSON.parse(text), completeDocument());
    assert.match(text, /"singularValues": \[3, 1\.5\]/);
    assert.match(text, /"shape": \[6, 2\]/);
    assert.ok(text.endsWith('}\n'));
  });
  it('leaves text that looks like an array alone', () => {
    const tricky = { a: '[\n  1,\n  2\n]', b: [1e-7, -2], c: [[1], [2]] };
    assert.deepEqual(JSON.parse(renderJson(tricky)), tricky);
  });
});
