import { element, setAttribute } from './element';
import type { GridColumn, RowFacts } from './grid';

/** A row's elements, used again for other rows as the grid scrolls; writes only what differs from before. */
export class GridRow<Row> {
  readonly element = element('div', { class: 'grid-row', attributes: { role: 'row' } });
  private readonly cells: readonly {
    readonly cell: HTMLElement;
    readonly text: Text;
    readonly column: GridColumn<Row>;
  }[];
  private readonly stamps: (string | undefined)[] = [];

  constructor(columns: readonly GridColumn<Row>[]) {
    this.cells = columns.map((column) => {
      const attributes = { role: 'gridcell', 'data-column': column.id };
      const cell = element('div', { class: `grid-cell align-${column.align}`, attributes });
      // A text node written again and again is far cheaper than a new one each time.
      const text = document.createTextNode('');
      if (column.paint === undefined) cell.append(text);
      return { column, cell, text };
    });
    this.element.append(...this.cells.map(({ cell }) => cell));
  }

  /** @param top CSS pixels from the first row */
  place(index: number, top: number, id: string): void {
    this.element.id = id;
    // The header is row 1.
    this.element.setAttribute('aria-rowindex', String(index + 2));
    this.element.style.transform = `translateY(${top}px)`;
  }

  show(row: Row, facts: RowFacts, active: boolean): void {
    this.cells.forEach(({ cell, text, column }, i) => {
      const stamp = column.stamp?.(row) ?? column.text(row) ?? NOTHING;
      if (this.stamps[i] === stamp) return;
      this.stamps[i] = stamp;
      if (column.paint !== undefined) column.paint(cell, row);
      else text.data = column.text(row) ?? NOTHING;
    });
    const { classList } = this.element;
    classList.toggle('active', active);
    classList.toggle('pending', facts.pending === true);
    classList.toggle('child', (facts.level ?? 1) > 1);
    setAttribute(
      this.element,
      'aria-selected',
      facts.selected === undefined ? undefined : String(facts.selected),
    );
    setAttribute(this.element, 'aria-level', facts.level === undefined ? undefined : String(facts.level));
    setAttribute(
      this.element,
      'aria-expanded',
      facts.expanded === undefined ? undefined : String(facts.expanded),
    );
  }
}

/** What a cell shows while its number is not known. */
const NOTHING = '·';
