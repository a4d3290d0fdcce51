import { printable } from '../checkpoint/errors';
import { decomposedParameters } from '../spectrum';
import type { AuditDocument, LayerAudit } from '../engine/document';
import { shortenMiddle, textWidth, type Display } from '../engine/report/display';
import { change, count, percent, short, trimmed } from '../engine/report/quantities';
import { remarks, rowsOf, type Row, type SortOrder } from '../engine/report/rows';
import { renderFacts, renderSummary } from '../engine/report/summary';
import { bar, pad, paint, wrap, type Style } from './terminal';

interface Column {
  readonly header: string;
  readonly align: 'left' | 'right';
  readonly cell: (row: Row, display: Display) => string;
  readonly style?: (row: Row) => Style | undefined;
  /** The higher, the sooner it goes when the display is narrow. */
  readonly expendable: number;
}

const GAP = '  ';

/** Names shorter than this hardly tell layers apart; columns go before names shrink further, on a narrow display later. */
const COMFORTABLE_NAME = 28;
const COMFORTABLE_SHARE = 0.45;
const SHORTEST_NAME = 8;

/** Remarks quote names from the file; beyond this they are shortened. */
const MAX_REMARKS = 28;

/** Below these shares a layer's bar is shown as little used, and as partly used. */
const LITTLE = 1 / 3;
const PARTLY = 2 / 3;

const COLUMNS: readonly Column[] = [
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

function barColumn(cells: number, expendable: number): Column {
  return {
    header: '',
    align: 'left',
    expendable,
    // Piped text has no use for pictures.
    cell: ({ layer, part }, display) =>
      display.width === undefined ? '' : bar((part ?? layer).utilization, cells, display),
    style: ({ layer, part }) => {
      if (layer.trivialRank === true) return 'dim';
      const { utilization } = part ?? layer;
      return utilization < LITTLE ? 'yellow' : utilization < PARTLY ? 'cyan' : 'green';
    },
  };
}

/** Change of a layer's parameters if it became two, where that saves some: −83 %. */
function asTwo(layer: LayerAudit, unicode: boolean): string {
  if (!layer.decomposable) return '';
  const [m, n] = layer.shape;
  return change(m * n, decomposedParameters(layer.rank, m, n), unicode);
}

/**
 * The audit for people: what was read, a table of layers, and a summary.
 * Fitted to the display's width by leaving out columns, then by shortening names in the middle.
 */
export function renderTable(document: AuditDocument, display: Display, sort: SortOrder): string {
  const rows = rowsOf(document, sort);
  const facts = wrap(renderFacts(document, display), display.width);
  const lines = [...facts.map((line) => paint(line, 'bold', display)), ''];
  if (rows.length > 0) lines.push(...renderRows(rows, display), '');
  for (const sentence of renderSummary(document, display)) lines.push(...wrap(sentence, display.width));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}

interface Laid {
  readonly column: Column;
  readonly cells: readonly string[];
  readonly width: number;
}

function renderRows(rows: readonly Row[], display: Display): string[] {
  const whole = rows.map(nameCell);
  const longest = longestOf(whole);
  const columns = fittingColumns(rows, longest, display);
  const used = columns.reduce((sum, { width }) => sum + GAP.length + width, 0);
  const room = display.width === undefined ? longest : Math.max(SHORTEST_NAME, display.width - used);
  const names = longest <= room ? whole : withoutCommonBeginning(rows, whole, display);
  const nameWidth = Math.min(longestOf(names), room);
  const header = ['LAYER', ...columns.map(({ column }) => column.header)];
  const headerCells = header.map((text, i) => {
    const laid = columns[i - 1];
    return laid === undefined ? pad(text, nameWidth, 'left') : pad(text, laid.width, laid.column.align);
  });
  return [
    paint(headerCells.join(GAP).trimEnd(), 'dim', display),
    ...rows.map((row, i) => {
      const name = pad(shortenMiddle(names[i] ?? '', nameWidth, display), nameWidth, 'left');
      const cells = columns.map(({ column, cells: texts, width }) =>
        paint(pad(texts[i] ?? '', width, column.align), column.style?.(row), display),
      );
      return [name, ...cells].join(GAP);
    }),
  ];
}

function longestOf(names: readonly string[]): number {
  return names.reduce((longest, name) => Math.max(longest, textWidth(name)), 'LAYER'.length);
}

/** Names without the path that all layers begin with, which tells none from another. */
function withoutCommonBeginning(rows: readonly Row[], names: readonly string[], display: Display): string[] {
  const layers = names.filter((_, i) => rows[i]?.part === undefined);
  const [first = ''] = layers;
  let common = 0;
  while (layers.every((name) => name[common] === first[common]) && common < first.length) common++;
  const cut = first.slice(0, common).lastIndexOf('.') + 1;
  const mark = display.unicode ? '…' : '..';
  return names.map((name, i) => (rows[i]?.part === undefined && cut > 1 ? mark + name.slice(cut) : name));
}

function nameCell({ layer, part }: Row): string {
  return part === undefined ? printable(layer.name) : `  ${printable(part.name)}`;
}

/** The columns that leave names comfortable room, the most expendable left out first; empty ones always. */
function fittingColumns(rows: readonly Row[], longestName: number, display: Display): Laid[] {
  let laid = COLUMNS.map((column): Laid => {
    const cells = rows.map((row) => column.cell(row, display));
    return { column, cells, width: Math.max(column.header.length, ...cells.map(textWidth)) };
  }).filter(({ cells }) => cells.some((text) => text !== ''));
  if (display.width === undefined) return laid;
  const comfortable = Math.min(COMFORTABLE_NAME, Math.floor(display.width * COMFORTABLE_SHARE));
  const room = display.width - Math.min(longestName, comfortable);
  const widthOf = (columns: readonly Laid[]) =>
    columns.reduce((sum, { width }) => sum + GAP.length + width, 0);
  while (widthOf(laid) > room && laid.length > 1) {
    const next = Math.max(...laid.map(({ column }) => column.expendable));
    laid = laid.filter(({ column }) => column.expendable !== next);
  }
  return laid;
}
