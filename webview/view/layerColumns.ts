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
  return {
    stamp: (row) => {
      const state =
        row.kind === 'layer' ? [row.expanded, cells.colourOf(row.name), row.layer !== undefined] : ['part'];
      return JSON.stringify([row.key, ...state]);
    },
    paint: (cell, row) => {
      const swatch = element('span', { class: 'swatch' });
      const colour = row.kind === 'layer' ? cells.colourOf(row.name) : undefined;
      if (colour === undefined) swatch.classList.add('empty');
      else swatch.style.background = colour;
      const text = row.kind === 'layer' ? shortNameText(row.name) : nameText(row.name);
      cell.replaceChildren(swatch, ...twist(row, cells), text, ...copyButton(row, cells));
    },
  };
}

/** Shows and hides a layer's parts. Not a stop of the tab key: arrow keys do the same on the row. */
function twist(row: TableRow, cells: LayerCells): HTMLElement[] {
  if (row.kind === 'part' || row.expanded === undefined) return [];
  const { name, expanded } = row;
  const says = `${expanded ? 'Hide' : 'Show'} the parts of this layer`;
  const act = () => {
    cells.expand(name, !expanded);
  };
  return [rowButton('twist', says, expanded ? 'chevronDown' : 'chevronRight', act)];
}

/** Not a stop of the tab key: the spectrum's legend has the same button for every selected layer. */
function copyButton(row: TableRow, cells: LayerCells): HTMLElement[] {
  if (row.kind === 'part' || row.layer === undefined) return [];
  const act = () => {
    cells.copySnippet(row.name);
  };
  return [rowButton('copy', `Copy ${nameTitle(row.name)} as Python`, 'copy', act)];
}

function rowButton(
  kind: string,
  says: string,
  picture: 'chevronDown' | 'chevronRight' | 'copy',
  act: () => void,
) {
  const attributes = { type: 'button', tabindex: '-1', 'aria-label': says };
  const made = element('button', { class: `row-button ${kind}`, title: says, attributes }, icon(picture));
  made.addEventListener('click', act);
  return made;
}

function utilizationCell({ text }: Column): Pick<GridColumn<TableRow>, 'paint'> {
  return {
    paint: (cell, row) => {
      const share = measured(row)?.utilization;
      if (share === undefined) {
        cell.textContent = '·';
        return;
      }
      const bar = element('span', { class: 'bar' });
      bar.style.transform = `scaleX(${share})`;
      const track = element('span', { class: 'bar-track', attributes: { 'aria-hidden': 'true' } }, bar);
      cell.replaceChildren(track, element('span', { class: 'bar-text', text: text(row) ?? '' }));
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
