/** The conversion page's pure parts: the form, what it would cost, sliders, the explorer's arithmetic, the table. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allotRanks, giveRanks } from '../../src/engine/conversion/ranks';
import type { ConversionPreview, ConvertibleLayer } from '../../src/engine/conversionProtocol';
import { factorization } from '../../src/lowrank';
import { choicesOf, INITIAL_FORM, layersPattern, numberProblem } from '../../webview/conversion/model/form';
import { denseWords, largestSavingRank, plan } from '../../webview/conversion/model/plan';
import { evenScale, logScale, rangeEnd, wholeScale } from '../../webview/conversion/model/sliderScale';
import { INITIAL_VIEW, restoredView, storedView } from '../../webview/conversion/model/viewState';
import { uniform } from './matrices';

function convertible(changes: Partial<ConvertibleLayer> = {}): ConvertibleLayer {
  const { shape = [256, 512], groups = 1 } = changes;
  return {
    ...{ name: 'layer.weight', kind: 'linear', shape, groups, parameters: groups * shape[0] * shape[1] },
    ...{ byDefault: true, ...changes },
  };
}

function previewOf(layers: readonly ConvertibleLayer[], others = 1000): ConversionPreview {
  const parameters = layers.reduce((sum, layer) => sum + layer.parameters, others);
  return {
    checkpoint: { path: '/m.pt', format: 'PyTorch', bytes: 4 * parameters, tensors: 9, parameters },
    layers,
  };
}

/** Layers of many shapes, some with groups; the same every time. */
function manyLayers(): ConvertibleLayer[] {
  const random = uniform(11);
  const side = (): number => 1 + Math.floor(300 * Math.abs(random()));
  return Array.from({ length: 60 }, (_, i) =>
    convertible({ name: `layers.${i}`, shape: [side(), side()], groups: i % 7 === 0 ? 3 : 1 }),
  );
}

describe('the form', () => {
  test('asks for what it shows: shares and rates in percent, patterns only where there is one', () => {
    assert.deepEqual(choicesOf(INITIAL_FORM), { ranks: { kind: 'share', share: 0.15 }, materialize: false });
    const form = { ...INITIAL_FORM, layers: 'attn|mlp', materialize: true, out: '/out' };
    assert.deepEqual(choicesOf({ ...form, kind: 'compression' }), {
      ...{ ranks: { kind: 'compression', rate: 0.4 }, materialize: true, layers: 'attn|mlp', out: '/out' },
    });
  });

  test('asks for nothing while something is wrong', () => {
    for (const share of [NaN, 0, -1, 101])
      assert.equal(choicesOf({ ...INITIAL_FORM, numbers: { ...INITIAL_FORM.numbers, share } }), undefined);
    assert.equal(choicesOf({ ...INITIAL_FORM, layers: '(' }), undefined);
    assert.equal(numberProblem('rank', 2.5), 'A whole number is needed');
    assert.equal(layersPattern('(').kind, 'invalid');
  });
});

describe('what a conversion would cost', () => {
  test('counts U and V in place of W: k·(m + n), for every group', () => {
    const layers = [convertible(), convertible({ name: 'grouped', shape: [48, 96], groups: 4 })];
    const outlook = plan(previewOf(layers), { kind: 'share', share: 0.15 }, undefined);
    // 0.15 · 256 = 38.4 and 0.15 · 48 = 7.2.
    assert.deepEqual(
      outlook.layers.map(({ fate }) => fate),
      [
        { kind: 'converted', k: 38, parametersAfter: 38 * (256 + 512) },
        { kind: 'converted', k: 7, parametersAfter: 4 * 7 * (48 + 96) },
      ],
    );
    assert.equal(outlook.parametersBefore, 256 * 512 + 4 * 48 * 96 + 1000);
    assert.equal(outlook.parametersAfter, 38 * 768 + 4 * 7 * 144 + 1000);
  });

  test('knows the largest rank that saves: the next one would not', () => {
    for (const { shape } of manyLayers()) {
      const [m, n] = shape;
      const most = largestSavingRank(shape);
      assert.ok(most === 0 || most * (m + n) < m * n);
      assert.ok((most + 1) * (m + n) >= m * n);
      assert.equal(most, factorization('sine').largestSavingRank(m, n));
    }
  });

  test('is what the engine will decide, for one k and for a share', () => {
    const layers = manyLayers();
    const candidates = layers.map(({ name, shape, groups }) => ({
      ...{ name, shape, groups, energies: [] },
      largestSavingRank: factorization('sine').largestSavingRank(...shape),
    }));
    const choices = [
      { kind: 'rank', rank: 1 },
      { kind: 'rank', rank: 40 },
      { kind: 'share', share: 0.004 },
      { kind: 'share', share: 0.15 },
      { kind: 'share', share: 0.49 },
    ] as const;
    for (const choice of choices) {
      const outlook = plan(previewOf(layers), choice, undefined);
      const given = giveRanks(candidates, choice, 1e6);
      assert.deepEqual(
        outlook.layers.map(({ fate }) => (fate.kind === 'converted' ? fate.k : 'dense')),
        given.map((one) => ('rank' in one ? one.rank : 'dense')),
      );
    }
  });

  test('knows the smallest possible rate: what the engine can meet, and nothing below', () => {
    const layers = manyLayers().filter(({ shape }) => largestSavingRank(shape) > 0);
    const preview = previewOf(layers);
    const { leastParameters, parametersBefore, parametersAfter } = plan(
      preview,
      { kind: 'compression', rate: 0.5 },
      undefined,
    );
    assert.equal(parametersAfter, undefined, 'fitting decides');
    const candidates = layers.map(({ name, shape, groups }) => ({
      ...{ name, shape, groups, energies: [3, 2, 1] },
      largestSavingRank: largestSavingRank(shape),
    }));
    const least = leastParameters / parametersBefore;
    assert.doesNotThrow(() => allotRanks(candidates, least * 1.0001, parametersBefore));
    assert.throws(() => allotRanks(candidates, least * 0.9999, parametersBefore), /cannot be met/);
  });

  test('leaves layers dense, each with its reason', () => {
    const embedding = convertible({
      ...{ name: 'embed', kind: 'embedding', byDefault: false },
      reason: 'embedding: looked up, not multiplied',
    });
    const tied = convertible({ name: 'head', byDefault: false, reason: 'tied: the same weight as embed' });
    const thin = convertible({ name: 'thin', shape: [4, 4] });
    const preview = previewOf([embedding, tied, thin, convertible()]);
    const outlook = plan(preview, { kind: 'rank', rank: 8 }, undefined);
    assert.deepEqual([outlook.converted, outlook.dense], [1, 3]);
    assert.equal(denseWords(outlook), '1 embedding, 1 tied, 1 no saving');
    // An embedding is converted when its name is asked for; a tied layer has nothing of its own to convert.
    const asked = plan(preview, { kind: 'rank', rank: 8 }, /embed|head/);
    assert.deepEqual(
      asked.layers.map(({ fate }) => (fate.kind === 'dense' ? fate.reason.split(':')[0] : fate.kind)),
      ['converted', 'tied', 'not selected', 'not selected'],
    );
  });
});

describe('a slider', () => {
  test('has equal ratios between its steps where it is logarithmic, and keeps its ends', () => {
    const scale = logScale(0.01, 100);
    assert.equal(scale.valueAt(0), 0.01);
    assert.equal(scale.valueAt(scale.steps), 100);
    assert.equal(scale.valueAt(scale.steps / 2), 1);
    for (const value of [0.01, 0.02, 1, 37, 100]) {
      const again = scale.valueAt(scale.positionOf(value));
      assert.ok(Math.abs(again / value - 1) < 0.013, `${value} → ${again}`);
    }
    assert.deepEqual(
      [scale.positionOf(1e-9), scale.positionOf(1e9), scale.positionOf(-1)],
      [0, scale.steps, 0],
    );
  });

  test('counts where it is whole, and keeps to its grid where it is even', () => {
    const ranks = wholeScale(1, 9);
    assert.deepEqual([0, 3, 8].map(ranks.valueAt), [1, 4, 9]);
    assert.equal(ranks.positionOf(4), 3);
    const share = evenScale(1, 50, 0.5);
    assert.equal(share.valueAt(share.positionOf(15)), 15);
    assert.equal(share.valueAt(share.steps), 50);
  });

  test('knows where a range that begins at 0 ends on it', () => {
    const scale = logScale(0.1, 1000);
    assert.deepEqual(rangeEnd(scale, 0.05), { kind: 'before' });
    assert.deepEqual(rangeEnd(scale, 5000), { kind: 'beyond' });
    const inside = rangeEnd(scale, 10);
    assert.ok(inside.kind === 'inside' && Math.abs(inside.share - 0.5) < 1e-12);
  });
});

describe('what a person chose', () => {
  test('comes back as it was stored', () => {
    const view = {
      ...{ ...INITIAL_VIEW, optionsOpen: true, exploring: true, layer: 'fc1', pageScroll: 120 },
      form: { ...INITIAL_FORM, kind: 'rank', layers: 'fc', out: '/o' },
      sort: { column: 'ratio', direction: 'descending' },
    } as const;
    assert.deepEqual(restoredView(JSON.parse(JSON.stringify(storedView(view)))), view);
  });

  test('is as fresh where the stored state is damaged', () => {
    for (const stored of [undefined, null, 3, { version: 2 }, { version: 1, form: 'x', sort: [], layer: 7 }])
      assert.deepEqual(restoredView(stored), INITIAL_VIEW);
    const bad = { version: 1, form: { kind: 'magic', numbers: { share: 'much', rank: -3, error: 0.2 } } };
    const { form } = restoredView(bad);
    assert.deepEqual(form, { ...INITIAL_FORM, numbers: { ...INITIAL_FORM.numbers, error: 0.2 } });
  });
});
