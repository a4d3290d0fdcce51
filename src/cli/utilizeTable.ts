import { printable } from '../checkpoint/errors';
import type { Display } from '../engine/report/display';
import { change, percent, trimmed } from '../engine/report/quantities';
import {
  metricText,
  renderNetworkFacts,
  renderUtilizationSummary,
} from '../engine/report/utilizationSummary';
import type { LayerUtilization, UtilizationDocument } from '../engine/utilizationDocument';
import { renderColumns, type Column, type RowNames } from './columns';
import { bar, paint, styleOfUse, wrap } from './terminal';

const NAMES: RowNames<LayerUtilization> = { of: ({ name }) => printable(name), isPath: () => true };

const BAR_CELLS = 12;

function columnsFor({ network: { metric } }: UtilizationDocument): readonly Column<LayerUtilization>[] {
  return [
    {
      header: 'SHAPE',
      align: 'right',
      expendable: 4,
      cell: ({ shape, groups }, { unicode }) => {
        const by = unicode ? '×' : 'x';
        return (groups === undefined ? '' : `${groups}${by}`) + shape.join(by);
      },
    },
    {
      header: 'RANK',
      align: 'right',
      expendable: 1,
      cell: ({ rank, maxRank }) => `${trimmed(rank, 1)}/${maxRank}`,
    },
    { header: 'K_S', align: 'right', expendable: 2, cell: ({ kS, shape: [, n] }) => `${kS}/${n}` },
    { header: 'K_T', align: 'right', expendable: 2, cell: ({ kT, shape: [m] }) => `${kT}/${m}` },
    {
      header: 'UTILIZED',
      align: 'right',
      expendable: 0,
      cell: ({ utilizedRank }) => trimmed(utilizedRank, 1),
    },
    {
      header: '',
      align: 'left',
      expendable: 3,
      // Piped text has no use for pictures.
      cell: ({ utilization }, display) =>
        display.width === undefined ? '' : bar(utilization, BAR_CELLS, display),
      style: ({ utilization }) => styleOfUse(utilization),
    },
    { header: 'USED', align: 'right', expendable: 0, cell: ({ utilization }) => percent(utilization) },
    { header: 'ERROR', align: 'right', expendable: 5, cell: ({ error }) => share(error.measured) },
    { header: 'AT MOST', align: 'right', expendable: 7, cell: ({ error }) => share(error.bound) },
    {
      header: 'AS TWO',
      align: 'right',
      expendable: 4,
      cell: ({ decomposable, parametersBefore, parametersAfter }, { unicode }) =>
        decomposable ? change(parametersBefore, parametersAfter, unicode) : '',
      style: () => 'yellow',
    },
    {
      header: metric?.toUpperCase() ?? '',
      align: 'right',
      expendable: 6,
      cell: ({ valueAfter }) => (valueAfter === undefined ? '' : metricText(metric, valueAfter)),
    },
  ];
}

/** Shares of the outputs' energy, which are small: 0.42 %, 0 %. */
function share(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(2))} %`;
}

/** The measurement for people: what was measured, a table of layers, a summary and the files. */
export function renderUtilization(document: UtilizationDocument, input: string, display: Display): string {
  const facts = wrap(renderNetworkFacts(input, document, display), display.width);
  const lines = [...facts.map((line) => paint(line, 'bold', display)), ''];
  lines.push(...renderColumns(document.layers, columnsFor(document), NAMES, display), '');
  for (const sentence of renderUtilizationSummary(document, input, display))
    lines.push(...wrap(sentence, display.width));
  const files = [document.files?.decomposed, document.files?.rankPattern].filter(
    (file) => file !== undefined,
  );
  if (files.length > 0) lines.push('', 'Written', ...files.map((file) => `  ${printable(file)}`));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}
