import type { Architecture, Tensor } from '../architecture';
import { gelu, tanh } from '../blocks/activations';
import { separateAttention } from '../blocks/attention';
import { added, chain, type Block, type Running } from '../blocks/block';
import { dropout } from '../blocks/dropout';
import { embeddingTable, lookUp } from '../blocks/embedding';
import { linear, type LinearSpec } from '../blocks/linear';
import { layerNorm } from '../blocks/normalisation';
import type { ArchitectureBuilder } from '../builder';
import type { EncoderRecipe } from '../recipe';
import { classesOf, requireWhole } from '../sizes';
import { TRANSFORMER, ZEROS } from '../starts';

/** RoBERTa keeps the first rows of its table of positions for padding. */
const FIRST_POSITION = 2;

interface Sizes {
  readonly vocabulary: number;
  readonly width: number;
  readonly blocks: number;
  readonly heads: number;
  readonly context: number;
  readonly rate: number;
}

/**
 * A bidirectional encoder of RoBERTa's layout (Liu et al., 2019: normalisation after each sum, exact GELU), named as
 * Hugging Face names it: `roberta.encoder.layer.0.attention.self.query.weight`. Query and value take forms, the layers
 * that Ji et al. (§4.2) adapt. The output is one of tokens at every place, through the table of tokens once more, or of
 * classes at the first. Every token counts: there is no padding. Weights start normal with deviation 0.02.
 */
export function encoder(builder: ArchitectureBuilder, recipe: EncoderRecipe): Architecture {
  const sizes = sizesOf(recipe);
  const { vocabulary, width, blocks, context } = sizes;
  const { embed, table } = embeddings(builder, sizes);
  const layers = Array.from({ length: blocks }, (_, i) =>
    encoderBlock(builder, `roberta.encoder.layer.${i}`, sizes),
  );
  const classes = recipe.head === 'classes' ? requireWhole('classes', recipe.classes ?? 2) : undefined;
  const head = classes === undefined ? tokenHead(builder, sizes, table) : classHead(builder, sizes, classes);
  const gives = classes === undefined ? `${vocabulary} tokens` : classesOf(classes);
  return builder.build(
    {
      title: `encoder of ${blocks} × ${width}, ${gives}`,
      input: [context],
      inputType: 'int32',
      output: classes === undefined ? [context, vocabulary] : [classes],
    },
    chain(embed, ...layers, head),
  );
}

function sizesOf(recipe: EncoderRecipe): Sizes {
  if (recipe.vocabulary === undefined)
    throw new Error('the number of tokens is not known: give the network a "vocabulary"');
  return {
    vocabulary: requireWhole('vocabulary', recipe.vocabulary),
    width: requireWhole('width', recipe.width ?? 128),
    blocks: requireWhole('blocks', recipe.blocks ?? 4),
    heads: requireWhole('heads', recipe.heads ?? 4),
    context: requireWhole('context', recipe.context ?? 64),
    rate: recipe.dropout ?? 0,
  };
}

/** Token, place and type, of which there is one, summed and normalised. */
function embeddings(
  builder: ArchitectureBuilder,
  { vocabulary, width, context, rate }: Sizes,
): { readonly embed: Block; readonly table: string } {
  const path = 'roberta.embeddings';
  const tableOf = (name: string, count: number): string =>
    embeddingTable(builder, { module: `${path}.${name}`, count, width });
  const table = tableOf('word_embeddings', vocabulary);
  const places = tableOf('position_embeddings', context + FIRST_POSITION);
  const type = tableOf('token_type_embeddings', 1);
  const after = chain(layerNorm(builder, `${path}.LayerNorm`, width), dropout(builder, rate));
  const sum = (run: Running, ids: Tensor): Tensor => {
    const { tf, values } = run;
    const rows = tf.slice(values(places), [FIRST_POSITION, 0], [ids.shape[1] ?? 0, width]);
    return tf.add(tf.add(lookUp(run, values(table), ids), values(type)), rows);
  };
  return { embed: (run, ids) => after(run, sum(run, ids)), table };
}

function encoderBlock(
  builder: ArchitectureBuilder,
  path: string,
  { width, heads, context, rate }: Sizes,
): Block {
  const layer = (module: string, inputs: number, outputs: number, more: Partial<LinearSpec> = {}): Block =>
    linear(builder, { module, inputs, outputs, positions: context, law: TRANSFORMER, bias: ZEROS, ...more });
  const query = layer(`${path}.attention.self.query`, width, width, { isInner: true });
  const key = layer(`${path}.attention.self.key`, width, width);
  const value = layer(`${path}.attention.self.value`, width, width, { isInner: true });
  const output = chain(layer(`${path}.attention.output.dense`, width, width), dropout(builder, rate));
  const attention = separateAttention({ query, key, value, output }, { width, heads });
  const norm1 = layerNorm(builder, `${path}.attention.output.LayerNorm`, width);
  const feedForward = chain(
    layer(`${path}.intermediate.dense`, width, 4 * width),
    gelu,
    layer(`${path}.output.dense`, 4 * width, width),
    dropout(builder, rate),
  );
  const norm2 = layerNorm(builder, `${path}.output.LayerNorm`, width);
  return chain(added(attention), norm1, added(feedForward), norm2);
}

/** Scores of all tokens at every place: the table of tokens is the last layer's weight. */
function tokenHead(
  builder: ArchitectureBuilder,
  { vocabulary, width, context }: Sizes,
  table: string,
): Block {
  const before = chain(
    linear(builder, {
      module: 'lm_head.dense',
      inputs: width,
      outputs: width,
      law: TRANSFORMER,
      bias: ZEROS,
      positions: context,
    }),
    gelu,
    layerNorm(builder, 'lm_head.layer_norm', width),
  );
  const bias = builder.parameter({ name: 'lm_head.bias', shape: [vocabulary], start: ZEROS });
  return (run, x) => {
    const { tf, values } = run;
    const rows = tf.reshape(before(run, x), [-1, width]);
    const scores = tf.add(tf.matMul(rows, values(table), false, true), values(bias));
    return tf.reshape(scores, [...x.shape.slice(0, -1), vocabulary]);
  };
}

function classHead(builder: ArchitectureBuilder, { width, rate }: Sizes, classes: number): Block {
  const layer = (module: string, outputs: number): Block =>
    linear(builder, { module, inputs: width, outputs, law: TRANSFORMER, bias: ZEROS, isHead: true });
  const first: Block = ({ tf }, x) => tf.reshape(tf.slice(x, [0, 0, 0], [-1, 1, -1]), [-1, width]);
  return chain(
    first,
    dropout(builder, rate),
    layer('classifier.dense', width),
    tanh,
    dropout(builder, rate),
    layer('classifier.out_proj', classes),
  );
}
