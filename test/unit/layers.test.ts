import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type {
  Checkpoint,
  ModuleHint,
  Tensor,
  TensorRole,
  UnreadableTensor,
} from '../../src/checkpoint/checkpoint';
import { elementCount } from '../../src/checkpoint/checkpoint';
import { bytesPerElement, type DType } from '../../src/checkpoint/dtype';
import {
  listLayers,
  modelParameters,
  overlappingTensors,
  type Layer,
  type LayerOptions,
} from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { readTensorBytes } from '../../src/checkpoint/tensorData';
import { ROOT } from '../reference/references';

interface Declared {
  readonly dtype?: DType;
  readonly module?: ModuleHint;
  readonly role?: TensorRole;
  /** Lies where this other tensor lies. */
  readonly at?: string;
  readonly layout?: Tensor['layout'];
}
type Declaration = readonly [name: string, shape: readonly number[], more?: Declared];

/** A checkpoint of these tensors, one after another in a file. */
function checkpoint(declarations: readonly Declaration[], unreadable: UnreadableTensor[] = []): Checkpoint {
  const tensors: Tensor[] = [];
  let offset = 0;
  for (const [name, shape, more = {}] of declarations) {
    const dtype = more.dtype ?? 'float32';
    const byteLength = elementCount(shape) * bytesPerElement(dtype);
    const shared = tensors.find((t) => t.name === more.at);
    tensors.push({
      name,
      shape,
      dtype,
      storage: shared?.storage ?? { encoding: 'raw', path: 'model', offset, byteLength },
      role: more.role ?? 'model',
      ...(more.module && { module: more.module }),
      ...(more.layout && { layout: more.layout }),
    });
    offset += byteLength;
  }
  return { path: 'model', format: 'test', files: ['model'], bytes: offset, tensors, unreadable, notes: [] };
}

/** Layers by name, after checking that every tensor is accounted for exactly once. */
function account(declarations: readonly Declaration[], options?: LayerOptions) {
  const list = listLayers(checkpoint(declarations), options);
  const accounted = [
    ...new Set(list.layers.map((layer) => layer.tensor.name)),
    ...list.skipped.map(({ name }) => name),
  ];
  assert.deepEqual(accounted.sort(), declarations.map(([name]) => name).sort());
  const layers = new Map(list.layers.map((layer) => [layer.name, layer]));
  return {
    brief: Object.fromEntries(list.layers.map((l) => [l.name, `${l.kind} ${l.shape.join('×')}`])),
    layer: (name: string): Layer => {
      const layer = layers.get(name);
      assert.ok(layer, `no layer ${name}`);
      return layer;
    },
    /** Class of the reason each tensor is skipped for. */
    skipped: Object.fromEntries(list.skipped.map(({ name, reason }) => [name, reason.split(':')[0]])),
  };
}

const batchNorm = (name: string, channels: number): Declaration[] => [
  [`${name}.weight`, [channels]],
  [`${name}.bias`, [channels]],
  [`${name}.running_mean`, [channels]],
  [`${name}.running_var`, [channels]],
  [`${name}.num_batches_tracked`, [], { dtype: 'int64' }],
];

describe('ResNet-18 (torchvision)', () => {
  const resnet: Declaration[] = [
    ['conv1.weight', [64, 3, 7, 7]],
    ...batchNorm('bn1', 64),
    ['layer1.0.conv1.weight', [64, 64, 3, 3]],
    ...batchNorm('layer1.0.bn1', 64),
    ['layer2.0.downsample.0.weight', [128, 64, 1, 1]],
    ...batchNorm('layer2.0.downsample.1', 128),
    ['fc.weight', [1000, 512]],
    ['fc.bias', [1000]],
  ];
  it('lists convolutions over flattened patches and the linear head', () => {
    assert.deepEqual(account(resnet).brief, {
      'conv1.weight': 'conv 64×147',
      'layer1.0.conv1.weight': 'conv 64×576',
      'layer2.0.downsample.0.weight': 'conv 128×64',
      'fc.weight': 'linear 1000×512',
    });
  });
  it('skips normalisation, statistics and biases, each for its reason', () => {
    const { skipped } = account(resnet);
    assert.equal(skipped['bn1.weight'], 'norm');
    assert.equal(skipped['bn1.bias'], 'norm');
    assert.equal(skipped['bn1.running_mean'], 'running statistics');
    assert.equal(skipped['bn1.num_batches_tracked'], 'counter');
    assert.equal(skipped['layer2.0.downsample.1.weight'], 'norm');
    assert.equal(skipped['layer2.0.downsample.1.bias'], 'norm');
    assert.equal(skipped['fc.bias'], 'bias');
  });
  it('counts trained parameters only', () => {
    const convolutions = 64 * 147 + 64 * 576 + 128 * 64;
    const norms = 2 * (64 + 64 + 128);
    assert.equal(modelParameters(checkpoint(resnet)), convolutions + norms + 1000 * 513);
  });
});

describe('depthwise convolutions', () => {
  it('MobileNetV2: one input channel a group after a layer that makes those channels', () => {
    const { layer } = account([
      ['features.0.0.weight', [32, 3, 3, 3]],
      ['features.1.conv.0.0.weight', [32, 1, 3, 3]],
      ['features.1.conv.1.weight', [16, 32, 1, 1]],
      ['features.2.conv.0.0.weight', [96, 16, 1, 1]],
      ['features.2.conv.1.0.weight', [96, 1, 3, 3]],
    ]);
    const depthwise = layer('features.1.conv.0.0.weight');
    assert.equal(depthwise.groups, 32);
    assert.equal(depthwise.trivialRank, true);
    assert.deepEqual(depthwise.shape, [1, 9]);
    assert.deepEqual(depthwise.matrices[31], { offset: 31 * 9, rows: 1, columns: 9, rowStride: 9 });
    assert.equal(depthwise.parameters, 288);
    assert.equal(layer('features.2.conv.1.0.weight').groups, 96);
    assert.equal(layer('features.1.conv.1.weight').trivialRank, undefined);
  });
  it('with a channel multiplier: groups are the channels it takes', () => {
    const { layer } = account([
      ['a.weight', [24, 3, 3, 3]],
      ['b.weight', [48, 1, 3, 3]],
    ]);
    assert.equal(layer('b.weight').groups, 24);
    assert.deepEqual(layer('b.weight').shape, [2, 9]);
  });
  it('a first convolution of a one-channel input is none (LeNet on MNIST, Silero VAD)', () => {
    const { layer } = account([
      ['stft_conv.weight', [258, 1, 256]],
      ['conv1.weight', [128, 129, 3]],
    ]);
    assert.deepEqual(layer('stft_conv.weight').shape, [258, 256]);
    assert.equal(layer('stft_conv.weight').groups, undefined);
  });
  it('named as such, in a file sorted by name (timm MobileNetV3 in safetensors)', () => {
    const { layer } = account([
      ['blocks.0.0.conv_dw.weight', [16, 1, 3, 3]],
      ['conv_stem.weight', [16, 3, 3, 3]],
    ]);
    assert.equal(layer('blocks.0.0.conv_dw.weight').groups, 16);
    assert.equal(layer('conv_stem.weight').groups, undefined);
  });
});

describe('grouped convolutions', () => {
  it('are known from the file (a pickled module)', () => {
    const { layer } = account([
      ['conv.weight', [8, 2, 3, 3], { module: { type: 'torch.nn.modules.conv.Conv2d', groups: 4 } }],
    ]);
    assert.equal(layer('conv.weight').groups, 4);
    assert.deepEqual(layer('conv.weight').shape, [2, 18]);
    assert.equal(layer('conv.weight').trivialRank, undefined);
    assert.deepEqual(layer('conv.weight').matrices[3], { offset: 108, rows: 2, columns: 18, rowStride: 18 });
  });
  it('are declared by the user (ResNeXt-50 32×4d)', () => {
    const { layer } = account(
      [
        ['layer1.0.conv1.weight', [128, 64, 1, 1]],
        ['layer1.0.conv2.weight', [128, 4, 3, 3]],
      ],
      { groups: [{ pattern: /conv2\.weight$/, groups: 32 }] },
    );
    assert.equal(layer('layer1.0.conv2.weight').groups, 32);
    assert.deepEqual(layer('layer1.0.conv2.weight').shape, [4, 36]);
    assert.equal(layer('layer1.0.conv1.weight').groups, undefined);
  });
  it('that cannot be are refused by name', () => {
    assert.throws(
      () => account([['conv.weight', [10, 4, 3, 3]]], { groups: [{ pattern: /conv/, groups: 3 }] }),
      /tensor "conv\.weight": 3 groups do not divide 10 channels/,
    );
  });
  it('stated impossibly by the file are not believed', () => {
    const hint: ModuleHint = { type: 'Conv2d', groups: 3 };
    const { layer } = account([['conv.weight', [10, 4, 3, 3], { module: hint }]]);
    assert.deepEqual(layer('conv.weight').shape, [10, 36]);
  });
});

describe('transposed convolutions are out·kh·kw × in', () => {
  const shape = [64, 16, 4, 4];
  it('known from the file', () => {
    const module: ModuleHint = { type: 'ConvTranspose2d', groups: 1 };
    const { layer } = account([['main.0.weight', shape, { module }]]);
    assert.deepEqual(layer('main.0.weight').shape, [256, 64]);
    assert.deepEqual(layer('main.0.weight').matrices, [
      { offset: 0, rows: 64, columns: 256, rowStride: 256 },
    ]);
  });
  it('known by name: deconv, U-Net up, HiFi-GAN ups', () => {
    const { brief } = account([
      ['deconv1.weight', [64, 16, 3, 3]],
      ['up1.up.weight', [64, 16, 2, 2]],
      ['generator.ups.0.weight', [64, 16, 16]],
    ]);
    assert.deepEqual(Object.values(brief), ['conv 144×64', 'conv 64×64', 'conv 256×64']);
  });
  it('are not suspected in plain convolutions of an upsampling path', () => {
    const { brief } = account([
      ['up1.conv.double_conv.0.weight', [64, 128, 3, 3]],
      ['upconv1.weight', [64, 64, 3, 3]],
      ['deconv1.weight', [64, 32, 4, 4], { module: { type: 'Conv2d', groups: 1 } }],
    ]);
    assert.deepEqual(Object.values(brief), ['conv 64×1152', 'conv 64×576', 'conv 64×512']);
  });
});

describe('GPT-2 (transformers: linear layers stored in × out)', () => {
  const d = 768;
  const gpt2: Declaration[] = [
    ['transformer.wte.weight', [50257, d]],
    ['transformer.wpe.weight', [1024, d]],
    ['transformer.h.0.ln_1.weight', [d]],
    ['transformer.h.0.ln_1.bias', [d]],
    ['transformer.h.0.attn.bias', [1, 1, 1024, 1024]],
    ['transformer.h.0.attn.masked_bias', []],
    ['transformer.h.0.attn.c_attn.weight', [d, 3 * d]],
    ['transformer.h.0.attn.c_attn.bias', [3 * d]],
    ['transformer.h.0.attn.c_proj.weight', [d, d]],
    ['transformer.h.0.attn.c_proj.bias', [d]],
    ['transformer.h.0.mlp.c_fc.weight', [d, 4 * d]],
    ['transformer.h.0.mlp.c_proj.weight', [4 * d, d]],
    ['transformer.ln_f.weight', [d]],
    ['lm_head.weight', [50257, d], { at: 'transformer.wte.weight' }],
  ];
  it('reports out × in', () => {
    assert.deepEqual(account(gpt2).brief, {
      'transformer.wte.weight': 'embedding 50257×768',
      'transformer.wpe.weight': 'embedding 1024×768',
      'transformer.h.0.attn.c_attn.weight': 'attention 2304×768',
      'transformer.h.0.attn.c_proj.weight': 'linear 768×768',
      'transformer.h.0.mlp.c_fc.weight': 'linear 3072×768',
      'transformer.h.0.mlp.c_proj.weight': 'linear 768×3072',
      'lm_head.weight': 'linear 50257×768',
    });
  });
  it('splits q, k and v by columns', () => {
    const parts = account(gpt2).layer('transformer.h.0.attn.c_attn.weight').parts;
    assert.deepEqual(parts?.[1], {
      name: 'k',
      shape: [d, d],
      matrices: [{ offset: d, rows: d, columns: d, rowStride: 3 * d }],
    });
  });
  it('skips the causal mask', () => {
    const { skipped } = account(gpt2);
    assert.equal(skipped['transformer.h.0.attn.bias'], 'mask');
    assert.equal(skipped['transformer.h.0.attn.masked_bias'], 'mask');
    assert.equal(skipped['transformer.ln_f.weight'], 'norm');
  });
  it('ties the head to the embedding and counts it once', () => {
    assert.equal(account(gpt2).layer('lm_head.weight').tiedTo, 'transformer.wte.weight');
    const matrices = (50257 + 1024) * d + 3 * d * d + d * d + 8 * d * d;
    assert.equal(modelParameters(checkpoint(gpt2)), matrices + 2 * d + 3 * d + d + d);
  });
});

describe('nanoGPT (the same names, out × in)', () => {
  it('reports as stored and splits q, k and v by rows', () => {
    const { brief, layer, skipped } = account([
      ['transformer.h.0.attn.c_attn.weight', [1152, 384]],
      ['transformer.h.0.attn.bias', [1, 1, 256, 256]],
      ['transformer.h.0.mlp.c_fc.weight', [1536, 384]],
      ['token_embedding_table.weight', [65, 384]],
      ['blocks.0.sa.heads.0.tril', [256, 256]],
    ]);
    assert.deepEqual(brief, {
      'transformer.h.0.attn.c_attn.weight': 'attention 1152×384',
      'transformer.h.0.mlp.c_fc.weight': 'linear 1536×384',
      'token_embedding_table.weight': 'embedding 65×384',
    });
    assert.deepEqual(layer('transformer.h.0.attn.c_attn.weight').parts?.[2]?.matrices, [
      { offset: 2 * 384 * 384, rows: 384, columns: 384, rowStride: 384 },
    ]);
    assert.equal(skipped['blocks.0.sa.heads.0.tril'], 'mask');
  });
});

describe('vision transformers', () => {
  it('timm ViT-B', () => {
    const { brief, layer, skipped } = account([
      ['cls_token', [1, 1, 768]],
      ['pos_embed', [1, 197, 768]],
      ['patch_embed.proj.weight', [768, 3, 16, 16]],
      ['patch_embed.proj.bias', [768]],
      ['blocks.0.norm1.weight', [768]],
      ['blocks.0.attn.qkv.weight', [2304, 768]],
      ['blocks.0.attn.qkv.bias', [2304]],
      ['blocks.0.attn.proj.weight', [768, 768]],
      ['blocks.0.ls1.gamma', [768]],
      ['blocks.0.mlp.fc1.weight', [3072, 768]],
      ['head.weight', [1000, 768]],
    ]);
    assert.deepEqual(brief, {
      pos_embed: 'embedding 197×768',
      'patch_embed.proj.weight': 'conv 768×768',
      'blocks.0.attn.qkv.weight': 'attention 2304×768',
      'blocks.0.attn.proj.weight': 'linear 768×768',
      'blocks.0.mlp.fc1.weight': 'linear 3072×768',
      'head.weight': 'linear 1000×768',
    });
    assert.deepEqual(
      layer('blocks.0.attn.qkv.weight').parts?.map((p) => p.name),
      ['q', 'k', 'v'],
    );
    assert.equal(skipped.cls_token, 'vector');
    assert.equal(skipped['blocks.0.ls1.gamma'], 'vector');
  });
  it('torchvision ViT (in_proj_weight) and a hand-written one (patch_embedding.embed)', () => {
    const block = 'encoder.layers.encoder_layer_0';
    const { brief, skipped } = account([
      ['class_token', [1, 1, 768]],
      ['conv_proj.weight', [768, 3, 16, 16]],
      ['patch_embedding.embed.weight', [64, 3, 4, 4]],
      ['encoder.pos_embedding', [1, 197, 768]],
      [`${block}.self_attention.in_proj_weight`, [2304, 768]],
      [`${block}.self_attention.in_proj_bias`, [2304]],
      [`${block}.self_attention.out_proj.weight`, [768, 768]],
      [`${block}.mlp.0.weight`, [3072, 768]],
    ]);
    assert.deepEqual(brief, {
      'conv_proj.weight': 'conv 768×768',
      'patch_embedding.embed.weight': 'conv 64×48',
      'encoder.pos_embedding': 'embedding 197×768',
      [`${block}.self_attention.in_proj_weight`]: 'attention 2304×768',
      [`${block}.self_attention.out_proj.weight`]: 'linear 768×768',
      [`${block}.mlp.0.weight`]: 'linear 3072×768',
    });
    assert.equal(skipped[`${block}.self_attention.in_proj_bias`], 'bias');
  });
  it('Swin: windows, tables and indices; SAM: a grid of positions', () => {
    const { brief, skipped } = account([
      ['layers.0.blocks.0.attn.relative_position_bias_table', [169, 3]],
      ['layers.0.blocks.0.attn.relative_position_index', [49, 49], { dtype: 'int64' }],
      ['layers.0.blocks.1.attn_mask', [64, 49, 49]],
      ['image_encoder.pos_embed', [1, 64, 64, 1280]],
    ]);
    assert.deepEqual(brief, {
      'layers.0.blocks.0.attn.relative_position_bias_table': 'embedding 169×3',
      'image_encoder.pos_embed': 'embedding 4096×1280',
    });
    assert.equal(skipped['layers.0.blocks.0.attn.relative_position_index'], 'indices');
    assert.equal(skipped['layers.0.blocks.1.attn_mask'], 'mask');
  });
});

describe('large language models', () => {
  it('LLaMA', () => {
    const { brief, skipped } = account([
      ['model.embed_tokens.weight', [32000, 4096], { dtype: 'bfloat16' }],
      ['model.layers.0.self_attn.q_proj.weight', [4096, 4096], { dtype: 'bfloat16' }],
      ['model.layers.0.self_attn.k_proj.weight', [1024, 4096], { dtype: 'bfloat16' }],
      ['model.layers.0.self_attn.rotary_emb.inv_freq', [64]],
      ['model.layers.0.input_layernorm.weight', [4096], { dtype: 'bfloat16' }],
      ['model.layers.0.mlp.down_proj.weight', [4096, 11008], { dtype: 'bfloat16' }],
      ['model.norm.weight', [4096]],
      ['lm_head.weight', [32000, 4096]],
    ]);
    assert.deepEqual(Object.values(brief), [
      'embedding 32000×4096',
      'linear 4096×4096',
      'linear 1024×4096',
      'linear 4096×11008',
      'linear 32000×4096',
    ]);
    assert.equal(skipped['model.layers.0.self_attn.rotary_emb.inv_freq'], 'rotary table');
    assert.equal(skipped['model.layers.0.input_layernorm.weight'], 'norm');
    assert.equal(skipped['model.norm.weight'], 'norm');
  });
  it('Phi-3 medium: 40 query heads share 10 of keys and values, told by the output projection', () => {
    const { layer } = account([
      ['model.layers.0.self_attn.qkv_proj.weight', [7680, 5120]],
      ['model.layers.0.self_attn.o_proj.weight', [5120, 5120]],
    ]);
    assert.deepEqual(
      layer('model.layers.0.self_attn.qkv_proj.weight').parts?.map(({ name, shape }) => [name, ...shape]),
      [
        ['q', 5120, 5120],
        ['k', 1280, 5120],
        ['v', 1280, 5120],
      ],
    );
  });
  it('GPT-NeoX: heads interleave q, k and v, so there are no parts; its output head is no embedding', () => {
    const { brief, layer } = account([
      ['gpt_neox.embed_in.weight', [50432, 512]],
      ['gpt_neox.layers.0.attention.query_key_value.weight', [1536, 512]],
      ['gpt_neox.layers.0.attention.rotary_emb.cos_cached', [2048, 32]],
      ['embed_out.weight', [50432, 512]],
    ]);
    assert.deepEqual(Object.values(brief), ['embedding 50432×512', 'attention 1536×512', 'linear 50432×512']);
    assert.equal(layer('gpt_neox.layers.0.attention.query_key_value.weight').parts, undefined);
  });
  it('Mixtral: one layer an expert, whether listed apart or stacked', () => {
    const apart = account([
      ['model.layers.0.block_sparse_moe.gate.weight', [8, 4096]],
      ['model.layers.0.block_sparse_moe.experts.0.w1.weight', [14336, 4096]],
    ]);
    assert.deepEqual(Object.values(apart.brief), ['linear 8×4096', 'linear 14336×4096']);
    const stacked = account([
      ['model.layers.0.mlp.experts.gate_up_proj', [2, 24, 8]],
      ['model.layers.0.mlp.experts.down_proj', [2, 8, 12]],
    ]);
    assert.deepEqual(stacked.brief, {
      'model.layers.0.mlp.experts.gate_up_proj[0]': 'linear 24×8',
      'model.layers.0.mlp.experts.gate_up_proj[1]': 'linear 24×8',
      'model.layers.0.mlp.experts.down_proj[0]': 'linear 8×12',
      'model.layers.0.mlp.experts.down_proj[1]': 'linear 8×12',
    });
    assert.deepEqual(stacked.layer('model.layers.0.mlp.experts.gate_up_proj[1]').matrices, [
      { offset: 192, rows: 24, columns: 8, rowStride: 8 },
    ]);
  });
  it('gpt-oss: experts stacked in × out, their biases too', () => {
    const { brief, skipped } = account([
      ['model.layers.0.mlp.experts.gate_up_proj', [2, 8, 24]],
      ['model.layers.0.mlp.experts.gate_up_proj_bias', [2, 24]],
      ['model.layers.0.mlp.experts.down_proj', [2, 12, 8]],
    ]);
    assert.equal(brief['model.layers.0.mlp.experts.gate_up_proj[0]'], 'linear 24×8');
    assert.equal(brief['model.layers.0.mlp.experts.down_proj[1]'], 'linear 8×12');
    assert.equal(skipped['model.layers.0.mlp.experts.gate_up_proj_bias'], 'bias');
  });
});

describe("llama.cpp's names (GGUF)", () => {
  it('Llama 3.1, whose rotary factors are no weights', () => {
    const { brief, skipped } = account([
      ['rope_freqs.weight', [64]],
      ['token_embd.weight', [128256, 4096]],
      ['blk.0.attn_norm.weight', [4096]],
      ['blk.0.attn_q.weight', [4096, 4096]],
      ['blk.0.attn_k.weight', [1024, 4096]],
      ['blk.0.attn_output.weight', [4096, 4096]],
      ['blk.0.ffn_down.weight', [4096, 14336]],
      ['output_norm.weight', [4096]],
      ['output.weight', [128256, 4096]],
    ]);
    assert.deepEqual(brief, {
      'token_embd.weight': 'embedding 128256×4096',
      'blk.0.attn_q.weight': 'linear 4096×4096',
      'blk.0.attn_k.weight': 'linear 1024×4096',
      'blk.0.attn_output.weight': 'linear 4096×4096',
      'blk.0.ffn_down.weight': 'linear 4096×14336',
      'output.weight': 'linear 128256×4096',
    });
    assert.equal(skipped['rope_freqs.weight'], 'rotary table');
    assert.equal(skipped['blk.0.attn_norm.weight'], 'norm');
    assert.equal(skipped['output_norm.weight'], 'norm');
  });
  it('Falcon: one head of keys and values beside the queries', () => {
    const { layer } = account([
      ['blk.0.attn_qkv.weight', [4672, 4544]],
      ['blk.0.attn_output.weight', [4544, 4544]],
    ]);
    assert.deepEqual(
      layer('blk.0.attn_qkv.weight').parts?.map(({ name, shape }) => [name, ...shape]),
      [
        ['q', 4544, 4544],
        ['k', 64, 4544],
        ['v', 64, 4544],
      ],
    );
  });
  it('BERT, GPT-2 and T5: positions, types and biases by distance are tables', () => {
    const { brief, skipped } = account([
      ['position_embd.weight', [512, 768]],
      ['token_types.weight', [2, 768]],
      ['token_embd_norm.weight', [768]],
      ['token_embd_norm.bias', [768]],
      ['enc.blk.0.attn_rel_b.weight', [32, 8]],
    ]);
    assert.deepEqual(Object.values(brief), ['embedding 512×768', 'embedding 2×768', 'embedding 32×8']);
    assert.equal(skipped['token_embd_norm.weight'], 'norm');
    assert.equal(skipped['token_embd_norm.bias'], 'norm');
  });
  it('Qwen3-MoE and gpt-oss: stacks of experts, out × in', () => {
    const { brief, layer, skipped } = account([
      ['blk.0.ffn_gate_inp.weight', [2, 8]],
      ['blk.0.ffn_gate_exps.weight', [2, 12, 8]],
      ['blk.0.ffn_gate_exps.bias', [2, 12]],
      ['blk.0.ffn_down_exps.weight', [2, 8, 12]],
      ['blk.0.exp_probs_b.bias', [2]],
    ]);
    assert.deepEqual(brief, {
      'blk.0.ffn_gate_inp.weight': 'linear 2×8',
      'blk.0.ffn_gate_exps.weight[0]': 'linear 12×8',
      'blk.0.ffn_gate_exps.weight[1]': 'linear 12×8',
      'blk.0.ffn_down_exps.weight[0]': 'linear 8×12',
      'blk.0.ffn_down_exps.weight[1]': 'linear 8×12',
    });
    assert.equal(layer('blk.0.ffn_gate_exps.weight[1]').transposed, undefined);
    assert.equal(skipped['blk.0.ffn_gate_exps.bias'], 'bias');
    assert.equal(skipped['blk.0.exp_probs_b.bias'], 'bias');
  });
  it('DeepSeek-V3: heads of kv_b, keys transposed', () => {
    const { layer } = account([
      ['blk.0.attn_k_b.weight', [4, 16, 6]],
      ['blk.0.attn_v_b.weight', [4, 8, 16]],
    ]);
    const keys = layer('blk.0.attn_k_b.weight');
    assert.deepEqual([keys.kind, keys.shape, keys.groups, keys.transposed], ['linear', [6, 16], 4, true]);
    assert.deepEqual(keys.matrices[3], { offset: 3 * 96, rows: 16, columns: 6, rowStride: 6 });
    assert.deepEqual(layer('blk.0.attn_v_b.weight').shape, [32, 16]);
    assert.equal(layer('blk.0.attn_v_b.weight').groups, undefined);
  });
  it('Mamba, LFM2 and RWKV: depthwise kernels without their axis of one channel, mixtures of tokens', () => {
    const { layer, skipped } = account([
      ['blk.0.ssm_conv1d.weight', [64, 4]],
      ['blk.1.shortconv.conv.weight', [32, 3]],
      ['blk.2.time_mix_lerp_fused.weight', [6, 1, 1, 32]],
    ]);
    const conv = layer('blk.0.ssm_conv1d.weight');
    assert.deepEqual([conv.kind, conv.shape, conv.groups, conv.trivialRank], ['conv', [1, 4], 64, true]);
    assert.equal(layer('blk.1.shortconv.conv.weight').groups, 32);
    assert.equal(skipped['blk.2.time_mix_lerp_fused.weight'], 'vector');
  });
});

describe('recurrent layers', () => {
  it('LSTM of a state dict: gates i, f, g, o by rows', () => {
    const { brief, layer, skipped } = account([
      ['lstm.weight_ih_l0', [512, 100]],
      ['lstm.weight_hh_l0', [512, 128]],
      ['lstm.bias_ih_l0', [512]],
      ['lstm.bias_hh_l0', [512]],
    ]);
    assert.deepEqual(Object.values(brief), ['other 512×100', 'other 512×128']);
    const parts = layer('lstm.weight_ih_l0').parts;
    assert.deepEqual(
      parts?.map((p) => p.name),
      ['i', 'f', 'g', 'o'],
    );
    assert.deepEqual(parts[3]?.matrices, [{ offset: 38400, rows: 128, columns: 100, rowStride: 100 }]);
    assert.equal(skipped['lstm.bias_hh_l0'], 'bias');
  });
  it('GRU of a pickled module: gates r, z, n, and its encoder an embedding', () => {
    const gru: ModuleHint = { type: 'GRU' };
    const { brief, layer } = account([
      ['encoder.weight', [100, 50], { module: { type: 'Embedding' } }],
      ['gru.weight_ih_l0', [150, 50], { module: gru }],
      ['gru.weight_hh_l1_reverse', [150, 50], { module: gru }],
      ['decoder.weight', [100, 50], { module: { type: 'Linear' } }],
    ]);
    assert.equal(brief['encoder.weight'], 'embedding 100×50');
    assert.equal(brief['decoder.weight'], 'linear 100×50');
    assert.deepEqual(
      layer('gru.weight_hh_l1_reverse').parts?.map((p) => p.name),
      ['r', 'z', 'n'],
    );
  });
  it('LSTM with a projected state: the hidden size is told by the projection', () => {
    const { layer } = account([
      ['rnn.weight_ih_l0', [64, 10]],
      ['rnn.weight_hh_l0', [64, 4]],
      ['rnn.weight_hr_l0', [4, 16]],
    ]);
    assert.equal(layer('rnn.weight_ih_l0').parts?.length, 4);
    assert.equal(layer('rnn.weight_hr_l0').parts, undefined);
  });
  it('a plain RNN has no gates', () => {
    const { layer } = account([
      ['rnn.weight_ih_l0', [32, 10]],
      ['rnn.weight_hh_l0', [32, 32]],
    ]);
    assert.equal(layer('rnn.weight_ih_l0').parts, undefined);
  });
});

describe('Keras names (kernels stored in × out, kh × kw × in × out)', () => {
  const { brief, layer, skipped } = account([
    ['conv2d/kernel:0', [3, 3, 1, 32]],
    ['conv2d/bias:0', [32]],
    ['depthwise_conv2d/depthwise_kernel:0', [3, 3, 32, 1]],
    ['conv2d_transpose/kernel:0', [2, 2, 16, 32]],
    ['batch_normalization/gamma:0', [32]],
    ['batch_normalization/beta:0', [32]],
    ['batch_normalization/moving_mean:0', [32]],
    ['embedding/embeddings:0', [1000, 64]],
    ['lstm/lstm_cell/kernel:0', [64, 80]],
    ['lstm/lstm_cell/recurrent_kernel:0', [20, 80]],
    ['attention/query/kernel', [64, 4, 16]],
    ['attention/attention_output/kernel', [4, 16, 64]],
    ['dense/kernel:0', [1568, 10]],
  ]);
  it('reports out × in', () => {
    assert.deepEqual(Object.values(brief), [
      'conv 32×9',
      'conv 1×9',
      'conv 64×32',
      'embedding 1000×64',
      'other 80×64',
      'other 80×20',
      'linear 64×64',
      'linear 64×64',
      'linear 10×1568',
    ]);
  });
  it('views depthwise channels and gates as columns', () => {
    const depthwise = layer('depthwise_conv2d/depthwise_kernel:0');
    assert.equal(depthwise.trivialRank, true);
    assert.deepEqual(depthwise.matrices[5], { offset: 5, rows: 9, columns: 1, rowStride: 32 });
    assert.deepEqual(layer('lstm/lstm_cell/kernel:0').parts?.[1], {
      name: 'f',
      shape: [20, 64],
      matrices: [{ offset: 20, rows: 64, columns: 20, rowStride: 80 }],
    });
  });
  it('skips what Keras calls gamma, beta and moving_mean', () => {
    assert.equal(skipped['batch_normalization/gamma:0'], 'norm');
    assert.equal(skipped['batch_normalization/beta:0'], 'norm');
    assert.equal(skipped['batch_normalization/moving_mean:0'], 'running statistics');
  });
});

describe('what is no matrix of real numbers is skipped', () => {
  const cases: readonly [Declaration, string][] = [
    [['loss', []], 'scalar'],
    [['nothing.weight', [0, 4]], 'empty'],
    [['optimizer.state.0.exp_avg', [4, 4], { role: 'optimizer' }], 'optimizer state'],
    [['callbacks.best_model_score', [], { role: 'training' }], 'training state'],
    [['fc.weight', [4, 4], { dtype: 'int8' }], 'quantised'],
    [['fc.qweight', [4, 4], { dtype: 'int32' }], 'quantised'],
    [['table', [4, 4], { dtype: 'int64' }], 'integers'],
    [['keep', [4, 4], { dtype: 'bool' }], 'mask'],
    [['filter', [4, 4], { dtype: 'complex64' }], 'complex'],
    [['conv.weight_g', [4, 1, 1]], 'weight norm'],
    [['norm.weight', [64, 8, 8]], 'norm'],
    [['ln.weight', [8, 8], { module: { type: 'torch.nn.LayerNorm' } }], 'norm'],
    [['act.weight', [64]], 'vector'],
  ];
  for (const [declaration, reason] of cases) {
    it(`${declaration[0]} ${declaration[2]?.dtype ?? ''}: ${reason}`, () => {
      assert.deepEqual(account([declaration]).skipped, { [declaration[0]]: reason });
    });
  }
  it('weights kept in pieces', () => {
    const { skipped } = account([
      ['conv.weight_g', [64, 1, 1]],
      ['conv.weight_v', [64, 32, 3]],
      ['fc.weight_orig', [8, 8]],
      ['fc.weight_mask', [8, 8]],
      ['moe.w.weight', [256, 256], { dtype: 'float8_e4m3fn' }],
      ['moe.w.weight_scale_inv', [2, 2]],
    ]);
    assert.deepEqual(Object.values(skipped), [
      'weight norm',
      'weight norm',
      'pruned',
      'mask',
      'quantised',
      'quantisation',
    ]);
  });
  it('what the reader could not give keeps its own reason', () => {
    const sparse = { name: 'adjacency', shape: [4, 4], dtype: 'float32', reason: 'sparse' };
    assert.deepEqual(listLayers(checkpoint([], [sparse])).skipped, [
      { ...sparse, reason: 'unreadable: sparse' },
    ]);
  });
});

describe('a module whose class is known and is no convolution', () => {
  const weight = (type: string, shape: number[], name = 'net.weight'): string | undefined =>
    account([[name, shape, { module: { type } }]]).brief[name];
  it('nn.Bilinear: outputs × pairs of inputs, whatever its name', () => {
    assert.equal(weight('Bilinear', [5, 3, 2]), 'other 5×6');
    assert.equal(weight('Bilinear', [5, 3, 2], 'moe.experts.weight'), 'other 5×6');
    assert.equal(weight('Bilinear', [5, 3, 7], 'pos_embed.weight'), 'other 5×21');
    assert.equal(account([['bilinear.weight', [5, 3, 2]]]).brief['bilinear.weight'], 'other 5×6');
  });
  it("a class of somebody's own is one by name, or by two kernel axes", () => {
    assert.equal(weight('HeadwiseMap', [8, 16, 4]), 'other 8×64');
    assert.equal(weight('CausalConv1d', [8, 16, 4]), 'conv 8×64');
    assert.equal(weight('StyledLayer', [8, 16, 3, 3]), 'conv 8×144');
    assert.equal(weight('EnsembleLinear', [8, 16, 4]), 'other 8×64');
  });
});

describe('layers of a whole module are the maps that torch computes', () => {
  it('grouped transposed convolution and bilinear layer', async () => {
    const folder = path.join(ROOT, 'test/fixtures');
    const { responses } = JSON.parse(readFileSync(path.join(folder, 'tensors.json'), 'utf8')) as {
      // Written by make_fixtures.py: outputs for each input channel, or pair of inputs, set to 1.
      responses: Readonly<Record<'up' | 'pairs', readonly (readonly number[])[]>>;
    };
    const { layers } = listLayers(await openCheckpoint(path.join(folder, 'zip_transposed_groups.pt')));
    const [up, pairs] = layers;
    assert.ok(up !== undefined && pairs !== undefined && layers.length === 2);
    assert.deepEqual([up.kind, up.groups, up.trivialRank], ['conv', 2, undefined]);
    assert.deepEqual([pairs.kind, pairs.groups], ['other', undefined]);

    // Out × in of a group: 2 of 4 outputs at each of 2 × 3 places, 3 of 6 inputs; stored in × out.
    assert.deepEqual(up.shape, [12, 3]);
    const groups = await matricesOf(up);
    const zeros = new Array<number>(12).fill(0);
    const computed = groups.flatMap((group, g) =>
      group.map((row) => (g === 0 ? [...row, ...zeros] : [...zeros, ...row])),
    );
    assertClose(computed, responses.up);

    assert.deepEqual(pairs.shape, [5, 6]);
    const [whole = []] = await matricesOf(pairs);
    assertClose(
      whole,
      whole.map((row, output) => row.map((_, pair) => responses.pairs[pair]?.[output] ?? NaN)),
    );
  });
});

/** The values that a layer's views show, row by row. */
async function matricesOf(layer: Layer): Promise<number[][][]> {
  const data = await readTensorBytes(layer.tensor);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return layer.matrices.map(({ offset, rows, columns, rowStride }) =>
    Array.from({ length: rows }, (_, i) =>
      Array.from({ length: columns }, (__, j) => view.getFloat32(4 * (offset + i * rowStride + j), true)),
    ),
  );
}

function assertClose(found: readonly (readonly number[])[], expected: readonly (readonly number[])[]): void {
  assert.deepEqual(
    found.map((row) => row.length),
    expected.map((row) => row.length),
  );
  found.forEach((row, i) => {
    row.forEach((value, j) => {
      const difference = Math.abs(value - (expected[i]?.[j] ?? NaN));
      assert.ok(difference < 1e-6, `(${i}, ${j}) differs by ${difference}`);
    });
  });
}

describe('anything else with two axes is a matrix', () => {
  it('first axis × rest', () => {
    const { brief } = account([
      ['tensor', [2, 3, 4]],
      ['arr_0', [5, 6]],
      ['visual.proj', [768, 512]],
      ['alpha.weight', [1, 128]],
      ['LoRA.B', [64, 4]],
      ['weight', [3, 4]],
    ]);
    assert.deepEqual(Object.values(brief), [
      'other 2×12',
      'other 5×6',
      'other 768×512',
      'linear 1×128',
      'other 64×4',
      'linear 3×4',
    ]);
  });
});

describe('shared storages', () => {
  it('another view of the same bytes is not tied', () => {
    const { layer } = account([
      ['a.weight', [4, 6]],
      ['b.weight', [6, 4], { at: 'a.weight', layout: { offset: 0, strides: [1, 6] } }],
      ['c.weight', [4, 6], { at: 'a.weight', layout: { offset: 0, strides: [6, 1] } }],
    ]);
    assert.equal(layer('b.weight').tiedTo, undefined);
    assert.equal(layer('c.weight').tiedTo, 'a.weight');
  });
  it('overlapping views count the elements they cover, expanded ones what they hold', () => {
    const views: Declaration[] = [
      ['whole', [20]],
      ['head', [10], { at: 'whole', layout: { offset: 0, strides: [1] } }],
      ['tail', [10], { at: 'whole', layout: { offset: 10, strides: [1] } }],
      ['expanded', [1000, 3], { layout: { offset: 0, strides: [0, 1] } }],
    ];
    assert.equal(modelParameters(checkpoint(views)), 23);
  });
});

it('a hostile shape does not become a million layers', () => {
  const { layers } = listLayers(
    checkpoint([
      ['experts.w', [1e6, 2, 2], { layout: { offset: 0, strides: [0, 0, 0] } }],
      ['a.weight', [1e6, 3, 1]],
      ['b.weight', [1e6, 1, 1]],
    ]),
  );
  assert.equal(layers.length, 3);
  assert.ok(layers.every(({ matrices }) => matrices.length === 1));
});

describe('overlapping tensors', () => {
  const tensor = (name: string, offset: number, size: number): Tensor => {
    const storage = { encoding: 'raw', path: 'many.pt', offset, byteLength: 4 * size } as const;
    return { name, shape: [size], dtype: 'float32', storage, role: 'model' };
  };
  const of = (tensors: readonly Tensor[]): ReadonlyMap<string, string> => {
    const [path, bytes] = ['many.pt', 4096];
    return overlappingTensors({
      path,
      format: 'test',
      files: [path],
      bytes,
      tensors,
      unreadable: [],
      notes: [],
    });
  };

  it('are told with the name of another that is not the same', () => {
    const found = of([
      tensor('a', 0, 8),
      tensor('tied', 0, 8),
      tensor('part', 16, 4),
      tensor('apart', 64, 4),
    ]);
    assert.deepEqual(Object.fromEntries(found), { a: 'part', tied: 'part', part: 'a' });
  });

  it('are found at once among a hundred thousand names of one tensor', () => {
    const tied = Array.from({ length: 100_000 }, (_, i) => tensor(`w${i}`, 0, 8));
    const before = performance.now();
    assert.equal(of(tied).size, 0);
    assert.equal(of([...tied, tensor('part', 16, 4)]).size, tied.length + 1);
    assert.ok(performance.now() - before < 5000);
  });
});
