/** The matrix W of a layer from its parameters, whatever form it has. */
import type { BuiltinLayer } from './architecture';
import { arrayNames } from './weight';

type Values = ReadonlyMap<string, Float32Array>;

/** groups × m × n, row-major, in the order of the weight's own shape. @throws RangeError for a parameter that is missing */
export function weightOf(layer: BuiltinLayer, values: Values): Float32Array {
  const { form, name } = layer;
  const { U, V, A, B } = arrayNames(name);
  switch (form.kind) {
    case 'dense':
      return valueOf(values, name);
    case 'low-rank':
      return products(valueOf(values, U), valueOf(values, V), layer, form.rank, false);
    case 'sine':
      return sine(products(valueOf(values, U), valueOf(values, V), layer, form.rank, false), layer);
    case 'lora':
    case 'sine-lora': {
      const change = products(valueOf(values, B), valueOf(values, A), layer, form.rank, true);
      if (form.kind === 'sine-lora') sine(change, layer);
      const scale = (form.alpha ?? form.rank) / form.rank;
      return valueOf(values, name).map((value, i) => value + scale * (change[i] ?? 0));
    }
  }
}

/** sin(ω·x)/g, in place. */
function sine(values: Float32Array, { omega = NaN, gain = NaN }: BuiltinLayer): Float32Array {
  for (let i = 0; i < values.length; i++) values[i] = Math.sin(omega * (values[i] ?? 0)) / gain;
  return values;
}

/** U·Vᵀ of each group, U m × k and V n × k; or, with V k × n, U·V. Sums in float64. */
function products(
  U: Float32Array,
  V: Float32Array,
  { groups, shape: [m, n] }: BuiltinLayer,
  k: number,
  isTransposed: boolean,
): Float32Array {
  const W = new Float32Array(groups * m * n);
  for (let row = 0; row < groups * m; row++) {
    const first = Math.floor(row / m) * n * k;
    for (let column = 0; column < n; column++) {
      let sum = 0;
      for (let i = 0; i < k; i++) {
        const at = first + (isTransposed ? i * n + column : column * k + i);
        sum += (U[row * k + i] ?? 0) * (V[at] ?? 0);
      }
      W[row * n + column] = sum;
    }
  }
  return W;
}

function valueOf(values: Values, name: string): Float32Array {
  const value = values.get(name);
  if (value === undefined) throw new RangeError(`no values of ${name}`);
  return value;
}
