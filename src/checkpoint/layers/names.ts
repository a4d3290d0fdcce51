import type { Tensor } from '../checkpoint';

/**
 * What tensor names mean. State dicts carry no types, so a few tables of names stand in for them;
 * each entry says which model forced it. Where a file does know its modules, `Tensor.module` wins over these.
 */

/** A name taken apart: `encoder.layers.0.fc1.weight` has leaf `weight` and parent `fc1`. All lower case. */
export interface NameParts {
  readonly segments: readonly string[];
  /** What the tensor is called inside its module. */
  readonly leaf: string;
  /** The module's own name; empty at the top level. */
  readonly parent: string;
  /** Name as written, up to the module and its separator: siblings share it. */
  readonly prefix: string;
}

/** Splits at `.` (PyTorch) and `/` (Keras, Flax); a TensorFlow variable's `:0` is dropped. */
export function nameParts(name: string): NameParts {
  const cut = Math.max(name.lastIndexOf('.'), name.lastIndexOf('/')) + 1;
  const segments = name.replace(/:\d+$/, '').toLowerCase().split(/[./]/);
  return {
    segments,
    leaf: segments.at(-1) ?? '',
    parent: segments.at(-2) ?? '',
    prefix: name.slice(0, cut),
  };
}

/** What a tensor's name means; a name that is only a number in the file is the library's own. `prefix` stays the file's. */
export function partsOf({ name, module }: Tensor): NameParts {
  const parts = nameParts(name);
  return module?.knownAs === undefined ? parts : { ...nameParts(module.knownAs), prefix: parts.prefix };
}

/** Class name without its path: `torch.nn.modules.conv.Conv2d` is `Conv2d`. */
export function moduleType(tensor: Tensor): string {
  return tensor.module?.type.split('.').at(-1) ?? '';
}

/** Classes of torch.nn that have a weight and are no convolution; lookup tables apart, none is an embedding either. */
const TORCH_CLASSES =
  /^(?:Lazy)?(?:Linear|NonDynamicallyQuantizableLinear|Bilinear|Embedding|EmbeddingBag|PReLU|MultiheadAttention|(?:RNN|LSTM|GRU)(?:Cell|Base)?|(?:Sync)?BatchNorm(?:[123]d)?|InstanceNorm[123]d|LayerNorm|GroupNorm|RMSNorm|AdaptiveLogSoftmaxWithLoss)$/;

/** Whether the file says that a tensor belongs to one of torch.nn's own classes that is no convolution. */
export function isTorchNonConvolution(tensor: Tensor): boolean {
  return TORCH_CLASSES.test(moduleType(tensor));
}

/** Names that a module's matrix goes by; bare parameters (`pos_embed`, `A_log`) are told by their own name instead. */
export const WEIGHT_LEAVES: ReadonlySet<string> = new Set([
  'weight',
  'weight_orig', // spectral_norm and pruning keep the trained weight under this name
  'kernel', // Keras, Flax; stored in × out
  'w', // Haiku; stored in × out
]);

/** Leaves of libraries that compute x·W, so store in × out (and convolutions kh × kw × in × out). */
export const IN_BY_OUT_LEAVES: ReadonlySet<string> = new Set(['kernel', 'w']);

/** Kernels of four axes that are named apart from any module: ggml's SuperPoint, l0_weights (TensorFlow's are `weights`). */
export const BARE_KERNEL = /^\w+_weights$/;

/** Whether the file states that a tensor is the weight of a module, whatever it is called. */
export function isStatedWeight({ module }: Tensor): boolean {
  return module?.order !== undefined;
}

/** Whether a matrix is stored in × out, and a convolution with its channels last: as its file says, else by its name. */
export function isInByOut(tensor: Tensor): boolean {
  const { order } = tensor.module ?? {};
  return order === undefined ? IN_BY_OUT_LEAVES.has(partsOf(tensor).leaf) : order === 'in-out';
}

/** A segment that names a normalisation: norm1, ln_f, bn2, input_layernorm, LayerNorm, final_layer_norm, norm_out, batch_normalization … */
const NORM = /(?:^|_)(?:ln|bn|gn)(?:_?\w+)?$|norm(?:_?\d+)?(?:_[a-z]+)?$|normali[sz]ation/;

export function isNormName(segment: string): boolean {
  return NORM.test(segment);
}

const EMBEDDING: readonly RegExp[] = [
  /embed/, // embed_tokens (LLaMA), word_embeddings (BERT), pos_embed (timm), token_embedding_table (nanoGPT lectures)
  /^(?:wte|wpe)$/, // GPT-2
  /(?:^|_)emb(?:s|_|$)/, // RWKV, UNet label_emb
  /(?:^|_)pos(?:itional)?_?(?:enc|table)/, // DETR-like learned position tables
  /^rel_pos_[hwt]$/, // SAM, MViT
  /relative_attention_bias|relative_position_bias_table/, // T5, Swin
  /(?:^|_)embd(?:_|$)/, // llama.cpp token_embd, position_embd
  /^token_types$|_rel_b$/, // llama.cpp's BERT (rows are types) and T5 (attn_rel_b)
  /^(?:codebook|lookup)s?$/, // VQ-VAE
];

/** Contain "embed" and are no lookup tables. */
const NO_EMBEDDING: readonly RegExp[] = [
  /patch/, // patch_embed as a plain linear layer
  /embed_out/, // GPT-NeoX' output head
  /_to_logits/, // llama.cpp's LFM2-Audio
  /proj|mapping|linear|mlp|_fc/, // ALBERT embedding_hidden_mapping_in, OPT project_in
];

export function isEmbeddingName(segment: string): boolean {
  return EMBEDDING.some((p) => p.test(segment)) && !NO_EMBEDDING.some((p) => p.test(segment));
}

/** Modules that GPT-2 (transformers' `Conv1D`) stores in × out. */
export const GPT2_CONV1D: ReadonlySet<string> = new Set(['c_attn', 'c_fc', 'c_proj', 'q_attn']);

/** q, k and v stacked in one matrix, in this order. */
const FUSED_QKV: readonly RegExp[] = [
  /(?:^|_)qkv(?:_|$)/, // timm qkv, lucidrains to_qkv, Phi-3 qkv_proj, GGUF attn_qkv
  /^wqkv$/, // MPT, ModernBERT
  /^c_attn$/, // GPT-2, nanoGPT
  /^w_pack$/, // Baichuan
];

/** q, k and v interleaved head by head: fused, but no three blocks of rows. */
const INTERLEAVED_QKV = /^query_key_value$/; // GPT-NeoX, BLOOM, Falcon

/** k and v stacked in one matrix. */
const FUSED_KV = /^(?:kv|to_kv|kv_proj|c_kv)$/; // PVT, SegFormer, lucidrains, cross-attention

export type Fusion = 'qkv' | 'interleaved' | 'kv';

export function attentionFusion(leaf: string, parent: string): Fusion | undefined {
  if (leaf === 'in_proj_weight') return 'qkv'; // torch.nn.MultiheadAttention
  if (FUSED_QKV.some((p) => p.test(parent))) return 'qkv';
  if (INTERLEAVED_QKV.test(parent)) return 'interleaved';
  return FUSED_KV.test(parent) ? 'kv' : undefined;
}

/** What the output projection beside a fused qkv is called; its inputs are q's outputs. */
export const OUTPUT_PROJECTIONS = [
  'out_proj.weight', // torch.nn.MultiheadAttention
  'proj.weight', // timm
  'o_proj.weight', // Phi-3
  'to_out.0.weight', // lucidrains
  'to_out.weight',
  'dense.weight',
  'attn_output.weight', // llama.cpp
  'attn_out.weight', // llama.cpp's picture encoders
  'vis_attn_output.weight', // llama.cpp's CogVLM
] as const;

/**
 * One tensor of all experts' matrices: Mixtral and Qwen-MoE `experts.gate_up_proj`, Granite `block_sparse_moe…`,
 * llama.cpp `ffn_gate_exps` and `ffn_up_chexps` (Grove), MLX `switch_mlp.up_proj`.
 */
export function isExpertName({ segments }: NameParts): boolean {
  return segments.some((segment) => /(?:^|_)(?:experts?|moe|(?:ch)?exps)(?:_|$)|^switch_mlp$/.test(segment));
}

/**
 * llama.cpp's halves of DeepSeek's kv_b, a matrix for each head: `attn_k_b` is heads × rank × key, transposed to be
 * multiplied with queries; `attn_v_b` is heads × value × rank.
 */
export function isHeadStackName(parent: string): boolean {
  return /^attn_[kv]_b$/.test(parent);
}

/** llama.cpp's Mamba and LFM2 keep depthwise convolutions without their axis of one channel: channels × kernel. */
export function isFlatDepthwiseName({ segments, parent }: NameParts): boolean {
  return /^ssm_conv1d(?:_[qkv])?$/.test(parent) || (parent === 'conv' && segments.at(-3) === 'shortconv');
}

/** Depthwise convolutions whose name says so: timm conv_dw, ConvNeXt dwconv, Keras depthwise_conv2d. */
export function isDepthwiseName({ leaf, parent }: NameParts): boolean {
  return leaf === 'depthwise_kernel' || /(?:^|_)dw(?:_|$|conv)|depthwise|^dconv$/.test(parent);
}

/** Transposed convolutions whose name says so: DCGAN-likes' deconv1, Keras conv2d_transpose. */
const TRANSPOSED = /deconv|conv\w*_?transpose|conv\w*_?trans(?:_|$)/;
/** U-Net up, HiFi-GAN ups.0: transposed convolutions, or plain ones after a resize. */
const UPSAMPLING = /^up(?:s|conv|_conv|sample|sampler|sampling|scale)?_?\d*$/;

/**
 * Whether a convolution is a transposed one by name. Upsampling modules use either kind: a transposed
 * convolution needs an even kernel to cover its stride evenly, a plain one after a resize is odd.
 */
export function isTransposedName({ segments, parent }: NameParts, kernel: readonly number[]): boolean {
  const module = /^\d+$/.test(parent) ? (segments.at(-3) ?? '') : parent;
  if (TRANSPOSED.test(module)) return true;
  return UPSAMPLING.test(module) && kernel.length > 0 && kernel.every((size) => size % 2 === 0);
}
