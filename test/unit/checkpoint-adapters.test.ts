/** Low-rank adapters: the change of every weight, what it is scaled by, and what is told instead. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { elementCount, type Checkpoint, type Tensor } from '../../src/checkpoint/checkpoint';
import { decodeElements } from '../../src/checkpoint/elements';
import { CheckpointError } from '../../src/checkpoint/errors';
import { listLayers, modelParameters } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { withAdapters } from '../../src/checkpoint/packed/adapters';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { writeSafetensors, type TensorToWrite } from '../../src/checkpoint/write/safetensors';
import { createWasmBackend } from '../../src/compute';
import { audit } from '../../src/engine/audit';
import { convert } from '../../src/engine/convert';
import { densify } from '../../src/engine/densify';
import type { AuditDocument } from '../../src/engine/document';
import { temporaryFolder } from '../fixtures/handmade';
import { ROOT } from '../reference/references';

const scratch = temporaryFolder();
const FIXTURES = path.join(ROOT, 'test/fixtures/adapters');

interface Change {
  readonly shape: readonly number[];
  readonly singularValues: readonly number[];
  readonly sum: number;
}

/** Written by make_adapters.py beside it, in this shape. */
const references = JSON.parse(readFileSync(path.join(FIXTURES, 'adapters.json'), 'utf8')) as Readonly<
  Record<string, Readonly<Record<string, Change>>>
>;

const backend = createWasmBackend(1);
after(() => backend.dispose());

function audited(file: string): Promise<AuditDocument> {
  return audit({ path: file, backend, signal: AbortSignal.timeout(60_000), cache: null, spectra: true });
}

let folders = 0;
function folder(): string {
  const made = path.join(scratch.folder, `f${folders++}`);
  mkdirSync(made);
  return made;
}

const numbers = (
  name: string,
  shape: readonly number[],
  value = (i: number): number => Math.sin(i + 1),
): TensorToWrite => {
  const values = Float32Array.from({ length: elementCount(shape) }, (_, i) => value(i));
  return { name, dtype: 'float32', shape, data: new Uint8Array(values.buffer) };
};

/** A file of tensors, and the settings beside it. */
async function saved(
  tensors: readonly TensorToWrite[],
  config?: string,
  metadata?: Map<string, string>,
): Promise<string> {
  const place = folder();
  const file = path.join(place, 'adapter_model.safetensors');
  await writeSafetensors(file, tensors, metadata ?? new Map());
  if (config !== undefined) writeFileSync(path.join(place, 'adapter_config.json'), config);
  return file;
}

async function opened(
  tensors: readonly TensorToWrite[],
  config?: string,
  metadata?: Map<string, string>,
): Promise<Checkpoint> {
  return openCheckpoint(await saved(tensors, config, metadata));
}

/** `q_proj`: A 2 × 6, B 5 × 2. */
const PAIR = [numbers('model.q_proj.lora_A.weight', [2, 6]), numbers('model.q_proj.lora_B.weight', [5, 2])];

const changesOf = ({ tensors, adapters }: Checkpoint): readonly Tensor[] =>
  tensors.filter(({ name }) => adapters?.has(name) === true);

async function valuesOf(tensor: Tensor | undefined): Promise<number[]> {
  assert.ok(tensor);
  return Array.from(decodeElements(await readTensorBytes(tensor), tensor.dtype));
}

/** The scale that was found: of the change, in units of B·A. */
async function scaleOf(checkpoint: Checkpoint): Promise<number> {
  const [change] = changesOf(checkpoint);
  const [first = NaN] = await valuesOf(change);
  // Element [0, 0] of B·A of the pair above.
  const plain = Math.sin(1) * Math.sin(1) + Math.sin(2) * Math.sin(7);
  return Number((first / plain).toPrecision(5));
}

describe('adapters of other programs', () => {
  for (const [name, expected] of Object.entries(references)) {
    const file =
      {
        kohya: 'kohya.safetensors',
        mlx: 'mlx/adapters.safetensors',
      }[name] ?? `${name}/adapter_model.safetensors`;

    it(`${name}: the changes are what their own program computes`, async () => {
      const checkpoint = await openCheckpoint(path.join(FIXTURES, file));
      const changes = changesOf(checkpoint);
      assert.deepEqual(changes.map((change) => change.name).sort(), Object.keys(expected).sort());
      for (const change of changes) {
        const { shape, sum } = expected[change.name] ?? { shape: [], sum: NaN };
        assert.deepEqual(change.shape, shape, change.name);
        const values = await valuesOf(change);
        const size = values.reduce((total, value) => total + Math.abs(value), 0);
        const total = values.reduce((all, value) => all + value, 0);
        assert.ok(Math.abs(total - sum) <= 1e-6 * size, `${change.name}: ${total}, not ${sum}`);
      }
    });

    it(`${name}: the spectra are numpy's, out of r directions`, async () => {
      const { layers } = await audited(path.join(FIXTURES, file));
      for (const [module, { shape, singularValues }] of Object.entries(expected)) {
        const layer = layers.find((one) => one.name === module);
        assert.ok(layer, module);
        const [largest = 0] = singularValues;
        const most = Math.min(shape[0] ?? 0, elementCount(shape.slice(1)));
        assert.ok(layer.maxRank <= most);
        assert.equal(layer.singularValues?.length, layer.maxRank);
        singularValues.forEach((value, i) => {
          // PEFT multiplies in float32; what a file with float32 factors stands for is exact here.
          const error = Math.abs((layer.singularValues?.[i] ?? 0) - value);
          assert.ok(error <= 3e-7 * largest, `${module} σ${i + 1}: off by ${error / largest}`);
        });
      }
    });
  }

  it('kinds, ranks and parameters are those of the modules and their factors', async () => {
    const { layers, summary, checkpoint } = await audited(
      path.join(FIXTURES, 'peft/adapter_model.safetensors'),
    );
    const changes = layers.filter(({ factorOf }) => factorOf === undefined);
    const told = changes.map(({ name, kind, shape, maxRank, parameters }) => [
      name.replace('base_model.model.', ''),
      kind,
      shape,
      maxRank,
      parameters,
    ]);
    assert.deepEqual(
      told.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
      [
        ['attention.q_proj.lora', 'linear', [16, 12], 6, 6 * 28],
        ['attention.v_proj.lora', 'linear', [10, 12], 4, 4 * 22],
        ['conv1.lora', 'conv', [8, 27], 4, 4 * 35],
        ['embed_tokens.lora', 'embedding', [20, 12], 4, 4 * 32],
        ['score.lora', 'linear', [2, 12], 2, 4 * 14],
      ],
    );
    const parameters = 6 * 28 + 4 * (22 + 35 + 32 + 14);
    assert.equal(checkpoint.parameters, parameters);
    assert.equal(summary.analysedParameters, parameters);
    assert.ok(
      summary.meanUtilization !== null && summary.meanUtilization > 0.5 && summary.meanUtilization <= 1,
    );
    assert.ok(summary.parametersIfDecomposed <= parameters);
    for (const factor of layers.filter(({ factorOf }) => factorOf !== undefined))
      assert.equal(factor.kind, 'other');
    assert.match(checkpoint.notes?.join('\n') ?? '', /5 low-rank adapters \(LoRA\) of ranks 4 to 6/);
  });

  it('magnitudes are told', async () => {
    const { notes } = await openCheckpoint(path.join(FIXTURES, 'dora/adapter_model.safetensors'));
    assert.match(notes.join('\n'), /with magnitudes \(DoRA\)/);
  });

  it('the command line audits them', () => {
    const file = path.join(FIXTURES, 'peft/adapter_model.safetensors');
    const run = spawnSync(process.execPath, [path.join(ROOT, 'dist/cli.js'), 'audit', file, '--no-cache'], {
      encoding: 'utf8',
    });
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /q_proj\.lora/);
    assert.match(run.stdout, /\/6/);
  });
});

describe('names of adapters', () => {
  const cases: readonly (readonly [
    string,
    readonly (readonly [string, readonly number[]])[],
    string,
    readonly number[],
  ])[] = [
    [
      'a name of its own',
      [
        ['a.q.lora_A.default.weight', [2, 6]],
        ['a.q.lora_B.default.weight', [5, 2]],
      ],
      'a.q.lora.default',
      [5, 6],
    ],
    [
      'loralib',
      [
        ['a.q.lora_A', [2, 6]],
        ['a.q.lora_B', [5, 2]],
      ],
      'a.q.lora',
      [5, 6],
    ],
    [
      'torchtune',
      [
        ['a.q.lora_a.weight', [2, 6]],
        ['a.q.lora_b.weight', [5, 2]],
      ],
      'a.q.lora',
      [5, 6],
    ],
    [
      'llama.cpp',
      [
        ['blk.0.attn_q.weight.lora_a', [2, 6]],
        ['blk.0.attn_q.weight.lora_b', [5, 2]],
      ],
      'blk.0.attn_q.weight.lora',
      [5, 6],
    ],
    [
      'llama.cpp, square',
      [
        ['blk.0.attn_q.weight.lora_a', [2, 2]],
        ['blk.0.attn_q.weight.lora_b', [2, 2]],
      ],
      'blk.0.attn_q.weight.lora',
      [2, 2],
    ],
    [
      'llama.cpp, its table',
      [
        ['token_embd.weight.lora_a', [9, 2]],
        ['token_embd.weight.lora_b', [5, 2]],
      ],
      'token_embd.weight.lora',
      [9, 5],
    ],
    [
      'llama.cpp, experts',
      [
        ['blk.0.ffn_up_exps.weight.lora_a', [3, 2, 6]],
        ['blk.0.ffn_up_exps.weight.lora_b', [3, 5, 2]],
      ],
      'blk.0.ffn_up_exps.weight.lora',
      [3, 5, 6],
    ],
    [
      'MLX',
      [
        ['a.q_proj.lora_a', [6, 2]],
        ['a.q_proj.lora_b', [2, 5]],
      ],
      'a.q_proj.lora',
      [5, 6],
    ],
    [
      'MLX, its table',
      [
        ['a.embed_tokens.lora_a', [9, 2]],
        ['a.embed_tokens.lora_b', [2, 5]],
      ],
      'a.embed_tokens.lora',
      [9, 5],
    ],
    [
      'Keras',
      [
        ['layers/dense/lora_kernel_a', [6, 2]],
        ['layers/dense/lora_kernel_b', [2, 5]],
      ],
      'layers/dense.lora',
      [5, 6],
    ],
    [
      'diffusers',
      [
        ['unet.to_q.lora.down.weight', [2, 6]],
        ['unet.to_q.lora.up.weight', [5, 2]],
      ],
      'unet.to_q.lora',
      [5, 6],
    ],
    [
      'diffusers, processors',
      [
        ['x.processor.to_q_lora.down.weight', [2, 6]],
        ['x.processor.to_q_lora.up.weight', [5, 2]],
      ],
      'x.processor.to_q.lora',
      [5, 6],
    ],
    [
      'diffusers, text',
      [
        ['x.q_proj.lora_linear_layer.down.weight', [2, 6]],
        ['x.q_proj.lora_linear_layer.up.weight', [5, 2]],
      ],
      'x.q_proj.lora',
      [5, 6],
    ],
    [
      'a convolution in one dimension',
      [
        ['c.lora_A.weight', [2, 6, 3]],
        ['c.lora_B.weight', [5, 2, 1]],
      ],
      'c.lora',
      [5, 6, 3],
    ],
    [
      'at the top',
      [
        ['lora_A.weight', [2, 6]],
        ['lora_B.weight', [5, 2]],
      ],
      'lora',
      [5, 6],
    ],
    [
      'a rank above both sides',
      [
        ['c.lora_A.weight', [7, 3]],
        ['c.lora_B.weight', [2, 7]],
      ],
      'c.lora',
      [2, 3],
    ],
  ];
  for (const [what, tensors, name, shape] of cases) {
    it(what, async () => {
      const checkpoint = await opened(tensors.map(([each, sizes]) => numbers(each, sizes)));
      const [change, ...others] = changesOf(checkpoint);
      assert.deepEqual(
        [change?.name, change?.shape, others.length],
        [name, shape, 0],
        checkpoint.notes.join(),
      );
      assert.deepEqual(
        checkpoint.tensors.map(({ role }) => role),
        ['model', 'factor', 'factor'],
      );
      const { layers } = listLayers(checkpoint);
      const own = layers.filter(({ isAdapter }) => isAdapter === true);
      const rank = Math.min(...(tensors[0]?.[1] ?? []).slice(-2), ...shape);
      assert.ok(own.every((layer) => (layer.maxRank ?? Math.min(...layer.shape)) <= Math.max(rank, 1)));
      const sum = tensors.reduce((total, [, sizes]) => total + elementCount(sizes), 0);
      assert.equal(
        own.reduce((total, layer) => total + layer.parameters, 0),
        sum,
      );
      assert.equal(modelParameters(checkpoint), sum);
    });
  }

  it('the experts of a stack are layers of their own, each its B·A', async () => {
    const file = await saved([
      numbers('blk.0.ffn_up_exps.weight.lora_a', [3, 2, 6]),
      numbers('blk.0.ffn_up_exps.weight.lora_b', [3, 5, 2]),
    ]);
    const { layers } = await audited(file);
    assert.deepEqual(
      layers.slice(0, 3).map(({ name, kind, shape, maxRank }) => [name, kind, shape, maxRank]),
      [0, 1, 2].map((i) => [`blk.0.ffn_up_exps.weight.lora[${i}]`, 'linear', [5, 6], 2]),
    );
    const [change] = changesOf(await openCheckpoint(file));
    const values = await valuesOf(change);
    const [A, B] = [(i: number) => Math.fround(Math.sin(i + 1)), (i: number) => Math.fround(Math.sin(i + 1))];
    for (let e = 0; e < 3; e++)
      for (let i = 0; i < 5; i++)
        for (let j = 0; j < 6; j++) {
          const expected = [0, 1].reduce((sum, t) => sum + B(e * 10 + i * 2 + t) * A(e * 12 + t * 6 + j), 0);
          assert.ok(Math.abs((values[e * 30 + i * 6 + j] ?? NaN) - expected) < 1e-6);
        }
  });

  it('the change takes another name where the file has a tensor of its own there', async () => {
    const checkpoint = await opened([...PAIR, numbers('model.q_proj.lora', [3, 3])]);
    assert.deepEqual(
      changesOf(checkpoint).map(({ name }) => name),
      ['model.q_proj.lora 2'],
    );
  });
});

describe('the scale of an adapter', () => {
  const alpha = (value: number): TensorToWrite => numbers('model.q_proj.alpha', [], () => value);
  const config = (settings: object): string => JSON.stringify({ peft_type: 'LORA', r: 2, ...settings });

  it('is α/r, α/√r where the settings say so, and that of the module before that of all', async () => {
    assert.equal(await scaleOf(await opened(PAIR, config({ lora_alpha: 8 }))), 4);
    assert.equal(
      await scaleOf(await opened(PAIR, config({ lora_alpha: 8, use_rslora: true }))),
      Number((8 / Math.SQRT2).toPrecision(5)),
    );
    const pattern = config({ lora_alpha: 8, alpha_pattern: { k_proj: 3, q_proj: 5 } });
    assert.equal(await scaleOf(await opened(PAIR, pattern)), 2.5);
    assert.equal(await scaleOf(await opened(PAIR, config({ lora_alpha: -8 }))), -4);
    assert.equal(await scaleOf(await opened([...PAIR, alpha(6)], config({ lora_alpha: 8 }))), 3);
    assert.equal(
      await scaleOf(await opened(PAIR, JSON.stringify({ lora_parameters: { rank: 2, scale: 20 } }))),
      20,
    );
  });

  it('is the one that a GGUF keeps for all of them', async () => {
    const checkpoint = await openCheckpoint(await saved(PAIR));
    const { adapters, ...plain } = checkpoint;
    assert.ok(adapters);
    const tensors = plain.tensors.flatMap((tensor) =>
      adapters.has(tensor.name) ? [] : [{ ...tensor, role: 'model' as const }],
    );
    const again = await withAdapters({ ...plain, tensors, adapterMetadata: { alpha: 16 } });
    assert.equal(await scaleOf(again), 8);
    assert.equal(await scaleOf(await withAdapters({ ...plain, tensors, adapterMetadata: { alpha: 0 } })), 1);
  });

  it('is 1 where nothing says it, or nothing that makes sense, and a note says so', async () => {
    const odd: readonly (readonly [Checkpoint, RegExp])[] = [
      [await opened(PAIR), /no α of 1 adapter: spectra are of B·A, unscaled/],
      [await opened([...PAIR, alpha(0)]), /alpha is 0 or no finite number/],
      [await opened([...PAIR, alpha(NaN)]), /alpha is 0 or no finite number/],
      [await opened([...PAIR, alpha(Infinity)]), /alpha is 0 or no finite number/],
      [await opened(PAIR, config({ lora_alpha: 0 })), /alpha is 0 or no finite number/],
      [await opened(PAIR, '{"lora_alpha": 1e999}'), /alpha is 0 or no finite number/],
      [await opened(PAIR, '{"lora_alpha": NaN}'), /adapter_config.json is left out: JSON/],
      [await opened(PAIR, '{"lora_alpha": "8"}'), /no α/],
      [
        await opened(PAIR, '{"lora_alpha": 8, "lora_alpha": 9}'),
        /left out: JSON: the key "lora_alpha" is given twice/,
      ],
      [await opened(PAIR, `{"x": ${'['.repeat(100_000)}`), /left out: JSON: nested deeper/],
      [await opened(PAIR, `{"x": "${'x'.repeat(5 << 20)}"}`), /left out: \d+ bytes of settings/],
      [await opened(PAIR, ''), /left out/],
      [await opened(PAIR, '{"__proto__": {"lora_alpha": 3}}'), /no α/],
    ];
    for (const [checkpoint, note] of odd) {
      assert.match(checkpoint.notes.join('\n'), note);
      assert.equal(await scaleOf(checkpoint), 1);
    }
  });

  it('patterns that are more than names are not run', async () => {
    const evil = config({ lora_alpha: 8, alpha_pattern: { '(a+)+$': 3, '^model.q_proj': 5 } });
    const checkpoint = await opened(PAIR, evil);
    assert.match(checkpoint.notes.join('\n'), /regular expressions, which are not run/);
    assert.equal(await scaleOf(checkpoint), 2.5);
  });

  it('settings that are a folder, or of another method, leave everything as it is', async () => {
    const file = await saved(PAIR);
    mkdirSync(path.join(path.dirname(file), 'adapter_config.json'));
    assert.match(
      (await openCheckpoint(file)).notes.join('\n'),
      /adapter_config.json is left out: is a folder/,
    );
    const other = await opened(PAIR, JSON.stringify({ peft_type: 'ADALORA' }));
    assert.equal(other.adapters, undefined);
    assert.match(other.notes.join('\n'), /of ADALORA, not of LoRA/);
  });
});

describe('what is called like an adapter and makes none', () => {
  const refused: readonly (readonly [string, readonly TensorToWrite[], RegExp])[] = [
    ['one matrix alone', PAIR.slice(0, 1), /\(model\.q_proj\.lora_A\.weight\): its other matrix is missing/],
    [
      'ranks that differ',
      [numbers('q.lora_A.weight', [2, 6]), numbers('q.lora_B.weight', [5, 3])],
      /sizes 2 × 6 and 5 × 3 do not fit together/,
    ],
    [
      'no rank at all',
      [numbers('q.lora_A.weight', [0, 6]), numbers('q.lora_B.weight', [5, 0])],
      /with no elements/,
    ],
    ['one axis', [numbers('q.lora_A.weight', [6]), numbers('q.lora_B.weight', [6])], /do not fit together/],
    [
      'integers',
      [{ ...numbers('q.lora_A.weight', [2, 6]), dtype: 'int32' }, numbers('q.lora_B.weight', [5, 2])],
      /elements of type int32/,
    ],
    [
      'a huge rank',
      [numbers('q.lora_A.weight', [5000, 2], () => 0), numbers('q.lora_B.weight', [1, 5000], () => 0)],
      /a rank above 4096/,
    ],
    [
      'a huge side',
      [numbers('q.lora_A.weight', [1, 2 ** 20 + 1], () => 0), numbers('q.lora_B.weight', [1, 1])],
      /a side above 1048576/,
    ],
    ['a core between the two', [...PAIR, numbers('model.q_proj.lora_E.default', [2, 1])], /a third matrix/],
    [
      'all experts in one',
      [numbers('m.experts.lora_A.weight', [8, 6]), numbers('m.experts.lora_B.weight', [5, 8])],
      /one matrix for all experts/,
    ],
  ];
  for (const [what, tensors, note] of refused) {
    it(`${what}: listed as it is, and told`, async () => {
      const checkpoint = await opened(tensors);
      assert.equal(checkpoint.adapters, undefined);
      assert.deepEqual(
        checkpoint.tensors.map(({ name }) => name),
        tensors.map(({ name }) => name),
      );
      assert.ok(checkpoint.tensors.every(({ role }) => role === 'model'));
      assert.match(checkpoint.notes.join('\n'), note);
    });
  }

  it('other methods are named', async () => {
    const names = ['q.hada_w1_a', 'q.lokr_w1', 'q.vera_lambda_b', 'q.ia3_l'];
    const { notes, adapters } = await opened(names.map((name) => numbers(name, [2, 3])));
    assert.equal(adapters, undefined);
    for (const method of ['LoHa', 'LoKr', 'VeRA', '(IA)³'])
      assert.ok(
        notes.some((note) => note.includes(`1 tensor is of ${method},`)),
        method,
      );
  });

  it('an ordinary checkpoint is the very same object', async () => {
    const checkpoint = await opened([numbers('fc.weight', [3, 4]), numbers('fc.bias', [3])]);
    assert.equal(await withAdapters(checkpoint), checkpoint);
  });

  it('a hundred thousand halves of adapters open in a moment', async () => {
    const tensors = Array.from({ length: 40_000 }, (_, i): Tensor => ({
      name: `${'lora_A.'.repeat(20)}${i}.lora_A.weight`,
      shape: [1, 1],
      dtype: 'float32',
      storage: { encoding: 'raw', path: '/nowhere', offset: 0, byteLength: 4 },
      role: 'model',
    }));
    const start = performance.now();
    const none = { path: '/nowhere', format: 'f', files: ['/nowhere'], bytes: 4, unreadable: [], notes: [] };
    const { notes } = await withAdapters({ ...none, tensors });
    assert.match(notes.join(), /40000 adapters are listed as they are/);
    assert.ok(performance.now() - start < 5000);
  });
});

describe("adapters of Rankscope's own training", () => {
  const facts = (more: object): Map<string, string> =>
    new Map([['rankscope.adapters', JSON.stringify([{ name: 'model.q_proj.weight', rank: 2, ...more }])]]);

  it('in sine form are (α/k)·sin(ω·B·A)/g, whose rank is not that of the factors', async () => {
    const checkpoint = await opened(
      PAIR,
      undefined,
      facts({ kind: 'sine-lora', alpha: 6, omega: 30, gain: 4 }),
    );
    const [change] = changesOf(checkpoint);
    const values = await valuesOf(change);
    const entry = (i: number): number => Math.fround(Math.sin(i + 1));
    for (let i = 0; i < 5; i++)
      for (let j = 0; j < 6; j++) {
        const phase = 30 * (entry(2 * i) * entry(j) + entry(2 * i + 1) * entry(6 + j));
        const expected = (3 * Math.sin(phase)) / 4;
        assert.ok(Math.abs((values[6 * i + j] ?? NaN) - expected) < 1e-6, `${i} ${j}`);
      }
    const layer = listLayers(checkpoint).layers.find(({ isAdapter }) => isAdapter === true);
    assert.equal(layer?.maxRank, undefined);
    assert.equal(layer?.parameters, 22);
    assert.match(
      checkpoint.notes.join('\n'),
      /in sine form.*another method of this name takes the sine of activations/,
    );
  });

  it('are linear with α = k where nothing else is said, and convolutions again', async () => {
    const plain = await opened(PAIR, undefined, facts({ kind: 'lora' }));
    assert.equal(await scaleOf(plain), 1);
    assert.doesNotMatch(plain.notes.join(), /no α/);
    const conv = await opened(PAIR, undefined, facts({ kind: 'lora', shape: [5, 6, 1, 1] }));
    assert.deepEqual(changesOf(conv)[0]?.shape, [5, 6, 1, 1]);
    assert.equal(listLayers(conv).layers[0]?.kind, 'conv');
    const other = await opened(PAIR, undefined, facts({ kind: 'lora', shape: [7, 6] }));
    assert.deepEqual(changesOf(other)[0]?.shape, [5, 6]);
  });

  it('whose metadata is broken are read as any other, and told', async () => {
    for (const text of ['', '[{', '{}', '[{"omega":0}]', '[{"gain":1e999}]', `[${'['.repeat(1000)}`]) {
      const checkpoint = await opened(PAIR, undefined, new Map([['rankscope.adapters', text]]));
      assert.match(checkpoint.notes.join('\n'), /what the file says of its adapters is left out/, text);
      assert.equal(changesOf(checkpoint).length, 1);
    }
    const unknown = await opened(PAIR, undefined, facts({ kind: 'cosine-lora' }));
    assert.match(unknown.notes.join('\n'), /a form called "cosine-lora"/);
    assert.equal(unknown.adapters, undefined);
  });
});

describe('what the rest of the program does with adapters', () => {
  const signal = AbortSignal.timeout(60_000);

  it('neither converts nor densifies them by themselves, in one clear line', async () => {
    const file = await saved(PAIR);
    const ranks = { kind: 'rank', rank: 1 } as const;
    await assert.rejects(convert({ path: file, to: 'svd', ranks, backend, signal, cache: null }), (error) => {
      assert.ok(error instanceof CheckpointError);
      assert.match(error.message, /nothing to convert: adapter: the low-rank change of a weight/);
      return true;
    });
    await assert.rejects(densify({ path: file, signal }), /low-rank adapters are changes of a base model/);
  });

  it('keeps them as they are beside what it converts and writes', async () => {
    const file = await saved([...PAIR, numbers('fc.weight', [8, 8])]);
    const before = await openCheckpoint(file);
    const ranks = { kind: 'rank', rank: 1 } as const;
    const out = folder();
    await convert({ path: file, to: 'svd', ranks, backend, signal, cache: null, out, materialize: true });
    const stem = path.join(out, 'adapter_model.svd-k1');
    const pair = ['model.q_proj.lora', 'model.q_proj.lora_A.weight', 'model.q_proj.lora_B.weight'];
    for (const [name, rest] of [
      ['.safetensors', ['fc.weight', 'fc.weight.U', 'fc.weight.V']],
      ['.dense.safetensors', ['fc.weight']],
    ] as const) {
      const after = await openCheckpoint(stem + name);
      assert.deepEqual(after.tensors.map((tensor) => tensor.name).sort(), [...rest, ...pair].sort());
      assert.deepEqual(await valuesOf(changesOf(after)[0]), await valuesOf(changesOf(before)[0]));
    }
    const dense = folder();
    const written = await densify({ path: `${stem}.safetensors`, out: dense, signal });
    const names = (await openCheckpoint(written.path)).tensors.map(({ name }) => name);
    assert.deepEqual(names.sort(), ['fc.weight', ...pair].sort());
  });

  it('refuses values that are not finite by name, and goes on', async () => {
    const file = await saved([
      numbers('a.lora_A.weight', [1, 3], () => NaN),
      numbers('a.lora_B.weight', [2, 1]),
      numbers('b.lora_A.weight', [1, 3]),
      numbers('b.lora_B.weight', [2, 1]),
    ]);
    const { layers, skipped } = await audited(file);
    assert.ok(layers.some(({ name }) => name === 'b.lora'));
    assert.match(skipped.find(({ name }) => name === 'a.lora')?.reason ?? '', /not finite: 3 NaN/);
  });
});
