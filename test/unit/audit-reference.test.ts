/**
 * Audits against `test/reference/audit.json`: float64 SVDs by numpy, made without Rankscope (`make_audit.py`).
 * Ranks exactly (but for ties), singular values within 2e-8·σ₁, stable and effective rank within 1e-6 relative.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import { audit } from '../../src/engine/audit';
import { ENERGY_LEVELS } from '../../src/engine/document';
import type { AuditDocument, LayerAudit } from '../../src/engine/document';
import { generatedMatrix, safetensorsBytes } from '../reference/generated';
import { ROOT, auditReferences, hasSpectrum, sharedData } from '../reference/references';
import type { SpectrumReference, TensorReference } from '../reference/references';

/** Largest error of a singular value, in units of the largest one. */
const SIGMA_TOLERANCE = 2e-8;
const RANK_TOLERANCE = 1e-6;
/** Cumulative energies this near to a level are ties: either rank is right. */
const TIE = 1e-12;

/** What an audit may leave out of its layers (with a reason): state that training keeps beside the model, masks, tokens. */
const NOT_LAYERS = /^optimizer_state|\.tril$|(^|\.)cls_token$|^poses_/;

const backend = createWasmBackend();
const references = auditReferences();
// Here and not in the suite below: a suite that throws before its first test is reported as passed by Node 20.
const data = sharedData();
const run = (file: string): Promise<AuditDocument> =>
  audit({ path: file, spectra: true, cache: null, backend, signal: new AbortController().signal });

function assertClose(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual} is not ${expected} ± ${tolerance}`);
}

function assertSpectrum(layer: LayerAudit, expected: readonly number[]): void {
  const { name, singularValues } = layer;
  assert.ok(singularValues, `${name}: no singular values`);
  assert.equal(singularValues.length, expected.length, `${name}: number of singular values`);
  const tolerance = SIGMA_TOLERANCE * (expected[0] ?? 0);
  expected.forEach((value, i) => {
    assertClose(singularValues[i] ?? NaN, value, tolerance, `${name}: σ${i + 1}`);
  });
}

function assertRanks(layer: LayerAudit, reference: SpectrumReference): void {
  const { name } = layer;
  for (const level of ENERGY_LEVELS) {
    if (reference.margins[level] <= TIE) continue;
    assert.equal(layer.energyRanks[level], reference.energyRanks[level], `${name}: rank at energy ${level}`);
  }
  assert.equal(layer.rank, layer.energyRanks['0.9999'], `${name}: rank is the one at energy 0.9999`);
  const maxRank = Math.min(...reference.matrix);
  assert.equal(layer.maxRank, maxRank, `${name}: maxRank`);
  assertClose(layer.utilization, layer.rank / maxRank, 1e-15, `${name}: utilization`);
  for (const key of ['stableRank', 'effectiveRank', 'frobeniusNorm', 'spectralNorm'] as const) {
    assertClose(layer[key], reference[key], RANK_TOLERANCE * reference[key], `${name}: ${key}`);
  }
}

/** A tensor's layer holds its matrix or the transpose: singular values are the same. */
function assertLayer(layer: LayerAudit, reference: SpectrumReference): void {
  if (layer.trivialRank) {
    assert.ok(reference.rowNorm, `${layer.name}: no depthwise kernel has this shape`);
    assertSpectrum(layer, [reference.rowNorm]);
    return;
  }
  const ascending = (shape: readonly number[]) => [...shape].sort((a, b) => a - b);
  assert.deepEqual(ascending(layer.shape), ascending(reference.matrix), `${layer.name}: shape`);
  assertRanks(layer, reference);
  if (reference.sigma) assertSpectrum(layer, reference.sigma);
}

/** A stack E × m × n read as experts: `name[0]` … `name[E−1]`, whose mean spectrum is known. */
function assertExperts(experts: readonly LayerAudit[], reference: SpectrumReference): void {
  assert.ok(reference.slices, 'only a stack of matrices has experts');
  assert.equal(experts.length, reference.shape[0]);
  reference.slices.sigma.forEach((expected, i) => {
    const mean =
      experts.reduce((sum, { singularValues }) => sum + (singularValues?.[i] ?? NaN), 0) / experts.length;
    assertClose(
      mean,
      expected,
      SIGMA_TOLERANCE * (reference.slices?.sigma[0] ?? 0),
      `mean σ${i + 1} of experts`,
    );
  });
}

const tensorName = (layer: LayerAudit): string => layer.name.replace(/\[\d+\]$/, '');

function assertDocument(
  document: AuditDocument,
  references: Readonly<Record<string, TensorReference>>,
): void {
  const accounted = new Set([
    ...document.layers.map(tensorName),
    ...document.skipped.map(({ name }) => name),
  ]);
  assert.equal(accounted.size, document.checkpoint.tensors, 'every tensor is a layer or skipped');
  assert.ok(
    document.skipped.every(({ reason }) => reason.length > 0),
    'a skipped tensor has a reason',
  );
  for (const [name, reference] of Object.entries(references)) {
    const layers = document.layers.filter((layer) => tensorName(layer) === name);
    const [first] = layers;
    if (first === undefined) {
      const skipped = document.skipped.find((tensor) => tensor.name === name);
      assert.ok(skipped, `${name} is neither a layer nor skipped`);
      assert.ok(NOT_LAYERS.test(name) || !hasSpectrum(reference), `${name} is skipped: ${skipped.reason}`);
    } else if (!hasSpectrum(reference)) {
      assert.ok('zero' in reference, `${name} has no spectrum`);
      assert.ok(first.singularValues?.every((value) => value === 0));
      assert.equal(first.rank, 0, `${name}: rank of a zero matrix`);
    } else if (first.name === name) {
      assert.equal(layers.length, 1, `${name} is one layer`);
      assertLayer(first, reference);
    } else {
      assertExperts(layers, reference);
    }
  }
}

after(() => backend.dispose());

describe('audits find what numpy finds', () => {
  test('in the sample', async () => {
    assert.ok(Object.keys(references.sample).length >= 8);
    assertDocument(await run(path.join(ROOT, 'media/sample/sample.safetensors')), references.sample);
  });

  describe('in generated matrices', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-generated-'));
    after(() => {
      rmSync(folder, { recursive: true });
    });
    for (const [name, reference] of Object.entries(references.generated)) {
      const { recipe } = reference;
      test(`${name}: ${recipe.rows} × ${recipe.columns}`, async () => {
        const values = generatedMatrix(recipe);
        const digest = createHash('sha256').update(values).digest('hex');
        assert.equal(digest, reference.sha256, 'the generator makes the matrix that the reference is of');
        const tensor = { name: 'fc.weight', shape: [recipe.rows, recipe.columns], values };
        const file = path.join(folder, `${recipe.kind}-${recipe.seed ?? 0}.safetensors`);
        writeFileSync(file, safetensorsBytes([tensor]));
        assertDocument(await run(file), { 'fc.weight': reference });
      });
    }
  });

  describe('in shared checkpoints', () => {
    for (const [file, tensors] of Object.entries(references.shared)) {
      test(file, { skip: data === undefined ? 'no shared data folder here' : false }, async () => {
        assertDocument(await run(path.join(data ?? '', file)), tensors);
      });
    }
  });
});
