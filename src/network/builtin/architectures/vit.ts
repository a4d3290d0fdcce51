import type { Architecture, Tensor } from '../architecture';
import { gelu } from '../blocks/activations';
import { fusedAttention } from '../blocks/attention';
import { added, chain, type Block, type Running } from '../blocks/block';
import { convolution } from '../blocks/convolution';
import { dropout } from '../blocks/dropout';
import { linear, type LinearSpec } from '../blocks/linear';
import { layerNorm } from '../blocks/normalisation';
import type { ArchitectureBuilder } from '../builder';
import type { VitRecipe } from '../recipe';
import { classesOf, requireWhole } from '../sizes';
import { TORCH_DEFAULT, TRANSFORMER, ZEROS } from '../starts';

const SIZES = {
  tiny: { width: 192, blocks: 12, heads: 3 },
  small: { width: 384, blocks: 12, heads: 6 },
  base: { width: 768, blocks: 12, heads: 12 },
};

/** Of timm's layer normalisations. */
const EPSILON = 1e-6;

interface Sizes {
  readonly width: number;
  readonly blocks: number;
  readonly heads: number;
  readonly mlpWidth: number;
  readonly patch: number;
  readonly image: number;
  readonly channels: number;
  readonly classes: number;
  readonly dropout: number;
}

/**
 * Vision transformer (Dosovitskiy et al., "An image is worth 16×16 words", 2021) with a class token, named as timm names
 * it: `blocks.0.mlp.fc1.weight`. The feed-forward layers take forms (Ji et al., §4.1: the compression rates of Table 2
 * are those of fc1 and fc2 alone); `attn.qkv` and `attn.proj` can be asked for by name. Weights start normal with
 * deviation 0.02, biases at 0, the patch embedding as torch.nn.Conv2d does.
 */
export function vit(builder: ArchitectureBuilder, recipe: VitRecipe): Architecture {
  const sizes = sizesOf(recipe);
  const { width, blocks, heads, patch, image, channels, classes } = sizes;
  const side = image / patch;
  const patches = side * side;
  const tokens = patches + 1;
  const classToken = builder.parameter({
    name: 'cls_token',
    shape: [1, 1, width],
    start: { kind: 'normal', deviation: 1e-6 },
  });
  const positions = builder.parameter({ name: 'pos_embed', shape: [1, tokens, width], start: TRANSFORMER });
  const embed = convolution(builder, {
    module: 'patch_embed.proj',
    inputs: channels,
    outputs: width,
    kernel: patch,
    stride: patch,
    size: [image, image],
    law: TORCH_DEFAULT,
    bias: ZEROS,
  });
  const before = dropout(builder, sizes.dropout);
  const trunk = Array.from({ length: blocks }, (_, i) =>
    transformerBlock(builder, `blocks.${i}`, sizes, tokens),
  );
  const norm = layerNorm(builder, 'norm', width, { epsilon: EPSILON, isHead: true });
  const head = linear(builder, {
    module: 'head',
    inputs: width,
    outputs: classes,
    law: TRANSFORMER,
    bias: ZEROS,
    isHead: true,
  });
  const withClass = ({ tf, values }: Running, pictures: Tensor): Tensor => {
    const [batch] = pictures.shape;
    const rows = tf.reshape(pictures, [batch, patches, width]);
    // Broadcast by addition: tiling takes an operation a picture in the gradient.
    const first = tf.add(tf.zeros([batch, 1, width]), values(classToken));
    return tf.add(tf.concat([first, rows], 1), values(positions));
  };
  const ofClass: Block = ({ tf }, x) => tf.reshape(tf.slice(x, [0, 0, 0], [-1, 1, -1]), [-1, width]);
  return builder.build(
    {
      title: `${titleOf(recipe)}/${patch}, ${classesOf(classes)}`,
      input: [image, image, channels],
      inputType: 'float32',
      output: [classes],
    },
    (run, x) => chain(before, ...trunk, norm, ofClass, head)(run, withClass(run, embed(run, x))),
  );

  function titleOf({ size }: VitRecipe): string {
    if (size !== undefined && [recipe.width, recipe.blocks, recipe.heads].every((one) => one === undefined))
      return `ViT-${size.charAt(0).toUpperCase()}${size.slice(1)}`;
    return `ViT of ${blocks} × ${width}, ${heads} heads`;
  }
}

function sizesOf(recipe: VitRecipe): Sizes {
  const size = SIZES[recipe.size ?? 'tiny'];
  const width = requireWhole('width', recipe.width ?? size.width);
  const sizes = {
    width,
    blocks: requireWhole('blocks', recipe.blocks ?? size.blocks),
    heads: requireWhole('heads', recipe.heads ?? size.heads),
    mlpWidth: requireWhole('mlpWidth', recipe.mlpWidth ?? 4 * width),
    patch: requireWhole('patch', recipe.patch ?? 4),
    image: requireWhole('image', recipe.image ?? 32),
    channels: requireWhole('channels', recipe.channels ?? 3),
    classes: requireWhole('classes', recipe.classes ?? 10),
    dropout: recipe.dropout ?? 0,
  };
  if (sizes.image % sizes.patch !== 0)
    throw new Error(
      `an image of ${sizes.image} pixels does not divide into patches of ${sizes.patch}: choose a divisor of ${sizes.image}`,
    );
  return sizes;
}

/** x + attention(norm(x)), then x + feedForward(norm(x)). */
function transformerBlock(
  builder: ArchitectureBuilder,
  path: string,
  sizes: Sizes,
  positions: number,
): Block {
  const { width, heads, mlpWidth } = sizes;
  const layer = (module: string, inputs: number, outputs: number, more: Partial<LinearSpec> = {}): Block =>
    linear(builder, { module, inputs, outputs, positions, law: TRANSFORMER, bias: ZEROS, ...more });
  const norm1 = layerNorm(builder, `${path}.norm1`, width, { epsilon: EPSILON });
  const qkv = layer(`${path}.attn.qkv`, width, 3 * width);
  const output = chain(layer(`${path}.attn.proj`, width, width), dropout(builder, sizes.dropout));
  const attention = fusedAttention(qkv, output, { width, heads });
  const norm2 = layerNorm(builder, `${path}.norm2`, width, { epsilon: EPSILON });
  const feedForward = chain(
    layer(`${path}.mlp.fc1`, width, mlpWidth, { isInner: true }),
    gelu,
    dropout(builder, sizes.dropout),
    layer(`${path}.mlp.fc2`, mlpWidth, width, { isInner: true }),
    dropout(builder, sizes.dropout),
  );
  return chain(added(chain(norm1, attention)), added(chain(norm2, feedForward)));
}
