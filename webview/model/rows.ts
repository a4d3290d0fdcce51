/** The rows of the layer table: filtered, sorted, with the parts of opened layers below them. */
import type { LayerKind, SkippedTensor } from '../../src/engine/document';
import type { Slot } from './audit';
import { COLUMNS, type Column, type ColumnId, type TableRow } from './columns';
import { matchesFilter, type NameFilter } from './filter';
import { compare, sortedBy, type Direction } from './sorting';

export interface Sort {
  readonly column: ColumnId;
  readonly direction: Direction;
}

export interface TableQuery {
  readonly filter: NameFilter;
  readonly kind: LayerKind | 'any';
  readonly sort: Sort;
  /** Names of layers whose parts are shown. */
  readonly expanded: ReadonlySet<string>;
}

type LayerRow = Extract<TableRow, { kind: 'layer' }>;

/** Layers first, then their parts directly below them. Ties stay in file order. */
export function tableRows(slots: readonly Slot[], query: TableQuery): TableRow[] {
  const rows: LayerRow[] = [];
  slots.forEach(({ name, layer }, order) => {
    if (query.kind !== 'any' && layer?.facts.kind !== query.kind) return;
    if (!matchesFilter(query.filter, name)) return;
    const hasParts = (layer?.facts.parts?.length ?? 0) > 0;
    const expanded = hasParts && { expanded: query.expanded.has(name) };
    rows.push({ kind: 'layer', key: name, name, order, layer, ...expanded });
  });
  return sorted(rows, query.sort).flatMap((row) => [row, ...partRows(row)]);
}

/** How many layers a query keeps, parts not counted. */
export function layerCount(rows: readonly TableRow[]): number {
  return rows.reduce((sum, { kind }) => sum + (kind === 'layer' ? 1 : 0), 0);
}

function partRows(row: LayerRow): TableRow[] {
  const { layer } = row;
  if (row.expanded !== true || layer === undefined) return [];
  return (layer.facts.parts ?? []).map((part, i) => ({
    ...{ kind: 'part', key: `${row.key}\u0000${i}`, name: part.name },
    ...{ order: row.order, layer, part },
  }));
}

function sorted(rows: readonly LayerRow[], { column, direction }: Sort): LayerRow[] {
  const { value } = COLUMNS.find(({ id }) => id === column) ?? defaultColumn();
  return sortedBy(rows, value, direction);
}

function defaultColumn(): Column {
  const [first] = COLUMNS;
  if (first === undefined) throw new Error('the table has columns');
  return first;
}

/** Directions worth seeing first: names and places from the start, savings and sizes from the top, ranks from the least used. */
export function firstDirection(column: ColumnId): Sort['direction'] {
  const fromTheTop: readonly ColumnId[] = [
    'parameters',
    'shape',
    'spikes',
    'spectralNorm',
    'frobeniusNorm',
    'saves',
  ];
  return fromTheTop.includes(column) ? 'descending' : 'ascending';
}

/** Kinds that occur among the finished layers, most frequent first. */
export function kindsOf(slots: readonly Slot[]): LayerKind[] {
  const counts = new Map<LayerKind, number>();
  for (const { layer } of slots) {
    if (layer !== undefined) counts.set(layer.facts.kind, (counts.get(layer.facts.kind) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([kind]) => kind);
}

export const SKIPPED_COLUMN_IDS = ['name', 'shape', 'dtype', 'reason'] as const;
export type SkippedColumnId = (typeof SKIPPED_COLUMN_IDS)[number];

export interface SkippedSort {
  readonly column: SkippedColumnId | 'order';
  readonly direction: Sort['direction'];
}

export function skippedRows(
  skipped: readonly SkippedTensor[],
  filter: NameFilter,
  { column, direction }: SkippedSort,
): SkippedTensor[] {
  const rows = skipped.filter(({ name }) => matchesFilter(filter, name));
  if (column === 'order') return rows;
  const sign = direction === 'ascending' ? 1 : -1;
  return rows.sort((a, b) => sign * compareSkipped(a, b, column));
}

function compareSkipped(a: SkippedTensor, b: SkippedTensor, column: SkippedColumnId): number {
  if (column === 'shape') return elements(a) - elements(b);
  return compare(a[column], b[column]);
}

function elements({ shape }: SkippedTensor): number {
  return shape.reduce((product, length) => product * length, 1);
}
