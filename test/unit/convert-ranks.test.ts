import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allotRanks, giveRanks, rankForError, type RankCandidate } from '../../src/engine/conversion/ranks';
import { rankSuffix } from '../../src/engine/conversion/targets';

function candidate(
  name: string,
  [m, n]: readonly [number, number],
  sigma: readonly number[],
  groups = 1,
): RankCandidate {
  const largestSavingRank = Math.max(0, Math.ceil((m * n) / (m + n)) - 1);
  return {
    name,
    shape: [m, n],
    groups,
    largestSavingRank,
    energies: sigma.map((value) => groups * value * value),
  };
}

const decay = (length: number, rate: number): number[] => Array.from({ length }, (_, i) => rate ** i);

const small: readonly RankCandidate[] = [
  candidate('a', [8, 8], decay(8, 0.9)),
  candidate('b', [12, 6], decay(6, 0.5)),
  candidate('c', [10, 10], decay(10, 0.7)),
  candidate('d', [6, 8], [5, 1, 1, 1, 1, 1], 2),
];

const costOf = ({ shape: [m, n], groups }: RankCandidate): number => groups * (m + n);
const denseOf = ({ shape: [m, n], groups }: RankCandidate): number => groups * m * n;

/** Σ of the layers' squared relative errors of truncated SVD. */
function loss(candidates: readonly RankCandidate[], ranks: readonly number[]): number {
  return candidates.reduce((sum, { energies }, i) => {
    const total = energies.reduce((a, b) => a + b, 0);
    return sum + energies.slice(ranks[i] ?? 0).reduce((a, b) => a + b, 0) / total;
  }, 0);
}

const spent = (candidates: readonly RankCandidate[], ranks: readonly number[]): number =>
  candidates.reduce((sum, one, i) => sum + costOf(one) * (ranks[i] ?? 0), 0);

/** Every way to hand out ranks. */
function* everyWay(candidates: readonly RankCandidate[]): Generator<number[]> {
  const [first, ...rest] = candidates;
  if (first === undefined) {
    yield [];
    return;
  }
  for (let rank = 1; rank <= first.largestSavingRank; rank++) {
    for (const others of everyWay(rest)) yield [rank, ...others];
  }
}

describe('ranks for a compression rate', () => {
  const others = 100;
  const parameters = others + small.reduce((sum, one) => sum + denseOf(one), 0);

  for (const rate of [0.45, 0.5, 0.6, 0.75]) {
    it(`lower the sum of squared errors as far as the parameters they take allow: ${rate}`, () => {
      const ranks = allotRanks(small, rate, parameters);
      const budget = spent(small, ranks);
      const own = loss(small, ranks);
      let best = Infinity;
      for (const way of everyWay(small))
        if (spent(small, way) <= budget) best = Math.min(best, loss(small, way));
      assert.ok(own <= best + 1e-12, `${own} where ${best} is possible with as many parameters`);
    });

    it(`reach the rate from below, within one direction: ${rate}`, () => {
      const ranks = allotRanks(small, rate, parameters);
      const after = others + spent(small, ranks);
      const isFull = small.every((one, i) => ranks[i] === one.largestSavingRank);
      assert.ok(after <= rate * parameters);
      assert.ok(isFull || after + Math.max(...small.map(costOf)) > rate * parameters);
    });
  }

  it('grow with the rate, and never beyond what saves parameters', () => {
    let before = small.map(() => 0);
    for (const rate of [0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99]) {
      const ranks = allotRanks(small, rate, parameters);
      ranks.forEach((rank, i) => {
        assert.ok(rank >= (before[i] ?? 0) && rank <= (small[i]?.largestSavingRank ?? 0));
      });
      before = ranks;
    }
    assert.deepEqual(
      before,
      small.map(({ largestSavingRank }) => largestSavingRank),
    );
  });

  it('name the smallest possible rate when the wanted one cannot be met, and that one works', () => {
    const message =
      /a compression rate of 10 % cannot be met: with every converted layer at rank 1 it is ([\d.]+) %/;
    assert.throws(() => allotRanks(small, 0.1, parameters), message);
    try {
      allotRanks(small, 0.1, parameters);
    } catch (error) {
      const percent = Number(message.exec(String(error))?.[1]);
      assert.deepEqual(allotRanks(small, percent / 100, parameters), [1, 1, 1, 1]);
    }
  });
});

describe('ranks for an error', () => {
  it('are the smallest that truncated SVD needs', () => {
    const energies = decay(10, 0.7).map((value) => value * value);
    const total = energies.reduce((sum, value) => sum + value, 0);
    const errorAt = (rank: number): number =>
      Math.sqrt(energies.slice(rank).reduce((sum, value) => sum + value, 0) / total);
    for (const target of [0.9, 0.5, 0.2, 0.05, 0.01]) {
      const rank = rankForError(energies, target);
      assert.ok(errorAt(rank) <= target && (rank === 1 || errorAt(rank - 1) > target), `${target}: ${rank}`);
    }
    assert.equal(rankForError(energies, 1e-9), 10);
  });
});

describe('ranks that are said', () => {
  it('leave layers dense where factors would not be fewer numbers', () => {
    const given = giveRanks(small, { kind: 'rank', rank: 4 }, 1000);
    // m·n/(m+n): 4 for 8 × 8 and 12 × 6, 5 for 10 × 10, 3.4 for 6 × 8.
    assert.deepEqual(
      given.map((one) => ('rank' in one ? one.rank : one.reason.split(':')[0])),
      ['no saving', 'no saving', 4, 'no saving'],
    );
  });

  it('are a share of each smaller side, at least one direction', () => {
    const ranks = giveRanks(small, { kind: 'share', share: 0.3 }, 1000);
    assert.deepEqual(ranks, [{ rank: 2 }, { rank: 2 }, { rank: 3 }, { rank: 2 }]);
    assert.deepEqual(
      giveRanks(small, { kind: 'share', share: 0.01 }, 1000),
      small.map(() => ({ rank: 1 })),
    );
  });

  it('go by name, the first match first', () => {
    const ranks = [
      { pattern: '^a', rank: 1 },
      { pattern: '[abc]', rank: 2 },
    ];
    const given = giveRanks(small, { kind: 'perLayer', ranks }, 1000);
    assert.deepEqual(
      given.map((one) => ('rank' in one ? one.rank : one.reason)),
      [1, 2, 2, 'not selected: no rank is given for its name'],
    );
  });
});

describe('names of files', () => {
  it('say how ranks were chosen', () => {
    assert.equal(rankSuffix({ kind: 'rank', rank: 9 }), 'k9');
    assert.equal(rankSuffix({ kind: 'share', share: 0.15 }), 's0.15');
    assert.equal(rankSuffix({ kind: 'compression', rate: 0.29 }), '29pct');
    assert.equal(rankSuffix({ kind: 'compression', rate: 0.125 }), '12.5pct');
    assert.equal(rankSuffix({ kind: 'error', relativeError: 0.2 }), 'e0.2');
    assert.equal(rankSuffix({ kind: 'perLayer', ranks: [] }), 'mixed');
  });
});
