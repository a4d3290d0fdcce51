import { printable } from '../checkpoint/errors';
import { decomposedParameters } from '../spectrum';
import type { AuditDocument, LayerAudit } from '../engine/document';
import { shortenMiddle, type Display } from '../engine/report/display';
import { change, count, percent, short, trimmed } from '../engine/report/quantities';
import { remarks, rowsOf, type Row, type SortOrder } from '../engine/report/rows';
import { renderFacts, renderSummary } from '../engine/report/summary';
import { renderColumns, type Column, type RowNames } from './columns';
import { bar, paint, styleOfUse, wrap } from './terminal';

/** Remarks quote names from the file; beyond this they are shortened. */
const MAX_REMARKS = 28;

const COLUMNS: readonly Column<Row>[] = [
  { header: 'KIND', align: 'left', expendable: 6, cell: ({ layer, part }) => (part ? '' : layer.kind) },
  {
    header: 'SHAPE',
    align: 'right',
    expendable: 3,
    cell: ({ layer, part }, { unicode }) => (part ?? layer).shape.join(unicode ? '×' : 'x'),
  },
  {
    header: 'PARAMS',
    align: 'right',
    expendable: 5,
    cell: ({ layer, part }) => count(part ? part.shape[0] * part.shape[1] : layer.parameters),
  },
  {
    header: 'RANK',
    align: 'right',
    expendable: 1,
    cell: ({ layer, part }) => {
      const { rank, maxRank } = part ?? layer;
      return `${trimmed(rank, 1)}/${maxRank}`;
    },
  },
  barColumn(12, 2),
  {
    header: 'USED',
    align: 'right',
    expendable: 0,
    cell: ({ layer, part }) => percent((part ?? layer).utilization),
  },
  {
    header: 'AS TWO',
    align: 'right',
    expendable: 4,
    cell: ({ layer, part }, { unicode }) => (part ? '' : asTwo(layer, unicode)),
    style: () => 'yellow',
  },
  {
    header: 'STABLE',
    align: 'right',
    expendable: 7,
    cell: ({ layer, part }) => short((part ?? layer).stableRank),
  },
  {
    header: 'EFFECTIVE',
    align: 'right',
    expendable: 8,
    cell: ({ layer, part }) => short((part ?? layer).effectiveRank),
  },
  {
    header: 'SPIKES',
    align: 'right',
    expendable: 9,
    cell: ({ layer, part }) => trimmed((part ?? layer).spikes, 1),
  },
  {
    header: '',
    align: 'left',
    expendable: 10,
    cell: ({ layer, part }, display) => {
      const text = part ? '' : printable(remarks(layer));
      return display.width === undefined ? text : shortenMiddle(text, MAX_REMARKS, display);
    },
  },
];

function barColumn(cells: number, expendable: number): Column<Row> {
  return {
    header: '',
    align: 'left',
    expendable,
    // Piped text has no use for pictures.
    cell: ({ layer, part }, display) =>
      display.width === undefined ? '' : bar((part ?? layer).utilization, cells, display),
    style: ({ layer, part }) => {
      if (layer.trivialRank === true) return 'dim';
      return styleOfUse((part ?? layer).utilization);
    },
  };
}

/** Change of a layer's parameters if it became two, where that saves some: −83 %. */
function asTwo(layer: LayerAudit, unicode: boolean): string {
  if (!layer.decomposable) return '';
  const [m, n] = layer.shape;
  return change(m * n, decomposedParameters(layer.rank, m, n), unicode);
}

const NAMES: RowNames<Row> = {
  of: ({ layer, part }) => (part === undefined ? printable(layer.name) : `  ${printable(part.name)}`),
  isPath: ({ part }) => part === undefined,
};

/**
 * The audit for people: what was read, a table of layers, and a summary.
 * Fitted to the display's width by leaving out columns, then by shortening names in the middle.
 */
export function renderTable(document: AuditDocument, display: Display, sort: SortOrder): string {
  const rows = rowsOf(document, sort);
  const facts = wrap(renderFacts(document, display), display.width);
  const lines = [...facts.map((line) => paint(line, 'bold', display)), ''];
  if (rows.length > 0) lines.push(...renderColumns(rows, COLUMNS, NAMES, display), '');
  for (const sentence of renderSummary(document, display)) lines.push(...wrap(sentence, display.width));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}
