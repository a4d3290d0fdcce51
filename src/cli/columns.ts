/** Tables of layers on a terminal: a name and columns, fitted to the width. */
import { shortenMiddle, textWidth, type Display } from '../engine/report/display';
import { pad, paint, type Style } from './terminal';

export interface Column<Row> {
  readonly header: string;
  readonly align: 'left' | 'right';
  readonly cell: (row: Row, display: Display) => string;
  readonly style?: (row: Row) => Style | undefined;
  /** The higher, the sooner it goes when the display is narrow. */
  readonly expendable: number;
}

/** What stands in the first column. */
export interface RowNames<Row> {
  /** Safe to print. */
  readonly of: (row: Row) => string;
  /** Whether it is a path from the root, whose beginning may be common to all. */
  readonly isPath: (row: Row) => boolean;
}

const GAP = '  ';

/** Names shorter than this hardly tell layers apart; columns go before names shrink further, on a narrow display later. */
const COMFORTABLE_NAME = 28;
const COMFORTABLE_SHARE = 0.45;
const SHORTEST_NAME = 8;

interface Laid<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  readonly width: number;
}

/** Lines of a table: a header, then the rows. Columns are left out first, then names are shortened in the middle. */
export function renderColumns<Row>(
  rows: readonly Row[],
  all: readonly Column<Row>[],
  naming: RowNames<Row>,
  display: Display,
): string[] {
  const whole = rows.map(naming.of);
  const longest = longestOf(whole);
  const columns = fittingColumns(rows, all, longest, display);
  const used = columns.reduce((sum, { width }) => sum + GAP.length + width, 0);
  const room = display.width === undefined ? longest : Math.max(SHORTEST_NAME, display.width - used);
  const names = longest <= room ? whole : withoutCommonBeginning(rows, whole, naming, display);
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
function withoutCommonBeginning<Row>(
  rows: readonly Row[],
  names: readonly string[],
  { isPath }: RowNames<Row>,
  display: Display,
): string[] {
  const paths = rows.map(isPath);
  const layers = names.filter((_, i) => paths[i]);
  const [first = ''] = layers;
  let common = 0;
  while (layers.every((name) => name[common] === first[common]) && common < first.length) common++;
  const cut = first.slice(0, common).lastIndexOf('.') + 1;
  const mark = display.unicode ? '…' : '..';
  return names.map((name, i) => (paths[i] === true && cut > 1 ? mark + name.slice(cut) : name));
}

/** The columns that leave names comfortable room, the most expendable left out first; empty ones always. */
function fittingColumns<Row>(
  rows: readonly Row[],
  all: readonly Column<Row>[],
  longestName: number,
  display: Display,
): Laid<Row>[] {
  let laid = all
    .map((column): Laid<Row> => {
      const cells = rows.map((row) => column.cell(row, display));
      return { column, cells, width: Math.max(column.header.length, ...cells.map(textWidth)) };
    })
    .filter(({ cells }) => cells.some((text) => text !== ''));
  if (display.width === undefined) return laid;
  const comfortable = Math.min(COMFORTABLE_NAME, Math.floor(display.width * COMFORTABLE_SHARE));
  const room = display.width - Math.min(longestName, comfortable);
  const widthOf = (columns: readonly Laid<Row>[]) =>
    columns.reduce((sum, { width }) => sum + GAP.length + width, 0);
  while (widthOf(laid) > room && laid.length > 1) {
    const next = Math.max(...laid.map(({ column }) => column.expendable));
    laid = laid.filter(({ column }) => column.expendable !== next);
  }
  return laid;
}
