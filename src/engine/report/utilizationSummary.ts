import path from 'node:path';
import { printable } from '../../checkpoint/errors';
import type { LayerUtilization, UtilizationDocument } from '../utilizationDocument';
import type { Display } from './display';
import { change, count, percent, short, trimmed } from './quantities';

/** What was measured: `resnet20.rankscope.json · PyTorch 2.4 · 20 layers · 272,474 parameters`. */
export function renderNetworkFacts(
  input: string,
  { network, layers }: UtilizationDocument,
  display: Display,
): string {
  const separator = display.unicode ? ' · ' : ' - ';
  const { runtime, parameters, gramSamples, validationSamples, metric } = network;
  return [
    printable(input),
    printable(runtime),
    counted(layers.length, 'layer'),
    counted(parameters, 'parameter'),
    `inputs of ${counted(gramSamples, 'sample')}`,
    ...(metric === undefined ? [] : [`${metric} on ${count(validationSamples)}`]),
  ].join(separator);
}

/** A metric as people write it: `91.63 %`, or a loss `0.3127`. */
export function metricText(metric: UtilizationDocument['network']['metric'], value: number): string {
  return metric === 'accuracy' ? `${value.toFixed(2)} %` : short4(value);
}

function short4(value: number): string {
  return String(Number(value.toPrecision(4)));
}

/** What the measurement says, in sentences: one a line. */
export function renderUtilizationSummary(
  document: UtilizationDocument,
  input: string,
  display: Display,
): string[] {
  const notes = [...document.network.notes, ...document.notes];
  return [
    meanSentence(document),
    metricSentence(document, display),
    ledgerSentence(document, display),
    decomposedSentence(document),
    leastUsedSentence(document.layers),
    passesSentence(document),
    skippedSentence(document),
    ...notes.map((note) => `Note: ${printable(note)}${/[.!?]$/.test(note) ? '' : '.'}`),
    tableLine(document, input, display),
  ].filter((sentence) => sentence !== '');
}

function meanSentence({ summary: { mlu, mluOriginal, layers } }: UtilizationDocument): string {
  if (mlu === null || mluOriginal === null) return '';
  return `Mean layer utilization ${percent(mlu)} on this data over ${counted(layers, 'layer')}; ${percent(mluOriginal)} by the ranks of the weights alone.`;
}

function metricSentence({ mode, summary, delta }: UtilizationDocument, { unicode }: Display): string {
  const { metric, before, afterProjection, guaranteedDrop } = summary;
  if (metric === undefined || before === undefined) return '';
  const name = metric === 'accuracy' ? 'Accuracy' : 'Loss';
  if (afterProjection === undefined) return `${name} ${metricText(metric, before)}.`;
  const arrow = unicode ? '→' : '->';
  const changed = `${name} ${metricText(metric, before)} ${arrow} ${metricText(metric, afterProjection)} with all projections applied`;
  if (mode === 'independent')
    return `${changed}: each alone costs at most ${trimmed(delta ?? 0, 6)}${metric === 'accuracy' ? ' points' : ' %'}, but together they were never tried.`;
  if (guaranteedDrop === undefined) return `${changed}.`;
  const most = trimmed(guaranteedDrop, 6);
  return `${changed}; the search may cost ${most} ${metric === 'accuracy' ? 'points' : '% of the loss'} at most.`;
}

function ledgerSentence({ summary }: UtilizationDocument, { unicode }: Display): string {
  const { decomposableLayers, parametersBefore, parametersAfter, flopsBefore, flopsAfter } = summary;
  if (decomposableLayers === 0) return 'No layer would shrink as two low-rank layers.';
  const shrink = `${counted(decomposableLayers, 'layer')} would shrink as two low-rank layers`;
  const arrow = unicode ? '→' : '->';
  return `${shrink}: ${count(parametersBefore)} ${arrow} ${count(parametersAfter)} parameters (${change(parametersBefore, parametersAfter, unicode)}), FLOPs ${change(flopsBefore, flopsAfter, unicode)}.`;
}

function decomposedSentence({ summary: { metric, afterDecomposition }, files }: UtilizationDocument): string {
  if (files?.decomposed === undefined) return '';
  const value =
    metric === undefined || afterDecomposition === undefined
      ? ''
      : `: ${metric} ${metricText(metric, afterDecomposition)} as written`;
  return `Written with those layers as two${value}.`;
}

function leastUsedSentence(layers: readonly LayerUtilization[]): string {
  let least: LayerUtilization | undefined;
  for (const layer of layers) if (layer.utilization < (least?.utilization ?? Infinity)) least = layer;
  if (least === undefined || least.utilization >= 1) return '';
  return `Least used: ${printable(least.name)}, ${trimmed(least.utilizedRank, 1)} of its ${counted(least.maxRank, 'dimension')}.`;
}

function passesSentence({ mode, summary: { passes, notSearched } }: UtilizationDocument): string {
  if (mode === 'label-free') return '';
  const made = `${counted(passes, 'evaluation')} of the network`;
  if (notSearched === 0) return `${made}.`;
  return `${made}; the budget ended before ${counted(notSearched, 'layer')} ${notSearched === 1 ? 'was' : 'were'} searched to the end, whose other dimensions are left whole.`;
}

/** Layers that are told by name; a document has them all. */
const MAX_NAMED = 3;

function skippedSentence({ skipped }: UtilizationDocument): string {
  if (skipped.length === 0) return '';
  const classes = new Map<string, number>();
  for (const { reason } of skipped) {
    const name = printable(reason.split(':', 1)[0] ?? reason);
    classes.set(name, (classes.get(name) ?? 0) + 1);
  }
  const named = [...classes].map(([name, number]) => `${count(number)} ${name}`);
  const whole = `${counted(skipped.length, 'layer')} not measured: ${named.join(', ')}.`;
  // What is too large is most of what there is to save: it is told by name.
  const large = skipped.filter(({ reason }) => reason.startsWith('too large'));
  const told = large.slice(0, MAX_NAMED).map(({ name, reason }) => `${printable(name)} is ${reason}`);
  return [whole, ...told.map((words) => `${words}.`)].join(' ');
}

/** The network's line of the paper's Table 1. */
export function tableLine({ summary }: UtilizationDocument, input: string, { unicode }: Display): string {
  const { metric, before, mluOriginal, mlu, parametersBefore, parametersAfter, flopsBefore, flopsAfter } =
    summary;
  if (mlu === null || mluOriginal === null) return '';
  const name = printable(path.basename(input).replace(/\.rankscope\.json$|\.[^.]*$/i, ''));
  const after = summary.afterDecomposition ?? summary.afterProjection;
  const value = (of: number | undefined): string[] =>
    metric === undefined || of === undefined
      ? []
      : [`${metric} ${metric === 'accuracy' ? of.toFixed(2) : short4(of)}`];
  const ratio = (whole: number, part: number): string => short(whole === 0 ? 1 : part / whole);
  const [first, second] = [
    [...value(before), `MLU ${(mluOriginal * 100).toFixed(1)}`],
    [
      ...value(after),
      `MLU ${(mlu * 100).toFixed(1)}`,
      `parameters ${unicode ? '×' : 'x'}${ratio(parametersBefore, parametersAfter)}`,
      `FLOPs ${unicode ? '×' : 'x'}${ratio(flopsBefore, flopsAfter)}`,
    ],
  ];
  return `Table 1: ${name} | ${first.join(' | ')} | ${second.join(' | ')}`;
}

function counted(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}
