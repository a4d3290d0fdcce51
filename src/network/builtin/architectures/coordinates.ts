import type { Architecture } from '../architecture';
import { gaussian, relu, sine } from '../blocks/activations';
import { chain, type Block } from '../blocks/block';
import { encodedWidth, fourierEncoding } from '../blocks/fourier';
import { linear } from '../blocks/linear';
import type { ArchitectureBuilder } from '../builder';
import type { CoordinatesRecipe } from '../recipe';
import { requireWhole } from '../sizes';
import { KAIMING_RELU, TORCH_DEFAULT, type Start, type WeightLaw } from '../starts';

type Activation = NonNullable<CoordinatesRecipe['activation']>;

/**
 * A field over coordinates in −1 … 1 (Ji et al., §4.4): `layers.0` from the coordinates to the width, then layers from
 * width to width, which take forms, then one to the outputs. Biases start uniform on ±1/√n, as torch.nn.Linear's do: a
 * Gaussian has its bump where x is 0, so they spread the bumps over the volume.
 */
export function coordinates(builder: ArchitectureBuilder, recipe: CoordinatesRecipe): Architecture {
  const { activation = 'gaussian', scale = 0.1, frequencies = 0 } = recipe;
  const inputs = requireWhole('inputs', recipe.inputs ?? 3);
  const outputs = requireWhole('outputs', recipe.outputs ?? 1);
  const width = requireWhole('width', recipe.width ?? 256);
  const hidden = requireWhole('hidden', recipe.hidden ?? 2, 0);
  requireWhole('frequencies', frequencies, 0);
  if (!(Number.isFinite(scale) && scale > 0))
    throw new Error(`scale is ${scale}: a number above 0 is needed`);
  const blocks: Block[] = frequencies > 0 ? [fourierEncoding(frequencies, Math.PI)] : [];
  const encoded = encodedWidth(inputs, frequencies);
  for (let i = 0; i <= hidden + 1; i++) {
    const isLast = i === hidden + 1;
    const from = i === 0 ? encoded : width;
    blocks.push(
      linear(builder, {
        module: `layers.${i}`,
        inputs: from,
        outputs: isLast ? outputs : width,
        law: isLast ? TORCH_DEFAULT : lawOf(activation, scale, from, i === 0),
        bias: biasStart(from),
        isInner: i > 0 && !isLast,
        isHead: isLast,
      }),
    );
    if (!isLast) blocks.push(activationOf(activation, scale));
  }
  return builder.build(
    {
      title: `field, ${inputs} → ${hidden + 1} × ${width} → ${outputs}, ${activation}`,
      input: [inputs],
      inputType: 'float32',
      output: [outputs],
    },
    chain(...blocks),
  );
}

function activationOf(activation: Activation, scale: number): Block {
  if (activation === 'relu') return relu;
  return activation === 'sine' ? sine(scale) : gaussian(scale);
}

/**
 * Gaussian: torch.nn.Linear's law, under which what goes into an activation varies by a few times a = 0.1, so that bumps
 * neither cover everything nor vanish. Sine: Sitzmann et al., 2020, §3.2, where their ω₀ is 1/a.
 */
function lawOf(activation: Activation, scale: number, inputs: number, isFirst: boolean): WeightLaw {
  if (activation === 'relu') return KAIMING_RELU;
  if (activation === 'gaussian') return TORCH_DEFAULT;
  return { kind: 'uniform', bound: isFirst ? 1 / inputs : scale * Math.sqrt(6 / inputs) };
}

function biasStart(inputs: number): Start {
  return { kind: 'uniform', bound: 1 / Math.sqrt(inputs) };
}
