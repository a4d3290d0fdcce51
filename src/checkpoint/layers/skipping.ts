import type { Tensor } from '../checkpoint';
import { elementCount } from '../checkpoint';
import { isFloating } from '../dtype';
import {
  IN_BY_OUT_LEAVES,
  WEIGHT_LEAVES,
  isExpertName,
  isNormName,
  isStatedWeight,
  moduleType,
  partsOf,
} from './names';

/** Finds a tensor of the checkpoint's model by its name. */
export type TensorLookup = (name: string) => Tensor | undefined;

/** Buffers by their own name: set by the code or by statistics, not by training. */
const BUFFERS: readonly (readonly [RegExp, string])[] = [
  [/^(?:running|moving)_(?:mean|var|variance|std)$/, 'running statistics: gathered, not trained'], // BatchNorm
  [/^(?:num_batches_tracked|total_ops|total_params)$/, 'counter: not a weight'], // BatchNorm, thop
  [
    /^(?:tril|triu|mask|masked_bias|causal_mask|attn_mask|attention_mask|weight_mask)$/,
    'mask: a buffer, not trained',
  ],
  [/^(?:position_ids|token_type_ids)$/, 'indices: a buffer, not trained'], // BERT, CLIP
  [/^relative_(?:position_index|coords_table)$/, 'indices: a buffer, not trained'], // Swin
  [
    /^(?:inv_freq|freqs_cis|cos_cached|sin_cached|cos_cache|sin_cache|rotary_pos_emb)$/,
    'rotary table: computed, not trained',
  ],
  [/^(?:pixel_mean|pixel_std|anchors|anchor_grid)$/, 'constants: a buffer, not trained'], // detectron2, YOLOv5
];

/** Companions of quantised weights (GPTQ, AWQ, bitsandbytes, DeepSeek). */
const QUANTISATION =
  /^(?:scales?|qzeros|absmax|quant_map|g_idx|scb|weight_(?:scale|scale_inv|scale_2|zero_point|shape))$/;
const QUANTISED_LEAVES = /^(?:weight|qweight|weight_packed|kernel)$/;

/** Modules of llama.cpp whose `weight` is set by the conversion. */
const ROTARY_TABLE = /^(?:rope_freqs|rope_factors_(?:long|short)|attn_rot_embd)$/; // Llama 3.1, Phi-3, Baichuan

/** Mixtures of neighbouring tokens in llama.cpp's RWKV, of up to four axes: one number for each channel. */
const TOKEN_MIX = /^(?:time|channel)_mix_lerp_/;

const BESIDE_QUANTISED = 'quantisation: belongs to quantised values';
const BIAS = 'bias: one number for each output, no matrix';
const NORM = 'norm: one scale or shift for each channel, no matrix';

/**
 * Why a tensor of the model has no matrix to analyse, or undefined when it has one.
 * The text before the colon is a class short enough to count by.
 */
export function skipReason(tensor: Tensor, find: TensorLookup): string | undefined {
  if (tensor.role === 'packed') return 'quantisation: part of a packed weight';
  if (tensor.role !== 'model') return `${tensor.role} state: not part of the model`;
  const elements = elementCount(tensor.shape);
  if (elements === 0) return 'empty: no elements';
  return (
    bufferReason(tensor) ??
    (tensor.module?.part === 'bias' ? BIAS : undefined) ??
    numberReason(tensor) ??
    quantisationReason(tensor, find) ??
    biasReason(tensor, find) ??
    parametrizationReason(tensor, find) ??
    vectorReason(tensor, find) ??
    normReason(tensor)
  );
}

/** Whether a tensor is set by the code or by statistics, so that it counts as no parameter. */
export function isBuffer(tensor: Tensor): boolean {
  return bufferReason(tensor) !== undefined;
}

function bufferReason(tensor: Tensor): string | undefined {
  const part = tensor.module?.part;
  if (part === 'constant') return 'constant: part of the graph, not trained';
  if (part === 'quantisation') return BESIDE_QUANTISED;
  const { leaf, segments, parent } = partsOf(tensor);
  if (leaf === 'weight' && ROTARY_TABLE.test(parent)) return 'rotary table: computed, not trained';
  const known = BUFFERS.find(([pattern]) => pattern.test(leaf));
  if (known !== undefined) return known[1];
  // weight_v with axes is a weight norm's direction.
  if (leaf === 'weight_u' || (leaf === 'weight_v' && tensor.shape.length === 1)) {
    return 'spectral norm: its power-iteration vector';
  }
  if (leaf.endsWith('cached') && segments.some((s) => s.includes('rotary'))) {
    return 'rotary table: computed, not trained';
  }
  // GPT-2's attn.bias is a triangle of ones, 1 × 1 × context × context.
  const [rows, columns] = tensor.shape.slice(-2);
  const isSquare = tensor.shape.length >= 2 && rows === columns && (rows ?? 0) > 1;
  if (leaf === 'bias' && isSquare && tensor.shape.slice(0, -2).every((size) => size === 1)) {
    return 'mask: a buffer, not trained';
  }
  return undefined;
}

function numberReason(tensor: Tensor): string | undefined {
  const { dtype } = tensor;
  if (isFloating(dtype)) return undefined;
  if (dtype === 'bool') return 'mask: true or false, not numbers';
  if (dtype.startsWith('complex')) return 'complex: only real matrices are analysed';
  const { leaf } = partsOf(tensor);
  if (QUANTISATION.test(leaf)) return BESIDE_QUANTISED;
  const isQuantised = leaf === 'qweight' || (QUANTISED_LEAVES.test(leaf) && tensor.shape.length >= 2);
  return isQuantised
    ? `quantised: a spectrum of ${dtype} values needs their scale`
    : 'integers: indices or counters, not weights';
}

/** Scales, and 8-bit floats whose blocks have each their own (DeepSeek-V3): values as stored are not the weights. */
function quantisationReason(tensor: Tensor, find: TensorLookup): string | undefined {
  const { leaf, prefix } = partsOf(tensor);
  const hasSibling = (names: readonly string[]) =>
    names.some((name) => {
      const sibling = find(prefix + name);
      return sibling !== undefined && elementCount(sibling.shape) > 1;
    });
  if (QUANTISATION.test(leaf) && hasSibling(['weight', 'qweight', 'weight_packed', 'qzeros'])) {
    return BESIDE_QUANTISED;
  }
  if (tensor.dtype.startsWith('float8') && hasSibling(['weight_scale_inv', 'weight_scale'])) {
    return `quantised: a spectrum of ${tensor.dtype} values needs their scale`;
  }
  return undefined;
}

function biasReason(tensor: Tensor, find: TensorLookup): string | undefined {
  const parts = partsOf(tensor);
  const { leaf, prefix, parent } = parts;
  if (!/^(?:bias|b|beta|bias_[ih]h(?:_\w+)?|\w+_bias)$/.test(leaf)) return undefined;
  // A parameter called b or q_bias may be a matrix (LoRA's B); one called bias is added, whatever its shape,
  // and gpt-oss stacks the experts' vectors.
  const isAdded = leaf === 'bias' || isVector(tensor) || (isExpertName(parts) && tensor.shape.length === 2);
  if (!isAdded) return undefined;
  const weight = find(`${prefix}weight`) ?? find(`${prefix}gamma`);
  const ofNorm = isNormName(parent) || leaf === 'beta' || (weight !== undefined && isVector(weight));
  return ofNorm ? NORM : BIAS;
}

/** Weights kept in pieces, none of which has the spectrum of the whole. */
function parametrizationReason(tensor: Tensor, find: TensorLookup): string | undefined {
  const { leaf, prefix, segments } = partsOf(tensor);
  if (leaf === 'weight_g' || (leaf === 'weight_v' && find(`${prefix}weight_g`) !== undefined)) {
    return 'weight norm: magnitude and direction are stored apart'; // HiFi-GAN, wav2vec 2.0
  }
  if (segments.includes('parametrizations') && /^original[01]$/.test(leaf)) {
    return 'weight norm: magnitude and direction are stored apart'; // torch.nn.utils.parametrizations
  }
  if (leaf === 'weight_orig' && find(`${prefix}weight_mask`) !== undefined) {
    return 'pruned: the weight is stored apart from its mask'; // torch.nn.utils.prune
  }
  return undefined;
}

/** At most one axis longer than 1; a module's weight keeps its axes (a layer of one output is still a layer). */
function isVector(tensor: Tensor): boolean {
  const { leaf } = partsOf(tensor);
  const isWeight = isStatedWeight(tensor) || WEIGHT_LEAVES.has(leaf) || /(?:^|_)weight(?:_|$)/.test(leaf);
  if (isWeight) return tensor.shape.length <= 1;
  return tensor.shape.filter((size) => size > 1).length <= 1;
}

function vectorReason(tensor: Tensor, find: TensorLookup): string | undefined {
  const { leaf, parent, prefix } = partsOf(tensor);
  if (leaf === 'weight' && TOKEN_MIX.test(parent)) return 'vector: one number for each channel, no matrix';
  if (!isVector(tensor)) return undefined;
  if (tensor.shape.length === 0) return 'scalar: a single number';
  const hasNormSibling = ['bias', 'running_mean', 'beta'].some(
    (name) => find(prefix + name)?.shape.length === 1,
  );
  const isScale = WEIGHT_LEAVES.has(leaf) || leaf === 'gamma' || leaf === 'scale';
  if (isScale && (isNormName(parent) || hasNormSibling)) return NORM;
  return 'vector: one axis, no matrix';
}

/** Normalisation over several axes at once (LayerNorm([C, H, W])): element by element, not a map between spaces. */
function normReason(tensor: Tensor): string | undefined {
  const { leaf, parent } = partsOf(tensor);
  const type = moduleType(tensor);
  if (/Norm(?:\dd)?$/.test(type)) return NORM;
  const isScale = WEIGHT_LEAVES.has(leaf) && !IN_BY_OUT_LEAVES.has(leaf);
  return type === '' && isScale && isNormName(parent) ? NORM : undefined;
}
