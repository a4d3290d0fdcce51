/** A built-in network with its parameters as variables: run, differentiated, read and put back. */
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core';
import type { Architecture, Pass, Tf } from '../network/builtin/architecture';
import type { Trained } from './optimizer';
import type { Run } from './tasks/task';

/** Names of variables are unique in all of TensorFlow.js, and there may be several models in a process. */
let models = 0;

export interface ModelOptions {
  /** Decay of the moving average of weights; absent: none. */
  readonly ema?: number | undefined;
  readonly freezeStatistics?: boolean | undefined;
}

export class TrainedModel {
  readonly trained: readonly Trained[];
  private readonly variables = new Map<string, Variable>();
  private readonly averages = new Map<string, Variable>();

  /** @param values of every parameter, row-major */
  constructor(
    private readonly tf: Tf,
    readonly architecture: Architecture,
    values: ReadonlyMap<string, Float32Array>,
    private readonly options: ModelOptions,
  ) {
    const prefix = `model${models++}/`;
    const trained: Trained[] = [];
    for (const { name, shape, kind, decays } of architecture.parameters) {
      const value = values.get(name);
      if (value === undefined) throw new RangeError(`no values of ${name}`);
      const variable = this.make(value, shape, `${prefix}${name}`, kind === 'trained');
      this.variables.set(name, variable);
      if (kind === 'trained') trained.push({ name, variable, decays });
      if (kind === 'trained' && options.ema !== undefined)
        this.averages.set(name, this.make(value, shape, `${prefix}average/${name}`, false));
    }
    this.trained = trained;
  }

  /**
   * Mean loss over a batch and its gradients by the names of variables; statistics of batch normalisation move on.
   *
   * @param loss of the network as `run`
   */
  gradients(
    loss: (run: Run) => Scalar,
    seed: number,
  ): { readonly loss: Scalar; readonly gradients: Record<string, Tensor> } {
    const { tf } = this;
    const statistics = new Map<string, Tensor>();
    const pass: Pass = {
      training: true,
      seed,
      freezeStatistics: this.options.freezeStatistics ?? false,
      onStatistic: (name, value) => {
        statistics.set(name, tf.keep(value));
      },
    };
    const variables = this.trained.map(({ variable }) => variable);
    const { value, grads } = tf.variableGrads(() => loss(this.runner(pass, this.current)), variables);
    for (const [name, next] of statistics) {
      this.variables.get(name)?.assign(next);
      next.dispose();
    }
    return { loss: value, gradients: grads };
  }

  /** After a step of the optimiser: the average follows. */
  followAverage(): void {
    const { tf } = this;
    const { ema } = this.options;
    if (ema === undefined) return;
    tf.tidy(() => {
      for (const { name, variable } of this.trained) {
        const average = this.averages.get(name);
        average?.assign(tf.add(tf.mul(average, ema), tf.mul(variable, 1 - ema)));
      }
    });
  }

  /** The network as it is evaluated: averaged weights where they are kept. */
  get evaluated(): Run {
    return this.runner({ training: false, seed: 0 }, this.shown);
  }

  /** One pass as it is evaluated, looked at on its way. */
  observed(pass: Omit<Pass, 'training' | 'seed'>): Run {
    return this.runner({ ...pass, training: false, seed: 0 }, this.shown);
  }

  /** The weights that count: averaged where they are kept. */
  async values(): Promise<Map<string, Float32Array>> {
    return this.read(this.architecture.parameters.map(({ name }) => [name, this.shown(name)]));
  }

  /** Everything that training goes on from. */
  async state(): Promise<{
    readonly parameters: Map<string, Float32Array>;
    readonly averages: Map<string, Float32Array>;
  }> {
    return {
      parameters: await this.read([...this.variables]),
      averages: await this.read([...this.averages]),
    };
  }

  /** @throws RangeError for values that are not those of this network */
  restore(parameters: ReadonlyMap<string, Float32Array>, averages: ReadonlyMap<string, Float32Array>): void {
    this.write(this.variables, parameters);
    this.write(this.averages, averages);
  }

  dispose(): void {
    for (const variable of [...this.variables.values(), ...this.averages.values()]) variable.dispose();
    this.variables.clear();
    this.averages.clear();
  }

  private runner(pass: Pass, values: (name: string) => Tensor): Run {
    return (input) => this.architecture.forward(this.tf, values, input, pass);
  }

  private readonly current = (name: string): Tensor => {
    const variable = this.variables.get(name);
    if (variable === undefined) throw new RangeError(`the network has no ${name}`);
    return variable;
  };

  private readonly shown = (name: string): Tensor => this.averages.get(name) ?? this.current(name);

  private make(value: Float32Array, shape: readonly number[], name: string, trainable: boolean): Variable {
    const { tf } = this;
    return tf.tidy(() => tf.variable(tf.tensor(value, [...shape], 'float32'), trainable, name));
  }

  private async read(entries: readonly (readonly [string, Tensor])[]): Promise<Map<string, Float32Array>> {
    const found = new Map<string, Float32Array>();
    // Copies: on some backends the array is the tensor's own memory.
    for (const [name, tensor] of entries) found.set(name, Float32Array.from(await tensor.data()));
    return found;
  }

  private write(variables: ReadonlyMap<string, Variable>, values: ReadonlyMap<string, Float32Array>): void {
    const { tf } = this;
    for (const [name, variable] of variables) {
      const value = values.get(name);
      if (value?.length !== variable.size)
        throw new RangeError(
          `${name} has ${value?.length ?? 'no'} numbers, but the network ${variable.size}`,
        );
      tf.tidy(() => {
        variable.assign(tf.tensor(value, variable.shape, 'float32'));
      });
    }
  }
}
