import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020';
import schema from '../../media/schema/audit.schema.json';
import type { AuditDocument, LayerAudit, LayerPart } from '../../src/engine/document';
import { auditDocument, completeDocument } from './auditDocument';

const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schema);

/** Valid once it is JSON, as every reader gets it. */
function isValid(document: unknown): boolean {
  return validate(JSON.parse(JSON.stringify(document)));
}

/** Names of an object type's fields, all of them: the compiler refuses a record that leaves one out or makes one up. */
const fieldsOf = <T>(fields: Record<keyof Required<T>, true>) => Object.keys(fields).sort();
const metricFields = {
  rank: true,
  energyRanks: true,
  stableRank: true,
  effectiveRank: true,
  spectralNorm: true,
  frobeniusNorm: true,
  randomEdge: true,
  spikes: true,
} as const;

describe('the audit schema', () => {
  it('accepts documents', () => {
    for (const document of [auditDocument(), auditDocument([]), completeDocument()]) {
      assert.ok(isValid(document), JSON.stringify(validate.errors));
    }
  });

  it('accepts a mean that does not exist', () => {
    const document = auditDocument([]);
    assert.ok(isValid({ ...document, summary: { ...document.summary, meanUtilization: null } }));
  });

  it('knows exactly the fields that documents have', () => {
    const { properties, $defs } = schema;
    assert.deepEqual(
      Object.keys($defs.layer.properties).sort(),
      fieldsOf<LayerAudit>({
        ...metricFields,
        name: true,
        kind: true,
        shape: true,
        dtype: true,
        parameters: true,
        maxRank: true,
        utilization: true,
        groups: true,
        trivialRank: true,
        tiedTo: true,
        factorOf: true,
        decomposable: true,
        parts: true,
        singularValues: true,
      }),
    );
    assert.deepEqual(
      Object.keys($defs.part.properties).sort(),
      fieldsOf<LayerPart>({ ...metricFields, name: true, shape: true, maxRank: true, utilization: true }),
    );
    assert.deepEqual(
      Object.keys(properties.checkpoint.properties).sort(),
      fieldsOf<AuditDocument['checkpoint']>({
        path: true,
        format: true,
        bytes: true,
        tensors: true,
        parameters: true,
        sha256: true,
        notes: true,
      }),
    );
    assert.deepEqual(
      Object.keys(properties.summary.properties).sort(),
      fieldsOf<AuditDocument['summary']>({
        layers: true,
        analysedParameters: true,
        meanUtilization: true,
        decomposableLayers: true,
        parametersIfDecomposed: true,
      }),
    );
  });

  it('requires every field that is not optional, at every level', () => {
    const document = auditDocument();
    const without = (object: object, key: string) =>
      Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
    for (const key of Object.keys(document)) assert.equal(isValid(without(document, key)), false, key);
    for (const key of Object.keys(document.checkpoint)) {
      assert.equal(isValid({ ...document, checkpoint: without(document.checkpoint, key) }), false, key);
    }
    for (const key of Object.keys(document.summary)) {
      assert.equal(isValid({ ...document, summary: without(document.summary, key) }), false, key);
    }
    const [, layer] = document.layers;
    assert.ok(layer);
    for (const key of Object.keys(layer)) {
      assert.equal(isValid({ ...document, layers: [without(layer, key)] }), false, key);
    }
  });

  it('refuses what does not belong', () => {
    const document = auditDocument();
    const [layer] = document.layers;
    assert.equal(isValid({ ...document, extra: 1 }), false);
    assert.equal(isValid({ ...document, schema: 'rankscope/audit@2' }), false);
    assert.equal(isValid({ ...document, startedAt: 'yesterday' }), false);
    assert.equal(isValid({ ...document, layers: [{ ...layer, extra: 1 }] }), false);
    assert.equal(isValid({ ...document, layers: [{ ...layer, kind: 'recurrent' }] }), false);
    assert.equal(isValid({ ...document, layers: [{ ...layer, shape: [1, 2, 3] }] }), false);
    // NaN becomes null in JSON.
    assert.equal(isValid({ ...document, layers: [{ ...layer, stableRank: NaN }] }), false);
    assert.equal(isValid({ ...document, layers: [{ ...layer, utilization: 1.1 }] }), false);
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
