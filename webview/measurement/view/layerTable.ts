/** The layers: what they could have, have, and use. */
import { element } from '../../view/element';
import { Grid, type GridColumn } from '../../view/grid';
import { shortNameText } from '../../view/nameText';
import { COLUMNS, maxRank, sortedRows, type ColumnId, type Row, type Sort } from '../model/columns';

export interface LayerTableActions {
  readonly select: (name: string) => void;
  readonly sort: (column: string) => void;
}

/** Shares of the width that is left over. */
const GROW: Partial<Readonly<Record<ColumnId, number>>> = { name: 4, order: 0.2, utilization: 1.5 };

export class LayerTable {
  readonly element: HTMLElement;
  private readonly grid: Grid<Row>;
  private selected: string | undefined;
  private from: readonly unknown[] = [];
  private rows: readonly Row[] = [];

  constructor(actions: LayerTableActions) {
    this.grid = new Grid({
      ...{ label: 'Layers', role: 'grid', columns: COLUMNS.map(gridColumn) },
      facts: ({ name, result }) => ({ selected: name === this.selected, pending: result === undefined }),
      onSort: actions.sort,
      onSelect: ({ name }) => {
        actions.select(name);
      },
    });
    this.grid.element.setAttribute('aria-multiselectable', 'false');
    this.element = element(
      'section',
      { class: 'tables', attributes: { 'aria-label': 'Layers' } },
      element('div', { class: 'table-bar' }, element('h2', { text: 'Layers' })),
      element('div', { class: 'tab-panel' }, this.grid.element),
    );
  }

  /** @param rows in the network's order; the same list as before as long as nothing in it changed */
  render(rows: readonly Row[], sort: Sort, selected: string | undefined): void {
    this.selected = selected;
    const from = [rows, sort];
    if (from.some((part, i) => part !== this.from[i])) {
      this.from = from;
      this.rows = sortedRows(rows, sort);
    }
    this.element.style.setProperty('--rows', String(rows.length));
    this.grid.setRows(this.rows, sort);
  }

  /** Brings a layer's row into sight. */
  reveal(name: string): void {
    this.grid.reveal(this.rows.findIndex((row) => row.name === name));
  }
}

function gridColumn(column: (typeof COLUMNS)[number]): GridColumn<Row> {
  const common = { ...column, sortable: true, grow: GROW[column.id] ?? 0.7 };
  switch (column.id) {
    case 'name':
      return {
        ...common,
        stamp: ({ name, active }) => `${name}\u0000${String(active)}`,
        paint: (cell, { name, active }) => {
          cell.replaceChildren(shortNameText(name));
          cell.classList.toggle('is-searched', active);
        },
      };
    case 'utilization':
      return { ...common, stamp: (row) => JSON.stringify(shares(row)), paint: paintBar };
    default:
      return common;
  }
}

/** Of the most possible: the rank of the weight, and what of it is used. */
function shares(row: Row): readonly [rank: number, utilized: number | undefined] {
  const most = maxRank(row);
  return [most === 0 ? 0 : row.rank / most, row.result?.utilization];
}

/** Utilized rank as a bar before the rank of the weight, and the number beside it. */
function paintBar(cell: HTMLElement, row: Row): void {
  const [rank, utilized] = shares(row);
  const bar = (name: string, share: number): HTMLElement => {
    const made = element('span', { class: name });
    made.style.transform = `scaleX(${Math.min(1, share)})`;
    return made;
  };
  const text = COLUMNS.find(({ id }) => id === 'utilization')?.text(row) ?? '·';
  cell.replaceChildren(
    element(
      'span',
      { class: 'bar-track', attributes: { 'aria-hidden': 'true' } },
      bar('bar behind', rank),
      ...(utilized === undefined ? [] : [bar('bar', utilized)]),
    ),
    element('span', { class: 'bar-text', text }),
  );
}
