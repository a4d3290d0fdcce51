import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { energyRanks, rankMetrics } from '../../src/spectrum';
import { blend, contrast, cssColour, legible, parseColour } from '../../webview/model/colours';
import { snapshot, snapshotLabels } from '../../webview/model/snapshot';
import { curve, energies, energyMarks, LOG_FLOOR, normalised, thinned } from '../../webview/model/spectrum';
import { panelLayer, slots } from './panelLayers';

/** 4,096 values over twelve decades with steps and a zero at the end. */
const LONG = Float64Array.from({ length: 4096 }, (_, i) =>
  i === 4095 ? 0 : (i < 10 ? 3 : 1) * Math.exp(-27 * (i / 4096) ** 2),
);

describe('the utilization snapshot', () => {
  const layers = slots({ name: 'a', maxRank: 4, rank: 3 }, 'b', { name: 'c', maxRank: 0, rank: 0 });

  it('has a place for every layer, empty until it is computed', () => {
    const { possible, rank } = snapshot(layers, ['a', 'b', 'c'], 'rank', new Map());
    assert.deepEqual(possible, [4, null, 0]);
    assert.deepEqual(rank, [3, null, 0]);
  });

  it('can be shares of the most possible; nothing of nothing is 0', () => {
    const { possible, rank } = snapshot(layers, ['a', 'b', 'c'], 'share', new Map());
    assert.deepEqual(rank, [0.75, null, 0]);
    assert.deepEqual(possible, [1, null, 0]);
  });

  it('has a third series once utilized ranks are measured, and only then', () => {
    assert.equal(snapshot(layers, [], 'rank', new Map()).utilized, undefined);
    assert.deepEqual(snapshot(layers, [], 'rank', new Map([['a', 2]])).utilized, [2, null, null]);
    assert.deepEqual(snapshot(layers, [], 'share', new Map([['a', 2]])).utilized, [0.5, null, null]);
  });

  it('labels layers without what all of them share', () => {
    const labels = snapshotLabels(['module.layer1.conv.weight', 'module.layer2.fc.weight']);
    assert.deepEqual(labels, ['layer1.conv', 'layer2.fc']);
    assert.deepEqual(snapshotLabels(['module.only.weight']), ['module.only']);
    assert.deepEqual(snapshotLabels(['a.weight', 'a.weight']), ['a.weight', 'a.weight']);
  });
});

describe('the spectrum', () => {
  it('is normalised by the largest value; a zero matrix stays zero', () => {
    assert.deepEqual(normalised(Float64Array.of(4, 2, 0)), Float64Array.of(1, 0.5, 0));
    assert.deepEqual(normalised(Float64Array.of(0, 0)), Float64Array.of(0, 0));
  });

  it('holds energy as sums of squares, and misses what it does not hold', () => {
    // 16, 4, 4 of 24.
    const held = energies(Float64Array.of(4, 2, 2), 'linear');
    [16 / 24, 20 / 24, 1].forEach((share, i) => {
      assert.ok(Math.abs((held[i] ?? NaN) - share) < 1e-15);
    });
    const missing = energies(Float64Array.of(1, 1e-9), 'log');
    assert.ok(Math.abs((missing[0] ?? 0) - 1e-18) < 1e-30, 'small energies keep their digits');
  });

  it('reaches the marked levels where the engine says', () => {
    for (const values of [LONG, Float64Array.of(1, 1, 1, 1, 1, 1, 1, 1, 1, 1), Float64Array.of(5)]) {
      const engine = energyRanks(values);
      const expected = [engine['0.9'], engine['0.99'], engine['0.9999']];
      assert.deepEqual(
        energyMarks(values).map(({ rank }) => rank),
        expected,
      );
    }
    assert.deepEqual(energyMarks(Float64Array.of(0, 0)), []);
  });

  it('is thinned to what a screen shows, and no pixel of the line moves', () => {
    const values = normalised(LONG);
    for (const floor of [undefined, LOG_FLOOR.values]) {
      const points = thinned(values, floor);
      assert.ok(points.length <= 3300, `${points.length} points`);
      assert.equal(points[0]?.x, 1);
      assert.equal(points.at(-1)?.x, values.length);
      assert.ok(largestGap(values, points, floor) < 1 / 400, 'less than half a pixel of 200');
    }
    assert.equal(thinned(values).length < values.length / 2, true);
  });

  it('keeps a jump sharp however long the plateau before it', () => {
    const step = Float64Array.from({ length: 100_000 }, (_, i) => (i < 50_000 ? 1 : 1e-3));
    const points = thinned(step, LOG_FLOOR.values);
    assert.ok(points.some(({ x, y }) => x === 50_000 && y === 1));
    assert.ok(points.some(({ x, y }) => x === 50_001 && y === 1e-3));
  });

  it('keeps short spectra whole', () => {
    assert.deepEqual(thinned(Float64Array.of(1, 0.5, 0.5)), [
      { x: 1, y: 1 },
      { x: 2, y: 0.5 },
      { x: 3, y: 0.5 },
    ]);
    assert.deepEqual(thinned(new Float64Array()), []);
  });

  it('shows the random edge over the largest value; not over nothing', () => {
    const metrics = rankMetrics([3, 1], 2, 5);
    const layer = panelLayer({ ...metrics }, [3, 1]);
    const { edge } = curve(layer, 'values', 'log');
    // √(mean square)·(√m + √n) / σ₁, from the definition.
    assert.ok(Math.abs((edge ?? 0) - (Math.sqrt(10 / 10) * (Math.sqrt(2) + Math.sqrt(5))) / 3) < 1e-12);
    assert.equal(curve(layer, 'energy', 'log').edge, undefined);
    assert.equal(
      curve(panelLayer({ spectralNorm: 0, randomEdge: 0 }, [0, 0]), 'values', 'log').edge,
      undefined,
    );
  });

  it('puts zeros on the floor of a logarithmic axis', () => {
    const { points } = curve(panelLayer({}, [1, 0]), 'values', 'log');
    assert.equal(points[1]?.y, LOG_FLOOR.values);
    assert.equal(curve(panelLayer({}, [1, 0]), 'values', 'linear').points[1]?.y, 0);
  });
});

/** Largest distance, in heights of the plot, between the values and the line through the points. */
function largestGap(
  values: Float64Array,
  points: readonly { x: number; y: number }[],
  floor?: number,
): number {
  const height = (value: number) =>
    floor === undefined ? value : Math.log(Math.max(value, floor)) / -Math.log(floor);
  let gap = 0;
  for (let p = 1; p < points.length; p++) {
    const [from, to] = [points[p - 1], points[p]];
    if (from === undefined || to === undefined) continue;
    for (let x = from.x; x <= to.x; x++) {
      const share = to.x === from.x ? 0 : (x - from.x) / (to.x - from.x);
      const line = height(from.y) + share * (height(to.y) - height(from.y));
      gap = Math.max(gap, Math.abs(height(values[x - 1] ?? 0) - line));
    }
  }
  return gap;
}

describe('colours', () => {
  it('are read as browsers write them', () => {
    assert.deepEqual(parseColour('rgb(1, 2, 3)'), { red: 1, green: 2, blue: 3, alpha: 1 });
    assert.deepEqual(parseColour('rgba(1, 2, 3, 0.5)'), { red: 1, green: 2, blue: 3, alpha: 0.5 });
    assert.equal(parseColour('red'), undefined);
    assert.equal(parseColour(''), undefined);
  });

  it('blend over one another', () => {
    const [white, black] = [parseColour('rgb(255, 255, 255)'), parseColour('rgb(0, 0, 0)')];
    assert.ok(white !== undefined && black !== undefined);
    assert.equal(cssColour(blend(white, black, 0.2)), 'rgba(51, 51, 51, 1)');
    assert.equal(cssColour(blend({ ...white, alpha: 0.5 }, black, 1)), 'rgba(128, 128, 128, 1)');
  });
});

describe('colours of curves', () => {
  const white = { red: 255, green: 255, blue: 255, alpha: 1 };
  const black = { red: 0, green: 0, blue: 0, alpha: 1 };

  it('have contrasts as WCAG computes them', () => {
    assert.equal(contrast(black, white), 21);
    // #767676 is the lightest grey that text may have on white: 4.54.
    assert.equal(contrast({ red: 118, green: 118, blue: 118, alpha: 1 }, white).toFixed(2), '4.54');
  });

  it('show on their background, however faint the theme made them', () => {
    const faint = { red: 209, green: 134, blue: 22, alpha: 0.2 };
    for (const [background, foreground] of [
      [white, black],
      [black, white],
    ] as const) {
      const shown = legible(faint, background, foreground);
      assert.ok(contrast(shown, background) >= 3);
      assert.equal(shown.alpha, 1);
    }
    const clear = { red: 26, green: 133, blue: 255, alpha: 1 };
    assert.deepEqual(legible(clear, white, black), clear);
  });
});
