/** What a conversion would cost, before any of it is computed: ranks, parameters and the compression rate. */
import type { ConversionPreview, ConvertibleLayer } from '../../../src/engine/conversionProtocol';
import type { FormRanks } from '../protocol';

export interface PlannedLayer {
  readonly layer: ConvertibleLayer;
  /** `decidedLater`: converted, with a k that fitting decides. */
  readonly fate:
    | { readonly kind: 'converted'; readonly k: number; readonly parametersAfter: number }
    | { readonly kind: 'decidedLater' }
    | { readonly kind: 'dense'; readonly reason: string };
}

export interface Plan {
  /** In file order. */
  readonly layers: readonly PlannedLayer[];
  readonly converted: number;
  readonly dense: number;
  readonly parametersBefore: number;
  /** Absent where fitting decides. */
  readonly parametersAfter?: number;
  /** Parameters if every layer that is converted had k = 1: nothing smaller is possible. */
  readonly leastParameters: number;
}

/** Largest k at which factors of an m × n matrix are fewer numbers than the matrix: k·(m + n) < m·n. */
export function largestSavingRank([m, n]: readonly [number, number]): number {
  return m + n === 0 ? 0 : Math.max(0, Math.ceil((m * n) / (m + n)) - 1);
}

/** The largest of `largestSavingRank` over all layers. */
export function mostRank(layers: readonly ConvertibleLayer[]): number {
  return layers.reduce((most, { shape }) => Math.max(most, largestSavingRank(shape)), 0);
}

export function plan(
  { checkpoint, layers }: ConversionPreview,
  ranks: FormRanks,
  pattern: RegExp | undefined,
): Plan {
  const planned = layers.map((layer) => ({ layer, fate: fateOf(layer, ranks, pattern) }));
  const converted = planned.filter(({ fate }) => fate.kind !== 'dense');
  const before = checkpoint.parameters;
  const known = converted.every(({ fate }) => fate.kind === 'converted');
  const saved = (after: (planned: PlannedLayer) => number): number =>
    converted.reduce((sum, one) => sum + one.layer.parameters - after(one), 0);
  const least = before - saved(({ layer }) => factorParameters(layer, 1));
  const after =
    before -
    saved(({ layer, fate }) => (fate.kind === 'converted' ? fate.parametersAfter : layer.parameters));
  return {
    layers: planned,
    converted: converted.length,
    dense: planned.length - converted.length,
    parametersBefore: before,
    leastParameters: least,
    ...(known && { parametersAfter: after }),
  };
}

/** Classes of the reasons for which layers stay dense, with how many each: `1 embedding, 2 no saving`. */
export function denseWords({ layers }: Plan): string {
  const counts = new Map<string, number>();
  for (const { fate } of layers) {
    if (fate.kind !== 'dense') continue;
    const [name = ''] = fate.reason.split(':');
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, number]) => `${number} ${name}`).join(', ');
}

function factorParameters({ shape: [m, n], groups }: ConvertibleLayer, k: number): number {
  return groups * k * (m + n);
}

function fateOf(
  layer: ConvertibleLayer,
  ranks: FormRanks,
  pattern: RegExp | undefined,
): PlannedLayer['fate'] {
  const left = leftOut(layer, pattern);
  if (left !== undefined) return { kind: 'dense', reason: left };
  const k = wantedRank(layer, ranks);
  if (k === undefined) return { kind: 'decidedLater' };
  const most = largestSavingRank(layer.shape);
  if (k > most)
    return {
      kind: 'dense',
      reason: `no saving: factors of rank ${k} would not be smaller; ${most} is the most`,
    };
  return { kind: 'converted', k, parametersAfter: factorParameters(layer, k) };
}

/** Why a layer is not converted whatever its rank; undefined when it is. */
function leftOut(layer: ConvertibleLayer, pattern: RegExp | undefined): string | undefined {
  if (!layer.byDefault && !(pattern !== undefined && isOnlyUnasked(layer)))
    return layer.reason ?? 'left out: not converted by default';
  return pattern === undefined || pattern.test(layer.name)
    ? undefined
    : 'not selected: its name does not match';
}

/** Left out for its kind alone (an embedding, for one): converted when its name is asked for, unlike tied layers and such. */
function isOnlyUnasked({ kind, reason }: ConvertibleLayer): boolean {
  return reason?.startsWith(`${kind}:`) === true;
}

/** Undefined where fitting decides. */
function wantedRank({ shape: [m, n] }: ConvertibleLayer, ranks: FormRanks): number | undefined {
  switch (ranks.kind) {
    case 'share':
      return Math.max(1, Math.round(ranks.share * Math.min(m, n)));
    case 'rank':
      return ranks.rank;
    case 'compression':
    case 'error':
      return undefined;
  }
}
