/** Optimisers and schedules, against PyTorch's: `make_optimizers.py`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import reference from '../reference/optimizers.json';
import { Optimizer } from '../../src/training/optimizer';
import { clipped } from '../../src/training/loop';
import type { OptimizerRecipe, ScheduleRecipe } from '../../src/training/recipe';
import { rateFactor } from '../../src/training/schedule';
import { tf, withTensors } from './trainingTensors';

withTensors();

interface Pair {
  readonly weight: readonly number[];
  readonly bias: readonly number[];
}

const gradient = ({ weight, bias }: Pair) => ({
  weight: tf.tensor([...weight], [2, 3]),
  bias: tf.tensor([...bias]),
});

function trained() {
  const { weight, bias } = reference.start;
  // Names are unique in all of TensorFlow.js.
  const variable = (values: readonly number[], shape: number[]) =>
    tf.variable(tf.tensor([...values], shape), true);
  return [
    { name: 'weight', variable: variable(weight, [2, 3]), decays: true },
    { name: 'bias', variable: variable(bias, [2]), decays: false },
  ] as const;
}

function assertNear(found: tf.Tensor | undefined, wanted: readonly number[]): void {
  const values = [...(found?.dataSync() ?? [])];
  assert.equal(values.length, wanted.length);
  values.forEach((value, i) => {
    assert.ok(Math.abs(value - (wanted[i] ?? NaN)) < 2e-6, `${i}: ${value}, not ${wanted[i] ?? NaN}`);
  });
}

function named(parameters: ReturnType<typeof trained>, { weight, bias }: ReturnType<typeof gradient>) {
  return { [parameters[0].variable.name]: weight, [parameters[1].variable.name]: bias };
}

describe('an optimiser', () => {
  for (const { recipe, weight, bias } of reference.optimizers) {
    test(`${JSON.stringify(recipe)} makes PyTorch's steps`, () => {
      const parameters = trained();
      const optimizer = new Optimizer(tf, recipe as OptimizerRecipe, parameters);
      reference.gradients.forEach((given, step) => {
        optimizer.apply(named(parameters, gradient(given)), recipe.learningRate, step);
      });
      assertNear(parameters[0].variable, weight);
      assertNear(parameters[1].variable, bias);
    });
  }

  test('goes on from its state bit for bit', () => {
    const recipe: OptimizerRecipe = { kind: 'adamw', learningRate: 0.05 };
    const [whole, first] = [trained(), trained()];
    const optimizer = new Optimizer(tf, recipe, whole);
    const before = new Optimizer(tf, recipe, first);
    reference.gradients.forEach((given, step) => {
      optimizer.apply(named(whole, gradient(given)), 0.05, step);
      if (step < 2) before.apply(named(first, gradient(given)), 0.05, step);
    });
    const kept = new Map([...before.state].map(([key, slot]) => [key, Float32Array.from(slot.dataSync())]));
    const after = new Optimizer(tf, recipe, first);
    after.restore(kept);
    reference.gradients.slice(2).forEach((given, i) => {
      after.apply(named(first, gradient(given)), 0.05, i + 2);
    });
    assert.deepEqual(first[0].variable.dataSync(), whole[0].variable.dataSync());
    assert.throws(() => {
      after.restore(new Map([['m.weight', new Float32Array(1)]]));
    }, /m\.weight has 1 numbers, not 6/);
  });

  test('leaves parameters without a gradient alone', () => {
    const parameters = trained();
    const optimizer = new Optimizer(tf, { kind: 'adam', learningRate: 1 }, parameters);
    optimizer.apply({}, 1, 0);
    assertNear(parameters[0].variable, reference.start.weight);
  });
});

test('gradients are clipped by their common norm', () => {
  const { limit, weight, bias } = reference.clipping;
  const [first] = reference.gradients;
  assert.ok(first !== undefined);
  const found = clipped(tf, gradient(first), limit);
  assertNear(found.weight, weight);
  assertNear(found.bias, bias);
  // What is short enough stays as it is.
  assertNear(clipped(tf, gradient(first), 1000).bias, first.bias);
});

describe('a schedule', () => {
  for (const { recipe, factors } of reference.schedules) {
    test(`${JSON.stringify(recipe)} has PyTorch's factors`, () => {
      const { steps, stepsPerEpoch } = reference;
      factors.forEach((factor, step) => {
        const found = rateFactor(recipe as ScheduleRecipe, step, steps, stepsPerEpoch);
        assert.ok(Math.abs(found - factor) < 1e-9, `step ${step}: ${found}, not ${factor}`);
      });
    });
  }
});
