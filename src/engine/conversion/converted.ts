/** A fitted layer as tensors: what files are written from and spectra are taken of. */
import { elementCount, type ActivatedProduct, type Tensor } from '../../checkpoint/checkpoint';
import { ACTIVATIONS } from '../../checkpoint/formats/factors';
import type { Layer } from '../../checkpoint/layers';
import type { LayerFactors } from '../../checkpoint/write/factorFile';
import type { Replacements } from '../../checkpoint/write/materialize';
import type { FactoredWeight } from '../../checkpoint/checkpoint';
import type { Fitted } from '../../lowrank';
import type { FactorStore } from './factorStore';

/** Factors of a layer's matrices one after the other, in memory. */
export interface StackedFactors {
  readonly factorization: string;
  readonly omega: number;
  readonly gains: readonly number[];
  readonly groups: number;
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
  readonly U: Float32Array;
  readonly V: Float32Array;
}

/** @param fits one for each matrix of a layer, all at the same rank */
export function stackFactors(fits: readonly Fitted[]): StackedFactors {
  const [first] = fits;
  if (first === undefined) throw new RangeError('a layer has at least one matrix');
  const { factorization, rows, columns, rank, scalars } = first.matrix;
  return {
    factorization,
    omega: scalars.omega ?? 1,
    gains: fits.map(({ matrix }) => matrix.scalars.gain ?? 1),
    groups: fits.length,
    rows,
    columns,
    rank,
    U: joined(fits, 'U', rows * rank),
    V: joined(fits, 'V', columns * rank),
  };
}

function joined(fits: readonly Fitted[], name: string, size: number): Float32Array {
  const all = new Float32Array(fits.length * size);
  fits.forEach(({ matrix }, g) => {
    const data = matrix.factors.find((factor) => factor.name === name)?.data;
    if (data?.length !== size) throw new RangeError(`a fit without a factor ${name} of ${size} numbers`);
    all.set(data, g * size);
  });
  return all;
}

/** The layer's matrices below one another, float32, multiplied out when they are read. */
export function productTensor(
  name: string,
  product: ActivatedProduct,
  shape: readonly number[],
  path: string,
): Tensor {
  const storage = { encoding: 'product', path, product, byteLength: 4 * elementCount(shape) } as const;
  return { name, shape, dtype: 'float32', storage, role: 'model' };
}

/** φ(ω·U·Vᵀ)/g of stacked factors that are tensors. @throws {Error} for a factorization that no file can hold */
export function productOf(
  factors: Pick<StackedFactors, 'factorization' | 'omega' | 'gains'>,
  U: Tensor,
  V: Tensor,
  transposed: boolean,
): ActivatedProduct {
  const activation = ACTIVATIONS.get(factors.factorization);
  if (activation === undefined) throw new Error(`no file keeps weights as ${factors.factorization}`);
  const { omega, gains } = factors;
  return { activation, omega, gains, U, V, transposed };
}

/** A tensor of numbers in memory. */
export function memoryTensor(
  name: string,
  shape: readonly number[],
  values: Float32Array,
  path: string,
): Tensor {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return {
    name,
    shape,
    dtype: 'float32',
    storage: { encoding: 'memory', path, bytes, byteLength: bytes.length },
    role: 'factor',
  };
}

/**
 * Keeps a layer's factors for the files to come.
 *
 * @param factored weights of the checkpoint that were factors before, whose element type was another one
 */
export async function layerFactors(
  layer: Layer,
  factors: StackedFactors,
  store: FactorStore,
  factored: ReadonlyMap<string, FactoredWeight> | undefined,
): Promise<LayerFactors> {
  const { name, stack, transposed } = layer;
  const { groups, rows, columns, rank, factorization, omega, gains } = factors;
  const axes = groups > 1 ? [groups] : [];
  const owner = stack?.tensor ?? layer.tensor;
  return {
    name,
    factorization,
    omega,
    gains,
    tensor: owner.name,
    shape: owner.shape,
    dtype: factored?.get(owner.name)?.dtype ?? owner.dtype,
    transposed: transposed === true,
    ...(stack !== undefined && { expert: stack.index }),
    U: await store.keep(`${name}.U`, [...axes, rows, rank], factors.U),
    V: await store.keep(`${name}.V`, [...axes, columns, rank], factors.V),
  };
}

/** The weights that stand in for the converted ones in a dense model, by the names of their tensors. */
export function replacementsOf(layers: readonly LayerFactors[], path: string): Map<string, Tensor> {
  const replacements = new Map<string, Tensor>();
  const stacks = new Map<string, Tensor[]>();
  for (const layer of layers) {
    const product = productOf(layer, layer.U, layer.V, layer.transposed);
    const { tensor, shape, expert } = layer;
    if (expert === undefined) {
      replacements.set(tensor, productTensor(tensor, product, shape, path));
      continue;
    }
    const parts = stacks.get(tensor) ?? [];
    stacks.set(tensor, parts);
    parts[expert] = productTensor(layer.name, product, shape.slice(1), path);
    const storage = { encoding: 'stack', path, parts, byteLength: 4 * elementCount(shape) } as const;
    replacements.set(tensor, { name: tensor, shape, dtype: 'float32', storage, role: 'model' });
  }
  return replacements satisfies Replacements;
}
