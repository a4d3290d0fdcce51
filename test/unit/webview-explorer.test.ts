/** The ω explorer's arithmetic, and its questions: at most one at a time, the newest next. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ConvertibleLayer } from '../../src/engine/conversionProtocol';
import { Explorer } from '../../webview/conversion/explorer';
import {
  angleScale,
  bestGain,
  entryDeviation,
  withGain,
  type ExplorerSettings,
} from '../../webview/conversion/model/explorer';
import { Latest } from '../../webview/conversion/model/latest';
import { axisFloor, relativeCurve } from '../../webview/conversion/model/spectra';
import type { PageSineSpectrum } from '../../webview/conversion/protocol';
import { uniform } from './matrices';

/** A row vector has one singular value, its length: W and sin(ωA)/g as rows make every number computable by hand. */
function rowSpectrum(
  W: readonly number[],
  A: readonly number[],
  omega: number,
  gain: number,
): PageSineSpectrum {
  const norm = (v: readonly number[]): number => Math.hypot(...v);
  const sine = A.map((x) => Math.sin(omega * x) / gain);
  const error = (approximation: readonly number[]): number =>
    norm(W.map((w, i) => w - (approximation[i] ?? 0))) / norm(W);
  return {
    original: Float64Array.of(norm(W)),
    lowRank: Float64Array.of(norm(A)),
    sine: Float64Array.of(norm(sine)),
    ...{ stableRank: 1, effectiveRank: 1, energyRank99: 1, rank: 1 },
    relativeError: error(sine),
    svdRelativeError: error(A),
    proposition1: { omegaLimit: 100, rankBound: 0.01 * omega },
  };
}

const random = uniform(3);
const W = Array.from({ length: 40 }, () => random());
const A = W.map((w) => w + 0.1 * random());

describe('another gain', () => {
  test('is what the engine would have answered', () => {
    for (const [from, to] of [
      [2, 2],
      [2, 0.7],
      [0.5, 40],
    ] as const) {
      const moved = withGain(rowSpectrum(W, A, 1.7, from), from, to);
      const asked = rowSpectrum(W, A, 1.7, to);
      assert.ok(Math.abs(moved.relativeError - asked.relativeError) < 1e-12);
      assert.ok(Math.abs((moved.sine[0] ?? 0) - (asked.sine[0] ?? 0)) < 1e-12);
    }
  });

  test('has a best value: no other gain has a smaller error', () => {
    const spectrum = rowSpectrum(W, A, 1.7, 3);
    const best = bestGain(spectrum, 3);
    assert.ok(best !== undefined);
    const least = withGain(spectrum, 3, best).relativeError;
    for (const factor of [0.5, 0.9, 0.99, 1.01, 1.1, 2])
      assert.ok(withGain(spectrum, 3, best * factor).relativeError > least);
    const opposite = rowSpectrum(
      W,
      A.map((x) => -x),
      1.7,
      3,
    );
    assert.equal(bestGain(opposite, 3), undefined, 'no positive gain turns it round');
  });
});

describe('the size of entries', () => {
  test('is the root mean square, from singular values alone', () => {
    // Two rows orthogonal to each other: lengths 3 and 4, six entries.
    assert.equal(entryDeviation(Float64Array.of(4, 3), [2, 3]), 5 / Math.sqrt(6));
    assert.equal(entryDeviation(Float64Array.of(), [0, 3]), 0);
  });

  test('sets the sliders’ ends: angles from nearly none to many turns', () => {
    const scale = angleScale(0.05);
    assert.ok(scale.least * 0.05 < 0.1 && scale.most * 0.05 > 20 * Math.PI);
  });
});

describe('curves of one layer', () => {
  test('are all over the largest value of the original', () => {
    const original = Float64Array.of(4, 1);
    const curve = relativeCurve({ label: 'sine', values: Float64Array.of(8, 2) }, original, 'linear');
    assert.deepEqual(curve.points, [
      { x: 1, y: 2 },
      { x: 2, y: 0.5 },
    ]);
    const zero = Float64Array.of(0, 0);
    assert.deepEqual(relativeCurve({ label: 'zero', values: zero }, zero, 'linear').points.at(-1), {
      ...{ x: 2, y: 0 },
    });
  });

  test('end where an axis below the original’s smallest value ends: deeper is next to nothing', () => {
    const original = Float64Array.of(4, 0.4, 0.1);
    assert.ok(Math.abs(axisFloor(original) - 0.001) < 1e-15);
    const curve = relativeCurve({ label: 'sine', values: Float64Array.of(4, 4e-8, 4e-8) }, original, 'log');
    assert.deepEqual(
      curve.points.map(({ x, y }) => [x, y]),
      [
        [1, 1],
        [2, axisFloor(original)],
      ],
    );
    assert.equal(axisFloor(Float64Array.of(1, 0)), 1e-8, 'as the audit');
  });
});

/** Questions that are answered by hand. */
function byHand<Q>() {
  const asked: {
    readonly question: Q;
    readonly answer: (value: number) => void;
    readonly fail: (why: string) => void;
  }[] = [];
  const ask = (question: Q): Promise<number> =>
    new Promise((resolve, reject) => {
      asked.push({
        question,
        answer: resolve,
        fail: (why) => {
          reject(new Error(why));
        },
      });
    });
  return { asked, ask };
}

describe('the latest question', () => {
  test('waits for the one under way, and those between are never asked', async () => {
    const { asked, ask } = byHand<string>();
    const heard: [string, number][] = [];
    const latest = new Latest(
      ask,
      (question, answer) => heard.push([question, answer]),
      () => undefined,
    );
    for (const question of ['a', 'b', 'c', 'd']) latest.want(question);
    assert.deepEqual(
      asked.map(({ question }) => question),
      ['a'],
    );
    asked[0]?.answer(1);
    await nextTurn();
    assert.deepEqual(heard, [['a', 1]]);
    assert.deepEqual(
      asked.map(({ question }) => question),
      ['a', 'd'],
    );
    assert.ok(latest.isBusy);
    asked[1]?.answer(4);
    await nextTurn();
    assert.equal(latest.isBusy, false);
    latest.want('e');
    assert.equal(asked.length, 3, 'and goes on after a rest');
  });

  test('goes on after a failure', async () => {
    const { asked, ask } = byHand<string>();
    const failures: string[] = [];
    const latest = new Latest(
      ask,
      () => undefined,
      (question, reason) => failures.push(`${question}: ${reason}`),
    );
    latest.want('a');
    latest.want('b');
    asked[0]?.fail('torn');
    await nextTurn();
    assert.deepEqual(failures, ['a: torn']);
    assert.equal(asked[1]?.question, 'b');
  });
});

const layer = (name: string): ConvertibleLayer => ({
  ...{ name, kind: 'linear', shape: [1, 40], groups: 1, parameters: 40, byDefault: true },
});

/** An explorer over the row vectors above; every question is noted. */
function explorerOf(): { explorer: Explorer; asked: ExplorerSettings[] } {
  const asked: ExplorerSettings[] = [];
  const explorer = new Explorer(
    (settings) => {
      asked.push(settings);
      return Promise.resolve(rowSpectrum(W, A, settings.omega, settings.gain));
    },
    () => undefined,
  );
  return { explorer, asked };
}

describe('the explorer', () => {
  test('begins where most angles are small, once it knows how large the entries are', async () => {
    const { explorer, asked } = explorerOf();
    explorer.show(layer('a'), 1, undefined);
    assert.equal(explorer.state?.scales, undefined);
    await nextTurn();
    const { settings, scales, spectrum } = explorer.state ?? {};
    const deviation = Math.hypot(...W) / Math.sqrt(40);
    assert.ok(settings !== undefined && scales !== undefined && spectrum !== undefined);
    assert.equal(settings.omega, settings.gain);
    assert.ok(Math.abs(settings.omega * deviation - 0.5) < 0.01);
    assert.equal(asked.length, 2);
  });

  test('begins at the gain of a conversion, without asking twice', async () => {
    const { explorer, asked } = explorerOf();
    explorer.show(layer('a'), 1, 7);
    await nextTurn();
    assert.deepEqual(asked, [{ layer: 'a', rank: 1, omega: 7, gain: 7 }]);
    assert.equal(explorer.state?.settings.omega, 7);
  });

  test('begins elsewhere than at the gain of a linear limit, where the sine is its argument', async () => {
    const { explorer, asked } = explorerOf();
    explorer.show(layer('a'), 1, 1e-4);
    assert.equal(asked[0]?.omega, 1e-4);
    await nextTurn();
    const deviation = Math.hypot(...W) / Math.sqrt(40);
    assert.ok(Math.abs((explorer.state?.settings.omega ?? 0) * deviation - 0.5) < 0.01);
  });

  test('shows another gain at once, before the answer', async () => {
    const { explorer } = explorerOf();
    explorer.show(layer('a'), 1, 7);
    await nextTurn();
    explorer.change({ gain: 14 });
    const [sine] = explorer.state?.spectrum?.sine ?? [];
    assert.ok(sine !== undefined && Math.abs(sine - (rowSpectrum(W, A, 7, 14).sine[0] ?? 0)) < 1e-12);
    await nextTurn();
    explorer.fitGain();
    const best = explorer.state?.spectrum?.relativeError ?? Infinity;
    assert.ok(best <= rowSpectrum(W, A, 7, 14).relativeError);
  });

  test('asks nothing that makes no sense, and goes on when it does again', async () => {
    const { explorer, asked } = explorerOf();
    explorer.show(layer('a'), 1, 7);
    await nextTurn();
    explorer.change({ omega: NaN });
    explorer.change({ omega: -1 });
    await nextTurn();
    assert.equal(asked.length, 1);
    explorer.change({ omega: 3 });
    assert.equal(asked.length, 2);
  });

  test('finds a layer where it was left', async () => {
    const { explorer } = explorerOf();
    explorer.show(layer('a'), 1, 7);
    await nextTurn();
    explorer.change({ omega: 9 });
    explorer.show(layer('b'), 1, 5);
    await nextTurn();
    assert.equal(explorer.state?.settings.omega, 5);
    explorer.show(layer('a'), 1, 7);
    assert.equal(explorer.state.settings.omega, 9);
  });

  test('says that a layer of zeros has nothing to show', async () => {
    const zero = new Array<number>(40).fill(0);
    const explorer = new Explorer(
      ({ omega, gain }) =>
        Promise.resolve({ ...rowSpectrum(zero, zero, omega, gain), relativeError: 0, svdRelativeError: 0 }),
      () => undefined,
    );
    explorer.show(layer('a'), 1, undefined);
    await nextTurn();
    assert.match(explorer.state?.failure ?? '', /zero/);
  });
});
