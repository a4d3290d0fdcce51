/** Factorizations through the backend: what a fit returns is what its factors give. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { createBackend, type FitTarget } from '../../src/compute';
import { FACTORIZATIONS, factorization } from '../../src/lowrank';
import { tensorFile, uniform, whole, withSingularValues } from './matrices';

const folder = mkdtempSync(path.join(tmpdir(), 'lowrank-'));
const backend = createBackend('wasm', 1);
const never = new AbortController().signal;
after(async () => {
  await backend.dispose();
  rmSync(folder, { recursive: true });
});

let files = 0;
function target(values: Float32Array, rows: number, columns: number): FitTarget {
  const tensor = tensorFile(path.join(folder, `${files++}.bin`), values, 'float32', [rows, columns]);
  return { tensor, matrix: whole([rows, columns]), transposed: false };
}

function relativeError(W: Float32Array, approximation: Float32Array): number {
  let [error, whole] = [0, 0];
  W.forEach((w, i) => {
    error += (w - (approximation[i] ?? NaN)) ** 2;
    whole += w * w;
  });
  return Math.sqrt(error / whole);
}

describe('every factorization', () => {
  for (const { name } of FACTORIZATIONS)
    test(`${name}: the error it returns is that of the matrix it makes`, async () => {
      const random = uniform(7);
      const W = Float32Array.from({ length: 40 * 56 }, random);
      const member = factorization(name);
      const result = await member.fit(target(W, 40, 56), { rank: 6, seed: 1 }, backend, never);
      assert.ok(result.kind === 'fit');
      const { matrix, relativeError: error, svdRelativeError } = result.fit;
      assert.ok(Math.abs(relativeError(W, member.materialise(matrix)) - error) < 1e-6);
      assert.ok(error <= svdRelativeError + 1e-4, `${error} against ${svdRelativeError}`);
    });
});

test('truncated SVD: what is left is the tail of the singular values', async () => {
  const sigma = Array.from({ length: 30 }, (_, i) => 0.8 ** i);
  const W = Float32Array.from(withSingularValues(30, 50, sigma));
  const energy = (from: number): number => sigma.slice(from).reduce((sum, s) => sum + s * s, 0);
  for (const rank of [1, 5, 29]) {
    const result = await backend.truncatedSvd(target(W, 30, 50), rank, never);
    assert.ok(result.kind === 'fit');
    const expected = Math.sqrt(energy(rank) / energy(0));
    assert.ok(Math.abs(result.fit.relativeError - expected) < 1e-6, `rank ${rank}`);
  }
});
