import { printable } from '../../checkpoint/errors';
import type { NetworkLayer, RunnableNetwork } from '../../network/network';

/** Eigenvectors of a larger symmetric matrix do not fit WebAssembly's 4 GiB: four n × n matrices of float64. */
const MAX_SIDE = 11_000;

/** A layer that is measured, and its place in the network. */
export interface MeasuredLayer {
  /** Index into the network's layers. */
  readonly index: number;
  readonly layer: NetworkLayer;
}

export interface Selection {
  readonly measured: readonly MeasuredLayer[];
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
}

/**
 * Which layers of a network are measured, and why the others are not.
 *
 * @param pattern only layers whose name matches
 * @throws Error when none is left
 */
export function selectLayers({ layers }: RunnableNetwork, pattern: RegExp | undefined): Selection {
  const measured: MeasuredLayer[] = [];
  const skipped: { name: string; reason: string }[] = [];
  for (const [index, layer] of layers.entries()) {
    const reason = reasonToSkip(layer, pattern);
    if (reason === undefined) measured.push({ index, layer });
    else skipped.push({ name: layer.name, reason });
  }
  if (measured.length === 0) throw new Error(nothingMeasured(layers, pattern, skipped));
  return { measured, skipped };
}

function reasonToSkip(
  { name, shape: [m, n], groups }: NetworkLayer,
  pattern: RegExp | undefined,
): string | undefined {
  if (pattern !== undefined && name.search(pattern) < 0)
    return 'not selected: its name does not match the layer filter';
  if (groups > 1 && m === 1) return 'depthwise: every group is one row, so its rank says nothing';
  if (Math.max(m, n) > MAX_SIDE)
    return `too large: ${m} × ${n} has a side of more than ${MAX_SIDE}, whose eigenvectors do not fit in memory`;
  return undefined;
}

function nothingMeasured(
  layers: readonly NetworkLayer[],
  pattern: RegExp | undefined,
  skipped: readonly { readonly name: string; readonly reason: string }[],
): string {
  const [first] = layers;
  if (first === undefined)
    return 'the network has no linear or convolution layer whose inputs can be seen: nothing to measure';
  if (pattern !== undefined && skipped.every(({ reason }) => reason.startsWith('not selected')))
    return `no layer's name matches ${printable(pattern.source)}: the first of ${layers.length} is ${printable(first.name)}`;
  const named = skipped.find(({ reason }) => !reason.startsWith('not selected')) ?? skipped[0];
  return `no layer can be measured: ${printable(named?.name ?? '')} is ${named?.reason ?? ''}`;
}
