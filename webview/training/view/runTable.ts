/** The runs: what each is, how far it is, what came of it. What is selected is on the chart, and can be acted on. */
import { element } from '../../view/element';
import { Grid, type GridColumn } from '../../view/grid';
import type { SelectMode } from '../../model/selection';
import { Segmented } from '../../view/segmented';
import { COLUMNS, sortedRuns, type Column, type ColumnId, type Sort } from '../model/columns';
import { fractionOf, reasonOf, stateText } from '../model/words';
import type { Scope } from '../model/shown';
import { isLive } from '../model/state';
import type { RunSummary } from '../protocol';

export interface RunTableActions {
  readonly select: (folder: string, mode: SelectMode, visible: readonly string[]) => void;
  readonly selectAll: (visible: readonly string[]) => void;
  readonly clear: () => void;
  readonly sort: (column: string) => void;
  readonly scope: (scope: Scope) => void;
}

/** Shares of the width that is left over. */
const GROW: Partial<Readonly<Record<ColumnId, number>>> = { label: 4, state: 0.6, reason: 3, launcher: 0.6 };

export class RunTable {
  readonly element: HTMLElement;
  private readonly grid: Grid<RunSummary>;
  private readonly scope: Segmented<Scope>;
  private selected: readonly string[] = [];
  private from: readonly unknown[] = [];
  private rows: readonly RunSummary[] = [];

  /** @param bar what can be done with those that are selected */
  constructor(actions: RunTableActions, bar: HTMLElement) {
    const visible = (): readonly string[] => this.rows.map(({ folder }) => folder);
    this.grid = new Grid({
      ...{ label: 'Runs', role: 'grid', columns: COLUMNS.map(gridColumn) },
      facts: ({ folder }) => ({ selected: this.selected.includes(folder) }),
      onSort: actions.sort,
      onSelect: ({ folder }, mode) => {
        actions.select(folder, mode, visible());
      },
      onSelectAll: () => {
        actions.selectAll(visible());
      },
      onClear: actions.clear,
    });
    this.scope = new Segmented<Scope>(
      'Runs on the chart',
      [
        { value: 'last', text: 'Last started', title: 'Those that were started together, the newest' },
        { value: 'all', text: 'All', title: 'All runs of the recipe' },
      ],
      actions.scope,
    );
    this.element = element(
      'section',
      { class: 'tables', attributes: { 'aria-label': 'Runs' } },
      element('div', { class: 'table-bar' }, element('h2', { text: 'Runs' }), this.scope.element, bar),
      element('div', { class: 'tab-panel' }, this.grid.element),
    );
  }

  render(runs: readonly RunSummary[], sort: Sort, selected: readonly string[], scope: Scope): void {
    this.selected = selected;
    this.scope.set(scope);
    const from = [runs, sort];
    if (from.some((part, i) => part !== this.from[i])) {
      this.from = from;
      this.rows = sortedRuns(runs, sort);
    }
    this.element.style.setProperty('--rows', String(runs.length));
    this.grid.setRows(this.rows, sort);
  }
}

function gridColumn(column: Column): GridColumn<RunSummary> {
  const common = { ...column, sortable: true, grow: GROW[column.id] ?? 0.7 };
  if (column.id === 'state')
    return { ...common, stamp: (run) => `${stateText(run)}\u0000${reasonOf(run)}`, paint: paintState };
  if (column.id === 'label' || column.id === 'reason')
    return {
      ...common,
      paint: (cell, run) => {
        const text = column.text(run) ?? '';
        cell.replaceChildren(element('bdi', { class: 'cut', text, title: text }));
      },
    };
  return common;
}

/** A mark and the word; behind it how far the run is. */
function paintState(cell: HTMLElement, run: RunSummary): void {
  const { state } = run.status;
  const fraction = isLive(state) ? fractionOf(run) : undefined;
  const bar = element('span', { class: 'state-bar', attributes: { 'aria-hidden': 'true' } });
  bar.style.transform = `scaleX(${fraction ?? 0})`;
  const mark = element('span', { class: `state-mark is-${state}`, attributes: { 'aria-hidden': 'true' } });
  const reason = reasonOf(run);
  cell.title = reason;
  cell.replaceChildren(mark, element('span', { text: stateText(run) }), bar);
}
