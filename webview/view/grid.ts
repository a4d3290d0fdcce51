/** A virtualised, keyboard-complete grid: only the rows in sight exist, whatever their number. */
import { fittingColumns } from '../model/columns';
import type { SelectMode } from '../model/selection';
import { element, setAttribute } from './element';
import { GridHead, type HeadSort } from './gridHead';
import { GridRow } from './gridRow';

export interface GridColumn<Row> {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly align: 'start' | 'end';
  /** Least width in CSS pixels, and the share of what is left over. */
  readonly width: number;
  readonly grow: number;
  readonly priority: number;
  readonly sortable: boolean;
  readonly text: (row: Row) => string | undefined;
  /** Draws the cell where text is not enough; called when `stamp` changes. */
  readonly paint?: (cell: HTMLElement, row: Row) => void;
  readonly stamp?: (row: Row) => string;
}

/** What a row is to assistive technology. */
export interface RowFacts {
  readonly selected?: boolean;
  readonly pending?: boolean;
  readonly level?: number;
  readonly expanded?: boolean;
}

export interface GridOptions<Row> {
  readonly label: string;
  readonly role: 'grid' | 'treegrid';
  readonly columns: readonly GridColumn<Row>[];
  readonly facts?: (row: Row) => RowFacts;
  readonly onSort?: (column: string) => void;
  readonly onSelect?: (row: Row, mode: SelectMode) => void;
  readonly onSelectAll?: () => void;
  readonly onClear?: () => void;
  readonly onExpand?: (row: Row, expanded: boolean) => void;
  readonly onScroll?: (top: number) => void;
}

/** CSS pixels; `--row-height` in grid.css. */
const ROW_HEIGHT = 24;
/** Rows kept beyond either edge, so that a fast scroll meets drawn rows. */
const OVERSCAN = 4;

let grids = 0;

export class Grid<Row> {
  readonly element: HTMLElement;
  private readonly body = element('div', { class: 'grid-body', attributes: { role: 'rowgroup' } });
  private readonly head: GridHead;
  private readonly id = `grid-${++grids}`;
  private readonly drawn = new Map<number, GridRow<Row>>();
  private rows: readonly Row[] = [];
  private columns: readonly GridColumn<Row>[];
  private shown: readonly GridColumn<Row>[] = [];
  private active = 0;
  private width = 0;
  private height = 0;
  private pendingScroll: number | undefined;

  constructor(private readonly options: GridOptions<Row>) {
    this.columns = options.columns;
    this.head = new GridHead(options.onSort);
    this.element = element(
      'div',
      {
        class: 'grid',
        attributes: { role: options.role, tabindex: '0', 'aria-label': options.label, id: this.id },
      },
      this.head.element,
      this.body,
    );
    if (options.onSelect !== undefined) this.element.setAttribute('aria-multiselectable', 'true');
    this.listen();
  }

  /** @param rows a new list; rows that look the same cost nothing to show again */
  setRows(rows: readonly Row[], sort?: HeadSort): void {
    this.rows = rows;
    this.active = Math.min(this.active, Math.max(0, rows.length - 1));
    this.head.setSort(sort);
    setAttribute(this.element, 'aria-rowcount', String(rows.length + 1));
    this.body.style.height = `${rows.length * ROW_HEIGHT}px`;
    if (this.pendingScroll !== undefined && this.height > 0 && rows.length > 0) {
      this.element.scrollTop = this.pendingScroll;
      this.pendingScroll = undefined;
    }
    this.draw();
  }

  setColumns(columns: readonly GridColumn<Row>[]): void {
    this.columns = columns;
    this.fit(true);
  }

  /** Where the grid shall be scrolled to once it has rows. */
  restoreScroll(top: number): void {
    this.pendingScroll = top > 0 ? top : undefined;
  }

  /** Brings a row into sight and makes it the one that keys act on. */
  reveal(index: number): void {
    if (index < 0 || index >= this.rows.length) return;
    this.active = index;
    const top = index * ROW_HEIGHT;
    const room = Math.max(ROW_HEIGHT, this.element.clientHeight - this.head.height);
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + ROW_HEIGHT > this.element.scrollTop + room)
      this.element.scrollTop = top + ROW_HEIGHT - room;
    this.draw();
  }

  private listen(): void {
    const { onScroll } = this.options;
    this.element.addEventListener(
      'scroll',
      () => {
        this.draw();
        onScroll?.(this.element.scrollTop);
      },
      { passive: true },
    );
    this.element.addEventListener('keydown', (event) => {
      if (event.target === this.element && this.handleKey(event)) event.preventDefault();
    });
    this.body.addEventListener('click', (event) => {
      this.handleClick(event);
    });
    new ResizeObserver(() => {
      this.fit(false);
    }).observe(this.element);
  }

  private fit(columnsChanged: boolean): void {
    const { clientWidth, clientHeight } = this.element;
    if (clientWidth === 0) return;
    this.height = clientHeight;
    if (clientWidth !== this.width || columnsChanged) {
      this.width = clientWidth;
      const most = clientWidth * MAX_SHARE;
      const columns = this.columns.map((column) => ({ ...column, width: Math.min(column.width, most) }));
      const shown = fittingColumns(columns, clientWidth - PADDING);
      this.setShown(shown, columnsChanged || shown.length !== this.shown.length);
    }
    this.setRows(this.rows, this.head.sort);
  }

  /** @param others other columns than before, not only wider or narrower ones */
  private setShown(shown: readonly GridColumn<Row>[], others: boolean): void {
    const tracks = shown.map(({ width, grow }) => `minmax(${width}px, ${grow}fr)`);
    this.element.style.setProperty('--columns', tracks.join(' '));
    if (!others) return;
    this.shown = shown;
    this.head.setColumns(shown);
    setAttribute(this.element, 'aria-colcount', String(this.columns.length));
    for (const row of this.drawn.values()) row.element.remove();
    this.drawn.clear();
  }

  private draw(): void {
    if (this.height === 0 || this.shown.length === 0) return;
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW_HEIGHT) - OVERSCAN);
    const last = Math.min(this.rows.length, first + Math.ceil(this.height / ROW_HEIGHT) + 2 * OVERSCAN);
    const spare: GridRow<Row>[] = [];
    for (const [index, row] of this.drawn) {
      if (index >= first && index < last) continue;
      this.drawn.delete(index);
      spare.push(row);
    }
    for (let index = first; index < last; index++) this.drawRow(index, spare);
    for (const row of spare) row.element.remove();
    const activeRow = this.drawn.get(this.active);
    setAttribute(this.element, 'aria-activedescendant', activeRow?.element.id);
  }

  private drawRow(index: number, spare: GridRow<Row>[]): void {
    const row = this.rows[index];
    if (row === undefined) return;
    let drawn = this.drawn.get(index);
    if (drawn === undefined) {
      drawn = spare.pop() ?? new GridRow(this.shown);
      this.drawn.set(index, drawn);
      drawn.place(index, index * ROW_HEIGHT, `${this.id}-row-${index}`);
      if (!drawn.element.isConnected) this.body.append(drawn.element);
    }
    drawn.show(row, this.options.facts?.(row) ?? {}, index === this.active);
  }

  private handleClick(event: MouseEvent): void {
    const { target } = event;
    // A button in a row does something of its own.
    if (!(target instanceof Element) || target.closest('button') !== null) return;
    const row = target.closest('[aria-rowindex]');
    if (row === null) return;
    const mode = event.shiftKey ? 'range' : event.ctrlKey || event.metaKey ? 'toggle' : 'only';
    this.activate(Number(row.getAttribute('aria-rowindex')) - 2, mode);
  }

  /** @returns whether the key meant something */
  private handleKey(event: KeyboardEvent): boolean {
    const page = Math.max(1, Math.floor((this.height - this.head.height) / ROW_HEIGHT) - 1);
    const last = this.rows.length - 1;
    const targets: Readonly<Record<string, number>> = {
      ArrowDown: this.active + 1,
      ArrowUp: this.active - 1,
      PageDown: this.active + page,
      PageUp: this.active - page,
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    if (target !== undefined) {
      this.reveal(Math.min(last, Math.max(0, target)));
      if (event.shiftKey) this.activate(this.active, 'range');
      return true;
    }
    return this.handleCommand(event);
  }

  private handleCommand(event: KeyboardEvent): boolean {
    const command = event.ctrlKey || event.metaKey;
    switch (event.key) {
      case 'Enter':
      case ' ':
        this.activate(this.active, event.shiftKey ? 'range' : command ? 'toggle' : 'only');
        return true;
      case 'ArrowRight':
      case 'ArrowLeft':
        return this.expand(event.key === 'ArrowRight');
      case 'Escape':
        this.options.onClear?.();
        return this.options.onClear !== undefined;
      case 'a':
        if (command) this.options.onSelectAll?.();
        return command;
      default:
        return false;
    }
  }

  private activate(index: number, mode: SelectMode): void {
    const row = this.rows[index];
    if (row === undefined) return;
    this.active = index;
    this.draw();
    this.options.onSelect?.(row, mode);
  }

  private expand(expanded: boolean): boolean {
    const row = this.rows[this.active];
    if (row === undefined || this.options.onExpand === undefined) return false;
    if (this.options.facts?.(row).expanded === undefined) return false;
    this.options.onExpand(row, expanded);
    return true;
  }
}

/** No column takes more of the width than this: beside the longest name there is still a number. */
const MAX_SHARE = 0.45;
/** Left and right of a row, in CSS pixels. */
const PADDING = 16;
