/** What a measurement is doing and what its numbers mean, in words. */
import type { SearchMode } from '../../../src/engine/utilizationDocument';
import type { UtilizationStage } from '../../../src/engine/utilizationProtocol';
import { printable } from '../../model/names';
import { count } from '../../model/numbers';

export type Metric = 'accuracy' | 'loss';

/** 91.63 %, or a loss with four digits. */
export function metricText(metric: Metric | undefined, value: number): string {
  return metric === 'loss' ? value.toPrecision(4) : `${value.toFixed(2)}\u00a0%`;
}

/** What is tried right now, or what is being prepared. */
export function stageWords(stage: UtilizationStage | undefined): string {
  switch (stage?.kind) {
    case undefined:
    case 'opening':
      return 'Opening the network …';
    case 'grams':
      return 'Running the data through the network, summing what each layer sees …';
    case 'subspaces':
      return 'Finding the subspaces of inputs and outputs …';
    case 'search': {
      const { layer, side, k, low, high, pass } = stage;
      return `${printable(layer)}: trying ${count(k)} ${side} dimensions, between ${count(low)} and ${count(high)} · pass ${count(pass + 1)}`;
    }
    case 'decomposing':
      return 'Writing the decomposed checkpoint …';
  }
}

/** How dimensions were chosen. */
export function modeWords(
  mode: SearchMode,
  delta: number | undefined,
  energy: { readonly input: number } | undefined,
): string {
  if (mode === 'label-free') return `label-free, ${String(100 * (energy?.input ?? 0))}\u00a0% of the energy`;
  return `${mode} search, δ\u00a0${String(delta ?? 0)}`;
}
