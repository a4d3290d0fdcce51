/** The columns of the measurement's table: what each means, how it sorts and how it reads. */
import { printable } from '../../model/names';
import { count, percent, rank, significant } from '../../model/numbers';
import { sortedBy, type Direction } from '../../model/sorting';
import type { MeasuredLayer } from './state';
import { metricText, type Metric } from './words';

/** A layer, its place in the network, and whether it is being searched. */
export interface Row extends MeasuredLayer {
  readonly order: number;
  readonly active: boolean;
  readonly metric: Metric | undefined;
}

export const COLUMN_IDS = [
  'order',
  'name',
  'shape',
  'rank',
  'kS',
  'kT',
  'utilized',
  'utilization',
  'error',
  'value',
  'saves',
] as const;
export type ColumnId = (typeof COLUMN_IDS)[number];

export interface Sort {
  readonly column: ColumnId;
  readonly direction: Direction;
}

export interface Column {
  readonly id: ColumnId;
  readonly title: string;
  /** One sentence: the definition. */
  readonly description: string;
  readonly align: 'start' | 'end';
  /** Least width, in CSS pixels. */
  readonly width: number;
  /** Columns with larger numbers leave first when there is no room. */
  readonly priority: number;
  /** What it sorts by; undefined sorts last in both directions. */
  readonly value: (row: Row) => number | string | undefined;
  /** What it shows; undefined shows as nothing known. */
  readonly text: (row: Row) => string | undefined;
}

/** min(m, n). */
export function maxRank({ shape: [m, n] }: MeasuredLayer): number {
  return Math.min(m, n);
}

/** Share of the parameters that two layers in place of one would save; undefined where they would not. */
export function savedShare({ result }: MeasuredLayer): number | undefined {
  if (result === undefined || result.parametersAfter >= result.parametersBefore) return undefined;
  return 1 - result.parametersAfter / result.parametersBefore;
}

function shown<T>(value: T | undefined, text: (value: T) => string): string | undefined {
  return value === undefined ? undefined : text(value);
}

export const COLUMNS: readonly Column[] = [
  {
    ...{ id: 'order', title: '#', description: 'Place in the network', align: 'end' },
    ...{ width: 40, priority: 10 },
    value: ({ order }) => order,
    text: ({ order }) => count(order + 1),
  },
  {
    ...{ id: 'name', title: 'Layer', description: 'Name of the layer’s weight', align: 'start' },
    ...{ width: 150, priority: 0 },
    value: ({ name }) => name,
    text: ({ name }) => printable(name),
  },
  {
    ...{ id: 'shape', title: 'Shape', align: 'end', width: 90, priority: 8 },
    description: 'm × n, out × in; of one group for a grouped convolution',
    value: ({ shape }) => shape[0] * shape[1],
    text: ({ shape }) => `${shape[0]} × ${shape[1]}`,
  },
  {
    ...{ id: 'rank', title: 'Rank', align: 'end', width: 56, priority: 6 },
    description: 'Rank of the weight: directions that hold 99.99 % of its energy',
    value: (row) => row.rank,
    text: (row) => rank(row.rank),
  },
  {
    ...{ id: 'kS', title: 'k_S', align: 'end', width: 56, priority: 3 },
    description: 'Dimension of the input subspace S: directions of the inputs that are kept',
    value: ({ result }) => result?.kS,
    text: ({ result }) => shown(result?.kS, count),
  },
  {
    ...{ id: 'kT', title: 'k_T', align: 'end', width: 56, priority: 4 },
    description: 'Dimension of the output subspace T: directions of the outputs that are kept',
    value: ({ result }) => result?.kT,
    text: ({ result }) => shown(result?.kT, count),
  },
  {
    ...{ id: 'utilized', title: 'Utilized', align: 'end', width: 68, priority: 2 },
    description: 'Utilized rank: rank of P_T·W·P_S, the weight between the two subspaces',
    value: ({ result }) => result?.utilizedRank,
    text: ({ result }) => shown(result?.utilizedRank, rank),
  },
  {
    ...{ id: 'utilization', title: 'Utilization', align: 'start', width: 130, priority: 1 },
    description: 'Utilized rank ÷ the most possible, before the rank of the weight alone',
    value: ({ result }) => result?.utilization,
    text: ({ result }) => shown(result?.utilization, percent),
  },
  {
    ...{ id: 'error', title: 'Error', align: 'end', width: 66, priority: 7 },
    description: 'Share of the outputs’ energy that the projections lose, measured on the data',
    value: ({ result }) => result?.error.measured,
    text: ({ result }) => shown(result?.error.measured, significant),
  },
  {
    ...{ id: 'value', title: 'After', align: 'end', width: 72, priority: 9 },
    description: 'Accuracy (or loss) of the network once this layer was projected',
    value: ({ result }) => result?.valueAfter,
    text: ({ result, metric }) => shown(result?.valueAfter, (value) => metricText(metric, value)),
  },
  {
    ...{ id: 'saves', title: 'Saves', align: 'end', width: 62, priority: 5 },
    description: 'Parameters that two layers of the utilized rank would save',
    value: savedShare,
    text: (row) => (row.result === undefined ? undefined : (shown(savedShare(row), percent) ?? '–')),
  },
];

export function sortedRows(rows: readonly Row[], { column, direction }: Sort): Row[] {
  const value = COLUMNS.find(({ id }) => id === column)?.value ?? (({ order }: Row) => order);
  return sortedBy(rows, value, direction);
}

/** Directions worth seeing first: the least used, the most saved. */
export function firstDirection(column: ColumnId): Direction {
  const fromTheTop: readonly ColumnId[] = ['shape', 'error', 'saves'];
  return fromTheTop.includes(column) ? 'descending' : 'ascending';
}
