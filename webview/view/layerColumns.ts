/** Columns of the layer table and of the skipped tensors, with the cells that are more than text. */
import type { SkippedTensor } from '../../src/engine/document';
import { COLUMNS, measured, type Column, type TableRow } from '../model/columns';
import { printable } from '../model/names';
import { element } from './element';
import type { GridColumn } from './grid';
import { icon } from './icons';
import { nameText, nameTitle } from './nameText';

export interface LayerCells {
  /** Colour of the layer's curve; undefined when it is not drawn. */
  readonly colourOf: (name: string) => string | undefined;
  readonly copySnippet: (name: string) => void;
  readonly expand: (name: string, expanded: boolean) => void;
}

/** Shares of the width that is left over. */
const GROW: Readonly<Record<string, number>> = { name: 12, utilization: 1.5, order: 0.2, kind: 0.6 };

export function layerColumns(cells: LayerCells): GridColumn<TableRow>[] {
  return COLUMNS.map((column) => {
    const common = { ...column, sortable: true, grow: GROW[column.id] ?? 0.7 };
    if (column.id === 'name') return { ...common, ...nameCell(cells) };
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
      cell.replaceChildren(swatch, nameText(row.name), ...rowButtons(row, cells));
    },
  };
}

/** Not stops of the tab key: the row's keys do the same (arrows), or the legend's button does (copy). */
function rowButtons(row: TableRow, cells: LayerCells): HTMLElement[] {
  if (row.kind === 'part' || row.layer === undefined) return [];
  const buttons: HTMLElement[] = [];
  if (row.expanded !== undefined) {
    const expanded = row.expanded;
    const says = `${expanded ? 'Hide' : 'Show'} the parts of this layer`;
    const twist = rowButton('twist', says, expanded ? 'chevronDown' : 'chevronRight', () => {
      cells.expand(row.name, !expanded);
    });
    buttons.push(twist);
  }
  buttons.push(
    rowButton('copy', `Copy ${nameTitle(row.name)} as Python`, 'copy', () => {
      cells.copySnippet(row.name);
    }),
  );
  return buttons;
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
