import assert from 'node:assert/strict';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { writeSafetensors } from '../../src/checkpoint/write/safetensors';
import { createWasmBackend } from '../../src/compute';
import { openCache } from '../../src/engine/cache';
import { SineExplorer } from '../../src/engine/conversion/sineExplorer';
import { preview } from '../../src/engine/conversionService';
import { temporaryFolder } from '../fixtures/handmade';

const scratch = temporaryFolder();
const backend = createWasmBackend(1);
after(() => backend.dispose());
const { signal } = new AbortController();

const M = 30;
const N = 20;
/** Entries of W, and of a transposed kernel of the same. */
const W = Float32Array.from({ length: M * N }, (_, at) => {
  const [i, j] = [Math.floor(at / N), at % N];
  return Math.cos(i * 0.7 + j) + 0.3 * Math.sin(i * j) + 0.1 * Math.cos(i * i - 3 * j);
});
const transposed = Float32Array.from({ length: M * N }, (_, at) => W[(at % M) * N + Math.floor(at / M)] ?? 0);
const data = (values: Float32Array) => new Uint8Array(values.buffer);

async function model(): Promise<string> {
  const file = path.join(scratch.folder, 'model.safetensors');
  await writeSafetensors(file, [
    { name: 'fc.weight', dtype: 'float32', shape: [M, N], data: data(W) },
    { name: 'dense.kernel', dtype: 'float32', shape: [N, M], data: data(transposed) },
    { name: 'embed.weight', dtype: 'float32', shape: [M, N], data: data(W) },
    { name: 'fc.bias', dtype: 'float32', shape: [M], data: data(new Float32Array(M)) },
  ]);
  return file;
}

describe('the ω explorer', () => {
  const explorer = new SineExplorer(openCache(path.join(scratch.folder, 'cache')));
  const explore = async (omega: number, gain: number, layer = 'fc.weight', rank = 4) =>
    explorer.spectrum({ path: await model(), layer, rank, omega, gain }, backend, signal);

  it('is truncated SVD in the linear limit', async () => {
    const { original, lowRank, sine, relativeError, svdRelativeError } = await explore(1e-4, 1e-4);
    assert.equal(original.length, N);
    assert.deepEqual(lowRank, original.slice(0, 4));
    sine.forEach((value, i) => {
      assert.ok(Math.abs(value - (lowRank[i] ?? 0)) < 1e-5 * (original[0] ?? 0), `σ${i}`);
    });
    assert.ok(Math.abs(relativeError - svdRelativeError) < 1e-6);
    const energies = original.map((value) => value ** 2);
    const left = energies.slice(4).reduce((a, b) => a + b, 0) / energies.reduce((a, b) => a + b, 0);
    assert.ok(Math.abs(svdRelativeError - Math.sqrt(left)) < 1e-6);
  });

  it('raises the rank as ω grows, and shows where Proposition 1 speaks', async () => {
    const [low, high] = [await explore(0.1, 1), await explore(60, 1)];
    assert.equal(low.proposition1.omegaLimit, high.proposition1.omegaLimit);
    assert.ok(low.energyRank99 <= 6 && high.energyRank99 > 12, `${low.energyRank99}, ${high.energyRank99}`);
    assert.ok(high.stableRank > low.stableRank);
    assert.ok(high.rank >= high.energyRank99);
    const inside = low.proposition1.omegaLimit / 2;
    const { proposition1, rank } = await explore(inside, 1);
    assert.ok(proposition1.rankBound > 0 && proposition1.rankBound <= rank);
    assert.equal((await explore(3 * inside, 1)).proposition1.rankBound, 0);
  });

  it('reads kernels that are stored in × out as the same matrix', async () => {
    const [one, other] = [await explore(3, 2), await explore(3, 2, 'dense.kernel')];
    assert.ok(Math.abs(one.relativeError - other.relativeError) < 1e-6);
    one.sine.forEach((value, i) => {
      assert.ok(Math.abs(value - (other.sine[i] ?? NaN)) < 1e-5 * (one.sine[0] ?? 0));
    });
  });

  it('refuses what makes no matrix in one line', async () => {
    await assert.rejects(explore(0, 1), /omega is 0/);
    await assert.rejects(explore(1, NaN), /gain is NaN/);
    await assert.rejects(explore(1, 1, 'fc.weight', N + 1), /rank 21 is not between 1 and 20/);
    await assert.rejects(explore(1, 1, 'zzz'), /tensor "zzz": it has no layer of this name/);
  });

  it('is not spoiled by a request that was cancelled', async () => {
    const fresh = new SineExplorer(openCache(path.join(scratch.folder, 'cache2')));
    const params = { path: await model(), layer: 'fc.weight', rank: 5, omega: 2, gain: 2 };
    const stop = new AbortController();
    const cancelled = fresh.spectrum(params, backend, stop.signal);
    const waiting = fresh.spectrum(params, backend, signal);
    stop.abort();
    await assert.rejects(cancelled);
    assert.equal((await waiting).sine.length, N);
  });
});

describe('the preview of a conversion', () => {
  it('lists every layer with its cost and why it stays as it is', async () => {
    const { checkpoint, layers } = await preview(await model(), signal);
    assert.equal(checkpoint.parameters, 3 * M * N + M);
    assert.deepEqual(
      layers.map(({ name, shape, groups, parameters, byDefault, reason }) => [
        name,
        shape,
        groups,
        parameters,
        byDefault,
        reason?.split(':')[0],
      ]),
      [
        ['fc.weight', [M, N], 1, M * N, true, undefined],
        ['dense.kernel', [M, N], 1, M * N, true, undefined],
        ['embed.weight', [M, N], 1, M * N, false, 'embedding'],
      ],
    );
  });
});
