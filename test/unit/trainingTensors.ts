/** TensorFlow.js on its WebAssembly backend, as tasks are handed it. */
import path from 'node:path';
import { before } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
// The gradients of the operations come with it.
import '@tensorflow/tfjs-layers';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import type { Batch, Run } from '../../src/training/tasks/task';
import { ROOT } from '../reference/references';

export { tf };

/** To be called once in a test file that computes. */
export function withTensors(): void {
  before(async () => {
    tf.enableProdMode();
    setWasmPaths(path.join(ROOT, 'node_modules/@tensorflow/tfjs-backend-wasm/dist/'));
    await tf.setBackend('wasm');
    await tf.ready();
  });
}

export function tensors(batch: Batch): tf.Tensor[] {
  return batch.map(({ values, shape }) =>
    tf.tensor(values, [...shape], values instanceof Int32Array ? 'int32' : 'float32'),
  );
}

/** A loss and its gradient with respect to what the network gives. */
export function lossAndGradient(
  loss: (run: Run) => tf.Scalar,
  output: readonly number[],
  shape: readonly number[],
): { readonly loss: number; readonly gradient: readonly number[] } {
  return tf.tidy(() => {
    const result = tf.valueAndGrad((raw: tf.Tensor) => loss(() => raw))(tf.tensor([...output], [...shape]));
    return { loss: result.value.dataSync()[0] ?? NaN, gradient: [...result.grad.dataSync()] };
  });
}

/** A small network of dense layers with a ReLU between, trained in place by Adam's rule: enough to see a task learned. */
export class SmallNetwork {
  private readonly weights: tf.Variable[];
  private readonly moments: { first: tf.Tensor; second: tf.Tensor }[];
  private steps = 0;

  constructor(
    private readonly widths: readonly number[],
    private readonly before: (input: tf.Tensor) => tf.Tensor = (input) => input,
  ) {
    this.weights = widths.slice(1).flatMap((width, i) => {
      const inputs = widths[i] ?? 1;
      const weight = tf.randomNormal([inputs, width], 0, Math.sqrt(2 / inputs), 'float32', 7 + i);
      return [tf.variable(weight), tf.variable(tf.zeros([width]))];
    });
    this.moments = this.weights.map((weight) => ({
      first: tf.zerosLike(weight),
      second: tf.zerosLike(weight),
    }));
  }

  readonly run: Run = (input) => {
    let x = tf.reshape(this.before(input), [-1, this.widths[0] ?? 1]);
    for (let i = 0; i < this.weights.length; i += 2) {
      const [weight, bias] = this.weights.slice(i, i + 2);
      if (weight === undefined || bias === undefined) break;
      if (i > 0) x = tf.relu(x);
      x = tf.add(tf.matMul(x as tf.Tensor2D, weight as tf.Tensor as tf.Tensor2D), bias);
    }
    return x;
  };

  /** One step; the loss before it. */
  step(loss: (run: Run) => tf.Scalar, rate: number): number {
    this.steps++;
    const { value, grads } = tf.variableGrads(() => loss(this.run), this.weights);
    this.weights.forEach((weight, i) => {
      const gradient = grads[weight.name];
      const moment = this.moments[i];
      if (gradient === undefined || moment === undefined) return;
      const { first, second, next } = tf.tidy(() => {
        const a = tf.add(tf.mul(moment.first, 0.9), tf.mul(gradient, 0.1));
        const b = tf.add(tf.mul(moment.second, 0.999), tf.mul(tf.square(gradient), 0.001));
        const scale = (rate * Math.sqrt(1 - 0.999 ** this.steps)) / (1 - 0.9 ** this.steps);
        const change = tf.div(tf.mul(a, scale), tf.add(tf.sqrt(b), 1e-8));
        return { first: a, second: b, next: tf.sub(weight, change) };
      });
      tf.dispose([moment.first, moment.second, gradient]);
      weight.assign(next);
      next.dispose();
      this.moments[i] = { first, second };
    });
    const result = value.dataSync()[0] ?? NaN;
    value.dispose();
    return result;
  }
}
