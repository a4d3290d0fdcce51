/** What a person can act on: four statements, each computed from the layers at hand. */
import type { AuditState, LayerFacts } from './audit';
import type { Sort } from './rows';
import { count, counted, percent, rank } from './numbers';
import { countsInMean, savedParameters } from './savings';

export type CardAction =
  | { readonly kind: 'sort'; readonly sort: Sort; readonly says: string }
  | { readonly kind: 'select'; readonly name: string; readonly says: string };

export interface Card {
  readonly title: string;
  /** The statement in large type; `name` is a tensor's, set apart from our own words. */
  readonly value: { readonly text: string } | { readonly name: string };
  readonly detail: string;
  readonly action?: CardAction;
}

const UNKNOWN = { text: '–' } as const;

/** Four cards, the same four in the same places from the first layer to the last. */
export function cards(state: AuditState): readonly Card[] {
  const layers = state.slots.flatMap(({ layer }) => (layer === undefined ? [] : [layer.facts]));
  const counting = layers.filter(countsInMean);
  const soFar = state.phase.kind === 'done' ? '' : ', so far';
  return [
    meanCard(counting, soFar),
    savingsCard(state, layers, soFar),
    leastUsedCard(counting, soFar),
    concentratedCard(counting, soFar),
  ];
}

function meanCard(counting: readonly LayerFacts[], soFar: string): Card {
  const title = `Mean layer utilization${soFar}`;
  if (counting.length === 0) return { title, value: UNKNOWN, detail: 'over linear and convolution layers' };
  const mean = counting.reduce((sum, { utilization }) => sum + utilization, 0) / counting.length;
  const full = counting.filter(({ utilization }) => utilization >= 1).length;
  return {
    title,
    value: { text: percent(mean) },
    detail: `by the weights, over ${counted(counting.length, 'layer')}; ${count(full)} at full rank`,
    action: {
      ...{ kind: 'sort', sort: { column: 'utilization', direction: 'ascending' } },
      says: 'Sort the table by utilization',
    },
  };
}

function savingsCard(state: AuditState, layers: readonly LayerFacts[], soFar: string): Card {
  const title = `Low rank would shrink${soFar}`;
  const parameters = state.checkpoint?.parameters ?? 0;
  if (layers.length === 0) return { title, value: UNKNOWN, detail: 'two thinner layers in place of one' };
  const names = new Set(layers.map(({ name }) => name));
  const countedOnce = layers.filter(({ tiedTo }) => tiedTo === undefined || !names.has(tiedTo));
  const shrinking = countedOnce.filter(({ decomposable }) => decomposable);
  const value = { text: `${count(shrinking.length)} of ${counted(layers.length, 'layer')}` };
  if (shrinking.length === 0) {
    return { title, value, detail: `no layer has fewer parameters as two thinner ones` };
  }
  const saved = shrinking.reduce((sum, layer) => sum + savedParameters(layer), 0);
  const share = parameters > 0 ? ` (${percent(saved / parameters)})` : '';
  return {
    title,
    value,
    detail: `saves ${counted(Math.round(saved), 'parameter')}${share}`,
    action: {
      ...{ kind: 'sort', sort: { column: 'saves', direction: 'descending' } },
      says: 'Sort the table by what each layer would save',
    },
  };
}

function leastUsedCard(counting: readonly LayerFacts[], soFar: string): Card {
  const title = `Least used layer${soFar}`;
  const least = smallest(counting, ({ utilization }) => utilization);
  if (least === undefined) return { title, value: UNKNOWN, detail: 'by rank, of the most possible' };
  if (least.utilization >= 1) {
    return { title, value: { text: 'none' }, detail: 'every layer has full rank by the weights' };
  }
  return {
    title,
    value: { name: least.name },
    detail: `${percent(least.utilization)}: rank ${rank(least.rank)} of ${count(least.maxRank)}`,
    action: { kind: 'select', name: least.name, says: 'Select this layer' },
  };
}

/** The layer whose energy sits in the smallest share of its directions: the first to look at for a lower rank. */
function concentratedCard(counting: readonly LayerFacts[], soFar: string): Card {
  const title = `Most concentrated layer${soFar}`;
  const shareOf = ({ energyRanks, maxRank }: LayerFacts) => energyRanks['0.99'] / maxRank;
  const layer = smallest(
    counting.filter(({ maxRank, frobeniusNorm }) => maxRank > 0 && frobeniusNorm > 0),
    shareOf,
  );
  if (layer === undefined)
    return { title, value: UNKNOWN, detail: 'by the directions that hold 99 % of the energy' };
  return {
    title,
    value: { name: layer.name },
    detail: `99 % of its energy in ${rank(layer.energyRanks['0.99'])} of ${count(layer.maxRank)} directions`,
    action: { kind: 'select', name: layer.name, says: 'Select this layer' },
  };
}

/** The first of the smallest; undefined of none. */
function smallest(layers: readonly LayerFacts[], of: (layer: LayerFacts) => number): LayerFacts | undefined {
  let least: LayerFacts | undefined;
  for (const layer of layers) if (least === undefined || of(layer) < of(least)) least = layer;
  return least;
}

/** The layer shown while nobody has chosen one: when all is done the least used, before that the first that is finished. */
export function defaultLayer(state: AuditState): string | undefined {
  const finished = state.slots.flatMap(({ layer }) => (layer === undefined ? [] : [layer.facts]));
  if (state.phase.kind !== 'done') return finished[0]?.name;
  return (smallest(finished.filter(countsInMean), ({ utilization }) => utilization) ?? finished[0])?.name;
}
