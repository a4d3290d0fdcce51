/** The lower half of the page: filter, kinds, and the two tables behind two tabs. */
import type { LayerKind, SkippedTensor } from '../../src/engine/document';
import type { AuditState } from '../model/audit';
import type { ColumnId, TableRow } from '../model/columns';
import { COLUMN_IDS } from '../model/columns';
import { parseFilter, type NameFilter } from '../model/filter';
import { count, counted } from '../model/numbers';
import {
  firstDirection,
  kindsOf,
  layerCount,
  skippedRows,
  SKIPPED_COLUMN_IDS,
  tableRows,
} from '../model/rows';
import { NO_SELECTION, type SelectMode } from '../model/selection';
import type { ViewState } from '../model/viewState';
import { dropdown, textField, type ChoiceControl, type TextControl } from '../toolkit';
import { element, setText } from './element';
import { Grid, type GridColumn } from './grid';
import { layerColumns, skippedColumns, type LayerCells } from './layerColumns';
import { Tabs } from './tabs';

export interface TableActions {
  readonly change: (change: Partial<ViewState>) => void;
  readonly copySnippet: (name: string) => void;
}

export class TableSection {
  readonly element: HTMLElement;
  /** Names in the order shown: what a range of a selection runs over. */
  visibleNames: readonly string[] = [];
  private readonly layers: Grid<TableRow>;
  private readonly skipped: Grid<SkippedTensor>;
  private readonly tabs: Tabs<'layers' | 'skipped'>;
  private readonly filter: TextControl;
  private readonly kind: ChoiceControl;
  private readonly summary = element('span', { class: 'table-summary', attributes: { role: 'status' } });
  private colours: ReadonlyMap<string, string> = new Map();
  private rows: readonly TableRow[] = [];
  private rowsFrom: readonly unknown[] = [];
  private names: readonly string[] = [];
  private columnsFor: (names: readonly string[]) => GridColumn<TableRow>[] = () => [];

  constructor(
    private view: ViewState,
    private readonly actions: TableActions,
    private readonly select: (name: string, mode: SelectMode) => void,
  ) {
    this.filter = textField(
      { label: 'Filter by name', placeholder: 'Filter: part of a name, or /pattern/', value: view.filter },
      (filter) => {
        actions.change({ filter });
      },
    );
    this.kind = dropdown('Filter by kind', (kind) => {
      actions.change({ kind: kindFrom(kind) });
    });
    this.layers = this.layerGrid();
    this.skipped = this.skippedGrid();
    this.tabs = new Tabs(
      [
        { value: 'layers', panel: this.layers.element },
        { value: 'skipped', panel: this.skipped.element },
      ],
      (tab) => {
        actions.change({ tab });
      },
    );
    const bar = element(
      'div',
      { class: 'table-bar' },
      this.tabs.list,
      element('div', { class: 'table-filters' }, this.filter.element, this.kind.element),
      this.summary,
    );
    const label = { 'aria-label': 'Layers and skipped tensors' };
    this.element = element('section', { class: 'tables', attributes: label }, bar, ...this.tabs.panels);
    this.layers.restoreScroll(view.tableScroll);
  }

  render(state: AuditState, view: ViewState, colours: ReadonlyMap<string, string>): void {
    [this.view, this.colours] = [view, colours];
    const filter = parseFilter(view.filter);
    this.filter.setProblem(filter.kind === 'invalid' ? filter.message : undefined);
    const kinds = kindsOf(state.slots);
    const listed = view.kind === 'any' || kinds.includes(view.kind) ? kinds : [...kinds, view.kind];
    this.kind.set(
      [{ value: 'any', text: 'All kinds' }, ...listed.map((kind) => ({ value: kind, text: kind }))],
      view.kind,
    );
    this.kind.element.hidden = view.tab !== 'layers';
    const skippedCount = state.skipped === undefined ? '' : ` (${count(state.skipped.length)})`;
    this.tabs.set(view.tab, {
      layers: `Layers (${count(state.slots.length)})`,
      skipped: `Skipped${skippedCount}`,
    });
    if (view.tab === 'layers') this.renderLayers(state, view, filter);
    else this.renderSkipped(state, view, filter);
  }

  /** Brings a layer's row into sight. */
  reveal(name: string): void {
    this.layers.reveal(this.rows.findIndex((row) => row.kind === 'layer' && row.name === name));
  }

  private renderLayers(state: AuditState, view: ViewState, filter: NameFilter): void {
    const from = [state.slots, view.filter, view.kind, view.sort, view.expanded];
    if (from.some((part, i) => part !== this.rowsFrom[i])) {
      this.rowsFrom = from;
      const expanded = new Set(view.expanded);
      this.rows = tableRows(state.slots, { filter, kind: view.kind, sort: view.sort, expanded });
      this.visibleNames = this.rows.flatMap((row) => (row.kind === 'layer' ? [row.name] : []));
    }
    if (state.names !== this.names) {
      this.names = state.names;
      this.layers.setColumns(this.columnsFor(state.names));
    }
    this.layers.setRows(this.rows, view.sort);
    const shown = layerCount(this.rows);
    setText(this.summary, filterWords(filter, shown, state.slots.length, view.selection.names.length));
  }

  private renderSkipped(state: AuditState, view: ViewState, filter: NameFilter): void {
    const all = state.skipped ?? [];
    const rows = skippedRows(all, filter, view.skippedSort);
    this.skipped.setRows(rows, view.skippedSort);
    const words =
      state.skipped === undefined
        ? 'Known when the audit is done'
        : filterWords(filter, rows.length, all.length, 0);
    setText(this.summary, words);
  }

  private layerGrid(): Grid<TableRow> {
    const { actions } = this;
    const cells: LayerCells = {
      colourOf: (name) => this.colours.get(name),
      copySnippet: actions.copySnippet,
      expand: (name, expanded) => {
        this.expand(name, expanded);
      },
    };
    this.columnsFor = (names) => layerColumns(cells, names);
    return new Grid({
      ...{ label: 'Layers', role: 'treegrid', columns: this.columnsFor([]) },
      facts: (row) => ({
        selected: row.kind === 'layer' && this.view.selection.names.includes(row.name),
        pending: row.layer === undefined,
        level: row.kind === 'layer' ? 1 : 2,
        ...(row.kind === 'layer' && row.expanded !== undefined && { expanded: row.expanded }),
      }),
      onSort: (column) => {
        this.sortBy(column);
      },
      onSelect: (row, mode) => {
        if (row.kind === 'layer') this.select(row.name, mode);
      },
      onSelectAll: () => {
        actions.change({ selection: { names: this.visibleNames } });
      },
      onClear: () => {
        actions.change({ selection: NO_SELECTION });
      },
      onExpand: (row, expanded) => {
        this.expand(row.name, expanded);
      },
      onScroll: (tableScroll) => {
        actions.change({ tableScroll });
      },
    });
  }

  private skippedGrid(): Grid<SkippedTensor> {
    return new Grid({
      ...{ label: 'Skipped tensors', role: 'grid', columns: skippedColumns() },
      onSort: (id) => {
        const column = SKIPPED_COLUMN_IDS.find((candidate) => candidate === id);
        if (column === undefined) return;
        const { skippedSort } = this.view;
        const again = skippedSort.column === column;
        // Up, down, and back to the file's order.
        if (again && skippedSort.direction === 'descending') {
          this.actions.change({ skippedSort: { column: 'order', direction: 'ascending' } });
        } else
          this.actions.change({ skippedSort: { column, direction: again ? 'descending' : 'ascending' } });
      },
    });
  }

  private sortBy(id: string): void {
    const column: ColumnId | undefined = COLUMN_IDS.find((candidate) => candidate === id);
    if (column === undefined) return;
    const { sort } = this.view;
    const opposite = sort.direction === 'ascending' ? 'descending' : 'ascending';
    this.actions.change({
      sort: { column, direction: sort.column === column ? opposite : firstDirection(column) },
    });
  }

  private expand(name: string, expanded: boolean): void {
    const others = this.view.expanded.filter((other) => other !== name);
    this.actions.change({ expanded: expanded ? [...others, name] : others });
  }
}

const KINDS: readonly LayerKind[] = ['linear', 'conv', 'embedding', 'attention', 'other'];

function kindFrom(value: string): ViewState['kind'] {
  return KINDS.find((kind) => kind === value) ?? 'any';
}

function filterWords(filter: NameFilter, shown: number, all: number, selected: number): string {
  const words: string[] = [];
  if (filter.kind === 'invalid') words.push(filter.message);
  else if (shown < all) words.push(`${count(shown)} of ${count(all)}`);
  if (selected > 1) words.push(`${counted(selected, 'layer')} selected`);
  return words.join(' · ');
}
