/** Layers from scratch: Kaiming's bounds and variances, and what they make of W. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { factorization, type FactoredMatrix } from '../../src/lowrank';
import {
  TRAINING_OMEGA,
  initialiseDense,
  initialiseLowRank,
  initialiseSine,
  kaimingBound,
} from '../../src/lowrank/initialise';

interface Moments {
  readonly mean: number;
  readonly variance: number;
  readonly largest: number;
}

function moments(values: Float32Array): Moments {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, variance, largest: values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) };
}

/**
 * Uniform on (−bound, bound): mean 0, variance bound²/3. The standard error of a variance over N uniform values is
 * √(0.8/N) of it; five of them are never met by chance.
 */
function assertUniform(values: Float32Array, bound: number): void {
  const { mean, variance, largest } = moments(values);
  const count = values.length;
  assert.ok(
    largest <= Math.fround(bound) && largest > bound * (1 - 10 / count),
    `largest ${largest} of ${bound}`,
  );
  assert.ok(Math.abs(mean) < 5 * Math.sqrt(bound ** 2 / 3 / count), `mean ${mean}`);
  assert.ok(Math.abs((3 * variance) / bound ** 2 - 1) < 5 * Math.sqrt(0.8 / count), `variance ${variance}`);
}

const factor = ({ factors }: FactoredMatrix, name: string): Float32Array => {
  const found = factors.find((candidate) => candidate.name === name);
  assert.ok(found !== undefined);
  assert.equal(
    found.data.length,
    found.shape.reduce((product, size) => product * size, 1),
  );
  return found.data;
};

const dense = (matrix: FactoredMatrix): Float32Array =>
  factorization(matrix.factorization).materialise(matrix);

describe('Kaiming’s uniform law', () => {
  test('has the bounds of torch.nn.init.kaiming_uniform_', () => {
    assert.equal(kaimingBound(6), 1);
    // torch.nn.Linear: a = √5 makes it 1/√fan.
    assert.ok(Math.abs(kaimingBound(256, Math.sqrt(5)) - 1 / 16) < 1e-15);
    // Gain 1: variance 1/fan.
    assert.ok(Math.abs(kaimingBound(100, 1) ** 2 / 3 - 1 / 100) < 1e-15);
  });

  test('fills dense layers by their inputs', () => {
    assertUniform(initialiseDense(300, 200, 1), Math.sqrt(6 / 200));
    assertUniform(initialiseDense(300, 200, 2, Math.sqrt(5)), 1 / Math.sqrt(200));
  });
});

describe('low-rank layers from scratch', () => {
  const options = { rows: 400, columns: 300, rank: 24, seed: 7 };

  test('have factors with the bounds of two layers in a row', () => {
    const matrix = initialiseLowRank(options);
    assert.deepEqual([matrix.factorization, matrix.rows, matrix.columns, matrix.rank], ['svd', 400, 300, 24]);
    assertUniform(factor(matrix, 'U'), Math.sqrt(6 / 24));
    assertUniform(factor(matrix, 'V'), Math.sqrt(3 / 300));
  });

  test('vary as a dense layer does', () => {
    for (const negativeSlope of [0, Math.sqrt(5)]) {
      const { variance } = moments(dense(initialiseLowRank({ ...options, negativeSlope })));
      const expected = moments(initialiseDense(400, 300, 8, negativeSlope)).variance;
      // k·(m + n) free values only: a few percent of chance.
      assert.ok(Math.abs(variance / expected - 1) < 0.06, `${variance} against ${expected}`);
    }
  });
});

describe('sine-low-rank layers from scratch', () => {
  const options = { rows: 512, columns: 384, rank: 8, seed: 3 };

  test('have factors whose fan is their own long side, ω and g = √n', () => {
    const matrix = initialiseSine(options);
    assert.equal(matrix.factorization, 'sine');
    assert.deepEqual(matrix.scalars, { omega: TRAINING_OMEGA, gain: Math.sqrt(384) });
    assertUniform(factor(matrix, 'U'), Math.sqrt(6 / 512));
    assertUniform(factor(matrix, 'V'), Math.sqrt(6 / 384));
    assert.deepEqual(initialiseSine({ ...options, omega: 100, gain: 2 }).scalars, { omega: 100, gain: 2 });
  });

  test('vary by 1/(2n) once ω is large: between torch.nn.Linear and Kaiming', () => {
    const { variance, largest } = moments(dense(initialiseSine({ ...options, omega: 2000 })));
    assert.ok(Math.abs(2 * 384 * variance - 1) < 0.03, `${2 * 384 * variance} of 1/(2n)`);
    assert.ok(largest <= Math.fround(1 / Math.sqrt(384)));
    assert.ok(variance > moments(initialiseDense(512, 384, 1, Math.sqrt(5))).variance);
    assert.ok(variance < moments(initialiseDense(512, 384, 1)).variance);
  });

  test('are nearly linear while ω is small: variance ω²·k·(2/m)·(2/n)/n', () => {
    const { variance } = moments(dense(initialiseSine({ ...options, omega: 1 })));
    const expected = (8 * (2 / 512) * (2 / 384)) / 384;
    assert.ok(Math.abs(variance / expected - 1) < 0.06, `${variance} against ${expected}`);
  });

  test('come from their seed alone', () => {
    assert.deepEqual(initialiseSine(options), initialiseSine(options));
    const other = factor(initialiseSine({ ...options, seed: 4 }), 'U');
    assert.ok(factor(initialiseSine(options), 'U').every((value, i) => value !== other[i]));
  });

  test('refuse sizes, seeds, ω and g that make no layer', () => {
    for (const wrong of [
      { rank: 0 },
      { rows: 1.5 },
      { columns: -1 },
      { seed: -1 },
      { omega: 0 },
      { gain: NaN },
    ]) {
      assert.throws(() => initialiseSine({ ...options, ...wrong }), RangeError, JSON.stringify(wrong));
    }
  });
});
