/** The built-in networks in every form: outputs, gradients and statistics as PyTorch's own modules have them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { builtinReferences } from '../reference/builtinReferences';
import { architectureOf, assertAsPytorch } from './builtinCases';
import { tf, withWasm } from './builtinTensors';

withWasm();

for (const reference of builtinReferences().cases) {
  describe(reference.name, () => {
    test('has the parameters and layers that PyTorch’s modules have', () => {
      const architecture = architectureOf(reference);
      const weights = new Map(architecture.layers.map((layer) => [layer.name, layer]));
      const whole = architecture.parameters
        .filter(({ name }) => !/\.lora_[AB]\.weight$|\.V$/.test(name))
        .map(({ name, shape }): [string, readonly number[]] => {
          const weight = name.replace(/\.U$/, '');
          return [weight, weights.get(weight)?.weightShape ?? shape];
        });
      const byName = (a: readonly [string, unknown], b: readonly [string, unknown]): number =>
        a[0] < b[0] ? -1 : 1;
      assert.deepEqual(whole.sort(byName), Object.entries(reference.shapes).sort(byName));
      const inner = architecture.layers.filter(({ isInner }) => isInner).map(({ name }) => name);
      assert.deepEqual(inner.sort(), [...reference.inner].sort());
    });

    test('gives the outputs, gradients and statistics of PyTorch', async () => {
      await assertAsPytorch(tf, reference);
    });
  });
}
