import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { elementCount, type Checkpoint, type Tensor } from '../../src/checkpoint/checkpoint';
import { decode } from '../../src/checkpoint/decoders';
import type { Decoder } from '../../src/checkpoint/decoders/decoder';
import { decodeElements } from '../../src/checkpoint/elements';
import { CheckpointError } from '../../src/checkpoint/errors';
import { identityKey, listLayers, modelParameters } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes, readTensorBytesSync } from '../../src/checkpoint/tensorData';
import { writeSafetensors, type TensorToWrite } from '../../src/checkpoint/write/safetensors';
import { createWasmBackend } from '../../src/compute';
import { audit } from '../../src/engine/audit';
import { denseTarget, writeDense } from '../../src/checkpoint/write/materialize';
import { StagedFiles } from '../../src/checkpoint/write/staging';
import { temporaryFolder, zip } from '../fixtures/handmade';
import { ROOT } from '../reference/references';

/** Written by make_packed.py, with what the packages that define the forms make of them. */
const FIXTURES = path.join(ROOT, 'test/fixtures/packed');
const scratch = temporaryFolder();

const pathOf = (name: string): string => {
  const file = `${name}.safetensors`;
  const own = path.join(FIXTURES, name, file);
  return readdirSync(FIXTURES).includes(name) ? own : path.join(FIXTURES, file);
};

function tensorOf({ tensors }: Checkpoint, name: string): Tensor {
  const tensor = tensors.find((one) => one.name === name);
  assert.ok(tensor, `${name} is among ${tensors.map((one) => one.name).join(', ')}`);
  return tensor;
}

async function valuesOf(tensor: Tensor): Promise<number[]> {
  return Array.from(decodeElements(await readTensorBytes(tensor), tensor.dtype));
}

/** The unpacked value and the reference agree to a rounding of float32. */
function assertClose(values: readonly number[], expected: readonly number[], label: string): void {
  assert.equal(values.length, expected.length, label);
  const largest = Math.max(...expected.map(Math.abs));
  values.forEach((value, i) => {
    const wanted = expected[i] ?? NaN;
    assert.ok(Math.abs(value - wanted) <= 3e-7 * largest, `${label}[${i}]: ${value} instead of ${wanted}`);
  });
}

describe('packed weights are what the packages that pack them unpack', () => {
  let expected: Checkpoint;
  before(async () => {
    expected = await openCheckpoint(path.join(FIXTURES, 'expected.safetensors'));
  });

  const forms: readonly (readonly [string, RegExp])[] = [
    ['gptq_2bit', /^1 weight is 2-bit GPTQ \(groups of 16; its first version.*dequantised to float32$/],
    ['gptq_3bit', /^1 weight is 3-bit GPTQ/],
    ['gptq_4bit', /^1 weight is 4-bit GPTQ/],
    ['gptq_8bit', /^1 weight is 8-bit GPTQ/],
    ['gptq_act_order', /^1 weight is 4-bit GPTQ \(groups of 16\): dequantised to float32$/],
    ['gptq_v2', /^1 weight is 4-bit GPTQ \(groups of 16\): dequantised to float32$/],
    ['gptq_short_group', /^1 weight is 4-bit GPTQ \(groups of 16/],
    ['awq', /^1 weight is 4-bit AWQ \(groups of 32\): dequantised to float32$/],
    ['bnb_nf4', /^1 weight is 4-bit bitsandbytes \(nf4, blocks of 64\)/],
    ['bnb_fp4', /^1 weight is 4-bit bitsandbytes \(fp4, blocks of 64\)/],
    ['bnb_odd', /^1 weight is 4-bit bitsandbytes \(nf4, blocks of 64\)/],
    ['bnb_int8', /^1 weight is 8-bit bitsandbytes \(a scale a row\)/],
    ['compressed_3bit_symmetric', /^1 weight is 3-bit compressed-tensors \(groups of 16\)/],
    ['compressed_4bit_symmetric', /^1 weight is 4-bit compressed-tensors \(groups of 16\)/],
    ['compressed_4bit_zeros', /^1 weight is 4-bit compressed-tensors \(groups of 16\)/],
    ['compressed_8bit_zeros', /^1 weight is 8-bit compressed-tensors \(one group a row\)/],
    ['fp8_blocks', /^1 weight is 8-bit float8_e4m3fn \(a scale for 8 × 8\)/],
    ['fp8_scales', /^1 weight is 8-bit float8_e4m3fn \(a scale a row\)/],
    ['mxfp4', /^2 weights are 4-bit MXFP4 \(blocks of 32\)/],
    ['mlx', /^2 weights are 4-bit MLX \(groups of 64\)/],
    ['mlx_convolutions', /^$/],
  ];
  for (const [name, note] of forms) {
    it(name, async () => {
      const checkpoint = await openCheckpoint(pathOf(name));
      const references = expected.tensors.filter((tensor) => tensor.name.startsWith(`${name}/`));
      assert.ok(references.length > 0);
      let elements = 0;
      for (const reference of references) {
        const tensor = tensorOf(checkpoint, reference.name.slice(name.length + 1));
        assert.equal(tensor.dtype, 'float32');
        assert.equal(tensor.role, 'model');
        assert.deepEqual(tensor.shape, reference.shape);
        const values = await valuesOf(tensor);
        assertClose(values, await valuesOf(reference), reference.name);
        assert.deepEqual(Array.from(decodeElements(readTensorBytesSync(tensor), 'float32')), values);
        elements += values.length;
      }
      // Biases are the only other parameters.
      const biases = checkpoint.tensors.filter((tensor) => tensor.name.endsWith('bias'));
      const others = biases.reduce((sum, { shape }) => sum + elementCount(shape), 0);
      assert.equal(modelParameters(checkpoint), elements + others);
      assert.match(checkpoint.notes[0] ?? '', note);
      const { layers, skipped } = listLayers(checkpoint);
      assert.ok(layers.length >= references.length);
      assert.ok(layers.every(({ tensor }) => tensor.role === 'model'));
      for (const { name: part, reason } of skipped) {
        if (part.endsWith('bias')) continue;
        assert.equal(reason, 'quantisation: part of a packed weight', part);
      }
      const names = checkpoint.tensors.map((tensor) => tensor.name);
      assert.equal(new Set(names).size, names.length);
    });
  }

  it('experts are layers of their own, each decoded alone, in the order that the unpacked model has', async () => {
    const { layers } = listLayers(await openCheckpoint(pathOf('mxfp4')));
    assert.deepEqual(
      layers.map(({ name, shape, kind, transposed }) => [name.split('.').at(-1), shape, kind, transposed]),
      [
        ['down_proj[0]', [32, 32], 'linear', true],
        ['down_proj[1]', [32, 32], 'linear', true],
        ['gate_up_proj[0]', [64, 32], 'linear', true],
        ['gate_up_proj[1]', [64, 32], 'linear', true],
      ],
    );
    assert.deepEqual(
      layers.map(({ tensor: { storage } }) => storage.encoding),
      ['decoded', 'decoded', 'decoded', 'decoded'],
    );
    const mlx = listLayers(await openCheckpoint(pathOf('mlx'))).layers.filter(
      ({ stack }) => stack !== undefined,
    );
    assert.deepEqual(
      mlx.map(({ kind, shape }) => [kind, shape]),
      [
        ['linear', [5, 64]],
        ['linear', [5, 64]],
      ],
    );
  });

  it("MLX' convolutions have PyTorch's matrices", async () => {
    const { layers } = listLayers(await openCheckpoint(pathOf('mlx_convolutions')));
    assert.deepEqual(layers.map(({ name, kind, shape }) => [name, kind, shape]).sort(), [
      ['conv1.weight', 'conv', [4, 18]],
      ['conv2.weight', 'conv', [4, 36]],
      ['deconv.weight', 'conv', [16, 6]],
      ['fc.weight', 'linear', [5, 4]],
      ['mlp.switch_mlp.up_proj.weight[0]', 'linear', [3, 4]],
      ['mlp.switch_mlp.up_proj.weight[1]', 'linear', [3, 4]],
    ]);
  });

  it('are audited as the weights they stand for', async () => {
    const backend = createWasmBackend(1);
    try {
      const dense = path.join(scratch.folder, 'dense.safetensors');
      const reference = tensorOf(expected, 'awq/fc.weight');
      const data = await readTensorBytes(reference);
      await writeSafetensors(dense, [{ name: 'fc.weight', dtype: 'float32', shape: reference.shape, data }]);
      const common = { backend, signal: AbortSignal.timeout(60_000), cache: null };
      const packed = await audit({ path: pathOf('awq'), ...common });
      const plain = await audit({ path: dense, ...common });
      assert.deepEqual(packed.layers, plain.layers);
      assert.equal(packed.checkpoint.parameters, plain.checkpoint.parameters);
      assert.deepEqual(
        packed.skipped.map(({ name, reason }) => [name, reason]),
        ['fc.qweight', 'fc.qzeros', 'fc.scales'].map((name) => [
          name,
          'quantisation: part of a packed weight',
        ]),
      );
    } finally {
      await backend.dispose();
    }
  });
});

/** A tensor of zeros, or of given bytes. */
function zeros(
  name: string,
  dtype: TensorToWrite['dtype'],
  shape: readonly number[],
  data?: Uint8Array,
): TensorToWrite {
  const bytes =
    elementCount(shape) * (dtype === 'int64' ? 8 : dtype.endsWith('32') ? 4 : dtype.endsWith('16') ? 2 : 1);
  return { name, dtype, shape, data: data ?? new Uint8Array(bytes) };
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

let made = 0;

/** A checkpoint in a folder of its own, with files beside it. */
async function opened(
  tensors: readonly TensorToWrite[],
  beside: Readonly<Record<string, string>> = {},
): Promise<Checkpoint> {
  const folder = path.join(scratch.folder, `case${made++}`);
  mkdirSync(folder);
  for (const [name, content] of Object.entries(beside)) writeFileSync(path.join(folder, name), content);
  const file = path.join(folder, 'model.safetensors');
  await writeSafetensors(file, tensors);
  return openCheckpoint(file);
}

describe('packed weights in other surroundings', () => {
  it('in shards, with scales in another one and the configuration beside them', async () => {
    const folder = path.join(scratch.folder, 'shards');
    mkdirSync(folder);
    const [one, two] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    await writeSafetensors(path.join(folder, one), [
      zeros(
        'a.qweight',
        'int32',
        [4, 8],
        new Uint8Array(Uint32Array.from({ length: 32 }, () => 0x33333333).buffer),
      ),
      zeros('a.qzeros', 'int32', [2, 1], new Uint8Array(Uint32Array.of(0x11111111, 0x22222222).buffer)),
    ]);
    const scales = Float32Array.from({ length: 16 }, () => 0.5);
    await writeSafetensors(path.join(folder, two), [
      zeros('a.scales', 'float32', [2, 8], new Uint8Array(scales.buffer)),
    ]);
    const weightMap = { 'a.qweight': one, 'a.qzeros': one, 'a.scales': two };
    writeFileSync(
      path.join(folder, 'model.safetensors.index.json'),
      JSON.stringify({ weight_map: weightMap }),
    );
    const configuration = { quant_method: 'gptq', checkpoint_format: 'gptq_v2' };
    writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ quantization_config: configuration }));
    const checkpoint = await openCheckpoint(folder);
    const weight = tensorOf(checkpoint, 'a.weight');
    const values = await valuesOf(weight);
    assert.deepEqual([values[0], values[15], values[16], values[255]], [1, 1, 0.5, 0.5]);
    assert.deepEqual(
      checkpoint.tensors.map(({ name, role }) => [name, role]),
      [
        ['a.weight', 'model'],
        ['a.qweight', 'packed'],
        ['a.qzeros', 'packed'],
        ['a.scales', 'packed'],
      ],
    );
  });

  it('in a compressed NumPy archive', async () => {
    const scales = Buffer.from(Float32Array.of(2, 4).buffer);
    const array = (descr: string, shape: string, data: Uint8Array): Buffer => {
      const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`.padEnd(117) + '\n';
      const start = Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1');
      return Buffer.concat([start, Buffer.from(header), data]);
    };
    const file = scratch.write(
      'int8.npz',
      zip([
        { name: 'fc.weight.npy', data: array('|i1', '(2, 2)', Uint8Array.of(1, 254, 127, 4)), deflate: true },
        { name: 'fc.SCB.npy', data: array('<f4', '(2,)', scales), deflate: true },
      ]),
    );
    const checkpoint = await openCheckpoint(file);
    assertClose(await valuesOf(tensorOf(checkpoint, 'fc.weight')), [2 / 127, -4 / 127, 4, 16 / 127], 'npz');
  });

  it('a dense model of them is written unpacked, without their parts', async () => {
    const checkpoint = await openCheckpoint(pathOf('gptq_4bit'));
    const { path: target, note } = denseTarget(checkpoint, path.join(scratch.folder, 'dense-gptq'));
    assert.match(note ?? '', /unpacked/);
    const staged = new StagedFiles();
    await writeDense(checkpoint, new Map(), target, staged, AbortSignal.timeout(60_000));
    await staged.commit();
    const written = await openCheckpoint(target);
    assert.deepEqual(written.tensors.map(({ name, dtype, role }) => [name, dtype, role]).sort(), [
      ['model.fc.bias', 'float16', 'model'],
      ['model.fc.weight', 'float32', 'model'],
    ]);
    const name = 'model.fc.weight';
    assert.deepEqual(await valuesOf(tensorOf(written, name)), await valuesOf(tensorOf(checkpoint, name)));
  });

  it('keys of a stack of many experts stay short enough', async () => {
    const experts = 128;
    const checkpoint = await opened([
      zeros('mlp.experts.down_proj_blocks', 'uint8', [experts, 2, 1, 16]),
      zeros('mlp.experts.down_proj_scales', 'uint8', [experts, 2, 1]),
    ]);
    const key = identityKey(tensorOf(checkpoint, 'mlp.experts.down_proj'));
    assert.ok(key.length < 5000 * experts, `${key.length} characters`);
  });
});

describe('packed weights that do not fit together stay as they are', () => {
  const gptq = (changed: Partial<Record<string, TensorToWrite | 'none'>> = {}): TensorToWrite[] =>
    [
      zeros('fc.qweight', 'int32', [4, 8]),
      zeros('fc.qzeros', 'int32', [2, 1]),
      zeros('fc.scales', 'float16', [2, 8]),
      zeros('fc.g_idx', 'int32', [32]),
    ].flatMap((tensor) => {
      const change = changed[tensor.name.slice(3)];
      return change === 'none' ? [] : [change ?? tensor];
    });
  const v2 = {
    'config.json': '{"quantization_config":{"quant_method":"gptq","checkpoint_format":"gptq_v2"}}',
  };
  const state = (json: string): TensorToWrite[] => [
    zeros('fc.weight', 'uint8', [32, 1]),
    zeros('fc.weight.absmax', 'float32', [1]),
    zeros('fc.weight.quant_map', 'float32', [16]),
    zeros('fc.weight.quant_state.bitsandbytes__nf4', 'uint8', [text(json).length], text(json)),
  ];
  const packedTensors = (shape: readonly bigint[], more: readonly TensorToWrite[] = []): TensorToWrite[] => [
    zeros('fc.weight_packed', 'int32', [4, 4]),
    zeros('fc.weight_scale', 'float32', [4, 2]),
    zeros('fc.weight_shape', 'int64', [shape.length], new Uint8Array(BigInt64Array.from(shape).buffer)),
    ...more,
  ];

  const cases: readonly (readonly [
    string,
    readonly TensorToWrite[],
    Readonly<Record<string, string>>,
    RegExp,
  ])[] = [
    ['no scales at all', [zeros('fc.qweight', 'int32', [4, 8]), zeros('x.scale', 'float32', [2])], {}, /^$/],
    ['no zero points', gptq({ qzeros: 'none' }), {}, /without a tensor qzeros/],
    [
      'zero points of two bits and a half',
      gptq({ qzeros: zeros('fc.qzeros', 'int32', [2, 3]) }),
      {},
      /of 12 bits/,
    ],
    [
      'zero points of other groups',
      gptq({ qzeros: zeros('fc.qzeros', 'int32', [3, 1]) }),
      {},
      /qzeros of shape/,
    ],
    [
      'an index of other inputs',
      gptq({ g_idx: zeros('fc.g_idx', 'int32', [31]) }),
      {},
      /g_idx of shape \[31\]/,
    ],
    [
      'an index of other numbers',
      gptq({ g_idx: zeros('fc.g_idx', 'int64', [32]) }),
      {},
      /g_idx of type int64/,
    ],
    [
      'scales of whole numbers',
      gptq({ scales: zeros('fc.scales', 'int8', [2, 8]) }),
      {},
      /scales of type int8/,
    ],
    ['no scale', gptq({ scales: zeros('fc.scales', 'float16', [0, 8]) }), {}, /scales of shape \[0, 8\]/],
    [
      'values that are no words',
      gptq({ qweight: zeros('fc.qweight', 'int8', [4, 8]) }),
      {},
      /qweight of type int8/,
    ],
    ['an axis too many', gptq({ qweight: zeros('fc.qweight', 'int32', [4, 8, 1]) }), {}, /qweight of shape/],
    [
      'an unknown format',
      gptq(),
      { 'config.json': v2['config.json'].replace('gptq_v2', 'marlin') },
      /"marlin"/,
    ],
    ['another method', gptq(), { 'quantize_config.json': '{"quant_method":"hqq"}' }, /made with "hqq"/],
    [
      'the weight beside it',
      [...gptq(), zeros('fc.weight', 'float32', [8, 32])],
      {},
      /beside fc\.weight itself/,
    ],
    [
      'more groups than inputs',
      [
        zeros('fc.qweight', 'int32', [4, 8]),
        zeros('fc.qzeros', 'int32', [33, 1]),
        zeros('fc.scales', 'float16', [33, 8]),
      ],
      {},
      /33 groups for 32 inputs/,
    ],
    [
      'an AWQ arrangement of another kind',
      [
        zeros('fc.qweight', 'int32', [8, 1]),
        zeros('fc.qzeros', 'int32', [1, 1]),
        zeros('fc.scales', 'float16', [1, 8]),
      ],
      { 'config.json': '{"quantization_config":{"quant_method":"awq","version":"GEMV"}}' },
      /"gemv"/,
    ],
    [
      'AWQ scales that do not fit',
      [
        zeros('fc.qweight', 'int32', [8, 1]),
        zeros('fc.qzeros', 'int32', [1, 1]),
        zeros('fc.scales', 'float16', [1, 9]),
      ],
      {},
      /scales of shape \[1, 9\]/,
    ],
    ['a state without an end', state('{"shape": [8, 8], "blocksize": 64'), {}, /JSON/],
    ['a state that is no object', state('[1]'), {}, /JSON: no object/],
    ['a state without a shape', state('{"blocksize": 64}'), {}, /no shape/],
    ['a shape of 2⁵³', state('{"shape": [9007199254740993, 8], "blocksize": 64}'), {}, /size/],
    ['a shape below 0', state('{"shape": [-8, -8], "blocksize": 64}'), {}, /a size of -8/],
    ['a shape of other values', state('{"shape": [8, 9], "blocksize": 64}'), {}, /not of its bytes/],
    ['blocks of 0', state('{"shape": [8, 8], "blocksize": 0}'), {}, /block size/],
    ['blocks of 7', state('{"shape": [8, 8], "blocksize": 7}'), {}, /block size/],
    ['blocks of other sizes', state('{"shape": [8, 8], "blocksize": 32}'), {}, /absmax of shape/],
    [
      'nested without its parts',
      state('{"shape":[8,8],"blocksize":64,"nested_blocksize":256,"nested_offset":0}'),
      {},
      /absmax of type/,
    ],
    [
      'nested without an offset',
      state('{"shape":[8,8],"blocksize":64,"nested_blocksize":256}'),
      {},
      /offset/,
    ],
    ['a state of nesting', state(`${'['.repeat(2000)}${']'.repeat(2000)}`), {}, /nested deeper/],
    [
      'a state of 5 kB',
      state(`{"shape": [8, 8], "x": "${'x'.repeat(5000)}"}`),
      {},
      /settings of 50\d\d bytes/,
    ],
    [
      'int8 with SCB of other rows',
      [zeros('fc.weight', 'int8', [8, 8]), zeros('fc.SCB', 'float32', [7])],
      {},
      /SCB/,
    ],
    [
      'int8 in an arrangement',
      [
        zeros('fc.weight', 'int8', [8, 8]),
        zeros('fc.SCB', 'float32', [8]),
        zeros('fc.weight_format', 'uint8', [], Uint8Array.of(2)),
      ],
      {},
      /arrangement/,
    ],
    ['a shape of other rows', packedTensors([5n, 32n]), {}, /5 × 32 for 4 rows/],
    ['a shape beyond numbers', packedTensors([4n, 2n ** 63n - 1n]), {}, /for 4 rows/],
    ['a shape of no columns', packedTensors([4n, 0n]), {}, /for 4 rows/],
    ['a shape of 3 axes', packedTensors([4n, 32n, 1n]), {}, /weight_shape of shape/],
    ['columns that fit no bits', packedTensors([4n, 3n]), {}, /4 words for 3 columns/],
    [
      'an index of other columns',
      packedTensors([4n, 32n], [zeros('fc.weight_g_idx', 'int32', [8])]),
      {},
      /weight_g_idx of shape/,
    ],
    [
      'float8 with scales that fit no blocks',
      [zeros('fc.weight', 'float8_e4m3fn', [256, 256]), zeros('fc.weight_scale_inv', 'float32', [2, 3])],
      {},
      /scales of shape \[2, 3\]/,
    ],
    [
      'float8 without a scale',
      [zeros('fc.weight', 'float8_e4m3fn', [4, 4]), zeros('fc.weight_scale_inv', 'float32', [0, 0])],
      {},
      /scales of shape \[0, 0\]/,
    ],
    [
      'float8 whose blocks are not those of the configuration',
      [zeros('fc.weight', 'float8_e4m3fn', [256, 256]), zeros('fc.weight_scale_inv', 'float32', [2, 2])],
      { 'config.json': '{"quantization_config":{"weight_block_size":[64,64]}}' },
      /scales of shape \[2, 2\]/,
    ],
    [
      'MXFP4 blocks of other sizes',
      [zeros('e.w_blocks', 'uint8', [2, 4, 1, 8]), zeros('e.w_scales', 'uint8', [2, 4, 1])],
      {},
      /blocks of shape/,
    ],
    [
      'MXFP4 scales of other sizes',
      [zeros('e.w_blocks', 'uint8', [2, 4, 1, 16]), zeros('e.w_scales', 'uint8', [2, 4, 2])],
      {},
      /w_scales of shape/,
    ],
    [
      'a stack of a hundred thousand',
      [zeros('e.w_blocks', 'uint8', [100_000, 1, 1, 16]), zeros('e.w_scales', 'uint8', [100_000, 1, 1])],
      {},
      /stack of 100000/,
    ],
    [
      'MLX without a configuration',
      [
        zeros('fc.weight', 'uint32', [4, 16]),
        zeros('fc.scales', 'float16', [4, 2]),
        zeros('fc.biases', 'float16', [4, 2]),
      ],
      {},
      /8 bits in groups of 32 or 4 bits in groups of 64 or 2 bits in groups of 128: only a config\.json/,
    ],
    [
      'MLX that its configuration does not fit',
      [
        zeros('fc.weight', 'uint32', [4, 16]),
        zeros('fc.scales', 'float16', [4, 2]),
        zeros('fc.biases', 'float16', [4, 2]),
      ],
      { 'config.json': '{"quantization":{"bits":3,"group_size":64}}' },
      /not what the configuration says/,
    ],
    [
      'MLX without scales',
      [
        zeros('fc.weight', 'uint32', [4, 16]),
        zeros('fc.scales', 'float16', [4, 0]),
        zeros('fc.biases', 'float16', [4, 0]),
      ],
      { 'config.json': '{"quantization":{"bits":4,"group_size":64}}' },
      /weight of shape/,
    ],
  ];
  for (const [name, tensors, beside, reason] of cases) {
    it(name, async () => {
      const checkpoint = await opened(tensors, beside);
      assert.deepEqual(
        checkpoint.tensors.map((tensor) => [tensor.name, tensor.dtype, tensor.role]),
        tensors.map((tensor) => [tensor.name, tensor.dtype, 'model']),
      );
      assert.match(checkpoint.notes.join('\n'), reason);
      const { layers, skipped } = listLayers(checkpoint);
      const accounted = new Set([...layers, ...skipped].map((one) => one.name.replace(/\[\d+\]$/, '')));
      assert.deepEqual([...accounted].sort(), tensors.map((tensor) => tensor.name).sort());
    });
  }

  it('unambiguous MLX needs no configuration', async () => {
    const checkpoint = await opened([
      zeros('fc.weight', 'uint32', [4, 6]),
      zeros('fc.scales', 'bfloat16', [4, 2]),
      zeros('fc.biases', 'bfloat16', [4, 2]),
    ]);
    assert.deepEqual(tensorOf(checkpoint, 'fc.weight').shape, [4, 64]);
  });

  it("DeepSeek-V3's blocks need no configuration, at the edges neither", async () => {
    const checkpoint = await opened([
      zeros('fc.weight', 'float8_e4m3fn', [576, 200], new Uint8Array(576 * 200).fill(0x38)),
      zeros(
        'fc.weight_scale_inv',
        'float32',
        [5, 2],
        new Uint8Array(Float32Array.from({ length: 10 }, (_, i) => i).buffer),
      ),
    ]);
    const values = await valuesOf(tensorOf(checkpoint, 'fc.weight'));
    assert.deepEqual([values[0], values[199], values[128 * 200], values[575 * 200 + 199]], [0, 1, 2, 9]);
  });

  it('a configuration that cannot be used counts as none, and a note says so', async () => {
    for (const [content, told] of [
      ['{', /config\.json.*JSON/],
      ['[[', /config\.json.*JSON/],
      [
        '{"quantization_config": {"quant_method": 7, "group_size": null, "weight_block_size": "x"}}',
        undefined,
      ],
      ['{"quantization_config": null}', undefined],
      ['{"__proto__": {"quantization_config": {"quant_method": "hqq"}}}', undefined],
      [`{"a":${'['.repeat(100_000)}`, /nested deeper/],
    ] as const) {
      const checkpoint = await opened(gptq(), { 'config.json': content });
      assert.equal(tensorOf(checkpoint, 'fc.weight').role, 'model', content.slice(0, 80));
      if (told !== undefined) assert.match(checkpoint.notes.join('\n'), told);
    }
  });

  it('a configuration of a gigabyte is not read', async () => {
    const folder = path.join(scratch.folder, 'huge');
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'config.json'), '{}');
    truncateSync(path.join(folder, 'config.json'), 2 ** 30);
    const file = path.join(folder, 'model.safetensors');
    await writeSafetensors(file, gptq());
    const checkpoint = await openCheckpoint(file);
    assert.match(checkpoint.notes.join('\n'), /a configuration of 1073741824 bytes is not read/);
    assert.equal(tensorOf(checkpoint, 'fc.weight').role, 'model');
  });

  it('a group that is none of the weight is an error of that weight alone', async () => {
    for (const group of [2, -1, 2 ** 31 - 1]) {
      const indices = new Uint8Array(
        Int32Array.from({ length: 32 }, (_, i) => (i === 31 ? group : 0)).buffer,
      );
      const checkpoint = await opened(gptq({ g_idx: zeros('fc.g_idx', 'int32', [32], indices) }));
      const tensor = tensorOf(checkpoint, 'fc.weight');
      await assert.rejects(readTensorBytes(tensor), (error) => {
        assert.ok(error instanceof CheckpointError);
        assert.match(
          error.message,
          new RegExp(`model\\.safetensors, tensor "fc\\.weight": group ${group} of 2`),
        );
        return true;
      });
    }
  });

  it('only a few of many forms are told', async () => {
    const many = Array.from({ length: 20 }, (_, i) => {
      const inputs = 8 * (i + 1);
      return [
        zeros(`l${i}.qweight`, 'int32', [inputs / 8, 8]),
        zeros(`l${i}.qzeros`, 'int32', [2, 1]),
        zeros(`l${i}.scales`, 'float16', [2, 8]),
      ];
    }).flat();
    const { notes } = await opened(many);
    assert.equal(notes.length, 9);
    assert.equal(notes[8], 'and 12 weights in 12 other ways');
  });
});

describe('decoders refuse sources that do not fit', () => {
  const none = new Uint8Array();
  const decoders: readonly Decoder[] = [
    {
      kind: 'gptq',
      bits: 4,
      inputs: 8,
      outputs: 8,
      groups: 1,
      groupSize: 8,
      zeroShift: 1,
      scales: 'float16',
    },
    { kind: 'awq', inputs: 8, outputs: 8, groups: 1, groupSize: 8, scales: 'float16' },
    {
      kind: 'mlx-affine',
      bits: 4,
      rows: 2,
      columns: 32,
      groupSize: 32,
      scales: 'float32',
      biases: 'float32',
    },
    {
      kind: 'pack-quantized',
      ...{
        bits: 4,
        rows: 2,
        columns: 8,
        groups: 1,
        groupSize: 8,
        scales: 'float32',
        zeros: 'packed',
        indexed: true,
      },
    },
    { kind: 'bitsandbytes-4bit', elements: 8, blockSize: 64, nested: { blockSize: 256, offset: 0 } },
    {
      kind: 'block-scaled',
      stored: 'int8',
      ...{ rows: 2, columns: 2, blockRows: 1, blockColumns: 2, scales: 'float32', divisor: 1, zeros: 'int8' },
    },
    { kind: 'mxfp4', rows: 2, columns: 32, transposed: true },
  ];
  for (const decoder of decoders) {
    it(decoder.kind, () => {
      for (const sources of [[], [none, none, none, none, none]]) {
        assert.throws(() => decode(decoder, sources, 256), CheckpointError);
      }
    });
  }

  it('reads magnitudes that are quantised in several blocks', () => {
    const elements = 6;
    const table = Float32Array.from({ length: 16 }, (_, i) => i);
    const nestedTable = Float32Array.from({ length: 256 }, (_, i) => i / 2);
    const sources = [
      Uint8Array.of(0x12, 0x34, 0x56),
      new Uint8Array(table.buffer),
      Uint8Array.of(2, 4, 6),
      new Uint8Array(nestedTable.buffer),
      new Uint8Array(Float32Array.of(1, 10).buffer),
    ];
    const bytes = decode(
      { kind: 'bitsandbytes-4bit', elements, blockSize: 2, nested: { blockSize: 2, offset: 0.5 } },
      sources,
      4 * elements,
    );
    assert.deepEqual(Array.from(decodeElements(bytes, 'float32')), [1.5, 3, 7.5, 10, 5 * 30.5, 6 * 30.5]);
  });
});
