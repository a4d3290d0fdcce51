import type { Architecture } from '../architecture';
import { relu } from '../blocks/activations';
import { chain, type Block } from '../blocks/block';
import { encodedWidth, fourierEncoding } from '../blocks/fourier';
import { linear, type LinearSpec } from '../blocks/linear';
import type { ArchitectureBuilder } from '../builder';
import type { NerfRecipe } from '../recipe';
import { requireWhole } from '../sizes';
import { KAIMING_RELU, TORCH_DEFAULT, ZEROS } from '../starts';

/** The encoded position goes in once more after this many layers (Mildenhall et al., fig. 7). */
const SKIP_AFTER = 5;

/**
 * The field of a scene: position and unit view direction, both 3, to colour and density before their activations,
 * [r, g, b, σ]. Layers have the names of the authors' network in PyTorch's common port. All layers but the two outputs
 * take forms: Ji et al. "substitute each fully dense layer", and only then is k = 1 the 1.3 % of their Table 4.
 */
export function nerf(builder: ArchitectureBuilder, recipe: NerfRecipe): Architecture {
  const width = requireWhole('width', recipe.width ?? 256, 2);
  const hidden = requireWhole('hidden', recipe.hidden ?? 8);
  const positionFrequencies = requireWhole('positionFrequencies', recipe.positionFrequencies ?? 10, 0);
  const directionFrequencies = requireWhole('directionFrequencies', recipe.directionFrequencies ?? 4, 0);
  const sizes = {
    position: encodedWidth(3, positionFrequencies),
    direction: encodedWidth(3, directionFrequencies),
  };
  const trunk = trunkOf(builder, width, hidden, sizes.position);
  const layer = (module: string, inputs: number, outputs: number, isOutput = false): Block =>
    linear(builder, { ...specOf(isOutput), module, inputs, outputs });
  const density = layer('alpha_linear', width, 1, true);
  const feature = layer('feature_linear', width, width);
  const half = Math.floor(width / 2);
  const view = layer('views_linears.0', width + sizes.direction, half);
  const colour = layer('rgb_linear', half, 3, true);
  const encodePosition = fourierEncoding(positionFrequencies, 1);
  const encodeDirection = fourierEncoding(directionFrequencies, 1);
  return builder.build(
    { title: `NeRF, ${hidden} × ${width}`, input: [6], inputType: 'float32', output: [4] },
    (run, x) => {
      const { tf } = run;
      const [position, direction] = [tf.slice(x, [0, 0], [-1, 3]), tf.slice(x, [0, 3], [-1, 3])];
      const h = trunk(run, encodePosition(run, position));
      const sigma = density(run, h);
      const seen = tf.concat([feature(run, h), encodeDirection(run, direction)], 1);
      return tf.concat([chain(view, relu, colour)(run, seen), sigma], 1);
    },
  );
}

function specOf(isOutput: boolean): Pick<LinearSpec, 'law' | 'bias' | 'isInner' | 'isHead'> {
  return {
    law: isOutput ? TORCH_DEFAULT : KAIMING_RELU,
    bias: ZEROS,
    isInner: !isOutput,
    isHead: isOutput,
  };
}

function trunkOf(builder: ArchitectureBuilder, width: number, hidden: number, encoded: number): Block {
  const layers = Array.from({ length: hidden }, (_, i) => {
    const before = i === SKIP_AFTER ? encoded : 0;
    const inputs = i === 0 ? encoded : before + width;
    return linear(builder, { ...specOf(false), module: `pts_linears.${i}`, inputs, outputs: width });
  });
  return (run, x) =>
    layers.reduce((h, layer, i) => {
      const input = i === SKIP_AFTER ? run.tf.concat([x, h], 1) : h;
      return relu(run, layer(run, input));
    }, x);
}
