/** Subspaces, utilized ranks, errors and factors of single layers, against numpy (test/reference/make_utilization_small.py). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import type { NetworkLayer } from '../../src/network/network';
import { LayerProjections, eigenbasis, isFiniteGram, type Compute } from '../../src/utilization';
import { generatedMatrix, type Recipe } from '../reference/generated';
import { ROOT } from '../reference/references';
import { uniform } from './matrices';

interface Facts {
  readonly kS: number;
  readonly kT: number;
  readonly utilizedRanks: readonly number[];
  readonly measured: number;
  readonly bound: number;
  readonly sums: readonly number[];
}

interface Case {
  readonly name: string;
  readonly groups: number;
  readonly weight: Recipe;
  readonly inputs: Recipe;
  readonly rank: number;
  readonly inputEnergies: readonly number[];
  readonly outputEnergies: readonly number[];
  readonly atEnergy: readonly (Facts & { readonly energy: number })[];
  readonly atDimensions: readonly Facts[];
}

// The file is the project's own, made by make_utilization_small.py in this shape.
const { cases } = JSON.parse(
  readFileSync(path.join(ROOT, 'test/reference/utilization_small.json'), 'utf8'),
) as { cases: readonly Case[] };

const backend = createWasmBackend(2);
after(() => backend.dispose());
const compute: Compute = { backend, signal: new AbortController().signal };

function layerOf(m: number, n: number, groups = 1): NetworkLayer {
  return {
    name: 'layer.weight',
    kind: 'linear',
    shape: [m, n],
    groups,
    parameters: groups * m * n,
    bias: 0,
    positions: 1,
  };
}

/** samples × (groups·n) inputs → one Gram matrix a group, by the backend. */
async function projectionsOf(
  weight: Float64Array,
  X: Float32Array,
  samples: number,
  layer: NetworkLayer,
): Promise<LayerProjections> {
  const [, n] = layer.shape;
  const { groups } = layer;
  const bases = [];
  for (let g = 0; g < groups; g++) {
    const rows = new Float32Array(samples * n);
    for (let s = 0; s < samples; s++)
      rows.set(X.subarray(s * groups * n + g * n, s * groups * n + (g + 1) * n), s * n);
    const gram = await backend.accumulateGram({ gram: new Float64Array(n * n), n, rows }, compute.signal);
    bases.push(await eigenbasis(gram, n, compute));
  }
  return LayerProjections.of(layer, weight, bases, compute);
}

function assertClose(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, numpy has ${expected}`);
}

async function assertFacts(projections: LayerProjections, expected: Facts): Promise<void> {
  const { kS, kT } = expected;
  const at = `k_S ${kS}, k_T ${kT}`;
  const facts = await projections.facts(kS, kT);
  assert.deepEqual(facts.utilizedRanks, expected.utilizedRanks, at);
  assertClose(facts.error.measured, expected.measured, 1e-12, `${at}: measured error`);
  assertClose(facts.error.bound, expected.bound, 1e-9, `${at}: bound`);
  const W = await projections.onBoth(kS, kT);
  const n = W.length / expected.sums.length;
  const largest = Math.max(...expected.sums.map(Math.abs));
  for (const [row, sum] of expected.sums.entries()) {
    const found = W.subarray(row * n, (row + 1) * n).reduce((total, w, j) => total + w * (j + 1), 0);
    assertClose(found, sum, 1e-10 * largest, `${at}: row ${row} of W′ times 1 … n`);
  }
}

for (const reference of cases)
  describe(reference.name, () => {
    const { rows, columns } = reference.weight;
    const layer = layerOf(rows / reference.groups, columns, reference.groups);
    const weight = Float64Array.from(generatedMatrix(reference.weight));
    const made = projectionsOf(weight, generatedMatrix(reference.inputs), reference.inputs.rows, layer);

    test('rank, and energies of inputs and outputs', async () => {
      const projections = await made;
      assert.equal(projections.rank, reference.rank);
      for (const [energies, expected] of [
        [projections.inputEnergies, reference.inputEnergies],
        [projections.outputEnergies, reference.outputEnergies],
      ] as const) {
        const sum = energies.reduce((total, energy) => total + energy, 0);
        assert.equal(energies.length, expected.length);
        for (const [i, share] of expected.entries())
          assertClose((energies[i] ?? NaN) / sum, share, 1e-13, `energy ${i}`);
      }
    });

    for (const expected of reference.atEnergy)
      test(`${expected.energy} of the energy: dimensions, ranks, errors, W′`, async () => {
        const projections = await made;
        assert.equal(projections.dimensionFor('input', expected.energy), expected.kS);
        assert.equal(projections.dimensionFor('output', expected.energy), expected.kT);
        await assertFacts(projections, expected);
      });

    for (const expected of reference.atDimensions)
      test(`dimensions ${expected.kS} and ${expected.kT}`, async () => {
        await assertFacts(await made, expected);
      });
  });

describe('whatever the layer', () => {
  test('the whole space leaves the weight as it is, to the last bit', async () => {
    const random = uniform(3);
    const weight = Float64Array.from({ length: 7 * 11 }, random);
    const X = Float32Array.from({ length: 50 * 11 }, random);
    const projections = await projectionsOf(weight, X, 50, layerOf(7, 11));
    assert.deepEqual(await projections.onBoth(11, 7), weight);
    const { energyS, energyT, error } = await projections.facts(11, 7);
    assert.deepEqual(
      { energyS, energyT, error },
      { energyS: 1, energyT: 1, error: { measured: 0, bound: 0 } },
    );
  });

  test('the bound is never below the measured error; ranks never above their three limits', async () => {
    const random = uniform(4);
    for (let trial = 0; trial < 12; trial++) {
      const m = 1 + Math.floor((random() + 1) * 12);
      const n = 1 + Math.floor((random() + 1) * 12);
      const steep = Math.floor((random() + 1) * 3);
      const weight = Float64Array.from({ length: m * n }, (_, i) => random() / (1 + (i % n)) ** steep);
      const X = Float32Array.from({ length: 40 * n }, (_, i) => random() / (1 + (i % n)));
      const projections = await projectionsOf(weight, X, 40, layerOf(m, n));
      for (let kS = 1; kS <= n; kS += 3)
        for (let kT = 1; kT <= m; kT += 3) {
          const { error, utilizedRanks } = await projections.facts(kS, kT);
          assert.ok(
            error.measured <= error.bound * (1 + 1e-12),
            `${m} × ${n}, ${kS}, ${kT}: ${JSON.stringify(error)}`,
          );
          assert.ok((utilizedRanks[0] ?? NaN) <= Math.min(kS, kT, m, n));
        }
    }
  });

  test('inputs that are all zero: nothing is used, nothing is lost, nothing divides by zero', async () => {
    const weight = Float64Array.from({ length: 12 }, uniform(5));
    const projections = await projectionsOf(weight, new Float32Array(20 * 4), 20, layerOf(3, 4));
    assert.equal(projections.dimensionFor('input', 0.99), 1);
    const facts = await projections.facts(4, 3);
    assert.deepEqual([facts.energyS, facts.energyT, facts.error.measured, facts.error.bound], [1, 1, 0, 0]);
  });

  test('the two factors at the utilized rank give W′ up to the energy that rank leaves out', async () => {
    const random = uniform(6);
    const [m, n, groups] = [9, 14, 2];
    const weight = Float64Array.from({ length: groups * m * n }, random);
    const X = Float32Array.from({ length: 60 * groups * n }, (_, i) => random() / (1 + (i % n)));
    const projections = await projectionsOf(weight, X, 60, layerOf(m, n, groups));
    const W = await projections.onBoth(8, 6);
    for (const [rank, tolerance] of [
      [6, 1e-12],
      // r_0.9999 of nearly full spectra here is 6; one less leaves out σ₆.
      [5, Infinity],
    ] as const) {
      const factors = await projections.factors(8, 6, rank);
      for (const [g, { left, right }] of factors.entries()) {
        const product = await backend.product(
          { A: left, B: right, rows: m, inner: rank, columns: n },
          compute.signal,
        );
        let squared = 0;
        for (const [i, value] of product.entries()) squared += (value - (W[g * m * n + i] ?? NaN)) ** 2;
        if (tolerance < 1) assert.ok(Math.sqrt(squared) < tolerance, `group ${g}: ${Math.sqrt(squared)}`);
        else {
          const group = W.slice(g * m * n, (g + 1) * m * n);
          const [last] = (await singular(group, m, n)).slice(5, 6);
          // Eckart–Young: exactly the sixth singular value is missing.
          assertClose(Math.sqrt(squared), last ?? NaN, 1e-9, `group ${g}`);
        }
      }
    }
  });

  test('a rank beyond what W′ has pads the factors with zeros', async () => {
    const weight = Float64Array.from({ length: 12 }, uniform(7));
    const X = Float32Array.from({ length: 80 }, uniform(8));
    const projections = await projectionsOf(weight, X, 20, layerOf(3, 4));
    const [factors] = await projections.factors(4, 1, 3);
    assert.deepEqual([factors?.left.length, factors?.right.length], [9, 12]);
    assert.ok([...(factors?.left ?? []), ...(factors?.right ?? [])].every(Number.isFinite));
    const product = await backend.product(
      {
        A: factors?.left ?? new Float64Array(9),
        B: factors?.right ?? new Float64Array(12),
        rows: 3,
        inner: 3,
        columns: 4,
      },
      compute.signal,
    );
    const W = await projections.onBoth(4, 1);
    product.forEach((value, i) => {
      assertClose(value, W[i] ?? NaN, 1e-12, `element ${i}`);
    });
  });

  test('a Gram matrix of NaN or infinite inputs is told from a finite one', () => {
    assert.equal(isFiniteGram(Float64Array.of(1, 0, 0, 2), 2), true);
    for (const bad of [NaN, Infinity])
      assert.equal(isFiniteGram(Float64Array.of(1, 0, 0, 2, 1, 0, 0, bad), 2), false);
  });
});

async function singular(matrix: Float64Array, rows: number, columns: number): Promise<Float64Array> {
  const { values } = await backend.symmetricEigen(
    await backend.product(
      { A: matrix, B: transposed(matrix, rows, columns), rows, inner: columns, columns: rows },
      compute.signal,
    ),
    rows,
    compute.signal,
  );
  return values.toReversed().map((value) => Math.sqrt(Math.max(0, value)));
}

function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  return Float64Array.from(matrix, (_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)] ?? NaN);
}
