/** TensorFlow.js on its WebAssembly backend with the kernels that training needs, as a run has it. */
import path from 'node:path';
import { before } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import type { Architecture, Pass, Tensor, Tf, Values } from '../../src/network/builtin/architecture';
import { supplyKernels } from '../../src/network/builtin/kernels';
import { ROOT } from '../reference/references';

export { tf };

/** To be called once in a test file that computes. */
export function withWasm(): void {
  before(async () => {
    tf.enableProdMode();
    setWasmPaths(path.join(ROOT, 'node_modules/@tensorflow/tfjs-backend-wasm/dist/'));
    await tf.setBackend('wasm');
    await tf.ready();
    supplyKernels(tf, 'wasm');
  });
}

export const EVALUATION: Pass = { training: false, seed: 0 };

/** What a network gives, and how a sum of its outputs depends on every parameter that is trained. */
export interface Gradients {
  readonly outputs: Float32Array;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/**
 * @param weights of the outputs in the sum; all 1 unless given
 * @param onStatistic the next running statistics
 */
export async function gradientsOf(
  tf: Tf,
  { parameters, forward }: Pick<Architecture, 'parameters' | 'forward'>,
  value: (name: string, shape: readonly number[]) => Float32Array,
  input: Tensor,
  pass: Pass = EVALUATION,
  weights: (count: number) => Float32Array = (count) => new Float32Array(count).fill(1),
): Promise<Gradients & { readonly statistics: ReadonlyMap<string, Float32Array> }> {
  const kept = new Map<string, Tensor>();
  const statistics = new Map<string, Tensor>();
  const trained = parameters.filter(({ kind }) => kind === 'trained').map(({ name }) => name);
  tf.tidy(() => {
    const tensors = new Map(
      parameters.map(({ name, shape }) => [name, tf.tensor(value(name, shape), [...shape])]),
    );
    const loss = (...given: Tensor[]): Tensor => {
      trained.forEach((name, i) => {
        const tensor = given[i];
        if (tensor !== undefined) tensors.set(name, tensor);
      });
      const onStatistic = (name: string, next: Tensor): void => {
        statistics.set(name, tf.keep(tf.clone(next)));
      };
      const output = forward(tf, valuesIn(tensors), input, { ...pass, onStatistic });
      kept.set('', tf.keep(tf.clone(output)));
      return tf.sum(tf.mul(output, tf.tensor(weights(output.size), output.shape)));
    };
    const gradients = tf.grads(loss)(trained.map((name) => tensors.get(name) ?? tf.scalar(NaN)));
    gradients.forEach((gradient, i) => kept.set(trained[i] ?? '', tf.keep(gradient)));
  });
  const gradients = await readAll(kept);
  const outputs = gradients.get('') ?? new Float32Array();
  gradients.delete('');
  return { outputs, gradients, statistics: await readAll(statistics) };
}

/** Without waiting, a graphics card cannot be read. */
async function readAll(tensors: ReadonlyMap<string, Tensor>): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const [name, tensor] of tensors) {
    values.set(name, Float32Array.from(await tensor.data()));
    tensor.dispose();
  }
  return values;
}

/** Values that a network finds by name. */
export function valuesIn(tensors: ReadonlyMap<string, Tensor>): Values {
  return (name) => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`the network asks for "${name}"`);
    return tensor;
  };
}

/** What a network gives with these values. */
export function outputsOf(
  { forward, parameters }: Pick<Architecture, 'parameters' | 'forward'>,
  values: ReadonlyMap<string, Float32Array>,
  input: Tensor,
  pass: Pass = EVALUATION,
): Float32Array {
  return tf.tidy(() => {
    const tensors = new Map(
      parameters.map(({ name, shape }) => [name, tf.tensor(values.get(name) ?? [], [...shape])]),
    );
    return Float32Array.from(forward(tf, valuesIn(tensors), input, pass).dataSync());
  });
}
