/** Utilized ranks through the Python host, against an independent implementation in plain PyTorch, layer by layer. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import type { UtilizationDocument } from '../../src/engine/utilizationDocument';
import { utilize, type UtilizationSettings } from '../../src/engine/utilize';
import { openPythonNetwork } from '../../src/network/python';
import { ROOT, sharedData } from '../reference/references';
import { utilizationReferences, type LayerReference } from '../reference/utilizationReferences';
import { NEVER, PYTHON } from '../unit/pythonHost';

const references = utilizationReferences();
const data = sharedData();
const skip =
  PYTHON === undefined
    ? 'no Python with torch here'
    : data === undefined
      ? 'the shared data is not here'
      : false;
if (data !== undefined) process.env.RANKSCOPE_SHARED = path.dirname(data);

const searches = mkdtempSync(path.join(tmpdir(), 'rankscope-searches-'));
after(() => {
  rmSync(searches, { recursive: true });
});

function measure(
  network: string,
  settings: UtilizationSettings,
  onLayer?: (kS: number, kT: number) => void,
): Promise<UtilizationDocument> {
  return utilize({
    open: (signal) =>
      openPythonNetwork({
        python: PYTHON,
        file: path.join(ROOT, 'test/reference/utilization_networks.py'),
        arguments: { network },
        signal,
      }),
    settings,
    resume: false,
    spectra: false,
    searches,
    backend: createWasmBackend(2),
    signal: NEVER,
    onLayer: ({ kS, kT }) => onLayer?.(kS, kT),
  });
}

type Numbers = 'name' | 'shape' | 'rank' | 'kS' | 'kT' | 'utilizedRank';

const numbers = ({ name, shape, rank, kS, kT, utilizedRank }: Pick<LayerReference, Numbers>) => ({
  name,
  shape,
  rank,
  kS,
  kT,
  utilizedRank,
});

function assertSameLayers(document: UtilizationDocument, layers: readonly LayerReference[]): void {
  assert.deepEqual(document.layers.map(numbers), layers.map(numbers));
  for (const [i, { energyS, energyT, error }] of layers.entries()) {
    const found = document.layers[i];
    assert.ok(found !== undefined);
    assert.ok(Math.abs(found.energyS - energyS) < 1e-6, `${found.name}: energy of S`);
    assert.ok(Math.abs(found.energyT - energyT) < 1e-6, `${found.name}: energy of T`);
    assert.ok(Math.abs(found.error.measured - error) < 1e-6, `${found.name}: error`);
  }
}

const percent = (share: number | null | undefined): number => 100 * (share ?? NaN);
const close = (actual: number | undefined, wanted: number, what: string): void => {
  assert.ok(Math.abs((actual ?? NaN) - wanted) < 1e-9, `${what}: ${actual} against ${wanted}`);
};

describe('label-free at 0.99, through Python', { skip }, () => {
  for (const network of ['mlp', 'resnet20', 'vit'] as const) {
    test(`${network}: every layer, MLU and accuracy as in plain PyTorch`, async () => {
      const reference = references.networks[network];
      const document = await measure(network, { mode: 'label-free', energy: reference.labelFree.energy });
      assertSameLayers(document, reference.labelFree.layers);
      const { summary } = document;
      close(summary.before, reference.accuracy, 'accuracy before');
      close(summary.afterProjection, reference.labelFree.accuracy, 'accuracy after');
      close(percent(summary.mluOriginal), reference.mluOriginal, 'original MLU');
      close(percent(summary.mlu), reference.labelFree.mlu, 'MLU');
    });
  }
});

describe('cumulative at δ = 0.1, through Python', { skip }, () => {
  for (const network of ['mlp', 'resnet20'] as const) {
    test(`${network}: every layer, every probe, MLU and accuracy as in plain PyTorch`, async () => {
      const { accuracy, cumulative } = references.networks[network];
      const document = await measure(network, { mode: 'cumulative', delta: cumulative.delta });
      assertSameLayers(document, cumulative.layers);
      for (const [i, { name, probes, valueAfter }] of cumulative.layers.entries()) {
        const found = document.layers[i];
        assert.deepEqual(
          found?.probes.map(({ side, k, value, passed }) => ({ side, k, value, passed })),
          probes?.map(({ side, k, value, passed }) => ({ side, k, value, passed })),
          name,
        );
        close(found?.valueAfter, valueAfter ?? NaN, `${name}: accuracy after`);
      }
      const { summary } = document;
      close(summary.afterProjection, cumulative.accuracy, 'accuracy after');
      close(percent(summary.mlu), cumulative.mlu, 'MLU');
      assert.equal(summary.passes, cumulative.passes);
      assert.ok((summary.afterProjection ?? 0) >= accuracy - (summary.guaranteedDrop ?? 0));
    });
  }
});
