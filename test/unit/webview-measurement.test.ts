/** The measurement page's state, its table, its cards and its plot: messages in, words and numbers out. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Probe, UtilizationDocument } from '../../src/engine/utilizationDocument';
import type { UtilizationStage } from '../../src/engine/utilizationProtocol';
import type { NetworkFacts } from '../../src/network/network';
import {
  COLUMNS,
  firstDirection,
  maxRank,
  sortedRows,
  type Row,
} from '../../webview/measurement/model/columns';
import { searchCurve, SMALLEST_SHARE, spectrumCurve } from '../../webview/measurement/model/curves';
import {
  isBusy,
  isWriting,
  NOTHING_YET,
  receive,
  restarting,
  withoutNotice,
  type MeasurementState,
} from '../../webview/measurement/model/state';
import { cards } from '../../webview/measurement/model/summary';
import { INITIAL_VIEW, restoredView, storedView } from '../../webview/measurement/model/viewState';
import { metricText, modeWords, stageWords } from '../../webview/measurement/model/words';
import type { PageUtilization, ToUtilization } from '../../webview/measurement/protocol';

type Told = Exclude<ToUtilization, { type: 'reply' }>;

/** Of 10 × 20, weights of full rank. */
function measured(name: string, utilizedRank: number, more: Partial<PageUtilization> = {}): PageUtilization {
  const after = Math.min(200, 30 * utilizedRank);
  return {
    ...{ name, kind: 'linear', shape: [10, 20], maxRank: 10, rank: 10, kS: utilizedRank + 3 },
    ...{ kT: utilizedRank, energyS: 0.99, energyT: 0.98, utilizedRank, utilization: utilizedRank / 10 },
    ...{ decomposable: after < 200, error: { measured: 0.01, bound: 0.02 } },
    ...{ parametersBefore: 200, parametersAfter: after, flopsBefore: 400, flopsAfter: 2 * after },
    ...more,
  };
}

const network: NetworkFacts = {
  ...{ host: 'mlp', runtime: 'tfjs', metric: 'accuracy', gramSamples: 50, validationSamples: 30 },
  ...{ parameters: 1000, identity: 'a', notes: [] },
};

const opened = (...names: string[]): Told => ({
  ...{ type: 'opened', network, before: 90, resumedProbes: 0 },
  layers: names.map((name) => ({ name, shape: [10, 20], rank: 10 })),
  backend: { name: 'wasm', build: 'wasm simd 1', threads: 2, why: 'asked for' },
});

const layers = (...all: PageUtilization[]): Told => ({
  type: 'layers',
  layers: all.map((layer, index) => ({ index, layer })),
});

const probe = (side: 'input' | 'output', k: number, value: number): Probe => ({
  ...{ pass: 0, side, k, value, threshold: 89.9, passed: value >= 89.9 },
});

function done(summary: Partial<UtilizationDocument['summary']> = {}): Told {
  return {
    type: 'done',
    document: {
      ...{ schema: 'rankscope/utilization@1', tool: { name: 'rankscope', version: '0' }, network },
      ...{ backend: { name: 'wasm', build: 'b' }, startedAt: '2026-01-01T00:00:00Z', seconds: 2 },
      ...{ mode: 'cumulative', delta: 0.1, layers: [], skipped: [], notes: [] },
      summary: {
        ...{ layers: 2, metric: 'accuracy', before: 90, afterProjection: 89.75, mluOriginal: 1, mlu: 0.35 },
        ...{ parametersBefore: 1000, parametersAfter: 810, flopsBefore: 800, flopsAfter: 420 },
        ...{ decomposableLayers: 2, passes: 7, guaranteedDrop: 0.4, notSearched: 0 },
        ...summary,
      },
    },
  };
}

const after = (...messages: Told[]): MeasurementState => messages.reduce(receive, NOTHING_YET);

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

function rowsOf({ layers: all }: MeasurementState): Row[] {
  return all.map((layer, order) => ({ ...layer, order, active: false, metric: 'accuracy' }));
}

function shown(row: Row | undefined): Record<string, string | undefined> {
  assert.ok(row);
  return Object.fromEntries(
    COLUMNS.map(({ id, text }) => {
      const words = text(row);
      return [id, words === undefined ? undefined : plain(words)];
    }),
  );
}

describe('the state of the measurement page', () => {
  test('counts layers and probes as they come; none twice', () => {
    const state = after(
      opened('a', 'b'),
      { type: 'probes', probes: [{ layer: 'a', probe: probe('input', 10, 90) }] },
      layers(measured('a', 3)),
      layers(measured('a', 3)),
      { type: 'probes', probes: [{ layer: 'a', probe: probe('input', 5, 80) }] },
    );
    assert.deepEqual([state.finished, state.passes], [1, 2]);
    assert.deepEqual(
      state.probes.get('a')?.map(({ k }) => k),
      [10, 5],
    );
    assert.equal(state.layers[1]?.result, undefined);
  });

  test('takes a layer only under the name it was announced with', () => {
    const state = after(opened('a'), layers(measured('another', 3)));
    assert.equal(state.finished, 0);
  });

  test('begins afresh when a network is opened, but keeps what should be known', () => {
    const state = after(
      opened('a'),
      layers(measured('a', 3)),
      { type: 'notice', message: 'the engine stopped' },
      opened('a'),
    );
    assert.deepEqual([state.finished, state.passes], [0, 0]);
    assert.deepEqual(state.notices, ['the engine stopped']);
    assert.deepEqual(withoutNotice(state, 'the engine stopped').notices, []);
  });

  test('keeps the result on show when it is asked for again, and while a checkpoint is written', () => {
    const finished = after(opened('a'), layers(measured('a', 3)), done());
    assert.equal(isBusy(finished), false);
    const again = restarting(finished);
    assert.deepEqual([isBusy(again), again.finished], [true, 1]);
    const writing = receive(finished, { type: 'stage', stage: { kind: 'grams' } });
    assert.deepEqual([isBusy(writing), isWriting(writing), writing.finished], [false, true, 1]);
    assert.equal(isWriting(receive(writing, done({ afterDecomposition: 88 }))), false);
  });

  test('leaves older states whole', () => {
    const first = after(opened('a', 'b'));
    receive(first, layers(measured('a', 3)));
    assert.equal(first.layers[0]?.result, undefined);
  });
});

describe('the table', () => {
  const state = after(
    opened('a', 'b', 'c'),
    layers(measured('a', 3, { valueAfter: 89.95 }), measured('b', 8)),
  );
  const rows = rowsOf(state);

  test('says what is known of each layer, and nothing of those that wait', () => {
    assert.deepEqual(shown(rows[0]), {
      ...{ order: '1', name: 'a', shape: '10 × 20', rank: '10', kS: '6', kT: '3', utilized: '3' },
      ...{ utilization: '30 %', error: '0.01', value: '89.95 %', saves: '55 %' },
    });
    // 8·(10 + 20) parameters are more than 200: it would not be split.
    assert.equal(shown(rows[1]).saves, '–');
    const { utilized, utilization, kS, saves } = shown(rows[2]);
    assert.deepEqual([utilized, utilization, kS, saves], [undefined, undefined, undefined, undefined]);
  });

  test('sorts layers that wait last in both directions', () => {
    const order = (direction: 'ascending' | 'descending') =>
      sortedRows(rows, { column: 'utilization', direction }).map(({ name }) => name);
    assert.deepEqual(order('ascending'), ['a', 'b', 'c']);
    assert.deepEqual(order('descending'), ['b', 'a', 'c']);
  });

  test('begins with what is worth seeing: least used, most saved', () => {
    assert.equal(firstDirection('utilization'), 'ascending');
    assert.equal(firstDirection('saves'), 'descending');
  });

  test('has the smaller side as the most possible', () => {
    const [row] = rows;
    assert.ok(row);
    assert.equal(maxRank(row), 10);
    assert.equal(maxRank({ ...row, shape: [20, 7] }), 7);
  });
});

describe('the cards', () => {
  const words = (state: MeasurementState) =>
    cards(state).map((card) => [
      card.title,
      plain('name' in card.value ? card.value.name : card.value.text),
      plain(card.detail),
    ]);

  test('say what is known so far, in the same places', () => {
    assert.deepEqual(words(after(opened('a', 'b'), layers(measured('a', 3, { valueAfter: 89.95 })))), [
      ['Mean layer utilization, so far', '30 %', '100 % by the weights alone'],
      ['Accuracy after projection, so far', '89.95 %', '90.00 % before'],
      ['Could be given up, so far', '11 %', 'of the parameters, in 1 of 2 layers'],
      ['Least used layer, so far', 'a', '30 %: 3 of 10 dimensions'],
    ]);
    assert.deepEqual(
      words(after(opened('a'))).map(([, value]) => value),
      ['–', '–', '–', '–'],
    );
  });

  test('say what the document says when it is done', () => {
    const finished = after(opened('a', 'b'), layers(measured('a', 3), measured('b', 4)), done());
    const [used, metric] = words(finished);
    assert.deepEqual(used, ['Mean layer utilization', '35 %', '100 % by the weights alone']);
    assert.deepEqual(metric, ['Accuracy after projection', '89.75 %', '90.00 % before · allowed 89.60 %']);
    const [, written] = words(receive(finished, done({ afterDecomposition: 89.5 })));
    assert.equal(written?.[2], '90.00 % before · 89.50 % decomposed');
  });
});

describe('the plot of a layer', () => {
  const [layer] = after(opened('a'), layers(measured('a', 3))).layers;
  assert.ok(layer);
  const probes = [
    probe('input', 10, 90),
    probe('input', 5, 80),
    probe('output', 5, 89.9),
    probe('input', 6, 89.9),
  ];

  test('has the probes of one side, in order, with those that kept enough told apart', () => {
    const curve = searchCurve(layer, probes, 'input');
    assert.deepEqual(
      curve.points.map(({ x }) => x),
      [5, 6, 10],
    );
    assert.deepEqual([curve.passed.map(({ x }) => x), curve.failed.map(({ x }) => x)], [[10, 6], [5]]);
    assert.deepEqual([curve.chosen, curve.threshold, curve.length], [6, 89.9, 20]);
    assert.equal(searchCurve(layer, probes, 'output').length, 10);
  });

  test('has no threshold and no choice before there is one', () => {
    const { result: _, ...waiting } = layer;
    const curve = searchCurve(waiting, [], 'input');
    assert.deepEqual([curve.points, 'threshold' in curve, 'chosen' in curve], [[], false, false]);
  });

  test('counts directions from 1, and cuts off what is rounding', () => {
    const result = measured('a', 3, { inputEnergies: Float64Array.of(0.75, 0.25, -1e-18) });
    assert.deepEqual(spectrumCurve({ ...layer, result }, 'input').points, [
      { x: 1, y: 0.75 },
      { x: 2, y: 0.25 },
      { x: 3, y: SMALLEST_SHARE },
    ]);
    assert.deepEqual(spectrumCurve({ ...layer, result }, 'output').points, []);
  });
});

describe('words', () => {
  test('name the layer, the side, the dimension and what it lies between', () => {
    const stage: UtilizationStage = {
      ...{ kind: 'search', layer: 'a\u202e', side: 'output', low: 5, high: 1200, k: 602, pass: 0 },
    };
    const words = stageWords(stage);
    assert.match(words, /trying 602 output dimensions, between 5 and 1,200 · pass 1$/);
    assert.ok(!words.includes('\u202e'), 'a name cannot turn the line round');
  });

  test('tell the mode and what it goes by', () => {
    assert.equal(
      plain(modeWords('label-free', undefined, { input: 0.99 })),
      'label-free, 99 % of the energy',
    );
    assert.equal(plain(modeWords('cumulative', 0.1, undefined)), 'cumulative search, δ 0.1');
  });

  test('have two decimals for accuracy and four digits for a loss', () => {
    assert.deepEqual(
      [plain(metricText('accuracy', 91.6309)), metricText('loss', 0.123456)],
      ['91.63 %', '0.1235'],
    );
  });
});

describe('what a person chose', () => {
  test('comes back as it was', () => {
    const view = {
      ...INITIAL_VIEW,
      layer: 'a',
      side: 'output',
      layerView: 'spectrum',
      pageScroll: 40,
    } as const;
    // As VS Code keeps it.
    assert.deepEqual(restoredView(JSON.parse(JSON.stringify(storedView(view)))), view);
  });

  test('is as in a fresh page where it is damaged or of another version', () => {
    assert.deepEqual(restoredView(undefined), INITIAL_VIEW);
    assert.deepEqual(restoredView({ ...storedView(INITIAL_VIEW), version: 0, side: 'output' }), INITIAL_VIEW);
    const damaged = {
      ...storedView(INITIAL_VIEW),
      sort: { column: 'constructor' },
      scale: 7,
      pageScroll: 'x',
    };
    assert.deepEqual(restoredView(damaged), INITIAL_VIEW);
  });
});
