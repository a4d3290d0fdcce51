import type { Architecture } from '../architecture';
import { gelu } from '../blocks/activations';
import { fusedAttention } from '../blocks/attention';
import { added, chain, type Block } from '../blocks/block';
import { dropout } from '../blocks/dropout';
import { embedding, positionEmbedding } from '../blocks/embedding';
import { linear, type LinearSpec } from '../blocks/linear';
import { layerNorm } from '../blocks/normalisation';
import type { ArchitectureBuilder } from '../builder';
import type { GptRecipe } from '../recipe';
import { requireWhole } from '../sizes';
import { TRANSFORMER, ZEROS } from '../starts';

/**
 * A language model of GPT-2's layout (Radford et al., 2019) with its names as Hugging Face has them,
 * `transformer.h.0.mlp.c_fc.weight`, weights outputs × inputs, the exact GELU, and an output layer of its own (untied).
 * The feed-forward layers take forms, as Ji et al. (§3.1) put it; `attn.c_attn` and `attn.c_proj` can be asked for by
 * name. Weights start normal with deviation 0.02, those that add to the residual stream with 0.02/√(2·blocks).
 */
export function gpt(builder: ArchitectureBuilder, recipe: GptRecipe): Architecture {
  if (recipe.vocabulary === undefined)
    throw new Error('the number of tokens is not known: give the network a "vocabulary"');
  const vocabulary = requireWhole('vocabulary', recipe.vocabulary);
  const width = requireWhole('width', recipe.width ?? 128);
  const count = requireWhole('blocks', recipe.blocks ?? 4);
  const heads = requireWhole('heads', recipe.heads ?? 4);
  const context = requireWhole('context', recipe.context ?? 64);
  const rate = recipe.dropout ?? 0;
  const tokens = embedding(builder, { module: 'transformer.wte', count: vocabulary, width });
  const positions = positionEmbedding(builder, { module: 'transformer.wpe', count: context, width });
  const before = dropout(builder, rate);
  const blocks = Array.from({ length: count }, (_, i) =>
    decoderBlock(builder, `transformer.h.${i}`, { width, heads, context, blocks: count, rate }),
  );
  const norm = layerNorm(builder, 'transformer.ln_f', width);
  const head = linear(builder, {
    module: 'lm_head',
    inputs: width,
    outputs: vocabulary,
    law: TRANSFORMER,
    positions: context,
  });
  return builder.build(
    {
      title: `GPT of ${count} × ${width}, ${vocabulary} tokens`,
      input: [context],
      inputType: 'int32',
      output: [context, vocabulary],
    },
    chain(tokens, positions, before, ...blocks, norm, head),
  );
}

interface Sizes {
  readonly width: number;
  readonly heads: number;
  readonly context: number;
  readonly blocks: number;
  readonly rate: number;
}

function decoderBlock(
  builder: ArchitectureBuilder,
  path: string,
  { width, heads, context, blocks, rate }: Sizes,
): Block {
  const layer = (module: string, inputs: number, outputs: number, more: Partial<LinearSpec> = {}): Block =>
    linear(builder, { module, inputs, outputs, positions: context, law: TRANSFORMER, bias: ZEROS, ...more });
  const residual = { law: { kind: 'normal', deviation: 0.02 / Math.sqrt(2 * blocks) } } as const;
  const norm1 = layerNorm(builder, `${path}.ln_1`, width);
  const qkv = layer(`${path}.attn.c_attn`, width, 3 * width);
  const output = chain(layer(`${path}.attn.c_proj`, width, width, residual), dropout(builder, rate));
  const attention = fusedAttention(qkv, output, { width, heads, isCausal: true });
  const norm2 = layerNorm(builder, `${path}.ln_2`, width);
  const feedForward = chain(
    layer(`${path}.mlp.c_fc`, width, 4 * width, { isInner: true }),
    gelu,
    layer(`${path}.mlp.c_proj`, 4 * width, width, { ...residual, isInner: true }),
    dropout(builder, rate),
  );
  return chain(added(chain(norm1, attention)), added(chain(norm2, feedForward)));
}
