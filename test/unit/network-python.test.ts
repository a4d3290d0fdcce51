/** The Python host: what it measures, against torch itself. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { LayerGram, RunnableNetwork } from '../../src/network/network';
import { NEEDS_TORCH, NEVER, expected, open, using } from './pythonHost';

interface ExpectedGram {
  readonly gram: readonly number[];
  readonly vectors: number;
}

async function gramsOf(
  network: RunnableNetwork,
  layers = network.layers.map((_, i) => i),
): Promise<LayerGram[]> {
  const grams: LayerGram[] = [];
  await network.inputGrams(
    layers,
    (gram) => {
      grams.push(gram);
      return Promise.resolve();
    },
    NEVER,
  );
  return grams;
}

const layerIndex = (network: RunnableNetwork, name: string): number => {
  const index = network.layers.findIndex((layer) => layer.name === name);
  assert.notEqual(index, -1, name);
  return index;
};

/** A change drawn from a fixed sequence, as strong as the weight itself. */
function perturbed(weight: Float64Array, seed: number): Float64Array {
  let state = seed;
  return weight.map((value) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return value + 0.6 * (state / 2 ** 32 - 0.5);
  });
}

describe('layers of a PyTorch model', NEEDS_TORCH, () => {
  test('are its linear and convolution layers in the order in which they run', async () => {
    await using('zoo', ({ layers, facts }) => {
      assert.deepEqual(
        layers.map(({ name }) => name),
        [
          ...['strided', 'grouped', 'depthwise', 'reflect', 'replicate', 'same', 'circular', 'volume'].map(
            (name) => `${name}.weight`,
          ),
          'linear.weight',
          'shared.weight',
          'attention.in_proj_weight',
          'attention.out_proj.weight',
          'wide.weight',
        ],
      );
      assert.deepEqual(layers[0], {
        name: 'strided.weight',
        kind: 'conv',
        shape: [6, 24],
        groups: 1,
        parameters: 144,
        bias: 0,
        // (9 + 2 − 3) / 2 + 1 rows of 8 + 4 − 2 positions.
        positions: 50,
      });
      assert.deepEqual(layers[2]?.shape, [2, 9]);
      assert.equal(layers[2].groups, 4);
      assert.deepEqual(layers[10], {
        name: 'attention.in_proj_weight',
        kind: 'linear',
        shape: [24, 8],
        groups: 1,
        parameters: 192,
        bias: 24,
        positions: 6,
      });
      // Called twice on three vectors.
      assert.equal(layers[9]?.positions, 6);
      assert.equal(facts.host, 'python');
      assert.match(facts.runtime, /^PyTorch \d.*, cpu$/);
      assert.equal(facts.gramSamples, 12);
      assert.equal(facts.validationSamples, 12);
      assert.equal(facts.metric, 'accuracy');
      assert.ok(facts.notes.some((note) => /did not run.*unused\.weight/.test(note)));
      assert.ok(facts.notes.some((note) => /ConvTranspose2d.*up\.weight/.test(note)));
      return Promise.resolve();
    });
  });

  test("are found in torch's encoder, whose fused kernel calls none of them", async () => {
    await using('encoder', async (network) => {
      assert.equal(network.layers.length, 2 * 4 + 1);
      const grams = await gramsOf(network);
      for (const { vectors } of grams.slice(0, -1)) assert.equal(vectors, 16 * 3);
      assert.deepEqual(network.facts.notes, []);
    });
  });

  test('have their weights as the checkpoint has them', async () => {
    await using('plain', async (network) => {
      const weight = await network.weight(1, NEVER);
      assert.equal(weight.length, 24);
      assert.ok(weight.every((value) => Math.fround(value) === value && Math.abs(value) < 1));
    });
  });
});

describe('input Grams', NEEDS_TORCH, () => {
  test("equal torch's own patches, for every kind of layer", async () => {
    // The file at the other end is a fixture of this shape.
    const references = expected('grams') as Readonly<Record<string, ExpectedGram>>;
    await using('zoo', async (network) => {
      const grams = await gramsOf(network);
      assert.equal(grams.length, Object.keys(references).length);
      for (const { layer, gram, vectors } of grams) {
        const name = network.layers[layer]?.name ?? '';
        const reference = references[name];
        assert.ok(reference !== undefined, name);
        assert.equal(vectors, reference.vectors, name);
        assert.equal(gram.length, reference.gram.length, name);
        const scale = Math.max(...reference.gram.map(Math.abs));
        // Attention's product is float32 in another order; all else is the same float32 activations in float64.
        const tolerance = name.includes('out_proj') ? 1e-5 : 1e-12;
        reference.gram.forEach((value, i) => {
          assert.ok(Math.abs((gram[i] ?? NaN) - value) <= tolerance * scale, `${name}[${i}]`);
        });
      }
    });
  });

  test('are those of the layers asked for, of the original network, and tell how far they are', async () => {
    await using('network', async (network) => {
      const head = layerIndex(network, 'head.weight');
      const [before] = await gramsOf(network, [head]);
      const stem = layerIndex(network, 'stem.weight');
      await network.commit({ layer: stem, weight: perturbed(await network.weight(stem, NEVER), 1) });
      const fractions: number[] = [];
      const after: LayerGram[] = [];
      await network.inputGrams(
        [stem, head],
        (gram) => {
          after.push(gram);
          return Promise.resolve();
        },
        NEVER,
        (fraction) => fractions.push(fraction),
      );
      assert.deepEqual(
        after.map(({ layer }) => layer),
        [stem, head],
      );
      assert.deepEqual(after[1]?.gram, before?.gram);
      assert.equal(fractions.length, 3);
      assert.equal(fractions.at(-1), 1);
      assert.deepEqual([...fractions].sort(), fractions);
    });
  });
});

describe('evaluation', NEEDS_TORCH, () => {
  test('gives what the whole network gives, to the last bit, for changes in any order', async () => {
    await using('network_losses', async (network) => {
      const changes: [string, Float64Array][] = [];
      const values: number[] = [];
      const names = network.layers.map(({ name }) => name);
      // In order, as a search goes; then backwards.
      for (const [round, name] of [...names, ...names, ...[...names].reverse()].entries()) {
        const layer = layerIndex(network, name);
        const weight = perturbed(await network.weight(layer, NEVER), round + 1);
        changes.push([name, weight]);
        values.push((await network.evaluate({ layer, weight }, NEVER)).value);
      }
      assert.deepEqual(values, evaluatedPlainly(changes));
      assert.equal(new Set(values).size, values.length, 'every change matters');
      assert.deepEqual(network.facts.notes, []);
    });
  });

  test('keeps commits until a reset, and a change for its own call only', async () => {
    await using('network', async (network) => {
      const value = async (): Promise<number> => (await network.evaluate(undefined, NEVER)).value;
      const before = await value();
      const change = async (name: string, seed: number) => {
        const layer = layerIndex(network, name);
        return { layer, weight: perturbed(await network.weight(layer, NEVER), seed) };
      };
      const first = await change('block1.conv1.weight', 7);
      const untouched = await network.weight(first.layer, NEVER);
      const { value: changed, samples, metric } = await network.evaluate(first, NEVER);
      assert.deepEqual([samples, metric], [16, 'accuracy']);
      assert.equal(await value(), before);
      await network.commit(first);
      assert.equal(await value(), changed);
      // What is told of a layer is the checkpoint's, whatever was committed.
      assert.deepEqual(await network.weight(first.layer, NEVER), untouched);
      // The committed change is under the second one, before it and after it in the network.
      const both = (await network.evaluate(await change('head.weight', 3), NEVER)).value;
      await network.reset();
      assert.equal(await value(), before);
      await network.commit(await change('head.weight', 3));
      assert.equal((await network.evaluate(first, NEVER)).value, both);
    });
  });

  test('computes only what comes after the changed layer', async () => {
    await using('counted', async (network) => {
      const runs = async (name: string): Promise<number> => {
        const layer = layerIndex(network, name);
        const weight = await network.weight(layer, NEVER);
        return (await network.evaluate({ layer, weight }, NEVER)).value;
      };
      const first = await runs('second.weight');
      const second = await runs('second.weight');
      assert.equal(second, first, 'the first layer did not run again');
      assert.equal(await runs('third.weight'), first);
      assert.ok((await runs('first.0.weight')) > first);
    });
  });

  test('falls back to the whole network where kept outputs change the predictions, and says so', async () => {
    const value = async (network: RunnableNetwork): Promise<number> => {
      const layer = layerIndex(network, 'head.weight');
      return (await network.evaluate({ layer, weight: await network.weight(layer, NEVER) }, NEVER)).value;
    };
    await using('noisy', async (network) => {
      const whole = (await network.evaluate(undefined, NEVER)).value;
      assert.equal(await value(network), whole);
      assert.equal(await value(network), whole);
      assert.match(network.facts.notes.join('\n'), /whole network is evaluated each time/);
    });
  });

  test("uses the user's own function, and its loss", async () => {
    await using('losses', async (network) => {
      assert.equal(network.facts.metric, 'loss');
      const { metric, value } = await network.evaluate(undefined, NEVER);
      assert.equal(metric, 'loss');
      const layer = layerIndex(network, '2.weight');
      const weight = (await network.weight(layer, NEVER)).map((x) => 3 * x);
      assert.ok((await network.evaluate({ layer, weight }, NEVER)).value > value);
      const broken = weight.map(() => NaN);
      const { value: worst } = await network.evaluate({ layer, weight: broken }, NEVER);
      assert.equal(worst, Number.MAX_VALUE);
    });
  });
});

describe('identity', NEEDS_TORCH, () => {
  test('is the same for the same model and data, and another for others', async () => {
    const identity = async (name: string): Promise<string> =>
      using(name, ({ facts }) => Promise.resolve(facts.identity));
    const plain = await identity('plain');
    assert.match(plain, /^[0-9a-f]{64}$/);
    assert.equal(await identity('plain'), plain);
    assert.notEqual(await identity('once'), plain, 'another function');
    assert.notEqual(await identity('unlabelled'), plain, 'other labels');
  });
});

test('what the code prints goes to the log, not into the protocol', NEEDS_TORCH, async () => {
  const log: string[] = [];
  await using(
    'prints',
    async (network) => {
      await network.evaluate(undefined, NEVER);
    },
    { log },
  );
  for (const text of ['to standard output', 'to its descriptor', 'to standard error'])
    assert.ok(log.includes(text), text);
});

test('keyword arguments, dicts and batches that come once are taken', NEEDS_TORCH, async () => {
  const network = await open('configured', { arguments: { depth: 3, rate: 0.25, name: 'é' } });
  await network.dispose();
  await using('as_dict', ({ facts }) => {
    assert.deepEqual([facts.gramSamples, facts.validationSamples], [6, 16]);
    return Promise.resolve();
  });
  await using('once', async (network) => {
    assert.match(network.facts.notes.join('\n'), /once only: kept in memory/);
    const again = async (): Promise<number> => (await network.evaluate(undefined, NEVER)).samples;
    assert.deepEqual([await again(), await again()], [16, 16]);
  });
});

function evaluatedPlainly(changes: readonly (readonly [string, Float64Array])[]): unknown {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-test-'));
  try {
    const file = path.join(folder, 'changes.json');
    writeFileSync(file, JSON.stringify(changes.map(([name, weight]) => [name, [...weight]])));
    return expected('evaluations', file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
