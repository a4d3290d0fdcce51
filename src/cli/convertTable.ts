import { printable } from '../checkpoint/errors';
import type {
  ConversionDocument,
  ConvertedLayer,
  DenseLayer,
  RankChoice,
} from '../engine/conversionDocument';
import type { Display } from '../engine/report/display';
import { bytes, change, count, percent, short } from '../engine/report/quantities';
import { renderFacts } from '../engine/report/summary';
import { factorization } from '../lowrank';
import { renderColumns, type Column, type RowNames } from './columns';
import { paint, wrap } from './terminal';

/** An error this much below that of truncated SVD is worth a colour. */
const NOTABLE_RATIO = 0.98;

/** Reasons to stay dense that are told one by one; the rest are counted together. */
const MAX_REASONS = 6;

const NAMES: RowNames<ConvertedLayer> = { of: ({ name }) => printable(name), isPath: () => true };

/** Errors of outputs and of weights are not to be compared. */
const measuredOn: Column<ConvertedLayer> = {
  header: 'OF',
  align: 'left',
  expendable: 4,
  cell: ({ weighted }) => (weighted === true ? 'outputs' : 'weights'),
};

function columnsFor({ to, inputs }: ConversionDocument): readonly Column<ConvertedLayer>[] {
  const hasInputs = inputs !== undefined;
  const svd: readonly Column<ConvertedLayer>[] = [
    { header: 'SVD', align: 'right', expendable: 2, cell: (layer) => fixed(layer.svdRelativeError) },
    {
      header: 'RATIO',
      align: 'right',
      expendable: 3,
      cell: (layer) => ratio(layer)?.toFixed(3) ?? '',
      style: (layer) => ((ratio(layer) ?? 1) <= NOTABLE_RATIO ? 'green' : undefined),
    },
  ];
  return [
    { header: 'KIND', align: 'left', expendable: 6, cell: ({ kind }) => kind },
    {
      header: 'SHAPE',
      align: 'right',
      expendable: 4,
      cell: ({ shape, groups }, { unicode }) => {
        const by = unicode ? '×' : 'x';
        return (groups === undefined ? '' : `${groups}${by}`) + shape.join(by);
      },
    },
    { header: 'K', align: 'right', expendable: 0, cell: ({ k }) => String(k) },
    { header: 'ERROR', align: 'right', expendable: 0, cell: (layer) => fixed(layer.relativeError) },
    ...(hasInputs ? [measuredOn] : []),
    ...(to === 'svd' ? [] : svd),
    {
      header: 'PARAMS',
      align: 'right',
      expendable: 5,
      cell: ({ after }) => count(after.parameters),
    },
    {
      header: 'CHANGE',
      align: 'right',
      expendable: 1,
      cell: ({ before, after }, { unicode }) => change(before.parameters, after.parameters, unicode),
    },
    {
      header: 'STABLE RANK',
      align: 'right',
      expendable: 7,
      cell: ({ spectrum: { before, converted } }, { unicode }) =>
        `${short(before.stableRank)} ${unicode ? '→' : '->'} ${short(converted.stableRank)}`,
    },
  ];
}

function fixed(error: number): string {
  return error.toFixed(4);
}

function ratio({ relativeError, svdRelativeError }: ConvertedLayer): number | undefined {
  return svdRelativeError > 0 ? relativeError / svdRelativeError : undefined;
}

/** The conversion for people: what was read, a table of converted layers, a summary and the files. */
export function renderConversion(
  document: ConversionDocument,
  reusedLayers: number,
  display: Display,
): string {
  const converted = document.layers.filter((layer) => layer.outcome === 'converted');
  const facts = wrap(renderFacts(document, display), display.width);
  const lines = [...facts.map((line) => paint(line, 'bold', display)), ''];
  lines.push(...renderColumns(converted, columnsFor(document), NAMES, display), '');
  const sentences = [
    ratesSentence(document),
    errorSentence(document),
    inputsSentence(document),
    costSentence(document, display),
    denseSentence(document.layers.filter((layer) => layer.outcome === 'dense')),
    reusedSentence(reusedLayers, converted.length),
    ...(document.notes ?? []).map((note) => `Note: ${printable(note)}.`),
  ];
  for (const sentence of sentences) if (sentence !== '') lines.push(...wrap(sentence, display.width));
  const { factors, document: json, loader, materialized } = document.files;
  lines.push('', 'Written');
  for (const file of [factors, json, loader, materialized]) {
    if (file !== undefined) lines.push(`  ${printable(file)}`);
  }
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}

function ratesSentence({ summary, ranks, to }: ConversionDocument): string {
  const { converted, parametersBefore, parametersAfter, compressionRate } = summary;
  const layers = converted === 1 ? '1 layer' : `${count(converted)} layers`;
  return `Compression rate ${percent(compressionRate)}: ${count(parametersAfter)} of ${count(parametersBefore)} parameters, with ${layers} as ${factorization(to).title} factors, ${ranksInWords(ranks)}.`;
}

function ranksInWords(ranks: RankChoice): string {
  switch (ranks.kind) {
    case 'rank':
      return `k = ${ranks.rank}`;
    case 'share':
      return `k = ${percent(ranks.share)} of each smaller side`;
    case 'compression':
      return `k allotted for ${percent(ranks.rate)} where it lowers the layers' squared relative errors most`;
    case 'error':
      return `each k the smallest found with an error of at most ${ranks.relativeError}`;
    case 'perLayer':
      return 'k by name';
  }
}

function errorSentence({ summary: { meanErrorRatio }, to }: ConversionDocument): string {
  if (to === 'svd' || meanErrorRatio === null) return '';
  return `Errors are ${meanErrorRatio.toFixed(3)} of truncated SVD's at the same k (geometric mean).`;
}

function inputsSentence({ inputs, layers }: ConversionDocument): string {
  if (inputs === undefined) return '';
  const weighted = layers.filter((layer) => layer.outcome === 'converted' && layer.weighted === true).length;
  const whose = weighted === 1 ? '1 layer are those of its' : `${count(weighted)} layers are those of their`;
  const samples = inputs.samples === 1 ? '1 sample' : `${count(inputs.samples)} samples`;
  return `Errors of ${whose} outputs, on ${samples} (${printable(inputs.runtime)}).`;
}

/** Parameters are not time: what sine saves is storage. */
function costSentence({ summary, to }: ConversionDocument, { unicode }: Display): string {
  const { bytesBefore, bytesAfter, flopsBefore, flopsAfter } = summary;
  const storage = `the model's ${bytes(bytesBefore)} become ${bytes(bytesAfter)}`;
  if (to === 'sine') {
    return `It saves storage, not FLOPs: ${storage}, and the dense matrices are made again to compute with.`;
  }
  return `${storage}; FLOPs of the layers change by ${change(flopsBefore, flopsAfter, unicode)}.`;
}

function denseSentence(dense: readonly DenseLayer[]): string {
  if (dense.length === 0) return '';
  const classes = new Map<string, number>();
  for (const { reason } of dense) {
    const [name = reason] = reason.split(':', 1);
    classes.set(name, (classes.get(name) ?? 0) + 1);
  }
  const sorted = [...classes].sort(([, a], [, b]) => b - a);
  const told = sorted.slice(0, MAX_REASONS).map(([name, number]) => `${count(number)} ${printable(name)}`);
  const rest = sorted.slice(MAX_REASONS).reduce((sum, [, number]) => sum + number, 0);
  const others = rest > 0 ? `, ${count(rest)} for other reasons` : '';
  return `Left dense: ${told.join(', ')}${others}.`;
}

function reusedSentence(reused: number, converted: number): string {
  if (reused === 0) return '';
  return `${count(reused)} of ${count(converted)} layers had been fitted before.`;
}
