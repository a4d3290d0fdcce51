/** The layers: what the form plans for each, then what became of it. */
import { COLUMNS, denseReason, type ColumnId, type Row } from '../model/columns';
import { sortedRows, type Sort } from '../model/rows';
import { element, setText } from '../../view/element';
import { Grid, type GridColumn } from '../../view/grid';
import { nameTitle, shortNameText } from '../../view/nameText';

export interface LayerTableActions {
  readonly select: (name: string) => void;
  readonly sort: (column: string) => void;
}

/** Shares of the width that is left over. */
const GROW: Partial<Readonly<Record<ColumnId, number>>> = { name: 4, order: 0.2 };

export class LayerTable {
  readonly element: HTMLElement;
  private readonly grid: Grid<Row>;
  private readonly why = element('p', { class: 'table-why', attributes: { role: 'status' } });
  private selected: string | undefined;
  private from: readonly unknown[] = [];
  private rows: readonly Row[] = [];
  private columns: readonly GridColumn<Row>[] = PLANNED;

  constructor(actions: LayerTableActions) {
    this.grid = new Grid({
      ...{ label: 'Layers', role: 'grid', columns: PLANNED },
      facts: ({ name, pending }) => ({ selected: name === this.selected, pending }),
      onSort: actions.sort,
      onSelect: ({ name }) => {
        actions.select(name);
      },
    });
    this.grid.element.setAttribute('aria-multiselectable', 'false');
    this.element = element(
      'section',
      { class: 'tables', attributes: { 'aria-label': 'Layers' } },
      element('div', { class: 'table-bar' }, element('h2', { text: 'Layers' }), this.why),
      element('div', { class: 'tab-panel' }, this.grid.element),
    );
  }

  /** @param rows in file order; the same list as before as long as nothing in it changed */
  render(rows: readonly Row[], sort: Sort, selected: string | undefined): void {
    this.selected = selected;
    const from = [rows, sort];
    if (from.some((part, i) => part !== this.from[i])) {
      this.from = from;
      this.rows = sortedRows(rows, sort);
    }
    const columns = rows.some(({ result }) => result !== undefined) ? ALL : PLANNED;
    if (columns !== this.columns) {
      this.columns = columns;
      this.grid.setColumns(columns);
    }
    this.element.style.setProperty('--rows', String(rows.length));
    this.grid.setRows(this.rows, sort);
    const chosen = rows.find(({ name }) => name === selected);
    const reason = chosen === undefined ? undefined : denseReason(chosen);
    setText(this.why, reason === undefined ? '' : `Dense: ${nameTitle(reason)}`);
  }

  /** Brings a layer's row into sight. */
  reveal(name: string): void {
    this.grid.reveal(this.rows.findIndex((row) => row.name === name));
  }
}

function gridColumn(column: (typeof COLUMNS)[number]): GridColumn<Row> {
  const common = { ...column, sortable: true, grow: GROW[column.id] ?? 0.7 };
  if (column.id === 'name')
    return {
      ...common,
      paint: (cell, { name }) => {
        cell.replaceChildren(shortNameText(name));
      },
    };
  if (column.id === 'k')
    return {
      ...common,
      stamp: (row) => `${column.text(row) ?? ''}\u0000${denseReason(row) ?? ''}`,
      paint: (cell, row) => {
        const reason = denseReason(row);
        cell.textContent = column.text(row) ?? '·';
        cell.classList.toggle('is-dense', reason !== undefined);
        cell.title = reason === undefined ? '' : nameTitle(reason);
      },
    };
  return common;
}

const ALL: readonly GridColumn<Row>[] = COLUMNS.map(gridColumn);

/** Known only once a layer is fitted. */
const MEASURED: ReadonlySet<string> = new Set<ColumnId>(['error', 'svdError', 'ratio']);

const PLANNED: readonly GridColumn<Row>[] = ALL.filter(({ id }) => !MEASURED.has(id));
