/** The whole job on a network that runs: modes, resuming, decomposition, what goes wrong. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { elementCount, type Tensor } from '../../src/checkpoint/checkpoint';
import { decodeElements } from '../../src/checkpoint/elements';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { writeSafetensors } from '../../src/checkpoint/write/safetensors';
import { createWasmBackend } from '../../src/compute';
import { utilize, type UtilizeOptions } from '../../src/engine/utilize';
import type { LayerUtilization, Probe, UtilizationDocument } from '../../src/engine/utilizationDocument';
import type { UtilizationStage } from '../../src/engine/utilizationProtocol';
import { passesBound } from '../../src/utilization';
import { pythonWith } from '../reference/python';
import { plainNetwork, plainParameters, type PlainNetworkOptions } from './plainNetwork';

const backend = createWasmBackend(2);
const scratch = mkdtempSync(path.join(tmpdir(), 'rankscope-utilization-'));
after(async () => {
  await backend.dispose();
  rmSync(scratch, { recursive: true, force: true });
});

let folders = 0;
const freshFolder = (): string => path.join(scratch, `searches-${folders++}`);

/**
 * Loads the halves into nn.Sequential by the names that it gives its parameters, and holds them against one layer whose
 * weight is their product: the convolution in two groups, and a linear layer with its bias.
 */
const TWO_MODULES = `
import json, struct, sys
import numpy, torch
from torch import nn
with open(sys.argv[1], 'rb') as file:
    header = json.loads(file.read(struct.unpack('<Q', file.read(8))[0]))
    data = file.read()
def tensor(name):
    entry = header[name]
    begin, end = entry['data_offsets']
    return torch.from_numpy(numpy.frombuffer(data[begin:end], '<f4').reshape(entry['shape']).copy())
state = {name: tensor(name) for name in header if name != '__metadata__' and header[name]['dtype'] == 'F32'}
def part(module):
    prefix = 'model.' + module + '.'
    return {name[len(prefix):]: value for name, value in state.items() if name.startswith(prefix)}
torch.manual_seed(0)
r = part('conv3')['1.weight'].shape[1]
two = nn.Sequential(nn.Conv2d(6, 2 * r, 3, padding=1, groups=2, bias=False), nn.Conv2d(2 * r, 8, 1, groups=2, bias=False))
two.load_state_dict(part('conv3'))
one = nn.Conv2d(6, 8, 3, padding=1, groups=2, bias=False)
first, second = part('conv3')['0.weight'].view(2, r, 27), part('conv3')['1.weight'].view(2, 4, r)
one.weight.data = (second @ first).view(8, 3, 3, 3)
x = torch.randn(2, 6, 8, 8)
assert torch.allclose(two(x), one(x), atol=1e-5), (two(x) - one(x)).abs().max()
r = part('fc1')['0.weight'].shape[0]
two = nn.Sequential(nn.Linear(128, r, bias=False), nn.Linear(r, 16))
two.load_state_dict(part('fc1'))
x = torch.randn(5, 128)
expected = x @ (part('fc1')['1.weight'] @ part('fc1')['0.weight']).T + part('fc1')['1.bias']
assert torch.allclose(two(x), expected, atol=1e-5), (two(x) - expected).abs().max()
`;

const CUMULATIVE: UtilizeOptions['settings'] = { mode: 'cumulative', delta: 0.5 };

function job(
  options: Partial<UtilizeOptions> = {},
  network: PlainNetworkOptions = {},
): Promise<UtilizationDocument> {
  return utilize({
    open: () => Promise.resolve(plainNetwork(network)),
    settings: CUMULATIVE,
    resume: false,
    spectra: true,
    searches: freshFolder(),
    backend,
    signal: new AbortController().signal,
    ...options,
  });
}

let plain: Promise<UtilizationDocument> | undefined;
/** The default search, run through once. */
const uninterrupted = (): Promise<UtilizationDocument> => (plain ??= job());

/** What does not depend on when and how fast. */
function timeless(document: UtilizationDocument): unknown {
  return { ...document, startedAt: '', seconds: 0 };
}

const byName = (document: UtilizationDocument, name: string): LayerUtilization => {
  const found = document.layers.find((layer) => layer.name === name);
  assert.ok(found, name);
  return found;
};

describe('cumulative search', () => {
  test('never costs more than 2·L·δ; the ledger, the means and the passes add up', async () => {
    const stages: UtilizationStage[] = [];
    const probes: [string, Probe][] = [];
    const layers: [number, LayerUtilization][] = [];
    const document = await job({
      onStage: (stage) => stages.push(stage),
      onProbe: (layer, probe) => probes.push([layer, probe]),
      onLayer: (layer, index) => layers.push([index, layer]),
    });
    const { summary } = document;
    assert.ok((summary.before ?? 0) > 85, `the network has learnt: ${summary.before}`);
    assert.equal(summary.guaranteedDrop, 2 * 4 * 0.5);
    assert.ok((summary.afterProjection ?? 0) >= (summary.before ?? NaN) - 4);
    assert.equal(summary.afterProjection, document.layers.at(-1)?.valueAfter);
    // The depthwise convolution is listed, not measured.
    assert.deepEqual(
      document.layers.map(({ name }) => name),
      ['conv1.weight', 'conv3.weight', 'fc1.weight', 'fc2.weight'],
    );
    assert.deepEqual(
      document.skipped.map(({ name }) => name),
      ['conv2.weight'],
    );
    assert.match(document.skipped[0]?.reason ?? '', /^depthwise: /);
    assert.deepEqual(
      layers,
      document.layers.map((layer, index) => [index, layer]),
    );
    assert.deepEqual(
      probes.map(([, probe]) => probe.pass),
      probes.map((_, i) => i),
    );
    assert.equal(summary.passes, probes.length);
    assert.ok(
      summary.passes <=
        passesBound(document.layers.map(({ shape }) => ({ inputs: shape[1], outputs: shape[0] }))),
    );
    assert.equal(stages.filter(({ kind }) => kind === 'search').length, probes.length);
    const mean = (of: (layer: LayerUtilization) => number): number =>
      document.layers.reduce((sum, layer) => sum + of(layer), 0) / document.layers.length;
    assert.equal(
      summary.mlu,
      mean(({ utilizedRank, maxRank }) => utilizedRank / maxRank),
    );
    assert.equal(
      summary.mluOriginal,
      mean(({ rank, maxRank }) => rank / maxRank),
    );
    const fc1 = byName(document, 'fc1.weight');
    assert.ok(fc1.utilizedRank <= Math.min(fc1.kS, fc1.kT));
    assert.ok(fc1.error.measured <= fc1.error.bound);
    assert.equal(fc1.parametersBefore, 16 * 128 + 16);
    assert.equal(fc1.parametersAfter, fc1.decomposable ? fc1.utilizedRank * 144 + 16 : 16 * 128 + 16);
    const saved = document.layers.reduce(
      (sum, layer) => sum + layer.parametersBefore - layer.parametersAfter,
      0,
    );
    assert.equal(summary.parametersBefore - summary.parametersAfter, saved);
    // 6·9 + 6·9 + 2·4·27 multiplications at 64 pixels, 16·128 and 4·16 once; twice for the additions.
    assert.equal(summary.flopsBefore, 2 * (64 * (54 + 54 + 216) + 2048 + 64));
  });

  test('spectra are shares, descending; they are left out unless asked for', async () => {
    const { layers } = await uninterrupted();
    for (const { inputEnergies = [], outputEnergies = [], shape, kS, energyS } of layers) {
      assert.deepEqual([outputEnergies.length, inputEnergies.length], shape);
      const kept = inputEnergies.slice(0, kS).reduce((sum, share) => sum + share, 0);
      assert.ok(Math.abs(kept - energyS) < 1e-12);
      assert.deepEqual(
        inputEnergies,
        [...inputEnergies].sort((a, b) => b - a),
      );
    }
    const bare = await job({ spectra: false, layers: /fc2/ });
    assert.ok(bare.layers.every((layer) => !('inputEnergies' in layer) && !('outputEnergies' in layer)));
  });

  test('a loss is searched in percent of the original', async () => {
    const document = await job({ settings: { mode: 'cumulative', delta: 5 } }, { metric: 'loss' });
    const { before = NaN, afterProjection = NaN, metric } = document.summary;
    assert.equal(metric, 'loss');
    assert.ok(afterProjection <= before * (1 + (8 * 5) / 100) + 1e-9);
    assert.ok((document.summary.mlu ?? 1) < (document.summary.mluOriginal ?? 0));
  });

  test('a budget of passes leaves the rest whole, and a larger one goes on from there', async () => {
    const searches = freshFolder();
    const whole = await uninterrupted();
    const cut = await job({ searches, settings: { ...CUMULATIVE, maxPasses: 9 } });
    assert.equal(cut.summary.passes, 9);
    assert.ok(cut.summary.notSearched > 0);
    const last = cut.layers.at(-1);
    assert.deepEqual([last?.kS, last?.kT, last?.utilizedRank], [16, 4, last?.rank]);
    const network = plainNetwork();
    const more = await job({ searches, resume: true, open: () => Promise.resolve(network) });
    assert.deepEqual(timeless(more), timeless(whole));
    assert.equal(network.evaluations(), whole.summary.passes - 9);
  });
});

describe('other modes', () => {
  test('independent: layers stand alone; what all together cost is measured, not promised', async () => {
    const network = plainNetwork();
    const document = await job({
      settings: { mode: 'independent', delta: 0.5 },
      open: () => Promise.resolve(network),
    });
    assert.equal(document.summary.guaranteedDrop, undefined);
    assert.ok(document.layers.every(({ valueAfter }) => valueAfter === undefined));
    assert.equal(network.evaluations(), document.summary.passes + 2);
    const thresholds = new Set(
      document.layers.flatMap(({ probes }) => probes.map(({ threshold }) => threshold)),
    );
    assert.deepEqual([...thresholds], [(document.summary.before ?? NaN) - 0.5]);
  });

  test('label-free: fixed energies, no probes; the drop is measured where there are labels', async () => {
    const settings: UtilizeOptions['settings'] = { mode: 'label-free', energy: 0.99 };
    const network = plainNetwork();
    const document = await job({ settings, open: () => Promise.resolve(network) });
    assert.deepEqual(document.energy, { input: 0.99, output: 0.99 });
    assert.equal(document.delta, undefined);
    assert.equal(network.evaluations(), 2);
    assert.equal(document.summary.passes, 0);
    for (const { energyS, energyT, inputEnergies = [], kS } of document.layers) {
      assert.ok(energyS >= 0.99 && energyT >= 0.99);
      const without = inputEnergies.slice(0, kS - 1).reduce((sum, share) => sum + share, 0);
      assert.ok(without < 0.99, 'one dimension less would hold too little');
    }
    const unlabelled = await job({ settings }, { metric: 'none' });
    assert.deepEqual([unlabelled.summary.before, unlabelled.summary.afterProjection], [undefined, undefined]);
    assert.deepEqual(
      unlabelled.layers.map(({ kS, kT, utilizedRank }) => [kS, kT, utilizedRank]),
      document.layers.map(({ kS, kT, utilizedRank }) => [kS, kT, utilizedRank]),
    );
  });

  test('a filter measures some layers and names the others', async () => {
    const document = await job({ layers: /^fc/ });
    assert.deepEqual(
      document.layers.map(({ name }) => name),
      ['fc1.weight', 'fc2.weight'],
    );
    assert.deepEqual(
      document.skipped.map(({ reason }) => reason.split(':')[0]),
      ['not selected', 'not selected', 'not selected'],
    );
    assert.equal(document.summary.flopsBefore, (await uninterrupted()).summary.flopsBefore);
  });
});

describe('resuming', () => {
  test('ended at every possible evaluation and resumed: the same document, no evaluation made twice', async () => {
    const layers = /conv3|fc2/;
    const expected = await job({ layers });
    const total = expected.summary.passes + 1;
    for (let end = 0; end < total; end++) {
      const searches = freshFolder();
      let made = 0;
      await assert.rejects(
        job(
          { searches, layers },
          {
            onEvaluate: () => {
              if (made === end) throw new Error('the process was killed');
              made++;
            },
          },
        ),
        /the process was killed/,
      );
      const network = plainNetwork();
      const resumed = await job({ searches, layers, resume: true, open: () => Promise.resolve(network) });
      assert.deepEqual(timeless(resumed), timeless(expected), `ended at evaluation ${end}`);
      assert.equal(made + network.evaluations(), total);
      // Subspaces found before the end are not taken from the data again.
      if (end > 0) assert.equal(network.gramPasses(), 0);
    }
  });

  test('a log whose last line was being written is read up to it, and continued', async () => {
    const layers = /conv3|fc2/;
    const expected = await job({ layers });
    for (const cut of [1, 5, 20]) {
      const searches = freshFolder();
      let made = 0;
      const onEvaluate = (): void => {
        if (made++ === 8) throw new Error('killed');
      };
      await assert.rejects(job({ searches, layers }, { onEvaluate }));
      const names = readdirSync(searches, { recursive: true, encoding: 'utf8' });
      const log = path.join(searches, names.find((name) => name.endsWith('.log')) ?? '');
      const text = readFileSync(log, 'utf8');
      assert.equal(text.split('\n').length, 9);
      writeFileSync(log, text.slice(0, -cut));
      const network = plainNetwork();
      const resumed = await job({ searches, layers, resume: true, open: () => Promise.resolve(network) });
      assert.deepEqual(timeless(resumed), timeless(expected));
      // The torn value is measured again, the others are not.
      assert.equal(network.evaluations(), expected.summary.passes + 1 - 7);
    }
  });

  test('subspaces that were cleared away, or cut short, are found again', async () => {
    const searches = freshFolder();
    const expected = await job({ settings: { ...CUMULATIVE, maxPasses: 20 }, searches });
    const names = readdirSync(searches, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.includes('inputs-'),
    );
    assert.equal(names.length, 4);
    rmSync(path.join(searches, names[0] ?? ''));
    writeFileSync(path.join(searches, names[1] ?? ''), 'not a subspace');
    const again = await job({ settings: { ...CUMULATIVE, maxPasses: 20 }, searches, resume: true });
    assert.deepEqual(timeless(again), timeless(expected));
  });

  test('without resume the search starts afresh, says what could be resumed, and keeps it', async () => {
    const searches = freshFolder();
    const cut = await job({ searches, settings: { ...CUMULATIVE, maxPasses: 15 } });
    assert.equal(cut.summary.passes, 15);
    let earlier = 0;
    const network = plainNetwork({
      onEvaluate: () => {
        if (network.evaluations() === 3) throw new Error('killed');
      },
    });
    await assert.rejects(
      job({
        searches,
        open: () => Promise.resolve(network),
        onEarlierSearch: (probes) => (earlier = probes),
      }),
    );
    assert.equal(earlier, 15);
    const resumed = plainNetwork();
    await job({ searches, resume: true, open: () => Promise.resolve(resumed) });
    assert.equal(resumed.evaluations(), (await uninterrupted()).summary.passes - 15);
  });

  test('a finished search is told again at once, layers and probes with it', async () => {
    const searches = freshFolder();
    const first = await job({ searches });
    const network = plainNetwork();
    const [probes, layers]: [Probe[], LayerUtilization[]] = [[], []];
    const again = await job({
      searches,
      resume: true,
      open: () => Promise.resolve(network),
      onProbe: (_, probe) => probes.push(probe),
      onLayer: (layer) => layers.push(layer),
    });
    assert.deepEqual(again, first);
    assert.deepEqual([network.evaluations(), network.gramPasses()], [0, 0]);
    assert.equal(probes.length, first.summary.passes);
    assert.deepEqual(layers, first.layers);
    assert.ok(network.isDisposed());
  });

  test('other settings are another search; where nothing can be written, the search goes on and says so', async () => {
    const searches = freshFolder();
    await job({ searches });
    const network = plainNetwork();
    const other = await job({
      searches,
      resume: true,
      settings: { mode: 'cumulative', delta: 1 },
      open: () => Promise.resolve(network),
    });
    assert.equal(network.evaluations(), other.summary.passes + 1);
    const file = path.join(scratch, 'a file');
    writeFileSync(file, '');
    const unkept = await job({ searches: file });
    assert.match(unkept.notes.join(), /cannot be resumed/);
    assert.deepEqual(timeless({ ...unkept, notes: [] }), timeless(await uninterrupted()));
  });
});

describe('decomposition', () => {
  /** The plain network as a checkpoint, under a wrapper's prefix, with what a training run leaves beside it. */
  async function checkpointFile(name: string): Promise<string> {
    const { weights, biases } = plainParameters();
    const file = path.join(scratch, name);
    const shapes = [
      [6, 1, 3, 3],
      [6, 1, 3, 3],
      [8, 3, 3, 3],
      [16, 128],
      [4, 16],
    ];
    const names = ['conv1', 'conv2', 'conv3', 'fc1', 'fc2'];
    const tensor = (of: string, shape: readonly number[], values: Float64Array) => {
      const data = Float32Array.from(values);
      return { name: `model.${of}`, dtype: 'float32' as const, shape, data: new Uint8Array(data.buffer) };
    };
    await writeSafetensors(file, [
      ...weights.map((values, i) => tensor(`${names[i]}.weight`, shapes[i] ?? [], values)),
      tensor('fc1.bias', [16], biases[0]),
      tensor('fc2.bias', [4], biases[1]),
      { name: 'model.steps', dtype: 'int64', shape: [], data: new Uint8Array(8).fill(3) },
    ]);
    return file;
  }

  const values = async (tensor: Tensor | undefined): Promise<Float32Array | Float64Array> => {
    assert.ok(tensor);
    return decodeElements(await readTensorBytes(tensor), tensor.dtype);
  };

  const settings: UtilizeOptions['settings'] = { mode: 'cumulative', delta: 2 };

  test('two layers whose product is W′, the rest bit for bit, ranks for LoRA, and the value as written', async () => {
    const checkpoint = await checkpointFile('plain.safetensors');
    const decompose = path.join(scratch, 'plain.two.safetensors');
    const document = await job({ settings, checkpoint, decompose });
    const fc1 = byName(document, 'fc1.weight');
    assert.ok(fc1.decomposable, 'the hidden layer is larger than it needs to be');
    const before = await openCheckpoint(checkpoint);
    const written = await openCheckpoint(decompose);
    const find = (name: string, of = written): Tensor | undefined =>
      of.tensors.find((tensor) => tensor.name === name);
    const r = fc1.utilizedRank;
    const [first, second] = [find('model.fc1.0.weight'), find('model.fc1.1.weight')];
    assert.deepEqual(
      [first?.shape, second?.shape],
      [
        [r, 128],
        [16, r],
      ],
    );
    assert.equal(find('model.fc1.weight'), undefined);
    // ‖W − W₂·W₁‖ in the outputs is the error that the document tells, up to the 0.01 % that the rank leaves out.
    const [W, A, B] = [
      await values(find('model.fc1.weight', before)),
      await values(second),
      await values(first),
    ];
    let [distance, norm] = [0, 0];
    for (let i = 0; i < 16; i++)
      for (let j = 0; j < 128; j++) {
        let product = 0;
        for (let k = 0; k < r; k++) product += (A[i * r + k] ?? NaN) * (B[k * 128 + j] ?? NaN);
        distance += ((W[i * 128 + j] ?? NaN) - product) ** 2;
        norm += (W[i * 128 + j] ?? NaN) ** 2;
      }
    assert.ok(distance < norm, `W″ is nearer to W than zero is: ${distance} of ${norm}`);
    assert.deepEqual(await values(find('model.fc1.1.bias')), await values(find('model.fc1.bias', before)));
    const replaced = new Set(
      document.layers.filter(({ decomposable }) => decomposable).map(({ name }) => `model.${name}`),
    );
    for (const tensor of before.tensors) {
      if (replaced.has(tensor.name) || tensor.name.endsWith('.bias')) continue;
      const same = find(tensor.name);
      assert.ok(same, tensor.name);
      assert.deepEqual(await readTensorBytes(same), await readTensorBytes(tensor));
    }
    const pattern: unknown = JSON.parse(readFileSync(document.files?.rankPattern ?? '', 'utf8'));
    assert.equal(document.files?.rankPattern, path.join(scratch, 'plain.two.rank_pattern.json'));
    const ranks: Record<string, number> = {};
    for (const { name, utilizedRank } of document.layers)
      ranks[name.replace('.weight', '')] = Math.max(1, Math.ceil(utilizedRank));
    assert.deepEqual(pattern, { rank_pattern: ranks });
    // What was written adds up to the ledger.
    const parameters = written.tensors
      .filter(({ dtype }) => dtype === 'float32')
      .reduce((sum, { shape }) => sum + elementCount(shape), 0);
    assert.equal(parameters, document.summary.parametersAfter);
    // The value is that of the written weights: only they are split, in float32.
    const network = plainNetwork();
    for (const [index, { name }] of network.layers.entries()) {
      if (!replaced.has(`model.${name}`)) continue;
      const module = `model.${name.replace('.weight', '')}`;
      await network.commit({
        layer: index,
        weight: await multiplied(
          network.layers[index],
          find(`${module}.0.weight`),
          find(`${module}.1.weight`),
        ),
      });
    }
    const { value } = await network.evaluate(undefined, new AbortController().signal);
    assert.equal(document.summary.afterDecomposition, value);
  });

  async function multiplied(
    layer: { readonly shape: readonly [number, number]; readonly groups: number } | undefined,
    first: Tensor | undefined,
    second: Tensor | undefined,
  ): Promise<Float64Array> {
    assert.ok(layer);
    const [[m, n], { groups }] = [layer.shape, layer];
    const [B, A] = [await values(first), await values(second)];
    const r = A.length / (groups * m);
    return Float64Array.from({ length: groups * m * n }, (_, at) => {
      const [row, j] = [Math.floor(at / n), at % n];
      const group = Math.floor(row / m);
      let sum = 0;
      for (let k = 0; k < r; k++) sum += (A[row * r + k] ?? NaN) * (B[(group * r + k) * n + j] ?? NaN);
      return sum;
    });
  }

  const python = pythonWith('torch, numpy');

  test(
    'the file is two modules of PyTorch after one another',
    { skip: python === undefined && 'no Python with torch here' },
    async () => {
      const checkpoint = await checkpointFile('torch.safetensors');
      const decompose = path.join(scratch, 'torch.two.safetensors');
      // Half the energy leaves every layer small enough to be split, the grouped convolution too.
      await job({ settings: { mode: 'label-free', energy: 0.5 }, checkpoint, decompose });
      const { status, stderr } = spawnSync(python ?? '', ['-c', TWO_MODULES, decompose], {
        encoding: 'utf8',
      });
      assert.equal(status, 0, stderr);
    },
  );

  test('without a checkpoint, the new layers alone; nothing to gain, no file', async () => {
    const decompose = path.join(scratch, 'alone.safetensors');
    const document = await job({ settings, decompose });
    assert.match(document.notes.join(), /holds the new layers only/);
    const written = await openCheckpoint(decompose);
    assert.ok(written.tensors.every(({ name }) => /\.[01]\.weight$/.test(name)));
    const nothing = path.join(scratch, 'nothing.safetensors');
    const whole = await job({
      settings: { mode: 'label-free', energy: 1 },
      decompose: nothing,
      layers: /fc2/,
    });
    assert.equal(whole.files, undefined);
    assert.match(whole.notes.join(), /no decomposed checkpoint was written/);
  });

  test('independent: done, with a warning', async () => {
    const document = await job({
      settings: { mode: 'independent', delta: 2 },
      decompose: path.join(scratch, 'i.safetensors'),
    });
    assert.match(document.notes.join(), /independent search, whose projections were never tried together/);
  });

  test('another checkpoint than the network’s, or the measured one as the target, is refused', async () => {
    const checkpoint = await checkpointFile('input.safetensors');
    await assert.rejects(
      job({ checkpoint, decompose: checkpoint }),
      /is the measured checkpoint: write to another file/,
    );
    const other = path.join(scratch, 'other.safetensors');
    const noise = new Uint8Array(Float32Array.from({ length: 2048 }, (_, i) => Math.sin(i)).buffer);
    await writeSafetensors(other, [{ name: 'fc1.weight', dtype: 'float32', shape: [16, 128], data: noise }]);
    const decompose = path.join(scratch, 'refused.safetensors');
    await assert.rejects(
      job({ settings, checkpoint: other, decompose, layers: /fc1/ }),
      /^Error: the weight of fc1\.weight is not in .*other\.safetensors under that name with those values/,
    );
    assert.ok(!readdirSync(scratch).some((name) => name.includes('refused')));
  });
});

describe('what goes wrong', () => {
  test('inputs that are not finite: the first layer they reach is named, and what to check', async () => {
    for (const poison of [NaN, Infinity])
      await assert.rejects(
        job({}, { poison }),
        /^Error: the inputs of layer conv1\.weight hold NaN or infinite values: check /,
      );
  });

  test('no labels: what to do instead', async () => {
    await assert.rejects(job({}, { metric: 'none' }), /no labels.*label-free/);
  });

  test('a filter that matches nothing names a layer there is', async () => {
    await assert.rejects(
      job({ layers: /attention/ }),
      /no layer's name matches attention: the first of 5 is conv1\.weight/,
    );
    await assert.rejects(job({ layers: /conv2/ }), /no layer can be measured: conv2\.weight is depthwise/);
  });

  test('cancelled: rejects with the reason, lets the network go, and keeps what was probed', async () => {
    const searches = freshFolder();
    const controller = new AbortController();
    const reason = new Error('cancelled');
    const network = plainNetwork();
    await assert.rejects(
      job({
        searches,
        signal: controller.signal,
        open: () => Promise.resolve(network),
        onProbe: (_, { pass }) => {
          if (pass === 5) controller.abort(reason);
        },
      }),
      (error) => error === reason,
    );
    assert.ok(network.isDisposed());
    const resumed = plainNetwork();
    const document = await job({ searches, resume: true, open: () => Promise.resolve(resumed) });
    assert.equal(resumed.evaluations() + 7, document.summary.passes + 1);
  });

  test('what the network fails with ends the job, and the network is let go', async () => {
    const network = plainNetwork({
      onEvaluate: () => {
        throw new Error('CUDA out of memory: lower the batch size');
      },
    });
    await assert.rejects(job({ open: () => Promise.resolve(network) }), /^Error: CUDA out of memory/);
    assert.ok(network.isDisposed());
  });
});
