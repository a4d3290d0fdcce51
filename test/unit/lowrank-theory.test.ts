/** Proposition 1 against matrices whose norms are known in closed form, and against sin(ωA) itself. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { proposition1 } from '../../src/lowrank/theory';

function assertClose(actual: number, expected: number, relative = 1e-9): void {
  assert.ok(
    Math.abs(actual - expected) <= relative * Math.abs(expected),
    `${actual} is not ${expected} within ${relative}`,
  );
}

describe('Proposition 1', () => {
  test('of a matrix of one magnitude: ‖√|A|‖ = √(m·n·a), whatever the signs', () => {
    const [rows, columns, a] = [7, 4, 0.25];
    const A = Array.from({ length: rows * columns }, (_, i) => (i % 3 === 0 ? -a : a));
    const { smallestEntry, rootNorm, omegaLimit, rankBound } = proposition1(A, rows, columns);
    assert.equal(smallestEntry, a);
    assertClose(rootNorm, Math.sqrt(rows * columns * a));
    assertClose(omegaLimit, Math.PI / 0.75);
    assertClose(rankBound(omegaLimit), Math.PI / (3 * rows * columns));
    assertClose(rankBound(1), (a * a) / (rows * columns * a));
  });

  test('of an outer product u·vᵀ: ‖√|A|‖² = Σ|u|·Σ|v|', () => {
    const u = [0.5, -2, 0, 3];
    const v = [1, -0.125, 4];
    const A = u.flatMap((x) => v.map((y) => x * y));
    const { smallestEntry, rootNorm } = proposition1(A, 4, 3);
    assert.equal(smallestEntry, 0.0625);
    assertClose(rootNorm, Math.sqrt(5.5 * 5.125));
  });

  test('takes the largest of separate blocks, however near the others come', () => {
    for (const second of [0, 1e-8, 1, 3.9, 3.9999999, 4]) {
      assertClose(proposition1([4, 0, 0, second], 2, 2).rootNorm, 2, 1e-9);
    }
    assertClose(proposition1([0, 9, 0, 0, 0, 0], 2, 3).rootNorm, 3);
  });

  test('says nothing outside its range, nor of the zero matrix', () => {
    const { omegaLimit, rankBound } = proposition1([0.5, 1], 1, 2);
    assert.equal(rankBound(-1), 0);
    assert.equal(rankBound(omegaLimit * 1.001), 0);
    assert.equal(rankBound(NaN), 0);
    const zero = proposition1(new Float32Array(6), 2, 3);
    assert.deepEqual([zero.omegaLimit, zero.rootNorm, zero.smallestEntry, zero.rankBound(1)], [0, 0, 0, 0]);
  });
});
