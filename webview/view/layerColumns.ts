/** Columns of the layer table and of the skipped tensors, with the cells that are more than text. */
import type { SkippedTensor } from '../../src/engine/document';
import { COLUMNS, measured, type Column, type TableRow } from '../model/columns';
import { printable } from '../model/names';
import { element } from './element';
import type { GridColumn } from './grid';
import { icon } from './icons';
import { nameText, nameTitle, shortNameLength, shortNameText } from './nameText';

export interface LayerCells {
  /** Colour of the layer's curve; undefined when it is not drawn. */
  readonly colourOf: (name: string) => string | undefined;
  readonly copySnippet: (name: string) => void;
  readonly expand: (name: string, expanded: boolean) => void;
}

/** Shares of the width that is left over. */
const GROW: Readonly<Record<string, number>> = { name: 4, utilization: 1.5, order: 0.2, kind: 0.6 };

/** Of the name column, in CSS pixels: widest it asks for, width of a character, and what stands beside the text. */
const NAME = { most: 320, character: 7.4, beside: 48 } as const;

/** @param names that the table shall have room for */
export function layerColumns(cells: LayerCells, names: readonly string[]): GridColumn<TableRow>[] {
  const longest = names.reduce((length, name) => Math.max(length, shortNameLength(name)), 0);
  const nameWidth = Math.min(NAME.most, longest * NAME.character + NAME.beside);
  return COLUMNS.map((column) => {
    const common = { ...column, sortable: true, grow: GROW[column.id] ?? 0.7 };
    if (column.id === 'name') {
      return { ...common, ...nameCell(cells), width: Math.max(column.width, Math.round(nameWidth)) };
    }
    if (column.id === 'utilization') return { ...common, ...utilizationCell(column) };
    return common;
  });
}

function nameCell(cells: LayerCells): Pick<GridColumn<TableRow>, 'paint' | 'stamp'> {
  const drawn = new WeakMap<HTMLElement, NameCell>();
  return {
    stamp: (row) => {
      const state =
        row.kind === 'layer' ? [row.expanded, cells.colourOf(row.name), row.layer === undefined] : [];
      return `${row.key}\u0000${state.join()}`;
    },
    paint: (cell, row) => {
      let parts = drawn.get(cell);
      if (parts === undefined) {
        parts = new NameCell(cell, cells);
        drawn.set(cell, parts);
      }
      parts.show(row);
    },
  };
}

/** Swatch, twist, name and copy button: made once for a cell, then shown for one row after another. */
class NameCell {
  private readonly swatch = element('span', { class: 'swatch' });
  private readonly twist: HTMLButtonElement;
  private readonly copy: HTMLButtonElement;
  private row: TableRow | undefined;

  /** The buttons are no stops of the tab key: arrow keys open a row, and the spectrum's legend copies. */
  constructor(
    private readonly cell: HTMLElement,
    private readonly cells: LayerCells,
  ) {
    this.twist = rowButton('twist', () => {
      if (this.row?.kind === 'layer') cells.expand(this.row.name, this.row.expanded !== true);
    });
    this.copy = rowButton('copy', () => {
      if (this.row !== undefined) cells.copySnippet(this.row.name);
    });
    this.copy.append(icon('copy'));
  }

  show(row: TableRow): void {
    this.row = row;
    const isLayer = row.kind === 'layer';
    const colour = isLayer ? this.cells.colourOf(row.name) : undefined;
    this.swatch.style.background = colour ?? '';
    const name = isLayer ? shortNameText(row.name) : nameText(row.name);
    const buttons = isLayer && row.layer !== undefined ? [this.copy] : [];
    label(this.copy, `Copy ${nameTitle(row.name)} as Python`);
    this.cell.replaceChildren(this.swatch, ...this.twistOf(row), name, ...buttons);
  }

  private twistOf(row: TableRow): HTMLElement[] {
    if (row.kind === 'part' || row.expanded === undefined) return [];
    label(this.twist, `${row.expanded ? 'Hide' : 'Show'} the parts of this layer`);
    this.twist.replaceChildren(icon(row.expanded ? 'chevronDown' : 'chevronRight'));
    return [this.twist];
  }
}

function rowButton(kind: string, act: () => void): HTMLButtonElement {
  const made = element('button', {
    class: `row-button ${kind}`,
    attributes: { type: 'button', tabindex: '-1' },
  });
  made.addEventListener('click', act);
  return made;
}

function label(button: HTMLButtonElement, text: string): void {
  button.title = text;
  button.setAttribute('aria-label', text);
}

function utilizationCell({ text }: Column): Pick<GridColumn<TableRow>, 'paint'> {
  const drawn = new WeakMap<
    HTMLElement,
    { readonly bar: HTMLElement; readonly words: HTMLElement; readonly track: HTMLElement }
  >();
  return {
    paint: (cell, row) => {
      let parts = drawn.get(cell);
      if (parts === undefined) {
        const bar = element('span', { class: 'bar' });
        const track = element('span', { class: 'bar-track', attributes: { 'aria-hidden': 'true' } }, bar);
        parts = { bar, track, words: element('span', { class: 'bar-text' }) };
        cell.append(track, parts.words);
        drawn.set(cell, parts);
      }
      const share = measured(row)?.utilization;
      parts.track.hidden = share === undefined;
      parts.bar.style.transform = `scaleX(${share ?? 0})`;
      parts.words.textContent = text(row) ?? '·';
    },
  };
}

export function skippedColumns(): GridColumn<SkippedTensor>[] {
  const common = { align: 'start', sortable: true } as const;
  return [
    {
      ...{ ...common, id: 'name', title: 'Tensor', description: 'Path from the file’s root', width: 160 },
      ...{ grow: 3, priority: 0 },
      text: ({ name }) => nameTitle(name),
      paint: (cell, { name }) => {
        cell.replaceChildren(nameText(name));
      },
    },
    {
      ...{
        ...common,
        id: 'shape',
        title: 'Shape',
        description: 'As stored',
        width: 100,
        grow: 1,
        priority: 2,
      },
      text: ({ shape }) => (shape.length === 0 ? 'scalar' : shape.join(' × ')),
    },
    {
      ...{ ...common, id: 'dtype', title: 'Type', description: 'Number type in the file', width: 80 },
      ...{ grow: 0.6, priority: 3 },
      text: ({ dtype }) => printable(dtype),
    },
    {
      ...{ ...common, id: 'reason', title: 'Why', description: 'Why it is not a layer', width: 180 },
      ...{ grow: 5, priority: 1 },
      text: ({ reason }) => nameTitle(reason),
      paint: (cell, { reason }) => {
        cell.replaceChildren(
          element('bdi', { class: 'reason', text: nameTitle(reason), title: nameTitle(reason) }),
        );
      },
    },
  ];
}
