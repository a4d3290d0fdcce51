import type { Tensor } from '../checkpoint/checkpoint';
import type { ComputeBackend } from '../compute/backend';
import { factorization } from '../lowrank';
import type { BuiltinLayer } from '../network/builtin';

export interface LayerFactors {
  readonly U: Float32Array;
  readonly V: Float32Array;
  readonly omega?: number;
  readonly gain?: number;
}

/**
 * The factors with which a layer that a checkpoint keeps dense begins: truncated SVD, or the fit of sin(ω·U·Vᵀ)/g, group by
 * group. The fit chooses ω and g itself unless the form names them.
 *
 * @param weight groups × m × n, row-major
 * @throws Error in one line naming the layer; the signal's reason
 */
export async function factorizeWeight(
  { name, shape: [m, n], groups, form }: BuiltinLayer,
  weight: Float32Array,
  seed: number,
  backend: ComputeBackend,
  signal: AbortSignal,
): Promise<LayerFactors> {
  if (form.kind !== 'low-rank' && form.kind !== 'sine')
    throw new Error(`${name}: a ${form.kind} layer has no factors`);
  if (form.kind === 'sine' && groups > 1)
    throw new Error(`${name}: a grouped convolution is not fitted here: convert the checkpoint first`);
  const method = factorization(form.kind === 'sine' ? 'sine' : 'svd');
  const U = new Float32Array(groups * m * form.rank);
  const V = new Float32Array(groups * n * form.rank);
  let scalars: Readonly<Record<string, number>> = {};
  const tensor = inMemory(name, weight, [groups * m, n]);
  for (let g = 0; g < groups; g++) {
    const matrix = { offset: g * m * n, rows: m, columns: n, rowStride: n };
    const settings = {
      rank: form.rank,
      seed,
      ...(form.kind === 'sine' && form.omega !== undefined && { omega: form.omega }),
      ...(form.kind === 'sine' && form.gain !== undefined && { gain: form.gain }),
    };
    const result = await method.fit({ tensor, matrix, transposed: false }, settings, backend, signal);
    if (result.kind !== 'fit') throw new Error(`${name}: its weights cannot be factored`);
    const [left, right] = result.fit.matrix.factors;
    if (left === undefined || right === undefined) throw new Error(`${name}: no factors`);
    U.set(left.data, g * m * form.rank);
    V.set(right.data, g * n * form.rank);
    scalars = result.fit.matrix.scalars;
  }
  const { omega, gain } = scalars;
  return { U, V, ...(omega !== undefined && { omega }), ...(gain !== undefined && { gain }) };
}

function inMemory(name: string, values: Float32Array, shape: readonly number[]): Tensor {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const storage = { encoding: 'memory', path: 'a checkpoint', bytes, byteLength: bytes.length } as const;
  return { name, shape, dtype: 'float32', storage, role: 'model' };
}
