/** What the page of runs draws: lines, means over seeds, layers over time; and that it stays small, whatever came in. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { layerMoment, meanMoments, stripPixels } from '../../webview/training/model/layers';
import {
  plotData,
  quantitiesOf,
  readingsAt,
  shownQuantity,
  type PlotLook,
} from '../../webview/training/model/plot';
import {
  meanOf,
  pointsOf,
  smoothedPoints,
  thinned,
  valueAt,
  type XY,
} from '../../webview/training/model/points';
import { NOTHING_YET, receive, type TrainingState } from '../../webview/training/model/state';
import { variantsOf } from '../../webview/training/model/variants';
import type { CurvePart, LayersTold, RunSummary } from '../../webview/training/protocol';
import { chosen, curve, run } from './trainingRuns';

const LOOK: PlotLook = { quantity: 'loss', x: 'step', log: false, smooth: false, hidden: [] };

const xy = (...points: readonly (readonly [x: number, y: number])[]): XY[] =>
  points.map(([x, y]) => ({ x, y }));

const stateWith = (runs: readonly RunSummary[], ...curves: CurvePart[]): TrainingState =>
  receive(receive(NOTHING_YET, { type: 'runs', runs, complete: true }), { type: 'curves', curves });

/** A long noisy curve with one peak. */
function noisy(points: number, peakAt: number): XY[] {
  let seed = 1;
  return Array.from({ length: points }, (_, x) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return { x, y: x === peakAt ? 100 : seed / 2_147_483_647 };
  });
}

describe('points of a curve', () => {
  const { values } = curve('a', 'loss', [
    [10, 4],
    [20, 0],
    [30, 2],
  ]);

  test('stand on the axis that was chosen', () => {
    assert.deepEqual(pointsOf(values, LOOK), xy([10, 4], [20, 0], [30, 2]));
    assert.deepEqual(pointsOf(values, { ...LOOK, x: 'epoch' }), xy([1, 4], [2, 0], [3, 2]));
    assert.deepEqual(pointsOf(values, { ...LOOK, x: 'seconds' }), xy([0.1, 4], [0.2, 0], [0.3, 2]));
  });

  test('without a place or a logarithm are left out', () => {
    assert.deepEqual(pointsOf(values, { ...LOOK, log: true }), xy([10, 4], [30, 2]));
    const nowhere = Float64Array.of(1, NaN, NaN, 5, 5, 5, 2, 0.5, NaN, 6, 6, 6);
    assert.deepEqual(pointsOf(nowhere, { ...LOOK, x: 'epoch' }), xy([0.5, 6]));
    assert.deepEqual(pointsOf(nowhere, { ...LOOK, x: 'seconds' }), []);
  });

  test('are made once for each look', () => {
    assert.equal(pointsOf(values, LOOK), pointsOf(values, { ...LOOK }));
    assert.notEqual(pointsOf(values, LOOK), pointsOf(values, { ...LOOK, smooth: true }));
  });

  test('are smoothed from where they begin, not from zero', () => {
    const constant = smoothedPoints(xy([0, 7], [1, 7], [2, 7]));
    for (const { y } of constant) assert.ok(Math.abs(y - 7) < 1e-12);
    const noise = noisy(500, -1);
    const spread = (points: readonly XY[]): number => {
      const late = points.slice(100).map(({ y }) => y);
      return Math.max(...late) - Math.min(...late);
    };
    assert.ok(spread(smoothedPoints(noise)) < 0.6 * spread(noise));
  });
});

describe('thinning', () => {
  test('keeps ends and peaks, in order, and never more than asked', () => {
    const points = noisy(100_000, 54_321);
    const few = thinned(points, 800);
    assert.ok(few.length <= 800 && few.length > 400, String(few.length));
    assert.deepEqual([few[0], few.at(-1)], [points[0], points.at(-1)]);
    assert.ok(few.some(({ x, y }) => x === 54_321 && y === 100));
    assert.ok(few.every(({ x }, i) => i === 0 || x > (few[i - 1]?.x ?? Infinity)));
  });

  test('leaves a short curve alone', () => {
    const points = noisy(100, 3);
    assert.equal(thinned(points, 100), points);
  });
});

describe('means over seeds', () => {
  test('go as far as all have come, whatever steps each told', () => {
    const mean = meanOf([xy([0, 0], [10, 10], [20, 20]), xy([0, 2], [5, 7], [10, 12], [15, 17])]);
    assert.deepEqual(mean, xy([0, 1], [5, 6], [10, 11], [15, 16]));
  });

  test('need two curves that meet', () => {
    assert.equal(meanOf([xy([0, 1], [1, 2])]), undefined);
    assert.equal(meanOf([xy([0, 1], [1, 2]), []]), undefined);
    assert.equal(meanOf([xy([0, 1], [1, 2]), xy([5, 1], [6, 2])]), undefined);
  });

  test('read values between points, and none outside', () => {
    const points = xy([0, 0], [10, 5], [20, 5]);
    assert.deepEqual(
      [0, 4, 10, 15, 20].map((x) => valueAt(points, x)),
      [0, 2, 5, 5, 5],
    );
    assert.deepEqual(
      [valueAt(points, -1), valueAt(points, 21), valueAt([], 0)],
      [undefined, undefined, undefined],
    );
  });
});

describe('the chart of runs', () => {
  const seeds = [1, 2].map((seed) => chosen('sine', 5, seed));
  const other = chosen('low-rank', 5, 1);
  const all = [...seeds, other];
  const line = (one: RunSummary, offset: number): CurvePart =>
    curve(one.folder, 'loss', [
      [0, offset],
      [10, offset + 1],
      [20, offset + 2],
    ]);
  const state = stateWith(all, ...all.map((one, i) => line(one, i)));

  test('draws seeds behind their mean, and a lone run as itself', () => {
    const { lines } = plotData(state, variantsOf(all), LOOK);
    assert.deepEqual(
      lines.map(({ label, kind }) => `${label}: ${kind}`),
      [
        'low-rank, k = 5: run',
        'sine-low-rank, k = 5: seed',
        'sine-low-rank, k = 5: seed',
        'sine-low-rank, k = 5: mean',
      ],
    );
  });

  test('leaves out what is switched off', () => {
    const variants = variantsOf(all);
    const hidden = variants.slice(1).map(({ key }) => key);
    assert.deepEqual(
      plotData(state, variants, { ...LOOK, hidden }).lines.map(({ kind }) => kind),
      ['run'],
    );
  });

  test('is read at a place: a value a variant, the largest first', () => {
    const data = plotData(state, variantsOf(all), LOOK);
    assert.deepEqual(data.places, [0, 10, 20]);
    assert.deepEqual(
      readingsAt(data, 10).map(({ label, value, isMean }) => [label, value, isMean]),
      [
        ['low-rank, k = 5', 3, false],
        ['sine-low-rank, k = 5', 1.5, true],
      ],
    );
  });

  test('stays small with two hundred runs of a hundred thousand events', () => {
    const runs = Array.from({ length: 200 }, (_, i) => chosen('sine', i + 1, 1));
    const points = Array.from({ length: 1024 }, (_, x) => [x * 100, Math.sin(x)] as const);
    const many = stateWith(runs, ...runs.map(({ folder }) => curve(folder, 'loss', points)));
    const variants = variantsOf(runs);
    const began = performance.now();
    const { lines, places } = plotData(many, variants, LOOK);
    const drawn = lines.reduce((sum, { points: of }) => sum + of.length, 0);
    assert.ok(drawn <= 24_000, String(drawn));
    assert.ok(places.length <= 241);
    // What did not change is not made again: far less than a frame, also here.
    const first = performance.now() - began;
    const again = performance.now();
    plotData(many, variants, LOOK);
    assert.ok(
      performance.now() - again < Math.max(60, first),
      'a second drawing is no dearer than the first',
    );
  });
});

describe('quantities', () => {
  test('are those that were told, metrics first, what a script reports last', () => {
    const runs = [run('a')];
    const state = stateWith(
      runs,
      ...(['more:norm', 'loss', 'metric:accuracy', 'utilized'] as const).map((id) =>
        curve('/r.runs/a', id, [[1, 1]]),
      ),
    );
    const told = quantitiesOf(state, runs);
    assert.deepEqual(told, ['metric:accuracy', 'loss', 'utilized', 'more:norm']);
    assert.equal(shownQuantity(undefined, told), 'metric:accuracy');
    assert.equal(shownQuantity('loss', told), 'loss');
    assert.equal(shownQuantity('throughput', told), 'metric:accuracy', 'what was chosen is not told');
    assert.deepEqual(quantitiesOf(state, [run('b')]), []);
  });
});

describe('layers over time', () => {
  const told: LayersTold = {
    ...{ folder: 'a', names: ['x', 'y'], maxRanks: [10, 20], steps: [0, 50] },
    utilized: Float32Array.of(10, 10, 5, 0),
    ranks: Float32Array.of(10, 20, 10, 15),
  };

  test('are shares of what is possible', () => {
    assert.deepEqual(layerMoment(told, 1, 1), {
      ...{ name: 'y', step: 50, maxRank: 20, utilized: 0, rank: 15, utilizedShare: 0, rankShare: 0.75 },
    });
    assert.equal(layerMoment(told, 2, 0), undefined);
    assert.equal(layerMoment(told, 0, 2), undefined);
    assert.deepEqual(meanMoments(told), [
      { step: 0, least: 1, utilized: 0.75, rank: 1 },
      { step: 50, least: 1, utilized: 0.25, rank: 0.875 },
    ]);
  });

  test('are a pixel each: layers downwards, moments to the right', () => {
    const pixels = stripPixels(told, (share) => [Math.round(100 * share), 0, 0]);
    const reds = Array.from(pixels).filter((_, i) => i % 4 === 0);
    assert.deepEqual(reds, [100, 50, 50, 0]);
    assert.ok(Array.from(pixels).every((value, i) => i % 4 !== 3 || value === 255));
  });

  test('of no layer have no mean to speak of', () => {
    const empty = {
      ...told,
      names: [],
      maxRanks: [],
      utilized: new Float32Array(),
      ranks: new Float32Array(),
    };
    assert.deepEqual(meanMoments(empty)[0]?.utilized, 0);
  });
});
