import { element, setAttribute } from './element';

export interface HeadSort {
  readonly column: string;
  readonly direction: 'ascending' | 'descending';
}

interface HeadColumn {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly align: 'start' | 'end';
  readonly sortable: boolean;
}

/** The header row: a button a column, one stop of the tab key for all of them, arrows between them. */
export class GridHead {
  readonly element: HTMLElement;
  private readonly row = element('div', {
    class: 'grid-row',
    attributes: { role: 'row', 'aria-rowindex': '1' },
  });
  private cells: { readonly id: string; readonly cell: HTMLElement; readonly button?: HTMLButtonElement }[] =
    [];
  sort: HeadSort | undefined;

  constructor(private readonly onSort: ((column: string) => void) | undefined) {
    this.element = element('div', { class: 'grid-head', attributes: { role: 'rowgroup' } }, this.row);
    this.row.addEventListener('keydown', (event) => {
      this.handleKey(event);
    });
  }

  get height(): number {
    return this.element.offsetHeight;
  }

  setColumns(columns: readonly HeadColumn[]): void {
    this.cells = columns.map((column) => this.cell(column));
    this.row.replaceChildren(...this.cells.map(({ cell }) => cell));
    this.focusable(this.cells[0]?.button);
    this.setSort(this.sort);
  }

  setSort(sort: HeadSort | undefined): void {
    this.sort = sort;
    for (const { id, cell, button } of this.cells) {
      if (button === undefined) continue;
      setAttribute(cell, 'aria-sort', id === sort?.column ? sort.direction : 'none');
    }
  }

  private cell({ id, title, description, align, sortable }: HeadColumn) {
    const cell = element('div', {
      class: `grid-cell align-${align}`,
      title: description,
      attributes: { role: 'columnheader', 'data-column': id },
    });
    if (!sortable || this.onSort === undefined) {
      cell.append(element('bdi', { text: title }));
      return { id, cell };
    }
    const button = element(
      'button',
      { attributes: { type: 'button', tabindex: '-1' } },
      element('span', { text: title }),
      element('span', { class: 'sort-mark', attributes: { 'aria-hidden': 'true' } }),
    );
    button.addEventListener('click', () => {
      this.focusable(button);
      this.onSort?.(id);
    });
    cell.append(button);
    return { id, cell, button };
  }

  private focusable(chosen: HTMLButtonElement | undefined): void {
    for (const { button } of this.cells)
      if (button !== undefined) button.tabIndex = button === chosen ? 0 : -1;
  }

  private handleKey(event: KeyboardEvent): void {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    const buttons = this.cells.flatMap(({ button }) => button ?? []);
    const at = buttons.findIndex((button) => button === document.activeElement);
    const next = buttons[at + step];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    this.focusable(next);
    next.focus();
  }
}
