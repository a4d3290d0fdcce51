/** Networks exported by PyTorch, against what PyTorch computes of them. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { pythonWith, runPython } from '../reference/python';
import { ROOT } from '../reference/references';
import { allGrams, both, dataset, difference, openNetwork, signal } from './onnxNetworks';

interface Manifest {
  readonly shape: readonly number[];
  readonly accuracy: number;
  readonly layers: readonly {
    readonly name: string;
    readonly kind: 'linear' | 'conv';
    readonly shape: readonly [number, number];
    readonly groups: number;
    readonly bias: number;
    readonly changedAccuracy: number;
  }[];
}

const python = pythonWith('torch, numpy');
const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-onnx-torch-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const NAMES = ['mlp', 'residual', 'signal', 'volume', 'attention'] as const;

/** Made once for all tests: importing torch takes seconds. */
let manifests: Readonly<Record<(typeof NAMES)[number], Manifest>> | undefined;

function exported(name: (typeof NAMES)[number]): Manifest {
  if (manifests === undefined) {
    const script = readFileSync(path.join(ROOT, 'test/reference/onnx_networks.py'), 'utf8');
    const { status, stderr } = runPython(python ?? '', script, [folder]);
    assert.equal(status, 0, stderr);
    // Written by the script above in this shape.
    manifests = JSON.parse(readFileSync(path.join(folder, 'manifest.json'), 'utf8')) as NonNullable<
      typeof manifests
    >;
  }
  return manifests[name];
}

function raw(name: string): ArrayBuffer {
  const file = readFileSync(path.join(folder, name));
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
}

describe(
  'a network exported by PyTorch',
  { skip: python === undefined && 'no Python with torch here' },
  () => {
    for (const name of NAMES)
      test(`${name}: weights, Grams and accuracies are PyTorch's`, async (t) => {
        const { shape, accuracy, layers } = exported(name);
        const labels = new Int32Array(raw(`${name}.labels`));
        const data = both(dataset(new Float32Array(raw(`${name}.inputs`)), shape, labels), 40);
        const network = await openNetwork(
          t,
          path.join(folder, `${name}.onnx`),
          data,
          path.join(folder, `${name}.pt`),
        );
        assert.deepEqual(
          network.layers.map(({ name: own, kind, shape: size, groups, bias }) => ({
            name: own,
            kind,
            shape: size,
            groups,
            bias,
          })),
          layers.map(({ changedAccuracy: _, ...layer }) => layer),
        );
        assert.deepEqual(network.facts.notes, []);
        const close = (value: number, expected: number): void => {
          // One of 96 samples may lie on the border between two classes.
          assert.ok(Math.abs(value - expected) < 100 / 96 + 1e-9, `${value} where PyTorch has ${expected}`);
        };
        close((await network.evaluate(undefined, signal)).value, accuracy);
        const grams = await allGrams(network);
        for (const [i, layer] of layers.entries()) {
          const weight = new Float64Array(raw(`${name}.${i}.weight`));
          assert.deepEqual(await network.weight(i, signal), weight);
          const apart = difference(grams[i]?.gram ?? [], new Float64Array(raw(`${name}.${i}.gram`)));
          assert.ok(apart < 2e-6, `${layer.name}: the Gram is ${apart} away`);
          const changed = new Float64Array(raw(`${name}.${i}.changed`));
          close((await network.evaluate({ layer: i, weight: changed }, signal)).value, layer.changedAccuracy);
        }
        assert.ok(layers.some(({ changedAccuracy }) => Math.abs(changedAccuracy - accuracy) > 5));
      });

    test('attention: without the checkpoint, weights that the exporter renamed take the names of their biases and nodes', async (t) => {
      const { shape, layers } = exported('attention');
      const network = await openNetwork(
        t,
        path.join(folder, 'attention.onnx'),
        both(dataset(new Float32Array(raw('attention.inputs')), shape), 40),
      );
      assert.deepEqual(
        network.layers.map(({ name }) => name),
        layers.map(({ name }) => name),
      );
    });
  },
);
