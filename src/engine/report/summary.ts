import { printable } from '../../checkpoint/errors';
import type { AuditDocument, LayerAudit, SkippedTensor } from '../document';
import { countsInMean } from '../layerAudit';
import { bytes, change, count, percent } from './quantities';
import { shortenMiddle, type Display } from './display';

/** Classes of skipped tensors named one by one; the rest are counted together. */
const MAX_CLASSES = 6;

/** Reasons that speak of trouble, not of tensors that are no layers by nature. */
const TROUBLE = /^(?:not finite|too large|unreadable|quantised):/;

/** Troubled tensors named one by one. */
const MAX_TROUBLED = 3;

/** What was read: `models/resnet.pt · PyTorch (zip) · 1.1 MB · 272,474 parameters`. */
export function renderFacts({ checkpoint }: Pick<AuditDocument, 'checkpoint'>, display: Display): string {
  const separator = display.unicode ? ' · ' : ' - ';
  const parameters = counted(checkpoint.parameters, 'parameter');
  const rest = [printable(checkpoint.format), bytes(checkpoint.bytes), parameters].join(separator);
  const path = printable(checkpoint.path);
  if (display.width === undefined) return path + separator + rest;
  const room = Math.max(12, display.width - rest.length - separator.length);
  return shortenMiddle(path, room, display) + separator + rest;
}

/** What the audit says, in sentences: one a line. */
export function renderSummary(document: AuditDocument, display: Display): string[] {
  return [
    meanSentence(document),
    decompositionSentence(document, display),
    leastUsedSentence(document),
    skippedSentence(document.skipped),
    notAnalysedSentence(document.skipped),
    ...(document.checkpoint.notes ?? []).map((note) => `Note: ${printable(note)}`),
  ].filter((sentence) => sentence !== '');
}

function meanSentence({ layers, summary }: AuditDocument): string {
  if (layers.length === 0) return 'No layers to analyse.';
  if (summary.meanUtilization === null) {
    return `No linear or convolution layers among ${counted(layers.length, 'layer')}, so no mean utilization.`;
  }
  const over = layers.filter(countsInMean).length;
  return `Mean layer utilization ${percent(summary.meanUtilization)} over ${counted(over, 'layer')}${outside(layers)}.`;
}

/** What the mean leaves out, so that nobody takes it for the whole: `; outside it: 8 other, 1 embedding`. */
function outside(layers: readonly LayerAudit[]): string {
  const kinds = new Map<string, number>();
  for (const layer of layers) {
    if (countsInMean(layer)) continue;
    const kind = layer.trivialRank === true ? 'depthwise' : layer.kind;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  if (kinds.size === 0) return '';
  return `; outside it: ${[...kinds].map(([kind, number]) => `${count(number)} ${kind}`).join(', ')}`;
}

function decompositionSentence({ layers, checkpoint, summary }: AuditDocument, { unicode }: Display): string {
  if (layers.length === 0) return '';
  if (summary.decomposableLayers === 0) return 'No layer would shrink as two low-rank layers.';
  const [before, after] = [checkpoint.parameters, summary.parametersIfDecomposed];
  const would =
    summary.decomposableLayers === 1
      ? '1 layer would shrink as two low-rank layers'
      : `${count(summary.decomposableLayers)} layers would shrink as two low-rank layers each`;
  const arrow = unicode ? '→' : '->';
  return `${would}: ${count(before)} ${arrow} ${count(after)} parameters (${change(before, after, unicode)}).`;
}

function leastUsedSentence({ layers }: AuditDocument): string {
  const least = leastUsed(layers.filter(countsInMean));
  if (least === undefined || least.utilization >= 1) return '';
  const dimensions = counted(least.maxRank, 'dimension');
  return `Least used: ${printable(least.name)}, ${percent(least.utilization)} of its ${dimensions}.`;
}

function leastUsed(layers: readonly LayerAudit[]): LayerAudit | undefined {
  let least: LayerAudit | undefined;
  for (const layer of layers) if (layer.utilization < (least?.utilization ?? Infinity)) least = layer;
  return least;
}

function skippedSentence(skipped: readonly SkippedTensor[]): string {
  if (skipped.length === 0) return '';
  const classes = new Map<string, number>();
  for (const { reason } of skipped) {
    const name = printable(reason.split(':', 1)[0] ?? reason);
    classes.set(name, (classes.get(name) ?? 0) + 1);
  }
  const ordered = [...classes].sort(([, a], [, b]) => b - a);
  const named = ordered.slice(0, MAX_CLASSES).map(([name, number]) => `${count(number)} ${name}`);
  const others = ordered.slice(MAX_CLASSES).reduce((sum, [, number]) => sum + number, 0);
  if (others > 0) named.push(`${count(others)} others`);
  return `${counted(skipped.length, 'tensor')} skipped: ${named.join(', ')}.`;
}

/** Tensors that should have been layers and could not be: named, because something may be wrong with them. */
function notAnalysedSentence(skipped: readonly SkippedTensor[]): string {
  const troubled = skipped.filter(({ reason }) => TROUBLE.test(reason));
  if (troubled.length === 0) return '';
  const named = troubled
    .slice(0, MAX_TROUBLED)
    .map(({ name, reason }) => `${printable(name)} (${printable(reason)})`);
  const more = troubled.length - named.length;
  if (more > 0) named.push(`and ${count(more)} more`);
  return `Could not be analysed: ${named.join('; ')}.`;
}

function counted(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}
