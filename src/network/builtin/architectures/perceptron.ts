import type { Architecture } from '../architecture';
import { ACTIVATIONS } from '../blocks/activations';
import { chain, type Block } from '../blocks/block';
import { linear } from '../blocks/linear';
import type { ArchitectureBuilder } from '../builder';
import type { PerceptronRecipe } from '../recipe';
import { requireWhole } from '../sizes';
import { KAIMING_RELU, TORCH_DEFAULT, ZEROS } from '../starts';

/**
 * Linear layers `layers.0`, `layers.1` … with an activation between them; all but the last take forms. They start after
 * Kaiming's law, the last as torch.nn.Linear does; biases start at 0. Samples of more axes are flattened.
 */
export function perceptron(builder: ArchitectureBuilder, recipe: PerceptronRecipe): Architecture {
  const { widths, activation = 'relu' } = recipe;
  const inputs = widths[0] ?? 0;
  const outputs = widths.at(-1) ?? 0;
  if (widths.length < 2) throw new Error('a perceptron needs two widths or more: inputs and outputs');
  widths.forEach((width, i) => requireWhole(`width ${i} of the perceptron`, width));
  const blocks: Block[] = [];
  widths.slice(1).forEach((width, i) => {
    const isLast = i === widths.length - 2;
    blocks.push(
      linear(builder, {
        module: `layers.${i}`,
        inputs: widths[i] ?? 0,
        outputs: width,
        law: isLast ? TORCH_DEFAULT : KAIMING_RELU,
        bias: ZEROS,
        isInner: !isLast,
        isHead: isLast,
      }),
    );
    if (!isLast) blocks.push(ACTIVATIONS[activation]);
  });
  const body = chain(...blocks);
  return builder.build(
    {
      title: `perceptron, ${widths.join(' → ')}`,
      input: [inputs],
      inputType: 'float32',
      output: [outputs],
    },
    (run, x) => body(run, x.shape.length === 2 ? x : run.tf.reshape(x, [-1, inputs])),
  );
}
