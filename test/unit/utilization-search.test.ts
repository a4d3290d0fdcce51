/** The search over dimensions, on metrics given as functions of k. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  passesBound,
  searchDimensions,
  threshold,
  type ChosenDimensions,
  type SearchSettings,
} from '../../src/utilization';
import { uniform } from './matrices';

const cumulative: SearchSettings = { mode: 'cumulative', metric: 'accuracy', before: 90, delta: 0.1 };

interface Size {
  readonly inputs: number;
  readonly outputs: number;
}

/** Searches with a metric; gives what was found and every question asked. */
async function search(
  layers: readonly Size[],
  settings: SearchSettings,
  metric: (layer: number, kS: number, kT: number) => number,
) {
  const asked: { layer: number; kS: number; kT: number }[] = [];
  const chosen: ChosenDimensions[] = [];
  const found = await searchDimensions(layers, settings, {
    probe: ({ layer, pass, low, high, k, side }, kS, kT) => {
      assert.equal(pass, asked.length);
      assert.ok(low <= k && k < high && k === (side === 'input' ? kS : kT));
      asked.push({ layer, kS, kT });
      return Promise.resolve(metric(layer, kS, kT));
    },
    chosen: (layer, choice) => {
      assert.equal(layer, chosen.length);
      chosen.push(choice);
      return Promise.resolve();
    },
  });
  assert.deepEqual(found, chosen);
  return { found, asked };
}

test('thresholds: the p-th projection may cost p·δ points of accuracy, or p·δ percent of the loss', () => {
  assert.equal(threshold(cumulative, 1), 90 - 0.1);
  assert.equal(threshold(cumulative, 7), 90 - 7 * 0.1);
  assert.equal(threshold({ ...cumulative, mode: 'independent' }, 7), 90 - 0.1);
  const loss: SearchSettings = { mode: 'cumulative', metric: 'loss', before: 2, delta: 1 };
  assert.equal(threshold(loss, 3), 2 + 2 * 0.03);
  // A log-likelihood below zero still may only rise.
  assert.equal(threshold({ ...loss, before: -2 }, 1), -2 + 0.02);
});

describe('a metric that falls as k falls', () => {
  test('the smallest dimension that passes is found, in at most ⌈log₂ n⌉ + ⌈log₂ m⌉ probes', async () => {
    const random = uniform(1);
    for (let trial = 0; trial < 300; trial++) {
      const size = {
        inputs: 1 + Math.floor((random() + 1) * 40),
        outputs: 1 + Math.floor((random() + 1) * 40),
      };
      const [needS, needT] = [
        1 + Math.floor(((random() + 1) / 2) * size.inputs),
        1 + Math.floor(((random() + 1) / 2) * size.outputs),
      ];
      const metric = (_: number, kS: number, kT: number): number => (kS >= needS && kT >= needT ? 90 : 50);
      const { found, asked } = await search([size], cumulative, metric);
      assert.deepEqual(
        [found[0]?.kS, found[0]?.kT],
        [Math.min(needS, size.inputs), Math.min(needT, size.outputs)],
      );
      assert.ok(asked.length <= passesBound([size]), `${asked.length} probes for ${JSON.stringify(size)}`);
    }
  });

  test('a loss is searched downwards', async () => {
    const settings: SearchSettings = { mode: 'cumulative', metric: 'loss', before: 1, delta: 10 };
    const { found } = await search([{ inputs: 100, outputs: 1 }], settings, (_, kS) => 1 + (100 - kS) / 500);
    // 1 + (100 − k)/500 ≤ 1.1 from k = 50 on.
    assert.equal(found[0]?.kS, 50);
  });
});

describe('a metric that does not', () => {
  test('the answer is the smallest dimension that passed, or the whole space', async () => {
    const random = uniform(2);
    for (let trial = 0; trial < 300; trial++) {
      const n = 2 + Math.floor((random() + 1) * 60);
      const values = Array.from({ length: n + 1 }, () => 90 + random());
      const { found } = await search([{ inputs: n, outputs: 1 }], cumulative, (_, kS) => values[kS] ?? NaN);
      const probes = found[0]?.probes ?? [];
      const passed = probes.filter(({ k }) => (values[k] ?? 0) >= 90 - 0.1 - 1e-9).map(({ k }) => k);
      assert.equal(found[0]?.kS, Math.min(n, ...passed));
      assert.ok(probes.every((probe) => probe.passed === passed.includes(probe.k)));
    }
  });

  test('a metric that is not a number passes nowhere', async () => {
    for (const metric of ['accuracy', 'loss'] as const) {
      const { found } = await search([{ inputs: 9, outputs: 5 }], { ...cumulative, metric }, () => NaN);
      assert.deepEqual([found[0]?.kS, found[0]?.kT], [9, 5]);
    }
  });
});

describe('several layers', () => {
  const layers = [
    { inputs: 27, outputs: 16 },
    { inputs: 144, outputs: 32 },
    { inputs: 64, outputs: 10 },
  ];
  /** Every dimension given up costs a little. */
  const metric = (state: readonly (readonly [number, number])[]): number =>
    90 -
    state.reduce((sum, [kS, kT], i) => {
      const { inputs, outputs } = layers[i] ?? { inputs: kS, outputs: kT };
      return sum + (inputs - kS) / inputs / 3 + (outputs - kT) / outputs / 5;
    }, 0);
  const whole = layers.map(({ inputs, outputs }) => [inputs, outputs] as const);

  async function cumulatively(settings: SearchSettings) {
    const kept: (readonly [number, number])[] = [...whole];
    const measured: number[] = [];
    const found = await searchDimensions(layers, settings, {
      probe: ({ layer }, kS, kT) => {
        const value = metric(kept.map((pair, i) => (i === layer ? [kS, kT] : pair)));
        measured.push(value);
        return Promise.resolve(value);
      },
      chosen: (layer, { kS, kT }) => {
        kept[layer] = [kS, kT];
        return Promise.resolve();
      },
    });
    return { found, measured, end: metric(kept) };
  }

  test('cumulative: the whole drop is at most 2·L·δ, and known without another pass', async () => {
    const { found, end } = await cumulatively(cumulative);
    assert.ok(end >= 90 - 2 * layers.length * 0.1 - 1e-9);
    assert.equal(found.at(-1)?.valueAfter, end);
    assert.ok(
      found.every(({ kS, kT }, i) => kS < (layers[i]?.inputs ?? 0) && kT < (layers[i]?.outputs ?? 0)),
    );
  });

  test('independent: every probe changes one projection of the original network', async () => {
    const { found, asked } = await search(layers, { ...cumulative, mode: 'independent' }, (layer, kS, kT) =>
      metric(whole.map((pair, i) => (i === layer ? [kS, kT] : pair))),
    );
    for (const { layer, kS, kT } of asked)
      assert.ok(kS === layers[layer]?.inputs || kT === layers[layer]?.outputs, 'only one side is projected');
    for (const [i, { kS, kT, valueAfter }] of found.entries()) {
      assert.equal(valueAfter, undefined);
      const { inputs, outputs } = layers[i] ?? { inputs: 0, outputs: 0 };
      const smallest = (n: number, at: (k: number) => readonly [number, number]): number => {
        for (let k = 1; k < n; k++)
          if (metric(whole.map((pair, j) => (j === i ? at(k) : pair))) >= 90 - 0.1 - 1e-9) return k;
        return n;
      };
      assert.equal(
        kS,
        smallest(inputs, (k) => [k, outputs]),
      );
      assert.equal(
        kT,
        smallest(outputs, (k) => [inputs, k]),
      );
    }
  });

  test('a budget of passes: the same probes up to it, what is not reached stays whole', async () => {
    const all = await cumulatively(cumulative);
    for (let maxPasses = 0; maxPasses <= all.measured.length; maxPasses++) {
      const { found, measured } = await cumulatively({ ...cumulative, maxPasses });
      assert.deepEqual(measured, all.measured.slice(0, maxPasses));
      for (const [i, { kS, kT, isCutShort, probes }] of found.entries()) {
        const unlimited = all.found[i];
        if (!isCutShort) assert.deepEqual([kS, kT], [unlimited?.kS, unlimited?.kT]);
        const passedOr = (side: string, n: number): number =>
          Math.min(n, ...probes.filter((probe) => probe.side === side && probe.passed).map(({ k }) => k));
        assert.deepEqual(
          [kS, kT],
          [passedOr('input', layers[i]?.inputs ?? 0), passedOr('output', layers[i]?.outputs ?? 0)],
        );
      }
      assert.equal(
        found.some(({ isCutShort }) => isCutShort),
        maxPasses < all.measured.length,
      );
    }
  });

  test('what the host throws ends the search', async () => {
    await assert.rejects(
      search(layers, cumulative, () => {
        throw new Error('the interpreter ended');
      }),
      /^Error: the interpreter ended$/,
    );
  });
});
