import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020';
import schema from '../../media/schema/conversion.schema.json';
import type {
  ConversionDocument,
  ConversionInputs,
  ConversionSpectra,
  ConversionSummary,
  ConvertedLayer,
  DenseLayer,
  LayerCost,
  RankChoice,
  SpectrumFacts,
} from '../../src/engine/conversionDocument';

const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schema);

/** Valid once it is JSON, as every reader gets it. */
function isValid(document: unknown): boolean {
  return validate(JSON.parse(JSON.stringify(document)));
}

/** Names of an object type's fields, all of them: the compiler refuses a record that leaves one out or makes one up. */
const fieldsOf = <T>(fields: Record<keyof Required<T>, true>) => Object.keys(fields).sort();
const keysOf = (properties: object) => Object.keys(properties).sort();

const facts = { stableRank: 2, effectiveRank: 3, rank: 4 };
const cost = { parameters: 12, bytes: 48, flops: 24 };
const layer: ConvertedLayer = {
  name: 'a.weight',
  kind: 'linear',
  shape: [4, 3],
  dtype: 'float32',
  before: cost,
  outcome: 'converted',
  k: 1,
  relativeError: 0.5,
  svdRelativeError: 0.6,
  after: cost,
  spectrum: { before: facts, lowRank: facts, converted: facts },
  seconds: 0.1,
};
const sine: ConvertedLayer = {
  ...layer,
  weighted: true,
  groups: 2,
  omega: 3,
  gain: 4,
  gains: [4, 5],
  spectra: { original: [3, 2, 1], lowRank: [3], converted: [3, 1, 0] },
};
const dense: DenseLayer = {
  name: 'b.weight',
  kind: 'embedding',
  shape: [4, 3],
  dtype: 'bfloat16',
  before: cost,
  outcome: 'dense',
  reason: 'embedding: looked up',
};
const document: ConversionDocument = {
  schema: 'rankscope/conversion@1',
  tool: { name: 'rankscope', version: '1.0.0' },
  backend: { name: 'wasm', build: 'wasm simd 1' },
  checkpoint: { path: 'a.safetensors', format: 'safetensors', bytes: 100, tensors: 2, parameters: 24 },
  startedAt: '2024-01-02T03:04:05.678Z',
  seconds: 1.5,
  to: 'sine',
  seed: 0,
  ranks: { kind: 'rank', rank: 1 },
  layers: [layer, dense],
  summary: {
    converted: 1,
    dense: 1,
    parametersBefore: 24,
    parametersAfter: 19,
    compressionRate: 19 / 24,
    bytesBefore: 96,
    bytesAfter: 76,
    meanErrorRatio: 0.83,
    flopsBefore: 48,
    flopsAfter: 48,
  },
  files: { factors: '/a.sine-k1.safetensors', document: '/a.sine-k1.json' },
};
const complete: ConversionDocument = {
  ...document,
  inputs: { host: 'onnx', runtime: 'ONNX Runtime 1.30', samples: 60 },
  layers: [sine, { ...dense, groups: 2 }],
  notes: ['left out'],
  files: { ...document.files, loader: '/sine_lowrank.py', materialized: '/a.sine-k1.dense.safetensors' },
};

describe('the conversion schema', () => {
  it('accepts documents, with every choice of ranks', () => {
    const ranks: RankChoice[] = [
      { kind: 'rank', rank: 9 },
      { kind: 'share', share: 0.15 },
      { kind: 'compression', rate: 0.3 },
      { kind: 'error', relativeError: 0.2 },
      { kind: 'perLayer', ranks: [{ pattern: 'a', rank: 1 }] },
    ];
    for (const one of [document, complete, ...ranks.map((choice) => ({ ...document, ranks: choice }))]) {
      assert.ok(isValid(one), JSON.stringify(validate.errors));
    }
  });

  it('knows exactly the fields that documents have', () => {
    const { properties, $defs } = schema;
    assert.deepEqual(keysOf(properties), Object.keys(complete).sort());
    assert.deepEqual(
      keysOf(properties.inputs.properties),
      fieldsOf<ConversionInputs>({ host: true, runtime: true, samples: true }),
    );
    assert.deepEqual(
      keysOf(properties.files.properties),
      fieldsOf<ConversionDocument['files']>({
        factors: true,
        document: true,
        loader: true,
        materialized: true,
      }),
    );
    const shared = {
      name: true,
      kind: true,
      shape: true,
      groups: true,
      dtype: true,
      before: true,
      outcome: true,
    } as const;
    assert.deepEqual(
      keysOf($defs.converted.properties),
      fieldsOf<ConvertedLayer>({
        ...shared,
        k: true,
        weighted: true,
        omega: true,
        gain: true,
        gains: true,
        relativeError: true,
        svdRelativeError: true,
        after: true,
        spectrum: true,
        spectra: true,
        seconds: true,
      }),
    );
    assert.deepEqual(keysOf($defs.dense.properties), fieldsOf<DenseLayer>({ ...shared, reason: true }));
    assert.deepEqual(
      keysOf($defs.cost.properties),
      fieldsOf<LayerCost>({ parameters: true, bytes: true, flops: true }),
    );
    assert.deepEqual(
      keysOf($defs.spectrumFacts.properties),
      fieldsOf<SpectrumFacts>({ stableRank: true, effectiveRank: true, rank: true }),
    );
    assert.deepEqual(
      keysOf($defs.converted.properties.spectra.properties),
      fieldsOf<ConversionSpectra>({ original: true, lowRank: true, converted: true }),
    );
    assert.deepEqual(
      keysOf(properties.summary.properties),
      fieldsOf<ConversionSummary>({
        converted: true,
        dense: true,
        parametersBefore: true,
        parametersAfter: true,
        compressionRate: true,
        bytesBefore: true,
        bytesAfter: true,
        meanErrorRatio: true,
        flopsBefore: true,
        flopsAfter: true,
      }),
    );
  });

  it('requires every field that is not optional, at every level', () => {
    const without = (object: object, key: string) =>
      Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
    for (const key of Object.keys(document)) assert.equal(isValid(without(document, key)), false, key);
    for (const key of Object.keys(document.summary)) {
      assert.equal(isValid({ ...document, summary: without(document.summary, key) }), false, key);
    }
    for (const one of [layer, dense]) {
      for (const key of Object.keys(one))
        assert.equal(isValid({ ...document, layers: [without(one, key)] }), false, key);
    }
  });

  it('refuses what does not belong', () => {
    assert.equal(isValid({ ...document, extra: 1 }), false);
    assert.equal(isValid({ ...document, to: 'dense' }), false);
    assert.equal(isValid({ ...document, ranks: { kind: 'share', share: 15 } }), false);
    assert.equal(isValid({ ...document, ranks: { kind: 'rank', share: 0.1 } }), false);
    assert.equal(isValid({ ...document, layers: [{ ...layer, reason: 'both' }] }), false);
    assert.equal(isValid({ ...document, layers: [{ ...layer, relativeError: NaN }] }), false);
    assert.equal(isValid({ ...document, layers: [{ ...sine, gain: 0 }] }), false);
    assert.equal(isValid({ ...document, layers: [{ ...layer, k: 0 }] }), false);
  });

  it('describes every field', () => {
    const undescribed: string[] = [];
    const visit = (node: unknown, path: string): void => {
      if (typeof node !== 'object' || node === null) return;
      for (const [key, child] of Object.entries(node)) {
        if (key !== 'properties') visit(child, `${path}/${key}`);
        else {
          // Values under `properties` are schemas, by the rules of JSON Schema.
          for (const [name, field] of Object.entries(child as Record<string, object>)) {
            if (!('description' in field) && !('$ref' in field)) undescribed.push(`${path}/${name}`);
            visit(field, `${path}/${name}`);
          }
        }
      }
    };
    visit(schema, '');
    assert.deepEqual(undescribed, []);
  });
});
