/** The conversion page's state and its table: messages in, rows out. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConversionDocument } from '../../src/engine/conversionDocument';
import { COLUMNS, denseReason, errorRatio, type Row } from '../../webview/conversion/model/columns';
import { plan } from '../../webview/conversion/model/plan';
import { rowsOf, sortedRows } from '../../webview/conversion/model/rows';
import { NOTHING_YET, receive, type ConversionState } from '../../webview/conversion/model/state';
import { ledger, statements } from '../../webview/conversion/model/summary';
import type { PageLayer, ToConversion } from '../../webview/conversion/protocol';

type Told = Exclude<ToConversion, { type: 'reply' }>;

const FACTS = { stableRank: 2, effectiveRank: 3, rank: 4 };
const cost = (parameters: number) => ({ parameters, bytes: 4 * parameters, flops: 2 * parameters });

function converted(name: string, relativeError: number, svdRelativeError: number): PageLayer {
  return {
    ...{ name, kind: 'linear', shape: [20, 30], dtype: 'float32', outcome: 'converted', k: 3 },
    ...{ relativeError, svdRelativeError, before: cost(600), after: cost(150), seconds: 1 },
    spectrum: { before: FACTS, lowRank: FACTS, converted: FACTS },
    spectra: {
      original: Float64Array.of(2, 1),
      lowRank: Float64Array.of(2),
      converted: Float64Array.of(2, 0.5),
    },
  };
}

const dense = (name: string): PageLayer => ({
  ...{ name, kind: 'linear', shape: [20, 30], dtype: 'float32', outcome: 'dense', before: cost(600) },
  reason: 'no saving: too thin',
});

const preview: Extract<Told, { type: 'preview' }> = {
  type: 'preview',
  folder: '/models',
  preview: {
    checkpoint: { path: '/models/m.pt', format: 'PyTorch', bytes: 10, tensors: 3, parameters: 2000 },
    layers: ['a', 'b', 'c'].map((name) => ({
      ...{ name, kind: 'linear', shape: [20, 30], groups: 1, parameters: 600, byDefault: true },
    })),
  },
};

const choices = { ranks: { kind: 'rank', rank: 3 }, materialize: false } as const;
const opened = (...layerNames: string[]): Told => ({
  ...{ type: 'opened', checkpoint: preview.preview.checkpoint, layerNames },
  backend: { name: 'wasm', build: 'wasm simd 1', threads: 2 },
});
const layers = (...all: PageLayer[]): Told => ({
  type: 'layers',
  layers: all.map((layer, index) => ({ index, layer })),
});

function documentOf(all: readonly PageLayer[]): ConversionDocument {
  const bare = all.map((layer) => {
    if (layer.outcome === 'dense') return layer;
    const { spectra: _, ...facts } = layer;
    return facts;
  });
  return {
    ...{ schema: 'rankscope/conversion@1', tool: { name: 'rankscope', version: '0' }, to: 'sine', seed: 0 },
    ...{ backend: { name: 'wasm', build: 'b' }, checkpoint: preview.preview.checkpoint },
    ...{ startedAt: '2026-01-01T00:00:00Z', seconds: 2, ranks: choices.ranks, layers: bare },
    summary: {
      ...{ converted: 2, dense: 1, parametersBefore: 2000, parametersAfter: 1100, compressionRate: 0.55 },
      ...{ bytesBefore: 8000, bytesAfter: 4400, meanErrorRatio: 0.9, flopsBefore: 3600, flopsAfter: 3600 },
    },
    files: { factors: '/models/m.sine-k3.safetensors', document: '/models/m.sine-k3.json' },
  };
}

const after = (...messages: Told[]): ConversionState => messages.reduce(receive, NOTHING_YET);

function rows(state: ConversionState): Row[] {
  assert.ok(state.preview);
  return rowsOf(plan(state.preview, choices.ranks, undefined), state);
}

/** What the table shows of a row, by column. */
function shown(row: Row | undefined): Record<string, string | undefined> {
  assert.ok(row);
  return Object.fromEntries(COLUMNS.map(({ id, text }) => [id, text(row)]));
}

describe('the conversion page', () => {
  test('shows the plan before anything is converted', () => {
    const [row] = rows(after(preview));
    const { k, error, after: parameters, saves } = shown(row);
    assert.deepEqual([k, error, parameters, saves], ['3', undefined, '150', '75\u00a0%']);
  });

  test('keeps the last result on show until the next conversion has opened its file', () => {
    const first = after(preview, { type: 'started', choices }, opened('a'), layers(converted('a', 0.4, 0.5)));
    const next = receive(first, { type: 'started', choices });
    assert.equal(next.phase.kind, 'starting');
    assert.equal(next.layers.size, 1);
    assert.equal(receive(next, opened('a')).layers.size, 0);
    assert.equal(first.phase.kind, 'running', 'the state it was given is as it was');
  });

  test('tells what is finished, what waits, and what stays dense', () => {
    const state = after(
      preview,
      { type: 'started', choices },
      opened('a', 'b', 'c'),
      layers(converted('a', 0.4, 0.5), dense('c')),
    );
    const [a, b, c] = rows(state);
    assert.deepEqual([a?.pending, b?.pending, c?.pending], [false, true, false]);
    assert.deepEqual([shown(a).error, shown(a).svdError, shown(a).ratio], ['0.4000', '0.5000', '0.800']);
    assert.deepEqual([shown(c).k, shown(c).error, shown(c).after], ['dense', '–', '600']);
    assert.equal(c === undefined ? undefined : denseReason(c), 'no saving: too thin');
  });

  test('keeps the spectra that streamed in when the document comes without them', () => {
    const all = [converted('a', 0.4, 0.5), converted('b', 0.3, 0.3), dense('c')];
    const state = after(preview, { type: 'started', choices }, opened('a', 'b', 'c'), layers(...all), {
      ...{ type: 'done', document: documentOf(all) },
    });
    const a = state.layers.get('a');
    assert.ok(a?.outcome === 'converted');
    assert.deepEqual(a.spectra?.converted, Float64Array.of(2, 0.5));
    assert.equal(state.phase.kind, 'done');
  });

  test('is told why there is no preview, and forgets it when there is one', () => {
    const failed = after({ type: 'previewFailed', message: 'm.pt: not a checkpoint' });
    assert.equal(failed.previewFailure, 'm.pt: not a checkpoint');
    assert.equal(receive(failed, preview).previewFailure, undefined);
  });

  test('sorts by any column, unknown values last in both directions', () => {
    const state = after(
      preview,
      { type: 'started', choices },
      opened('a', 'b', 'c'),
      layers(converted('c', 0.2, 0.5), converted('a', 0.4, 0.5)),
    );
    const order = (direction: 'ascending' | 'descending') =>
      sortedRows(rows(state), { column: 'ratio', direction }).map(({ name }) => name);
    assert.deepEqual(order('ascending'), ['c', 'a', 'b']);
    assert.deepEqual(order('descending'), ['a', 'c', 'b']);
  });

  test('has no ratio where truncated SVD is exact and sine is not', () => {
    const [exact] = rows(after(preview, layers(converted('a', 0, 0))));
    const [odd] = rows(after(preview, layers(converted('a', 1e-7, 0))));
    assert.ok(exact && odd);
    assert.deepEqual([errorRatio(exact), errorRatio(odd)], [1, undefined]);
  });
});

describe('what a conversion came to', () => {
  test('is said in four statements; FLOPs are not saved, and it says so', () => {
    const said = statements(documentOf([]));
    assert.deepEqual(
      said.map(({ value }) => value.replaceAll('\u00a0', ' ')),
      ['55 %', '4.4 kB', '0.900', '1.00 ×'],
    );
    assert.match(said[3]?.detail ?? '', /not FLOPs/);
  });

  test('has a ledger', () => {
    const lines = ledger(documentOf([])).map(({ before, after: then, ratio }) => [before, then, ratio]);
    assert.deepEqual(lines, [
      ['2,000', '1,100', '55\u00a0%'],
      ['8\u00a0kB', '4.4\u00a0kB', '55\u00a0%'],
      ['3.6K', '3.6K', '100\u00a0%'],
    ]);
  });
});
