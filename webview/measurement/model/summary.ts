/** Four statements: how much is used, what it costs to give up the rest, what that buys, and where. */
import type { Card } from '../../model/summary';
import { count, counted, percent, rank } from '../../model/numbers';
import { maxRank } from './columns';
import type { MeasuredLayer, MeasurementState } from './state';
import { metricText } from './words';

const UNKNOWN = { text: '–' } as const;

/** The same four in the same places from the first layer to the last. */
export function cards(state: MeasurementState): readonly Card[] {
  const soFar = state.phase.kind === 'done' ? '' : ', so far';
  return [
    usedCard(state, soFar),
    metricCard(state, soFar),
    savingsCard(state, soFar),
    leastCard(state, soFar),
  ];
}

type Finished = MeasuredLayer & { readonly result: NonNullable<MeasuredLayer['result']> };

function finished({ layers }: MeasurementState): readonly Finished[] {
  return layers.flatMap((layer) => (layer.result === undefined ? [] : [{ ...layer, result: layer.result }]));
}

function usedCard(state: MeasurementState, soFar: string): Card {
  const title = `Mean layer utilization${soFar}`;
  const layers = finished(state);
  if (layers.length === 0) return { title, value: UNKNOWN, detail: 'utilized rank ÷ the most possible' };
  const { phase } = state;
  const mean = (of: (layer: Finished) => number) =>
    layers.reduce((sum, layer) => sum + of(layer), 0) / layers.length;
  const mlu = phase.kind === 'done' ? phase.document.summary.mlu : mean(({ result }) => result.utilization);
  const original =
    phase.kind === 'done'
      ? phase.document.summary.mluOriginal
      : mean((layer) => (maxRank(layer) === 0 ? 0 : layer.rank / maxRank(layer)));
  return {
    title,
    value: mlu === null ? UNKNOWN : { text: percent(mlu) },
    detail: original === null ? '' : `${percent(original)} by the weights alone`,
    action: {
      ...{ kind: 'sort', sort: { column: 'utilization', direction: 'ascending' } },
      says: 'Sort the table by utilization',
    },
  };
}

function metricCard(state: MeasurementState, soFar: string): Card {
  const { phase, opened } = state;
  const metric = opened?.network.metric;
  const summary = phase.kind === 'done' ? phase.document.summary : undefined;
  const name = metric === 'loss' ? 'Loss' : 'Accuracy';
  const title = `${name} after projection${soFar}`;
  const before = summary?.before ?? opened?.before;
  const after = summary === undefined ? lastValue(state) : summary.afterProjection;
  if (before === undefined && after === undefined)
    return {
      title,
      value: UNKNOWN,
      detail: metric === undefined ? 'the data has no labels' : 'not known yet',
    };
  const allowed = summary?.guaranteedDrop;
  const decomposed = summary?.afterDecomposition;
  const more =
    decomposed !== undefined
      ? ` · ${metricText(metric, decomposed)} decomposed`
      : allowed === undefined || before === undefined || metric === 'loss'
        ? ''
        : ` · allowed ${metricText(metric, Math.max(0, before - allowed))}`;
  return {
    title,
    value: after === undefined ? UNKNOWN : { text: metricText(metric, after) },
    detail: before === undefined ? '' : `${metricText(metric, before)} before${more}`,
  };
}

/** Of the layer that was finished last, in the network's order. */
function lastValue({ layers }: MeasurementState): number | undefined {
  let value: number | undefined;
  for (const { result } of layers) if (result?.valueAfter !== undefined) value = result.valueAfter;
  return value;
}

function savingsCard(state: MeasurementState, soFar: string): Card {
  const title = `Could be given up${soFar}`;
  const layers = finished(state);
  if (layers.length === 0) return { title, value: UNKNOWN, detail: 'two thinner layers in place of one' };
  const saved = layers.reduce(
    (sum, { result }) => sum + Math.max(0, result.parametersBefore - result.parametersAfter),
    0,
  );
  const shrinking = layers.filter(({ result }) => result.parametersAfter < result.parametersBefore).length;
  const total = state.opened?.network.parameters ?? 0;
  return {
    title,
    value: { text: total > 0 ? percent(saved / total) : counted(saved, 'parameter') },
    detail: `${total > 0 ? 'of the parameters, ' : ''}in ${count(shrinking)} of ${counted(state.layers.length, 'layer')}`,
    action: {
      ...{ kind: 'sort', sort: { column: 'saves', direction: 'descending' } },
      says: 'Sort the table by what each layer would save',
    },
  };
}

function leastCard(state: MeasurementState, soFar: string): Card {
  const title = `Least used layer${soFar}`;
  let least: Finished | undefined;
  for (const layer of finished(state))
    if (least === undefined || layer.result.utilization < least.result.utilization) least = layer;
  if (least === undefined) return { title, value: UNKNOWN, detail: 'by utilized rank' };
  const { result, name } = least;
  return {
    title,
    value: { name },
    detail: `${percent(result.utilization)}: ${rank(result.utilizedRank)} of ${count(result.maxRank)} dimensions`,
    action: { kind: 'select', name, says: 'Select this layer' },
  };
}
