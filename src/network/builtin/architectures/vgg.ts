import type { Architecture } from '../architecture';
import { relu } from '../blocks/activations';
import { chain, type Block } from '../blocks/block';
import { convolution } from '../blocks/convolution';
import { linear } from '../blocks/linear';
import { batchNorm } from '../blocks/normalisation';
import { maxPool } from '../blocks/pooling';
import type { ArchitectureBuilder } from '../builder';
import type { VggRecipe } from '../recipe';
import { classesOf, requireWhole, scaledWidth } from '../sizes';
import { KAIMING_RELU, TORCH_DEFAULT, ZEROS } from '../starts';

/** Convolutions of each stage; a stage ends with a pooling that halves the picture. */
const STAGES: Readonly<Record<VggRecipe['depth'], readonly number[]>> = {
  11: [1, 1, 2, 2, 2],
  13: [2, 2, 2, 2, 2],
  16: [2, 2, 3, 3, 3],
  19: [2, 2, 4, 4, 4],
};

const WIDTHS = [64, 128, 256, 512, 512];

const SIDE = 32;

/**
 * VGG for pictures of 32 × 32 (Simonyan & Zisserman, 2015), each convolution with batch normalisation, one linear layer
 * on the single pixel that remains. Names are torchvision's: `features.0.weight`. All convolutions but the first take
 * forms. Weights start after Kaiming's law, biases at 0.
 */
export function vgg(builder: ArchitectureBuilder, recipe: VggRecipe): Architecture {
  const { depth, widthFactor = 1 } = recipe;
  const classes = requireWhole('classes', recipe.classes ?? 10);
  const blocks: Block[] = [];
  let [place, inputs, side] = [0, 3, SIDE];
  STAGES[depth].forEach((convolutions, stage) => {
    const outputs = scaledWidth(WIDTHS[stage] ?? 0, widthFactor);
    for (let i = 0; i < convolutions; i++) {
      blocks.push(
        convolution(builder, {
          module: `features.${place}`,
          inputs,
          outputs,
          kernel: 3,
          padding: 1,
          size: [side, side],
          law: KAIMING_RELU,
          bias: ZEROS,
          isInner: place > 0,
        }),
        batchNorm(builder, `features.${place + 1}`, outputs),
        relu,
      );
      inputs = outputs;
      place += 3;
    }
    blocks.push(maxPool);
    side /= 2;
    place += 1;
  });
  const classifier = linear(builder, {
    module: 'classifier',
    inputs,
    outputs: classes,
    law: TORCH_DEFAULT,
    bias: ZEROS,
    isHead: true,
  });
  const body = chain(...blocks);
  return builder.build(
    {
      title: `VGG-${depth}, ${classesOf(classes)}`,
      input: [SIDE, SIDE, 3],
      inputType: 'float32',
      output: [classes],
    },
    (run, x) => classifier(run, run.tf.reshape(body(run, x), [-1, inputs])),
  );
}
