/** One network of `builtin.json` on one backend, held against PyTorch. */
import assert from 'node:assert/strict';
import {
  buildArchitecture,
  chooseFormOf,
  type Architecture,
  type Tensor,
  type Tf,
} from '../../src/network/builtin';
import { numbers, probeOf, valuesOf, type BuiltinCase, type Probe } from '../reference/builtinReferences';
import { gradientsOf } from './builtinTensors';

/** How much further from float64 this float32 may be than PyTorch's, which sums in another order. */
const WORSE = 8;

/** Share of the norm that is allowed in any case. */
const LEAST_TOLERANCE = 1e-5;

export function architectureOf({ recipe, forms }: BuiltinCase): Architecture {
  const asked = { ...recipe, ...(forms && { forms }) };
  return buildArchitecture(asked, chooseFormOf(asked.forms));
}

export function inputOf(tf: Tf, { input, inputType }: Architecture, { batch, recipe }: BuiltinCase): Tensor {
  const shape = [batch, ...input];
  const u = numbers(
    'input',
    shape.reduce((product, size) => product * size, 1),
  );
  if (inputType === 'float32') return tf.tensor(u, shape);
  const vocabulary = 'vocabulary' in recipe ? (recipe.vocabulary ?? 0) : 0;
  const ids = Int32Array.from(u, (x) => Math.floor(((x + 1) / 2) * vocabulary));
  return tf.tensor(ids, shape, 'int32');
}

interface Allowed {
  readonly share: number;
  readonly least: number;
}

/**
 * Products may be small by chance: differences are held against the norm. A bias before a normalisation has no gradient
 * but what rounding leaves of the others: these are held against the largest.
 */
function assertNear(actual: Probe, expected: Probe, allowed: Allowed, what: string): void {
  const [norm] = expected;
  actual.forEach((value, i) => {
    const difference = Math.abs(value - (expected[i] ?? NaN));
    assert.ok(
      difference <= allowed.share * norm + allowed.least,
      `${what}: ${actual.join(' ')} for ${expected.join(' ')}`,
    );
  });
}

/**
 * Outputs, gradients and next running statistics.
 *
 * @param least share of the norm that is allowed on this backend, for its own sines and exponentials
 */
export async function assertAsPytorch(
  tf: Tf,
  reference: BuiltinCase,
  least = LEAST_TOLERANCE,
): Promise<void> {
  const architecture = architectureOf(reference);
  const pass = { training: reference.training === true, seed: 0 };
  const input = inputOf(tf, architecture, reference);
  const loss = (count: number): Float32Array => numbers('loss', count);
  const { outputs, gradients, statistics } = await gradientsOf(tf, architecture, valuesOf, input, pass, loss);
  input.dispose();
  assert.equal(outputs.length, reference.batch * architecture.output.reduce((a, b) => a * b, 1));
  assert.equal(outputs.length, reference.outputs.length);
  const share = Math.max(least, WORSE * reference.rounding);
  const largest = Math.max(...reference.outputs.map(Math.abs));
  outputs.forEach((value, i) => {
    const expected = reference.outputs[i] ?? NaN;
    assert.ok(Math.abs(value - expected) <= share * largest, `output ${i}: ${value}, not ${expected}`);
  });
  assert.ok(gradients.size > 0);
  const steepest = Math.max(...Object.values(reference.gradients).map(([norm]) => norm));
  for (const [name, gradient] of gradients) {
    const expected = reference.gradients[name];
    assert.ok(expected !== undefined, name);
    assertNear(probeOf(name, gradient), expected, { share, least: 1e-6 * steepest }, name);
  }
  assert.deepEqual([...statistics.keys()].sort(), Object.keys(reference.statistics).sort());
  for (const [name, value] of statistics) {
    const probe = probeOf(name, value);
    const expected = reference.statistics[name];
    assert.ok(expected !== undefined, name);
    assertNear(probe, expected, { share, least: 0 }, name);
  }
}
