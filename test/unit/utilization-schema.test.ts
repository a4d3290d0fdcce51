/** media/schema/utilization.schema.json and the documents of the job, held against each other. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020';
import schema from '../../media/schema/utilization.schema.json';
import { createWasmBackend } from '../../src/compute';
import { utilize, type UtilizeOptions } from '../../src/engine/utilize';
import type {
  LayerUtilization,
  Probe,
  UtilizationDocument,
  UtilizationSummary,
} from '../../src/engine/utilizationDocument';
import type { NetworkFacts } from '../../src/network/network';
import { plainNetwork, type PlainNetworkOptions } from './plainNetwork';

const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schema);
const backend = createWasmBackend(1);
const scratch = mkdtempSync(path.join(tmpdir(), 'rankscope-utilization-schema-'));
after(async () => {
  await backend.dispose();
  rmSync(scratch, { recursive: true, force: true });
});

/** Valid once it is JSON, as every reader gets it. */
function isValid(document: unknown): boolean {
  return validate(JSON.parse(JSON.stringify(document)));
}

function measure(
  settings: UtilizeOptions['settings'],
  options: Partial<UtilizeOptions> = {},
  network: PlainNetworkOptions = {},
): Promise<UtilizationDocument> {
  return utilize({
    open: () => Promise.resolve(plainNetwork(network)),
    settings,
    resume: false,
    spectra: true,
    searches: path.join(scratch, 'searches'),
    backend,
    signal: new AbortController().signal,
    ...options,
  });
}

/** Names of an object type's fields, all of them: the compiler refuses a record that leaves one out or makes one up. */
const fieldsOf = <T>(fields: Record<keyof Required<T>, true>): string[] => Object.keys(fields).sort();

describe('the utilization schema', () => {
  let document: UtilizationDocument;
  before(async () => {
    document = await measure(
      { mode: 'cumulative', delta: 2 },
      { decompose: path.join(scratch, 'two.safetensors'), layers: /conv3|fc/ },
    );
  });

  test('accepts what every mode makes, with and without labels and spectra', async () => {
    assert.ok(isValid(document), JSON.stringify(validate.errors));
    for (const made of [
      await measure({ mode: 'independent', delta: 0.5 }, { layers: /fc2/, spectra: false }),
      await measure({ mode: 'label-free', energy: 0.9 }, {}, { metric: 'none' }),
      await measure({ mode: 'cumulative', delta: 1, maxPasses: 2 }, { layers: /fc/ }, { metric: 'loss' }),
    ])
      assert.ok(isValid(made), JSON.stringify(validate.errors));
  });

  test('knows exactly the fields that documents have', () => {
    const { properties, $defs } = schema;
    const has = (of: { readonly properties: object }): string[] => Object.keys(of.properties).sort();
    assert.deepEqual(
      has(schema),
      fieldsOf<UtilizationDocument>({
        ...{ schema: true, tool: true, backend: true, network: true, checkpoint: true },
        ...{ startedAt: true, seconds: true, mode: true, delta: true, energy: true },
        ...{ layers: true, skipped: true, summary: true, notes: true, files: true },
      }),
    );
    assert.deepEqual(
      has($defs.layer),
      fieldsOf<LayerUtilization>({
        ...{ name: true, kind: true, shape: true, groups: true, maxRank: true, rank: true },
        ...{ kS: true, kT: true, energyS: true, energyT: true, utilizedRank: true, utilization: true },
        ...{ decomposable: true, error: true, parametersBefore: true, parametersAfter: true },
        ...{ flopsBefore: true, flopsAfter: true, valueAfter: true, probes: true },
        ...{ inputEnergies: true, outputEnergies: true },
      }),
    );
    assert.deepEqual(
      has($defs.probe),
      fieldsOf<Probe>({ pass: true, side: true, k: true, value: true, threshold: true, passed: true }),
    );
    assert.deepEqual(
      has(properties.summary),
      fieldsOf<UtilizationSummary>({
        ...{ layers: true, metric: true, before: true, afterProjection: true, afterDecomposition: true },
        ...{ afterFineTuning: true, mluOriginal: true, mlu: true, parametersBefore: true },
        ...{ parametersAfter: true, flopsBefore: true, flopsAfter: true, decomposableLayers: true },
        ...{ passes: true, guaranteedDrop: true, notSearched: true },
      }),
    );
    assert.deepEqual(
      has(properties.network),
      fieldsOf<NetworkFacts>({
        ...{ host: true, runtime: true, metric: true, gramSamples: true, validationSamples: true },
        ...{ parameters: true, identity: true, notes: true },
      }),
    );
  });

  test('requires every field that every measurement has', () => {
    const optional = new Set(['delta', 'files', 'metric', 'before', 'afterProjection', 'afterDecomposition']);
    const rare = new Set(['guaranteedDrop', 'groups', 'valueAfter', 'inputEnergies', 'outputEnergies']);
    const without = (object: object, key: string): object =>
      Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
    const refuses = (key: string, changed: unknown): void => {
      assert.equal(isValid(changed), optional.has(key) || rare.has(key), key);
    };
    const [layer] = document.layers;
    const [probe] = layer?.probes ?? [];
    assert.ok(layer && probe);
    for (const key of Object.keys(document)) refuses(key, without(document, key));
    for (const key of Object.keys(document.summary))
      refuses(key, { ...document, summary: without(document.summary, key) });
    for (const key of Object.keys(document.network))
      refuses(key, { ...document, network: without(document.network, key) });
    for (const key of Object.keys(layer)) refuses(key, { ...document, layers: [without(layer, key)] });
    for (const key of Object.keys(probe))
      assert.equal(
        isValid({ ...document, layers: [{ ...layer, probes: [without(probe, key)] }] }),
        false,
        key,
      );
  });

  test('refuses what does not belong', () => {
    const [layer] = document.layers;
    assert.equal(isValid({ ...document, extra: 1 }), false);
    assert.equal(isValid({ ...document, schema: 'rankscope/utilization@2' }), false);
    assert.equal(isValid({ ...document, mode: 'fast' }), false);
    assert.equal(isValid({ ...document, startedAt: 'yesterday' }), false);
    assert.equal(isValid({ ...document, layers: [{ ...layer, kind: 'embedding' }] }), false);
    assert.equal(isValid({ ...document, layers: [{ ...layer, utilization: 1.1 }] }), false);
    // NaN becomes null in JSON.
    assert.equal(isValid({ ...document, layers: [{ ...layer, utilizedRank: NaN }] }), false);
  });
});
