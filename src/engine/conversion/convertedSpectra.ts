import type { Tensor } from '../../checkpoint/checkpoint';
import type { Layer } from '../../checkpoint/layers';
import type { ComputeBackend } from '../../compute';
import { sha256 } from '../cache';
import { memoryTensor, productOf, productTensor, type StackedFactors } from './converted';
import type { FitContext, LayerFit } from './layerFit';
import type { LayerSpectraSet } from './outcome';

interface FittedLayer {
  readonly layer: Layer;
  readonly fit: LayerFit;
  readonly factors: StackedFactors;
  readonly original: readonly Float64Array[];
  readonly inputGrams: readonly Float64Array[] | undefined;
}

/** Singular values of a layer before, of its truncated SVD at the same rank, and of what it was converted to. */
export async function convertedSpectra(
  { layer, fit, factors, original, inputGrams }: FittedLayer,
  context: FitContext,
): Promise<LayerSpectraSet> {
  const lowRank =
    inputGrams === undefined
      ? original.map((values) => values.slice(0, fit.rank))
      : await weightedLowRank(layer, fit.rank, inputGrams, context);
  // Without weights, truncated SVD keeps the leading singular values as they are.
  if (factors.factorization === 'svd' && inputGrams === undefined)
    return { original, lowRank, converted: lowRank };
  const { cache, backend, signal } = context;
  const key =
    fit.keys === undefined ? undefined : sha256(JSON.stringify(['converted', fit.keys, backend.build]));
  const known = key === undefined ? undefined : await cache?.results.spectra(key);
  if (known?.length === original.length) return { original, lowRank, converted: known };
  const converted = await spectraOfProduct(factors, layer, backend, signal);
  if (key !== undefined) await cache?.results.storeSpectra(key, converted);
  return { original, lowRank, converted };
}

/** In the norm of the inputs the best low-rank matrix is another one, with singular values of its own. */
async function weightedLowRank(
  layer: Layer,
  rank: number,
  inputGrams: readonly Float64Array[],
  { backend, signal }: FitContext,
): Promise<readonly Float64Array[]> {
  const spectra: Float64Array[] = [];
  for (const [g, matrix] of layer.matrices.entries()) {
    const inputGram = inputGrams[g];
    const target = {
      tensor: layer.tensor,
      matrix,
      transposed: layer.transposed === true,
      ...(inputGram !== undefined && { inputGram }),
    };
    const result = await backend.truncatedSvd(target, rank, signal);
    if (result.kind !== 'fit') throw new Error(`${layer.name}: its truncated SVD cannot be taken`);
    const { U, V } = result.fit;
    const [rows, columns] = [U.length / rank, V.length / rank];
    const factors = { factorization: 'svd', omega: 1, gains: [1], groups: 1, rows, columns, rank, U, V };
    const [values] = await spectraOfProduct(factors, layer, backend, signal);
    if (values !== undefined) spectra.push(values.slice(0, rank));
  }
  return spectra;
}

/** Singular values of each of the stacked matrices, multiplied out. */
export async function spectraOfProduct(
  factors: StackedFactors,
  { name, tensor }: { readonly name: string; readonly tensor: Tensor },
  backend: ComputeBackend,
  signal: AbortSignal,
): Promise<readonly Float64Array[]> {
  const { groups, rows, columns, rank } = factors;
  const { path } = tensor.storage;
  const U = memoryTensor(`${name}.U`, [groups, rows, rank], factors.U, path);
  const V = memoryTensor(`${name}.V`, [groups, columns, rank], factors.V, path);
  const product = productTensor(name, productOf(factors, U, V, false), [groups * rows, columns], path);
  const matrices = Array.from({ length: groups }, (_, g) => ({
    offset: g * rows * columns,
    rows,
    columns,
    rowStride: columns,
  }));
  const result = await backend.singularValues({ tensor: product, matrices }, signal);
  if (result.kind === 'spectra') return result.singularValues;
  throw new Error(
    `${name}: no spectrum of the converted layer: ${result.kind === 'tooLarge' ? result.reason : 'its values are not finite'}`,
  );
}
