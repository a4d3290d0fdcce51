import type { Architecture } from '../architecture';
import { relu } from '../blocks/activations';
import { chain, type Block } from '../blocks/block';
import { convolution, everyNth, type ConvolutionSpec } from '../blocks/convolution';
import { linear } from '../blocks/linear';
import { batchNorm } from '../blocks/normalisation';
import { meanOverPixels } from '../blocks/pooling';
import type { ArchitectureBuilder } from '../builder';
import type { ResnetRecipe } from '../recipe';
import { classesOf, requireWhole, scaledWidth } from '../sizes';
import { KAIMING_RELU, TORCH_DEFAULT, ZEROS } from '../starts';

interface Plan {
  /** Blocks of each stage; each but the first halves the picture. */
  readonly stages: readonly number[];
  readonly widths: readonly number[];
  readonly kind: 'cifar' | 'basic' | 'bottleneck';
}

/** He et al., "Deep residual learning", 2016, §4.2: three stages of n blocks are 6·n + 2 layers. */
function cifar(blocks: number): Plan {
  return { stages: [blocks, blocks, blocks], widths: [16, 32, 64], kind: 'cifar' };
}

const PLANS: Readonly<Record<ResnetRecipe['depth'], Plan>> = {
  18: { stages: [2, 2, 2, 2], widths: [64, 128, 256, 512], kind: 'basic' },
  50: { stages: [3, 4, 6, 3], widths: [64, 128, 256, 512], kind: 'bottleneck' },
  20: cifar(3),
  32: cifar(5),
  44: cifar(7),
  56: cifar(9),
  110: cifar(18),
};

const SIDE = 32;

/** Channels that leave a bottleneck, for each in its middle. */
const EXPANSION = 4;

/**
 * ResNets for pictures of 32 × 32. Depths 20 … 110 are He et al.'s for CIFAR-10, whose shortcuts have no parameters;
 * 18 and 50 are the ones for ImageNet (§4.1) after a 3 × 3 stem without pooling. Names are those of the common PyTorch
 * ports: `layer1.0.conv1.weight`, `linear.weight` (CIFAR) or `fc.weight`. All convolutions but the first take forms.
 * Weights start after Kaiming's law.
 */
export function resnet(builder: ArchitectureBuilder, recipe: ResnetRecipe): Architecture {
  const { depth, widthFactor = 1 } = recipe;
  const classes = requireWhole('classes', recipe.classes ?? 10);
  const { stages, kind, ...plan } = PLANS[depth];
  const widths = plan.widths.map((width) => scaledWidth(width, widthFactor));
  const start = widths[0] ?? 0;
  const blocks: Block[] = [
    normalised(builder, 'conv1', 'bn1', { inputs: 3, outputs: start, kernel: 3, padding: 1, side: SIDE }),
    relu,
  ];
  let [inputs, side] = [start, SIDE];
  stages.forEach((count, stage) => {
    for (let i = 0; i < count; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1;
      const place = { path: `layer${stage + 1}.${i}`, inputs, width: widths[stage] ?? 0, stride, side };
      const residual = kind === 'bottleneck' ? bottleneck(builder, place) : basic(builder, place, kind);
      blocks.push(residual.block);
      inputs = residual.outputs;
      side = Math.ceil(side / stride);
    }
  });
  const output = linear(builder, {
    module: kind === 'cifar' ? 'linear' : 'fc',
    inputs,
    outputs: classes,
    law: TORCH_DEFAULT,
    bias: ZEROS,
    isHead: true,
  });
  return builder.build(
    {
      title: `ResNet-${depth}, ${classesOf(classes)}`,
      input: [SIDE, SIDE, 3],
      inputType: 'float32',
      output: [classes],
    },
    chain(...blocks, meanOverPixels, output),
  );
}

/** Where a residual block stands. */
interface Place {
  readonly path: string;
  readonly inputs: number;
  readonly width: number;
  readonly stride: number;
  /** Of its input, in pixels. */
  readonly side: number;
}

interface Residual {
  readonly block: Block;
  readonly outputs: number;
}

type NormalisedSpec = Pick<ConvolutionSpec, 'inputs' | 'outputs' | 'kernel' | 'stride' | 'padding'> & {
  readonly side: number;
};

/** A convolution without bias, and the batch normalisation behind it. */
function normalised(
  builder: ArchitectureBuilder,
  convolutionPath: string,
  normPath: string,
  { side, ...spec }: NormalisedSpec,
): Block {
  return chain(
    convolution(builder, {
      ...spec,
      module: convolutionPath,
      size: [side, side],
      law: KAIMING_RELU,
      isInner: convolutionPath !== 'conv1',
    }),
    batchNorm(builder, normPath, spec.outputs),
  );
}

function basic(builder: ArchitectureBuilder, place: Place, kind: 'cifar' | 'basic'): Residual {
  const { path, inputs, width, stride, side } = place;
  const first = { inputs, outputs: width, kernel: 3, padding: 1, stride, side };
  const second = { inputs: width, outputs: width, kernel: 3, padding: 1, side: Math.ceil(side / stride) };
  const body = chain(
    normalised(builder, `${path}.conv1`, `${path}.bn1`, first),
    relu,
    normalised(builder, `${path}.conv2`, `${path}.bn2`, second),
  );
  const shortcut =
    kind === 'cifar' ? paddedShortcut(inputs, width, stride) : projectedShortcut(builder, place, width);
  return { block: residual(body, shortcut), outputs: width };
}

function bottleneck(builder: ArchitectureBuilder, place: Place): Residual {
  const { path, inputs, width, stride, side } = place;
  const outputs = EXPANSION * width;
  const after = Math.ceil(side / stride);
  const body = chain(
    normalised(builder, `${path}.conv1`, `${path}.bn1`, { inputs, outputs: width, kernel: 1, side }),
    relu,
    normalised(builder, `${path}.conv2`, `${path}.bn2`, {
      inputs: width,
      outputs: width,
      kernel: 3,
      padding: 1,
      stride,
      side,
    }),
    relu,
    normalised(builder, `${path}.conv3`, `${path}.bn3`, { inputs: width, outputs, kernel: 1, side: after }),
  );
  return { block: residual(body, projectedShortcut(builder, place, outputs)), outputs };
}

function residual(body: Block, shortcut: Block): Block {
  return (run, x) => run.tf.relu(run.tf.add(body(run, x), shortcut(run, x)));
}

/** Every second pixel, and zeros for the channels that are new: He et al.'s option A. */
function paddedShortcut(inputs: number, outputs: number, stride: number): Block {
  const added = outputs - inputs;
  const before = Math.floor(added / 2);
  return ({ tf }, x) => {
    const smaller = everyNth(tf, x, stride);
    if (added === 0) return smaller;
    return tf.pad(smaller, [
      [0, 0],
      [0, 0],
      [0, 0],
      [before, added - before],
    ]);
  };
}

/** A 1 × 1 convolution where the shape changes: option B. */
function projectedShortcut(
  builder: ArchitectureBuilder,
  { path, inputs, stride, side }: Place,
  outputs: number,
): Block {
  if (stride === 1 && inputs === outputs) return (_, x) => x;
  const spec = { inputs, outputs, kernel: 1, stride, side };
  return normalised(builder, `${path}.downsample.0`, `${path}.downsample.1`, spec);
}
