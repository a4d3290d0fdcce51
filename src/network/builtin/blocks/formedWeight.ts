import type { Tensor } from '../architecture';
import { arrayNames, type Weight } from '../weight';
import type { Running } from './block';

/** W given for this pass in place of the layer's own, as PyTorch shapes it. */
export function givenWeight({ pass }: Running, { layer }: Weight): Tensor | undefined {
  return pass.weight?.(layer);
}

/** W of a layer in any form, multiplied out, as PyTorch shapes it; the one given for this pass where there is one. */
export function wholeWeight(run: Running, weight: Weight): Tensor {
  const given = givenWeight(run, weight);
  if (given !== undefined) return given;
  const { tf, values } = run;
  const { form, weightShape, gain, scale } = weight;
  const names = arrayNames(weight.name);
  switch (form.kind) {
    case 'dense':
      return values(names.W);
    case 'low-rank':
      return tf.reshape(tf.matMul(values(names.U), values(names.V), false, true), [...weightShape]);
    case 'sine':
      return tf.reshape(tf.mul(sineOf(run, weight), 1 / gain), [...weightShape]);
    case 'lora': {
      const change = tf.matMul(values(names.B), tf.mul(values(names.A), scale));
      return tf.add(values(names.W), tf.reshape(change, [...weightShape]));
    }
    case 'sine-lora': {
      const change = tf.mul(sineOf(run, weight), scale / gain);
      return tf.add(values(names.W), tf.reshape(change, [...weightShape]));
    }
  }
}

/** sin(ω·U·Vᵀ), or sin(ω·B·A): ω multiplies the factor, which is the smaller array. */
function sineOf({ tf, values }: Running, { name, form, omega }: Weight): Tensor {
  const names = arrayNames(name);
  if (form.kind === 'sine')
    return tf.sin(tf.matMul(values(names.U), tf.mul(values(names.V), omega), false, true));
  return tf.sin(tf.matMul(values(names.B), tf.mul(values(names.A), omega)));
}
