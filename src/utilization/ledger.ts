import type { NetworkLayer } from '../network/network';
import { isDecomposable } from '../spectrum';

/** What a layer takes, as it is and as two. */
export interface LayerLedger {
  /** Rank at which the layer is split: the largest of its groups', which all groups then have. */
  readonly splitRank: number;
  readonly decomposable: boolean;
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  /** FLOPs of one sample, multiply-adds twice; the bias left out. */
  readonly flopsBefore: number;
  readonly flopsAfter: number;
}

/**
 * Parameters and FLOPs of a layer before and after it becomes two, r × n and m × r; unchanged where that saves nothing
 * (r ≥ m·n/(m+n)). A convolution's first half keeps kernel, stride and groups; the second is 1 × 1, so both run at the
 * same output positions. The bias stays with the second.
 *
 * @param utilizedRanks one a group
 */
export function ledgerOf(layer: NetworkLayer, utilizedRanks: readonly number[]): LayerLedger {
  const [m, n] = layer.shape;
  // A layer that nothing passes through still has outputs: two layers of rank 1 make its zeros.
  const splitRank = Math.max(1, ...utilizedRanks);
  const decomposable = isDecomposable(splitRank, m, n);
  const elements = layer.groups * (decomposable ? splitRank * (m + n) : m * n);
  const before = flopsOf(layer);
  return {
    splitRank,
    decomposable,
    parametersBefore: layer.parameters + layer.bias,
    parametersAfter: (decomposable ? elements : layer.parameters) + layer.bias,
    flopsBefore: before,
    flopsAfter: decomposable ? 2 * layer.positions * elements : before,
  };
}

/** FLOPs of one sample, multiply-adds twice. */
export function flopsOf({ shape: [m, n], groups, positions }: NetworkLayer): number {
  return 2 * positions * groups * m * n;
}
