/** How a checkpoint keeps the weight of a layer: as it is, as a pair of layers, or as factors. */
import {
  elementCount,
  type ActivatedProduct,
  type Checkpoint,
  type Tensor,
} from '../../checkpoint/checkpoint';
import { CheckpointError } from '../../checkpoint/errors';
import { adaptersByFactor, ownsItsNumbers } from '../../checkpoint/layers';
import type { ChooseForm, LayerFacts } from './architecture';
import type { LayerForm } from './recipe';
import { arrayNames, moduleOf } from './weight';

export type KeptWeight =
  | { readonly kind: 'dense'; readonly tensor: Tensor }
  /** Two layers: r × n, then m × r, as a decomposition writes them. */
  | { readonly kind: 'pair'; readonly first: Tensor; readonly second: Tensor; readonly rank: number }
  /** sin(ω·U·Vᵀ)/g or U·Vᵀ; `tensor` is the product, multiplied out when it is read. */
  | {
      readonly kind: 'factors';
      readonly tensor: Tensor;
      readonly product: ActivatedProduct;
      readonly rank: number;
    }
  /** U and V alone: of which form, only a recipe can tell. */
  | { readonly kind: 'bare'; readonly U: Tensor; readonly V: Tensor };

/** The tensors of the model in a checkpoint, found by names that may stand behind a wrapper's (`module.`, `model.`). */
export class NamedTensors {
  private readonly byName = new Map<string, Tensor>();
  /** By the last two parts of the name. */
  private readonly byEnd = new Map<string, string[]>();

  constructor(readonly checkpoint: Checkpoint) {
    const byFactor = adaptersByFactor(checkpoint);
    for (const tensor of checkpoint.tensors) {
      if (!ownsItsNumbers(tensor, checkpoint, byFactor) || this.byName.has(tensor.name)) continue;
      this.byName.set(tensor.name, tensor);
      const end = endOf(tensor.name);
      const names = this.byEnd.get(end);
      if (names === undefined) this.byEnd.set(end, [tensor.name]);
      else names.push(tensor.name);
    }
  }

  get(name: string): Tensor | undefined {
    return this.byName.get(name);
  }

  names(): IterableIterator<string> {
    return this.byName.keys();
  }

  /** What stands before a name where it occurs, '' included. */
  prefixesOf(name: string): string[] {
    const isWhole = (prefix: string): boolean => prefix === '' || prefix.endsWith('.');
    return (this.byEnd.get(endOf(name)) ?? [])
      .filter((one) => one.endsWith(name))
      .map((one) => one.slice(0, one.length - name.length))
      .filter(isWhole);
  }
}

function endOf(name: string): string {
  return name.split('.').slice(-2).join('.');
}

/** Names under which a layer may be kept: any of the first ones says that it is there. */
export function keptNames(weight: string): readonly string[] {
  return [weight, `${moduleOf(weight)}.0.weight`, arrayNames(weight).U];
}

/**
 * The weight of a layer. @param prefix what stands before all names
 *
 * @returns undefined where it is not there
 * @throws CheckpointError where it does not fit the layer
 */
export function keptWeight(tensors: NamedTensors, prefix: string, layer: LayerFacts): KeptWeight | undefined {
  const name = `${prefix}${layer.name}`;
  const tensor = tensors.get(name);
  if (tensor !== undefined) return wholeOrFactors(tensors.checkpoint, tensor, layer);
  const module = moduleOf(name);
  const [first, second] = [tensors.get(`${module}.0.weight`), tensors.get(`${module}.1.weight`)];
  if (first !== undefined && second !== undefined)
    return pairOf(tensors.checkpoint.path, first, second, layer);
  const names = arrayNames(name);
  const [U, V] = [tensors.get(names.U), tensors.get(names.V)];
  return U === undefined || V === undefined ? undefined : { kind: 'bare', U, V };
}

function wholeOrFactors(checkpoint: Checkpoint, tensor: Tensor, { weightShape }: LayerFacts): KeptWeight {
  requireShape(checkpoint.path, tensor, weightShape);
  const { storage } = tensor;
  const isFactored = checkpoint.factored?.has(tensor.name) === true && storage.encoding === 'product';
  // Of a weight that was in × out, the product is the transpose of what U and V stand for.
  if (!isFactored || storage.product.transposed) return { kind: 'dense', tensor };
  const { product } = storage;
  return { kind: 'factors', tensor, product, rank: product.U.shape.at(-1) ?? 0 };
}

function pairOf(
  file: string,
  first: Tensor,
  second: Tensor,
  { shape: [m, n], groups }: LayerFacts,
): KeptWeight {
  const rank = (first.shape[0] ?? 0) / groups;
  const isFitting =
    Number.isInteger(rank) &&
    rank >= 1 &&
    elementCount(first.shape) === groups * rank * n &&
    second.shape[0] === groups * m &&
    elementCount(second.shape) === groups * m * rank;
  if (isFitting) return { kind: 'pair', first, second, rank };
  const shapes = [first, second].map(({ shape }) => `[${shape.join(', ')}]`).join(' and ');
  const layer = `${groups > 1 ? `${groups} × ` : ''}${m} × ${n}`;
  throw new CheckpointError('unsupported', `a pair of ${shapes} is no decomposition of a layer of ${layer}`, {
    file,
    tensor: first.name,
  });
}

/** Shapes are the same but for axes of one element at the end: a 1 × 1 kernel may be kept as a matrix. */
export function requireShape(file: string, { name, shape }: Tensor, wanted: readonly number[]): void {
  const bare = (sizes: readonly number[]): string => sizes.join(', ').replace(/(?:, 1)+$/, '');
  if (bare(shape) === bare(wanted) && shape.length > 0 === wanted.length > 0) return;
  throw new CheckpointError(
    'unsupported',
    `its shape is [${shape.join(', ')}], and the network's [${wanted.join(', ')}]: the sizes in the recipe are not those of the checkpoint`,
    { file, tensor: name },
  );
}

/**
 * The forms in which a checkpoint keeps its layers: a decomposition's pairs and factors of U·Vᵀ are low-rank, factors of
 * sin(ω·U·Vᵀ)/g are sine with their ω and g, everything else is dense.
 *
 * @returns a choice that throws a CheckpointError for a layer whose arrays do not fit it
 */
export function formsInCheckpoint(checkpoint: Checkpoint): ChooseForm {
  const tensors = new NamedTensors(checkpoint);
  return (layer) => {
    // A layer's name may be the end of another's, `conv1` of `layer1.0.conv1`: the one with least before it is meant.
    const prefixes = keptNames(layer.name).flatMap((name) => tensors.prefixesOf(name));
    const [prefix] = prefixes.sort((a, b) => a.length - b.length);
    const kept = prefix === undefined ? undefined : keptWeight(tensors, prefix, layer);
    return kept === undefined ? { kind: 'dense' } : formOf(checkpoint.path, kept);
  };
}

function formOf(file: string, kept: KeptWeight): LayerForm {
  switch (kept.kind) {
    case 'dense':
      return { kind: 'dense' };
    case 'pair':
      return { kind: 'low-rank', rank: kept.rank };
    case 'factors': {
      const { rank, product } = kept;
      if (product.activation === 'identity') return { kind: 'low-rank', rank };
      return { kind: 'sine', rank, omega: product.omega, gain: gainOf(file, kept) };
    }
    case 'bare':
      throw new CheckpointError(
        'unsupported',
        'kept as U and V, and not said in which form: give the network its "forms" in the recipe',
        { file, tensor: kept.U.name },
      );
  }
}

/** g, the same for all groups. */
export function gainOf(file: string, { product, tensor }: KeptWeight & { kind: 'factors' }): number {
  const [gain = 1, ...others] = product.gains;
  if (others.every((other) => other === gain)) return gain;
  throw new CheckpointError('unsupported', 'its groups have gains of their own, and a layer here has one', {
    file,
    tensor: tensor.name,
  });
}
