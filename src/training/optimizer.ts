/** Optimisers on TensorFlow.js whose whole state can be read and put back: its own keep theirs to themselves. */
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import type { Tf } from '../network/builtin/architecture';
import type { OptimizerRecipe } from './recipe';

/** A parameter that is trained. */
export interface Trained {
  readonly name: string;
  readonly variable: Variable;
  readonly decays: boolean;
}

/** What an optimiser remembers of each parameter, by slot and name: arrays of the parameter's shape. */
export type Slots = ReadonlyMap<string, Tensor>;

export const slotKey = (slot: string, name: string): string => `${slot}.${name}`;

/**
 * Steps of SGD (with Nesterov's momentum as in Sutskever et al., 2013, eq. 3 and 4, written as PyTorch has it), Adam
 * (Kingma & Ba, 2015, algorithm 1) and AdamW (Loshchilov & Hutter, 2019, algorithm 2).
 */
export class Optimizer {
  private readonly slots = new Map<string, Variable>();

  constructor(
    private readonly tf: Tf,
    private readonly recipe: OptimizerRecipe,
    private readonly trained: readonly Trained[],
  ) {
    for (const { name, variable } of trained)
      for (const slot of this.slotNames)
        this.slots.set(
          slotKey(slot, name),
          tf.tidy(() => tf.variable(tf.zeros(variable.shape), false)),
        );
  }

  get state(): Slots {
    return this.slots;
  }

  /** @param values by slot and name; what is missing stays. @throws RangeError for a value of another size */
  restore(values: ReadonlyMap<string, Float32Array>): void {
    const { tf } = this;
    for (const [key, slot] of this.slots) {
      const value = values.get(key);
      if (value === undefined) continue;
      if (value.length !== slot.size)
        throw new RangeError(`${key} has ${value.length} numbers, not ${slot.size}`);
      tf.tidy(() => {
        slot.assign(tf.tensor(value, slot.shape));
      });
    }
  }

  /**
   * One step.
   *
   * @param gradients by parameter; one that has none stays
   * @param step counted from 0
   */
  apply(gradients: Readonly<Record<string, Tensor>>, rate: number, step: number): void {
    this.tf.tidy(() => {
      for (const parameter of this.trained) {
        const gradient = gradients[parameter.variable.name];
        if (gradient !== undefined) this.update(parameter, gradient, rate, step);
      }
    });
  }

  dispose(): void {
    for (const slot of this.slots.values()) slot.dispose();
    this.slots.clear();
  }

  private get slotNames(): readonly string[] {
    if (this.recipe.kind !== 'sgd') return ['m', 'v'];
    return (this.recipe.momentum ?? 0) === 0 ? [] : ['momentum'];
  }

  private slot(slot: string, name: string): Variable {
    const found = this.slots.get(slotKey(slot, name));
    if (found === undefined) throw new RangeError(`no ${slot} of ${name}`);
    return found;
  }

  private update(parameter: Trained, gradient: Tensor, rate: number, step: number): void {
    const { recipe } = this;
    if (recipe.kind === 'sgd') this.descend(parameter, gradient, rate, recipe);
    else this.adapt(parameter, gradient, rate, step, recipe);
  }

  private descend(
    { name, variable, decays }: Trained,
    gradient: Tensor,
    rate: number,
    { momentum = 0, nesterov = false, weightDecay = 0 }: Extract<OptimizerRecipe, { kind: 'sgd' }>,
  ): void {
    const { tf } = this;
    const decayed = decays && weightDecay > 0 ? tf.add(gradient, tf.mul(variable, weightDecay)) : gradient;
    let direction = decayed;
    if (momentum > 0) {
      const velocity = this.slot('momentum', name);
      const next = tf.add(tf.mul(velocity, momentum), decayed);
      velocity.assign(next);
      direction = nesterov ? tf.add(decayed, tf.mul(next, momentum)) : next;
    }
    variable.assign(tf.sub(variable, tf.mul(direction, rate)));
  }

  private adapt(
    { name, variable, decays }: Trained,
    gradient: Tensor,
    rate: number,
    step: number,
    recipe: Extract<OptimizerRecipe, { kind: 'adam' | 'adamw' }>,
  ): void {
    const { tf } = this;
    const { kind, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = recipe;
    const decay = decays ? (recipe.weightDecay ?? (kind === 'adamw' ? 0.01 : 0)) : 0;
    const coupled = kind === 'adam' && decay > 0 ? tf.add(gradient, tf.mul(variable, decay)) : gradient;
    const [m, v] = [this.slot('m', name), this.slot('v', name)];
    const mean = tf.add(tf.mul(m, beta1), tf.mul(coupled, 1 - beta1));
    const square = tf.add(tf.mul(v, beta2), tf.mul(tf.square(coupled), 1 - beta2));
    m.assign(mean);
    v.assign(square);
    // Both corrections of the bias as one factor on the rate and one on epsilon: two arrays fewer.
    const correction = Math.sqrt(1 - beta2 ** (step + 1));
    const length = (rate * correction) / (1 - beta1 ** (step + 1));
    const direction = tf.div(mean, tf.add(tf.sqrt(square), epsilon * correction));
    const kept = kind === 'adamw' && decay > 0 ? tf.mul(variable, 1 - rate * decay) : variable;
    variable.assign(tf.sub(kept, tf.mul(direction, length)));
  }
}
