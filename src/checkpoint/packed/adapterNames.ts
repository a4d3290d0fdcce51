/** What the two matrices of a low-rank adapter are called, and how each library shapes them. */

/**
 * `linear`: A r × in, B out × r, y = B·A·x (PEFT, loralib, torchtune, kohya, diffusers, llama.cpp); convolutions keep the
 * kernel in A. `rows`: A in × r, B r × out, y = x·A·B (MLX, Keras). `embedding`: A r × rows of the table, B width × r
 * (PEFT). `lookup`: A rows of the table × r, B width × r (llama.cpp).
 */
export type Convention = 'linear' | 'rows' | 'embedding' | 'lookup';

/** One matrix of an adapter, by its name. */
export interface AdapterPart {
  readonly side: 'A' | 'B';
  /** The module whose weight is changed, as the file names it: `model.layers.0.self_attn.q_proj`. */
  readonly module: string;
  /** Name of the adapter, where the file keeps one in its tensors' names. */
  readonly adapter?: string;
  /** In the order in which they are tried; shapes decide. */
  readonly conventions: readonly Convention[];
  /** What a tensor with α would be called. */
  readonly alphas: readonly string[];
}

/** `base_layer` stands between a module and its weight where PEFT has wrapped it. */
const WRAPPER = /\.base_layer$/;

interface Pattern {
  readonly pattern: RegExp;
  readonly conventions: (module: string) => readonly Convention[];
}

const LINEAR = (): readonly Convention[] => ['linear'];

/** Group 1 is the module, 2 the side, 3 the adapter's name. Anchored: time grows with the name's length alone. */
const PATTERNS: readonly Pattern[] = [
  // PEFT and diffusers lora_A.weight, lora_A.default.weight; torchtune lora_a.weight
  { pattern: /^(?:([^]*)\.)?lora_([ABab])(?:\.([^.]+))?\.weight$/, conventions: LINEAR },
  // PEFT, parameters of nn.Embedding
  {
    pattern: /^(?:([^]*)\.)?lora_embedding_([AB])(?:\.([^.]+))?$/,
    conventions: () => ['embedding'],
  },
  // loralib, whose matrices are parameters of the module itself
  { pattern: /^(?:([^]*)\.)?lora_([AB])$/, conventions: LINEAR },
  // llama.cpp blk.0.attn_q.weight.lora_a, MLX layers.0.self_attn.q_proj.lora_a
  {
    pattern: /^(?:([^]*)\.)?lora_([ab])$/,
    conventions: (module) => (module.endsWith('.weight') ? ['linear', 'lookup'] : ['rows', 'linear']),
  },
  // Keras
  { pattern: /^(?:([^]*)[./])?lora_kernel_([ab])$/, conventions: () => ['rows'] },
  { pattern: /^(?:([^]*)[./])?lora_embeddings_([ab])$/, conventions: () => ['rows'] },
  // kohya-ss, LyCORIS
  { pattern: /^(?:([^]*)\.)?lora_(down|up)\.weight$/, conventions: LINEAR },
  // diffusers before PEFT: to_q.lora.down.weight, processor.to_q_lora.down.weight, q_proj.lora_linear_layer.down.weight
  { pattern: /^([^]*[._]lora(?:_linear_layer)?)\.(down|up)\.weight$/, conventions: LINEAR },
  // XLabs: processor.qkv_lora1.down.weight
  { pattern: /^([^]*_lora\d+)\.(down|up)\.weight$/, conventions: LINEAR },
];

/** The adapter's matrix that a tensor is by its name; undefined for everything else. */
export function adapterPart(name: string): AdapterPart | undefined {
  // Most tensors are none: one search instead of many patterns.
  if (!name.includes('lora')) return undefined;
  for (const { pattern, conventions } of PATTERNS) {
    const [found, place = '', side = '', adapter] = pattern.exec(name) ?? [];
    if (found === undefined) continue;
    const module = place.replace(/[._]lora(?:_linear_layer|\d+)?$/, '');
    return {
      side: /^(?:A|a|down)$/.test(side) ? 'A' : 'B',
      module,
      ...(adapter !== undefined && { adapter }),
      conventions: conventions(module),
      alphas: [...new Set([`${place}.alpha`, `${module}.alpha`, `${module}.lora.alpha`])],
    };
  }
  return undefined;
}

/** What the weight would be called that an adapter of a module changes. */
export function weightOfModule(module: string): string {
  const own = module.replace(WRAPPER, '');
  if (own === '') return 'weight';
  return own.endsWith('.weight') ? own : `${own}.weight`;
}

/** Modules whose adapters are stacks: one matrix for all experts, whose number the file does not tell (PEFT). */
export function isStackOfExperts(module: string): boolean {
  return /(?:^|\.)experts$/.test(module.replace(WRAPPER, ''));
}

/** Parts of adapters that are no product of two matrices, by the last parts of their names, and what they are called. */
const OTHER_KINDS: readonly (readonly [RegExp, string])[] = [
  [/(?:^|\.)hada_(?:w[12]_[ab]|t[12])$/, 'LoHa'],
  [/(?:^|\.)lokr_(?:w[12](?:_[ab])?|t2)$/, 'LoKr'],
  [/(?:^|\.)vera_(?:lambda_[bd]|[AB])(?:\.[^.]+)?$/, 'VeRA'],
  [/(?:^|\.)ia3_l(?:\.[^.]+)?$/, '(IA)³'],
  [/(?:^|\.)(?:oft_[rR](?:\.[^.]+)*|oft_blocks|oft_diag)$/, 'OFT'],
  [/(?:^|\.)boft_[Rs](?:\.[^.]+)?$/, 'BOFT'],
  [/(?:^|\.)fourierft_spectrum(?:\.[^.]+)?$/, 'FourierFT'],
  [/(?:^|\.)hra_u(?:\.[^.]+)?$/, 'HRA'],
  [/(?:^|\.)randlora_(?:lambda|gamma|[AB])(?:\.[^.]+)?$/, 'RandLoRA'],
  [/(?:^|\.)delora_(?:lambda|[AB])(?:\.[^.]+)?$/, 'DeLoRA'],
  [/(?:^|\.)(?:bone_block|miss_block)(?:\.[^.]+)?$/, 'MiSS'],
];

/** The name of another method that a tensor belongs to. */
export function otherMethod(name: string): string | undefined {
  return OTHER_KINDS.find(([pattern]) => pattern.test(name))?.[1];
}

/** Magnitudes of weight-decomposed adapters: DoRA (PEFT, kohya-ss, MLX). */
export function isMagnitude(name: string): boolean {
  return /(?:^|\.)(?:lora_magnitude_vector(?:\.[^.]+)*|dora_scale)$/.test(name);
}

/** A third matrix between the two: AdaLoRA's singular values, LyCORIS' core of a convolution. */
export function middleOf(name: string): string | undefined {
  const [found, module = ''] = /^(?:([^]*)\.)?lora_(?:E(?:\.[^.]+)?|mid\.weight)$/.exec(name) ?? [];
  return found === undefined ? undefined : module;
}
