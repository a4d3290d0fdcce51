import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ENERGY_LEVELS,
  decomposedParameters,
  energyRank,
  isDecomposable,
  meanMetrics,
  meanSpectrum,
  randomEdge,
  rankMetrics,
  utilization,
} from '../../src/spectrum';
import reference from '../reference/spectrum.json';

function assertClose(actual: number, expected: number, relative: number, what: string): void {
  assert.ok(
    Math.abs(actual - expected) <= relative * Math.abs(expected),
    `${what}: ${actual} is not ${expected} within ${relative}`,
  );
}

describe(`rank metrics against numpy and scipy (${reference.made})`, () => {
  for (const { name, shape, singularValues, expected } of reference.cases) {
    it(name, () => {
      const [m = 0, n = 0] = shape;
      const actual = rankMetrics(singularValues, m, n);
      assert.deepEqual(actual.energyRanks, expected.energyRanks);
      assert.equal(actual.rank, expected.rank);
      assert.equal(actual.spikes, expected.spikes);
      for (const key of [
        'stableRank',
        'effectiveRank',
        'spectralNorm',
        'frobeniusNorm',
        'randomEdge',
      ] as const) {
        assertClose(actual[key], expected[key], 1e-12, key);
      }
    });
  }
});

describe('energy rank', () => {
  it('of equal singular values is the level times their number, rounding aside', () => {
    for (const value of [1, 0.1, 1 / 3, 1e-200]) {
      const equal = new Float64Array(1000).fill(value);
      assert.deepEqual(
        ENERGY_LEVELS.map((level) => energyRank(equal, Number(level))),
        [900, 950, 990, 999, 1000],
      );
    }
  });

  it('keeps a long tail that naive summation behind a large head would lose', () => {
    // 10⁶ values of energy 1e-10 behind a head of energy 1: the tail holds 1e-4/(1+1e-4) < 1e-4 of the energy.
    const values = new Float64Array(1_000_001).fill(1e-5);
    values[0] = 1;
    assert.equal(energyRank(values, 0.9999), 1);
    // One hundredth more energy in the tail, 1.01e-4/(1+1.01e-4) > 1e-4: exactly these many tail values are needed.
    values.fill(Math.sqrt(1.01e-10), 1);
    const needed = Math.ceil((0.9999 * (1 + 1.01e-4) - 1) / 1.01e-10);
    assert.equal(energyRank(values, 0.9999), 1 + needed);
  });

  it('counts every value with energy at level 1, and no zero', () => {
    assert.equal(energyRank([3, 2, 1, 0, 0], 1), 3);
  });
});

describe('a matrix that uses nothing', () => {
  const nothing = {
    rank: 0,
    energyRanks: { '0.9': 0, '0.95': 0, '0.99': 0, '0.999': 0, '0.9999': 0 },
    stableRank: 0,
    effectiveRank: 0,
    spectralNorm: 0,
    frobeniusNorm: 0,
    randomEdge: 0,
    spikes: 0,
  };
  it('has zero everywhere when all entries are zero', () => {
    assert.deepEqual(rankMetrics(new Float64Array(4), 4, 7), nothing);
  });
  it('has zero everywhere when it is empty', () => {
    assert.deepEqual(rankMetrics([], 0, 7), nothing);
    assert.deepEqual(rankMetrics([], 0, 0), nothing);
    assert.equal(utilization(0, 0, 7), 0);
  });
});

describe('rank metrics refuse what is no spectrum', () => {
  for (const [what, values] of [
    ['too few values', [1]],
    ['NaN', [1, NaN]],
    ['infinity', [Infinity, 1]],
    ['ascending values', [1, 2]],
    ['negative values', [1, -1]],
  ] as const) {
    it(what, () => {
      assert.throws(() => rankMetrics(values, 2, 3), RangeError);
    });
  }
});

describe('random edge', () => {
  it('is √v(√m + √n) with the mean square of the entries as v', () => {
    // Entries ±2 on 9 × 16: ‖W‖_F = 2·12, v = 4.
    assert.equal(randomEdge(24, 9, 16), 2 * (3 + 4));
  });
});

describe('decomposition', () => {
  it('saves parameters only below m·n/(m+n)', () => {
    // 6·3/(6+3) = 2.
    assert.equal(isDecomposable(1, 6, 3), true);
    assert.equal(isDecomposable(2, 6, 3), false);
    assert.equal(decomposedParameters(1, 6, 3), 9);
  });
});

describe('groups of a layer', () => {
  const [a, b] = [rankMetrics([2, 0], 2, 2), rankMetrics([4, 4], 2, 2)];
  it('are told by their means', () => {
    const mean = meanMetrics([a, b]);
    assert.equal(mean.rank, 1.5);
    assert.equal(mean.energyRanks['0.9'], 1.5);
    assert.equal(mean.stableRank, 1.5);
    assertClose(mean.effectiveRank, 1.5, 1e-15, 'effectiveRank');
    assert.equal(mean.spectralNorm, 3);
    assert.equal(mean.frobeniusNorm, (2 + Math.sqrt(32)) / 2);
    assert.deepEqual([...meanSpectrum([[2, 0], [4, 4]])], [3, 2]); // prettier-ignore
  });
  it('are one at least, and of one shape', () => {
    assert.throws(() => meanMetrics([]), RangeError);
    assert.throws(() => meanSpectrum([]), RangeError);
    assert.throws(() => meanSpectrum([[1], [1, 1]]), RangeError);
  });
});
