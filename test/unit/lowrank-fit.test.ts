/** Factorizations behind their one interface: what they cost, what they fit, what they multiply out to. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import { FACTORIZATIONS, factorization, type FactoredMatrix } from '../../src/lowrank';
import { MatrixFiles } from './fitTargets';
import { uniform, withSingularValues } from './matrices';

const files = new MatrixFiles();
const backend = createWasmBackend(1);
const never = new AbortController().signal;
after(async () => {
  await backend.dispose();
  files.dispose();
});

function relativeError(W: Float32Array, approximation: Float32Array): number {
  let [error, norm] = [0, 0];
  W.forEach((w, i) => {
    error += (w - (approximation[i] ?? NaN)) ** 2;
    norm += w * w;
  });
  return Math.sqrt(error / norm);
}

describe('every factorization', () => {
  for (const member of FACTORIZATIONS) {
    const { name } = member;
    test(`${name} is found by its name`, () => {
      assert.equal(factorization(name), member);
    });
    test(`${name}: the error it returns is that of the matrix it multiplies out to`, async () => {
      const [rows, columns, rank] = [40, 56, 6];
      const W = Float32Array.from({ length: rows * columns }, uniform(7));
      const result = await member.fit(files.target(W, rows, columns), { rank, seed: 1 }, backend, never);
      assert.ok(result.kind === 'fit');
      const { matrix, relativeError: error, svdRelativeError } = result.fit;
      assert.deepEqual(
        [matrix.factorization, matrix.rows, matrix.columns, matrix.rank],
        [name, rows, columns, rank],
      );
      assert.ok(Math.abs(relativeError(W, member.materialise(matrix)) - error) < 1e-6);
      assert.ok(error <= svdRelativeError + 1e-6, `${error} against ${svdRelativeError}`);
    });
    test(`${name}: its factors hold as many numbers as its ledger says`, async () => {
      const W = Float32Array.from({ length: 30 * 20 }, uniform(8));
      const result = await member.fit(
        files.target(W, 30, 20),
        { rank: 3, seed: 1, steps: 10 },
        backend,
        never,
      );
      assert.ok(result.kind === 'fit');
      const numbers = result.fit.matrix.factors.reduce((sum, { data }) => sum + data.length, 0);
      const ledger = member.ledger(30, 20, 3);
      assert.deepEqual([ledger.parameters, ledger.bytes], [numbers, 4 * numbers]);
    });
    test(`${name}: the largest rank that saves is the last whose factors are fewer numbers`, () => {
      for (const [rows, columns] of [
        [1, 1],
        [1, 100],
        [64, 64],
        [64, 576],
        [3, 2],
        [768, 3072],
      ] as const) {
        const rank = member.largestSavingRank(rows, columns);
        assert.ok(rank === 0 || member.ledger(rows, columns, rank).parameters < rows * columns);
        assert.ok(member.ledger(rows, columns, rank + 1).parameters >= rows * columns);
      }
    });
    test(`${name}: values that are not numbers come back as such`, async () => {
      const W = new Float32Array(12).fill(NaN, 5, 6);
      const result = await member.fit(files.target(W, 3, 4), { rank: 1, seed: 1 }, backend, never);
      assert.equal(result.kind, 'nonFinite');
    });
  }
  test('another name is refused with those there are', () => {
    assert.throws(
      () => factorization('cosine'),
      /^Error: unknown factorization "cosine": choose svd or sine$/,
    );
  });
});

describe('a frequency that nobody asked for', () => {
  const [rows, columns, rank] = [48, 40, 4];
  const fitted = async (name: string, W: Float32Array, more = {}) => {
    const settings = { rank, seed: 1, steps: 100, ...more };
    const target = files.target(W, rows, columns);
    const result = await factorization(name).fit(target, settings, backend, never);
    assert.ok(result.kind === 'fit');
    return result.fit;
  };
  const factorOf = ({ factors }: FactoredMatrix, name: string): Float32Array =>
    factors.find((factor) => factor.name === name)?.data ?? new Float32Array(0);
  // A spectrum that falls at once: a sine gains nothing, and the fit ends at truncated SVD.
  const sigma = Array.from({ length: columns }, (_, i) => 8 ** -i);
  const decaying = withSingularValues(rows, columns, sigma, 5);
  const noise = Float32Array.from({ length: rows * columns }, uniform(9));

  test('is 3·√k where the sine bends', async () => {
    assert.equal((await fitted('sine', noise)).matrix.scalars.omega, 3 * Math.sqrt(rank));
  });

  test('is g in the linear limit: the factors are truncated SVD’s, and train as they do', async () => {
    const W = Float32Array.from(decaying);
    const [{ matrix }, svd] = [await fitted('sine', W), await fitted('svd', W)];
    assert.equal(matrix.scalars.omega, matrix.scalars.gain);
    for (const name of ['U', 'V']) {
      const [found, expected] = [factorOf(matrix, name), factorOf(svd.matrix, name)];
      const largest = Math.max(...expected.map(Math.abs));
      expected.forEach((value, i) => {
        assert.ok(Math.abs(value - (found[i] ?? NaN)) < 1e-5 * largest, `${name}[${i}]`);
      });
    }
    assert.ok(relativeError(W, factorization('sine').materialise(matrix)) < 1e-3);
  });

  test('gives way to one that is asked for', async () => {
    const { matrix } = await fitted('sine', Float32Array.from(decaying), { omega: 7 });
    assert.equal(matrix.scalars.omega, 7);
  });
});

describe('what a matrix of 768 × 3072 at k = 64 costs', () => {
  test('truncated SVD saves work as it saves parameters', () => {
    assert.deepEqual(factorization('svd').ledger(768, 3072, 64), {
      parameters: 245_760,
      bytes: 983_040,
      multiplyAdds: 245_760,
      materialiseMultiplyAdds: 0,
    });
  });
  test('sine-low-rank saves parameters, not work', () => {
    assert.deepEqual(factorization('sine').ledger(768, 3072, 64), {
      parameters: 245_760,
      bytes: 983_040,
      multiplyAdds: 2_359_296,
      materialiseMultiplyAdds: 150_994_944,
    });
  });
});

describe('multiplying out', () => {
  const factors = [
    { name: 'U', shape: [2, 1], data: Float32Array.of(0.5, -1) },
    { name: 'V', shape: [3, 1], data: Float32Array.of(1, 2, 0) },
  ];
  const base = { rows: 2, columns: 3, rank: 1, factors };
  const assertClose = (found: Float32Array, expected: readonly number[]): void => {
    assert.deepEqual(found, Float32Array.from(expected));
  };
  test('svd: U·Vᵀ', () => {
    const matrix: FactoredMatrix = { ...base, factorization: 'svd', scalars: {} };
    assertClose(factorization('svd').materialise(matrix), [0.5, 1, 0, -1, -2, 0]);
  });
  test('sine: sin(ω·U·Vᵀ)/g', () => {
    const matrix: FactoredMatrix = { ...base, factorization: 'sine', scalars: { omega: 3, gain: 2 } };
    const expected = [1.5, 3, 0, -3, -6, 0].map((phase) => Math.sin(phase) / 2);
    assertClose(factorization('sine').materialise(matrix), expected);
  });
  test('what is missing is named', () => {
    const sine = factorization('sine');
    assert.throws(
      () => sine.materialise({ ...base, factorization: 'sine', scalars: { omega: 3 } }),
      /its gain$/,
    );
    const matrix: FactoredMatrix = {
      ...base,
      factorization: 'svd',
      scalars: {},
      factors: factors.slice(0, 1),
    };
    assert.throws(() => factorization('svd').materialise(matrix), /needs a factor V of 3 × 1 numbers$/);
  });
});

test('truncated SVD: what is left is the tail of the singular values', async () => {
  const sigma = Array.from({ length: 30 }, (_, i) => 0.8 ** i);
  const W = Float32Array.from(withSingularValues(30, 50, sigma));
  const energy = (from: number): number => sigma.slice(from).reduce((sum, s) => sum + s * s, 0);
  for (const rank of [1, 5, 29]) {
    const result = await backend.truncatedSvd(files.target(W, 30, 50), rank, never);
    assert.ok(result.kind === 'fit');
    const expected = Math.sqrt(energy(rank) / energy(0));
    assert.ok(Math.abs(result.fit.relativeError - expected) < 1e-6, `rank ${rank}`);
  }
});
