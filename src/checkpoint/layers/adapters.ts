/** Layers of adapters: the changes of weights, and the two matrices that each is made of. */
import { elementCount, type Adapter, type Checkpoint, type Tensor } from '../checkpoint';
import type { Layer } from './layer';
import { wholeMatrix, type LayerReading } from './matrix';

/** An adapter and the name of the tensor that is its change of a weight. */
export interface NamedAdapter extends Adapter {
  readonly name: string;
}

/** Adapters by the names of the tensors that they are made of. */
export function adaptersByFactor({
  adapters,
}: Pick<Checkpoint, 'adapters'>): ReadonlyMap<string, NamedAdapter> {
  const owners = new Map<string, NamedAdapter>();
  for (const [name, adapter] of adapters ?? [])
    for (const factor of adapter.factors) owners.set(factor, { ...adapter, name });
  return owners;
}

/**
 * Whether a tensor's numbers are the checkpoint's own. The change of a weight is made of others, which are; U and V of a
 * weight count as what they stand for.
 */
export function ownsItsNumbers(
  { name, role }: Tensor,
  { adapters }: Checkpoint,
  byFactor: ReadonlyMap<string, NamedAdapter>,
): boolean {
  if (role === 'factor') return byFactor.has(name);
  return role === 'model' && adapters?.has(name) !== true;
}

/** The changes of a stack of weights, groups × out × in: a layer each. */
export function readAdapterStack({ shape }: Tensor): LayerReading[] {
  const [groups = 0, rows = 0, columns = 0] = shape;
  return Array.from({ length: groups }, (_, g) => ({
    kind: 'linear',
    shape: [rows, columns],
    matrices: [wholeMatrix(rows, columns, g * rows * columns)],
  }));
}

/** One of the two matrices of an adapter, its axes after the first flattened as a convolution's are. */
export function readAdapterFactor(
  { shape }: Tensor,
  { name, groups = 1 }: NamedAdapter,
): LayerReading & Pick<Layer, 'factorOf'> {
  const [rows = 0, ...rest] = groups > 1 ? shape.slice(1) : shape;
  const columns = elementCount(rest);
  return {
    kind: 'other',
    shape: [rows, columns],
    matrices: Array.from({ length: groups }, (_, g) => wholeMatrix(rows, columns, g * rows * columns)),
    ...(groups > 1 && { groups }),
    factorOf: name,
  };
}

/** @param parts layers that the adapter's tensor is read as */
export function ofAdapter(layer: Layer, { parameters, maxRank }: Adapter, parts: number): Layer {
  const isLower = maxRank !== undefined && maxRank < Math.min(...layer.shape);
  return { ...layer, parameters: parameters / parts, isAdapter: true, ...(isLower && { maxRank }) };
}
