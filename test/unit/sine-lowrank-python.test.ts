/** `media/python/sine_lowrank.py` run by a real PyTorch, on factor files that our own writer wrote. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { elementCount, type Tensor } from '../../src/checkpoint/checkpoint';
import type { DType } from '../../src/checkpoint/dtype';
import { FACTORS_KEY } from '../../src/checkpoint/formats/factors';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { writeFactorFile, type LayerFactors } from '../../src/checkpoint/write/factorFile';
import { StagedFiles } from '../../src/checkpoint/write/staging';
import { RandomStream } from '../../src/lowrank/randomStream';
import { pythonWith, runPython } from '../reference/python';
import { ROOT } from '../reference/references';

const program = pythonWith('torch');
const skip = program === undefined && 'no Python with torch here';

const scratch = mkdtempSync(path.join(tmpdir(), 'rankscope-sine-'));
after(() => {
  rmSync(scratch, { recursive: true, force: true });
});

const PRELUDE = `
import copy, json, sys, warnings
sys.path.insert(0, ${JSON.stringify(path.join(ROOT, 'media/python'))})
import torch
from torch import nn
from sine_lowrank import *
torch.manual_seed(0)
path = (sys.argv + [""])[1]
def say(value):
    print(json.dumps(value))
`;

/** What a script prints, as JSON. */
function torch(script: string, ...argv: string[]): unknown {
  const { status, stdout, stderr } = runPython(program ?? '', PRELUDE + script, argv);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

const random = new RandomStream(11);

function tensorOf(name: string, shape: readonly number[], dtype: DType, bytes: Uint8Array): Tensor {
  return {
    name,
    shape,
    dtype,
    storage: { encoding: 'memory', path: 'test', bytes, byteLength: bytes.length },
    role: 'model',
  };
}

function randomTensor(name: string, shape: readonly number[]): Tensor {
  const values = Float32Array.from({ length: elementCount(shape) }, () => random.symmetric(1));
  return tensorOf(name, shape, 'float32', new Uint8Array(values.buffer));
}

interface Kind {
  readonly tensor: string;
  readonly shape: readonly number[];
  readonly groups?: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposed?: boolean;
  readonly expert?: number;
}

/** What each module of the network below is kept as. Transposed convolutions are stored in × out/groups × kh × kw. */
const LAYERS: readonly Kind[] = [
  { tensor: 'fc.weight', shape: [12, 20], m: 12, n: 20, k: 3 },
  { tensor: 'conv.weight', shape: [8, 4, 3, 3], m: 8, n: 36, k: 4 },
  { tensor: 'grouped.weight', shape: [8, 2, 3, 3], groups: 4, m: 2, n: 18, k: 2 },
  { tensor: 'signal.weight', shape: [6, 5, 3], m: 6, n: 15, k: 2 },
  { tensor: 'up.weight', shape: [6, 2, 2, 2], groups: 2, m: 8, n: 3, k: 2, transposed: true },
  { tensor: 'kernel', shape: [20, 12], m: 12, n: 20, k: 3, transposed: true },
  { tensor: 'embedding.weight', shape: [30, 8], m: 30, n: 8, k: 2 },
  { tensor: 'experts', shape: [2, 6, 5], m: 6, n: 5, k: 2, expert: 0 },
  { tensor: 'experts', shape: [2, 6, 5], m: 6, n: 5, k: 2, expert: 1 },
];

const OTHERS: readonly Tensor[] = [
  randomTensor('fc.bias', [12]),
  randomTensor('conv.bias', [8]),
  randomTensor('grouped.bias', [8]),
  randomTensor('signal.bias', [6]),
  randomTensor('up.bias', [4]),
  tensorOf('small', [3], 'float16', Uint8Array.of(0x00, 0x3c, 0x01, 0x00, 0x00, 0x7e)),
  tensorOf('bf16', [2], 'bfloat16', Uint8Array.of(0x80, 0x3f, 0xc1, 0x7f)),
  tensorOf('counted', [], 'int64', Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)),
  tensorOf('mask', [2, 2], 'bool', Uint8Array.of(1, 0, 0, 1)),
  tensorOf('empty', [0, 4], 'float32', new Uint8Array()),
];

const NETWORK = `
class Network(nn.Module):
    def __init__(self, prefix=""):
        super().__init__()
        self.fc, self.conv = nn.Linear(20, 12), nn.Conv2d(4, 8, 3, padding=1, stride=2, padding_mode="circular")
        self.grouped, self.signal = nn.Conv2d(8, 8, 3, groups=4, dilation=2), nn.Conv1d(5, 6, 3, padding="same")
        self.up = nn.ConvTranspose2d(6, 4, 2, groups=2)
        self.embedding, self.head = nn.Embedding(30, 8), nn.Linear(8, 30, bias=False)
        self.head.weight = self.embedding.weight
        self.kernel, self.experts = nn.Parameter(torch.zeros(20, 12)), nn.Parameter(torch.zeros(2, 6, 5))
        for name, value in [("small", torch.zeros(3).half()), ("bf16", torch.zeros(2).bfloat16()),
                            ("counted", torch.tensor(0)), ("mask", torch.zeros(2, 2).bool()), ("empty", torch.empty(0, 4))]:
            self.register_buffer(name, value)

INPUTS = {"fc": torch.randn(3, 20), "conv": torch.randn(2, 4, 9, 9), "grouped": torch.randn(2, 8, 9, 9),
          "signal": torch.randn(2, 5, 12), "up": torch.randn(2, 6, 5, 5), "embedding": torch.tensor([3, 29]),
          "head": torch.randn(2, 8)}
`;

async function writeFactors(file: string, factorization: 'sine' | 'svd', prefix = ''): Promise<string> {
  const layers = LAYERS.map(({ tensor, shape, groups = 1, m, n, k, transposed = false, expert }) => {
    const name = prefix + (expert === undefined ? tensor : `${tensor}[${expert}]`);
    const stack = groups > 1 ? [groups] : [];
    const isSine = factorization === 'sine';
    const layer: LayerFactors = {
      name,
      factorization,
      omega: isSine ? 3 * Math.sqrt(k) : 1,
      gains: Array.from({ length: groups }, (_, i) => (isSine ? 1.5 + i / 3 : 1)),
      tensor: prefix + tensor,
      shape,
      dtype: 'float32',
      transposed,
      ...(expert !== undefined && { expert }),
      U: randomTensor(`${name}.U`, [...stack, m, k]),
      V: randomTensor(`${name}.V`, [...stack, n, k]),
    };
    return layer;
  });
  const weights = [...new Map(layers.map((layer) => [layer.tensor, layer])).values()].map(
    ({ tensor, shape }) =>
      tensorOf(tensor, shape, 'float32', new Uint8Array(4 * elementCount(shape)).fill(layers.length)),
  );
  // The same bytes under a second name, as tied weights are.
  const tied = weights.find(({ name }) => name === `${prefix}embedding.weight`);
  assert.ok(tied !== undefined);
  const tensors = [
    ...weights,
    { ...tied, name: `${prefix}head.weight` },
    ...OTHERS.map((tensor) => ({ ...tensor, name: prefix + tensor.name })),
  ];
  const checkpoint = {
    path: 'test',
    format: 'test',
    files: [],
    bytes: 0,
    tensors,
    unreadable: [],
    notes: [],
  };
  const target = path.join(scratch, file);
  const staged = new StagedFiles();
  const source = { name: 'test', format: 'test' };
  await writeFactorFile(staged, target, checkpoint, layers, source, new AbortController().signal);
  await staged.commit();
  return target;
}

const files = { sine: '', svd: '', prefixed: '' };
before(async () => {
  files.sine = await writeFactors('sine.safetensors', 'sine');
  files.svd = await writeFactors('svd.safetensors', 'svd');
  files.prefixed = await writeFactors('prefixed.safetensors', 'sine', 'state_dict.module.');
});

describe('dense weights', { skip }, () => {
  for (const kind of ['sine', 'svd'] as const) {
    test(`of ${kind} factors are ours within 1e-6, everything else is bit for bit the same`, async () => {
      const found = torch(
        'say({n: [list(t.shape), str(t.dtype), t.flatten().tolist() if t.dtype == torch.float32 else ' +
          't.contiguous().flatten().view(torch.uint8).tolist()] for n, t in dense_weights(path).items()})',
        files[kind],
      ) as Record<string, [number[], string, number[]]>; // what the line above prints
      const ours = (await openCheckpoint(files[kind])).tensors.filter(({ role }) => role === 'model');
      assert.deepEqual(Object.keys(found).sort(), ours.map(({ name }) => name).sort());
      let compared = 0;
      for (const tensor of ours) {
        const [shape, dtype, values] = found[tensor.name] ?? [[], '', []];
        assert.deepEqual(shape, tensor.shape, tensor.name);
        assert.equal(dtype, `torch.${tensor.dtype}`);
        const bytes = await readTensorBytes(tensor);
        if (tensor.dtype !== 'float32') {
          assert.deepEqual(values, [...bytes], tensor.name);
          continue;
        }
        const isFactored = tensor.storage.encoding !== 'raw';
        const expected = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
        values.forEach((value, i) => {
          const error = Math.abs(value - (expected[i] ?? NaN));
          assert.ok(error <= (isFactored ? 1e-6 : 0), `${tensor.name}[${i}] is ${error} off`);
        });
        compared += isFactored ? values.length : 0;
      }
      const distinct = new Map(LAYERS.map(({ tensor, shape }) => [tensor, elementCount(shape)]));
      const heads = 30 * 8;
      assert.equal(
        compared,
        [...distinct.values()].reduce((sum, count) => sum + count, heads),
      );
    });
  }

  test('are what the layer’s formula says, group by group', () => {
    const worst = torch(
      `
layer = load_factors(path)["grouped.weight"]
weight = dense_weights(path)["grouped.weight"]
errors = [(weight[2 * g:2 * g + 2].reshape(2, 18) - torch.sin(layer.omega * layer.U[g] @ layer.V[g].T) / layer.gains[g])
          .abs().max().item() for g in range(4)]
say([max(errors), layer.sine, list(layer.U.shape)])`,
      files.sine,
    );
    const [error, ...rest] = worst as [number, boolean, number[]]; // what the script prints
    assert.ok(error < 1e-6);
    assert.deepEqual(rest, [true, [4, 2, 2]]);
  });
});

describe('a model', { skip }, () => {
  for (const kind of ['sine', 'svd'] as const) {
    test(`with ${kind} factors computes as with dense weights, and trains U and V`, () => {
      const result = torch(
        `${NETWORK}
dense, factored = load_into(Network(), path), load_into(Network(), path, keep_factors=True)
kinds, errors = {}, {}
for name, x in INPUTS.items():
    one, other = getattr(dense, name), getattr(factored, name)
    kinds[name], y = type(other).__name__, one(x)
    errors[name] = max(((y - other(x)).abs().max() / y.abs().max()).item(), (one.weight - other.weight).abs().max().item())
    other(x).square().sum().backward()
trained = sorted(n for n, p in factored.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0)
say({"kinds": kinds, "errors": errors, "trained": trained,
     "buffers": sorted(n for n, _ in factored.named_buffers() if n.split(".")[0] in INPUTS),
     "tied": factored.head.weight is factored.embedding.weight,
     "others": all(torch.equal(getattr(dense, n).flatten(), getattr(factored, n).flatten()) for n in ("kernel", "experts", "counted", "mask"))})`,
        files[kind],
      ) as {
        kinds: Record<string, string>;
        errors: Record<string, number>;
        trained: string[];
        buffers: string[];
        tied: boolean;
        others: boolean;
      }; // what the script prints
      const prefix = kind === 'sine' ? 'SineLowRank' : 'LowRank';
      assert.deepEqual(result.kinds, {
        fc: `${prefix}Linear`,
        conv: `${prefix}Conv`,
        grouped: `${prefix}Conv`,
        signal: `${prefix}Conv`,
        // No counterpart, and weights that two modules share.
        up: 'ConvTranspose2d',
        embedding: 'Embedding',
        head: 'Linear',
      });
      for (const [name, error] of Object.entries(result.errors)) assert.ok(error < 2e-6, `${name}: ${error}`);
      const parts = ['fc', 'conv', 'grouped', 'signal'].flatMap((name) =>
        ['U', 'V', 'bias'].map((part) => `${name}.${part}`),
      );
      assert.deepEqual(result.trained, [...parts, 'up.weight', 'up.bias', 'embedding.weight'].sort());
      const constant = kind === 'sine' ? ['fc', 'conv', 'grouped', 'signal'] : ['conv', 'grouped', 'signal'];
      assert.deepEqual(result.buffers, constant.flatMap((name) => [`${name}.gain`, `${name}.omega`]).sort());
      assert.ok(result.tied && result.others);
    });
  }

  test('may be wrapped, and so may the file’s names', () => {
    const same = torch(
      `${NETWORK}
plain = load_into(Network(), sys.argv[2])
outer = nn.Module()
outer.model = Network()
load_into(outer, path)
wrapped = load_into(nn.DataParallel(Network()), sys.argv[2])
ours = dense_weights(path)
say([all(torch.equal(v.nan_to_num(), ours["state_dict.module." + n].nan_to_num()) for n, v in outer.model.state_dict().items()),
     all(torch.equal(v.nan_to_num(), plain.state_dict()[n].nan_to_num()) for n, v in wrapped.module.state_dict().items())])`,
      files.prefixed,
      files.sine,
    );
    assert.deepEqual(same, [true, true]);
  });

  test('that does not fit is told what does not, and left as it was', () => {
    const [message, unchanged, warned, half] = torch(
      `${NETWORK}
model = Network()
model.fc, model.extra = nn.Linear(21, 12), nn.Linear(2, 2)
del model.signal
before = copy.deepcopy(model.state_dict())
try:
    load_into(model, path)
except ValueError as error:
    message = str(error)
same = lambda: [n for n, v in model.state_dict().items() if not torch.equal(v, before[n])]
unchanged = same()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    load_into(model, path, keep_factors=True, strict=False)
say([message, unchanged, str(caught[0].message), [type(model.fc).__name__, type(model.conv).__name__]])`,
      files.sine,
    ) as [string, string[], string, string[]]; // what the script prints
    for (const text of [message, warned]) {
      assert.match(text, /only the model has extra\.weight, extra\.bias/);
      assert.match(text, /only the file has signal\.bias, signal\.weight/);
      assert.match(text, /of other shapes are fc\.weight \[12, 20\], not \[12, 21\]/);
    }
    assert.deepEqual(unchanged, []);
    assert.deepEqual(half, ['Linear', 'SineLowRankConv']);
  });

  test('of nothing in common is refused, strict or not', () => {
    const message = torch(
      `
try:
    load_into(nn.Sequential(nn.Linear(2, 2)), path, strict=False)
except ValueError as error:
    say(str(error))`,
      files.sine,
    );
    assert.match(
      String(message),
      /does not fit the model: only the model has 0\.weight, 0\.bias; only the file has /,
    );
  });
});

describe('a layer from scratch', { skip }, () => {
  test('is Kaiming-uniform by its widths, with g = √n, and learns', () => {
    const [bounds, gain, spread, moved, still] = torch(
      `
layer = SineLowRankLinear(384, 512, 8, omega=2000)
bounds = [layer.U.abs().max().item(), layer.V.abs().max().item()]
spread = 2 * 384 * layer.weight.var().item()
before = copy.deepcopy(layer.state_dict())
optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3)
layer(torch.randn(16, 384)).square().mean().backward()
optimizer.step()
say([bounds, layer.gain.item(), spread, [n for n, v in layer.state_dict().items() if not torch.equal(v, before[n])],
     [n for n, _ in layer.named_buffers()]])`,
    ) as [[number, number], number, number, string[], string[]]; // what the script prints
    const limits = [Math.sqrt(6 / 512), Math.sqrt(6 / 384)];
    limits.forEach((limit, i) => {
      const bound = bounds[i] ?? NaN;
      assert.ok(bound <= limit * (1 + 1e-6) && bound > 0.99 * limit, `${bound} of ${limit}`);
    });
    assert.ok(Math.abs(gain - Math.sqrt(384)) < 1e-5);
    assert.ok(Math.abs(spread - 1) < 0.03, `variance ${spread} of 1/(2n)`);
    assert.deepEqual(moved, ['U', 'V', 'bias']);
    assert.deepEqual(still, ['omega', 'gain']);
  });
});

describe('a malformed file', { skip }, () => {
  const layer = {
    ...{ factorization: 'sine', omega: 1, gains: [1], tensor: 'w', shape: [2, 3] },
    ...{ dtype: 'float32', transposed: false },
  };
  const U = { dtype: 'F32', shape: [2, 1], data_offsets: [0, 8] };
  const V = { dtype: 'F32', shape: [3, 1], data_offsets: [8, 20] };
  const metadata = (layers: unknown, more: object = {}): string =>
    JSON.stringify({ schema: 'rankscope/factors@1', layers, ...more });
  const header = (text: string, more: object = {}): string =>
    JSON.stringify({ __metadata__: { [FACTORS_KEY]: text }, 'w.U': U, 'w.V': V, ...more });
  const good = header(metadata({ w: layer }));
  const wrong = (change: object): string => header(metadata({ w: { ...layer, ...change } }));

  const CASES: Readonly<Record<string, string>> = {
    'no factors': '{}',
    'not JSON': '{"',
    'no object': '[1]',
    'metadata that is a number': '{"__metadata__":3}',
    'a name twice': `${good.slice(0, -1)},"w.U":${JSON.stringify(U)}}`,
    'nesting without end': '['.repeat(100_000),
    'an unknown element type': header(metadata({ w: layer }), { x: { ...U, dtype: 'Q4' } }),
    'bytes beyond the file': header(metadata({ w: layer }), { x: { ...U, data_offsets: [16, 24] } }),
    'a negative offset': header(metadata({ w: layer }), { x: { ...U, data_offsets: [-8, 0] } }),
    'a shape that needs other bytes': header(metadata({ w: layer }), { x: { ...U, shape: [3, 1] } }),
    'a shape of fractions': header(metadata({ w: layer }), { x: { ...U, shape: [0.5, 4] } }),
    'an entry without a shape': header(metadata({ w: layer }), { x: { dtype: 'F32' } }),
    'metadata that is not JSON': header('factors'),
    'another schema': header(metadata({ w: layer }, { schema: 'rankscope/factors@9' })),
    'layers that are a list': header(metadata([layer])),
    'a layer without factors': header(metadata({ v: layer })),
    'another factorization': wrong({ factorization: 'cosine' }),
    'an omega of zero': wrong({ omega: 0 }),
    'an infinite gain': header(metadata({ w: layer }).replace('"gains":[1]', '"gains":[1e999]')),
    'an endless omega': header(metadata({ w: layer }).replace('"omega":1', `"omega":1${'0'.repeat(400)}`)),
    'too many gains': wrong({ gains: [1, 1] }),
    'a shape of another size': wrong({ shape: [2, 4] }),
    'a shape of texts': wrong({ shape: ['2', '3'] }),
    'a tensor that is a list': wrong({ tensor: ['w'] }),
    'an expert out of range': wrong({ shape: [2, 2, 3], expert: 2 }),
    'an expert that is missing': wrong({ shape: [2, 2, 3], expert: 0 }),
    'a tie to nothing': header(metadata({ w: layer }, { ties: { x: 'y' } })),
    'ties that are a number': header(metadata({ w: layer }, { ties: 5 })),
    'factors that are integers': header(metadata({ w: layer }), { 'w.U': { ...U, dtype: 'I32' } }),
    'a weight that is there already': header(metadata({ w: layer }), { w: V }),
  };

  const write = (name: string, text: string): string => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
    const file = path.join(scratch, name);
    writeFileSync(file, Buffer.concat([length, Buffer.from(text), Buffer.alloc(20, 1)]));
    return file;
  };

  test('is a ValueError that names it, whatever is wrong', () => {
    const named = Object.entries(CASES).map(
      ([what, text], i) => [what, write(`bad${i}.safetensors`, text)] as const,
    );
    const huge = Buffer.alloc(16, 0xff);
    writeFileSync(path.join(scratch, 'huge.safetensors'), huge);
    writeFileSync(path.join(scratch, 'short.safetensors'), huge.subarray(0, 3));
    const all = [
      ...named,
      ['a header longer than the file', path.join(scratch, 'huge.safetensors')] as const,
      ['no header', path.join(scratch, 'short.safetensors')] as const,
    ];
    const outcomes = torch(
      `
outcomes = []
for file in json.loads(path):
    try:
        dense_weights(file)
        outcomes.append("read")
    except Exception as error:
        outcomes.append(type(error).__name__ + ": " + str(error))
say(outcomes)`,
      JSON.stringify(all.map(([, file]) => file)),
    ) as string[]; // one for each file
    all.forEach(([what, file], i) => {
      const outcome = outcomes[i] ?? '';
      assert.ok(outcome.startsWith(`ValueError: ${file}: `), `${what}: ${outcome}`);
      assert.doesNotMatch(outcome, /\n/, what);
    });
  });

  test('differs from a good one', () => {
    assert.deepEqual(torch('say(list(dense_weights(path)))', write('good.safetensors', good)), ['w']);
  });
});
