/** The columns of the layer table: what each means, how it sorts and how it reads. */
import type { EnergyLevel, LayerPart, RankMetrics } from '../../src/engine/document';
import type { PanelLayer } from './audit';
import { printable } from './names';
import { count, oneDecimal, percent, rank, significant } from './numbers';
import { savedParameters } from './savings';

/** A line of the table: a layer (perhaps not computed yet), or a part of the layer above it. */
export type TableRow =
  | {
      readonly kind: 'layer';
      readonly key: string;
      readonly name: string;
      /** Place in the file, from 0. */
      readonly order: number;
      readonly layer: PanelLayer | undefined;
      /** Absent when the layer has no parts. */
      readonly expanded?: boolean;
    }
  | {
      readonly kind: 'part';
      readonly key: string;
      readonly name: string;
      readonly order: number;
      readonly layer: PanelLayer;
      readonly part: LayerPart;
    };

export const COLUMN_IDS = [
  'order',
  'name',
  'kind',
  'shape',
  'dtype',
  'parameters',
  'rank',
  'maxRank',
  'utilization',
  'r90',
  'r95',
  'r99',
  'r999',
  'stableRank',
  'effectiveRank',
  'spikes',
  'spectralNorm',
  'frobeniusNorm',
  'randomEdge',
  'saves',
] as const;
export type ColumnId = (typeof COLUMN_IDS)[number];

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
  readonly value: (row: TableRow) => number | string | undefined;
  /** What it shows; undefined shows as nothing known. */
  readonly text: (row: TableRow) => string | undefined;
}

type Measured = RankMetrics & {
  readonly shape: readonly [number, number];
  readonly maxRank: number;
  readonly utilization: number;
};

/** The numbers of a row: the layer's, or the part's. */
export function measured(row: TableRow): Measured | undefined {
  return row.kind === 'part' ? row.part : row.layer?.facts;
}

interface ColumnLook {
  readonly id: ColumnId;
  readonly title: string;
  readonly description: string;
  readonly width: number;
  readonly priority: number;
}

function metric(
  look: ColumnLook,
  value: (metrics: Measured) => number,
  format: (value: number) => string,
): Column {
  const valueOf = (row: TableRow) => {
    const metrics = measured(row);
    return metrics === undefined ? undefined : value(metrics);
  };
  return {
    ...look,
    align: 'end',
    value: valueOf,
    text: (row) => {
      const known = valueOf(row);
      return known === undefined ? undefined : format(known);
    },
  };
}

function energyRank(id: ColumnId, level: EnergyLevel, title: string, priority: number): Column {
  const description = `Energy rank: the fewest singular values that hold ${title} of the energy Σσ²`;
  return metric({ id, title, description, width: 52, priority }, (m) => m.energyRanks[level], rank);
}

/** 64 × 576, and the groups of a grouped convolution: 8 · 64 × 9. */
export function shapeText(row: TableRow): string | undefined {
  const shape = measured(row)?.shape;
  if (shape === undefined) return undefined;
  const groups = row.kind === 'layer' ? row.layer?.facts.groups : undefined;
  return `${groups === undefined ? '' : `${groups} · `}${shape[0]} × ${shape[1]}`;
}

function savedFraction(row: TableRow): number | undefined {
  if (row.kind === 'part' || row.layer === undefined) return undefined;
  const { facts } = row.layer;
  return facts.decomposable && facts.parameters > 0 ? savedParameters(facts) / facts.parameters : undefined;
}

const kindOf = (row: TableRow) => (row.kind === 'part' ? 'part' : row.layer?.facts.kind);
const dtypeOf = (row: TableRow) => row.layer?.facts.dtype;

function parametersOf(row: TableRow): number | undefined {
  return row.kind === 'part' ? row.part.shape[0] * row.part.shape[1] : row.layer?.facts.parameters;
}

function mapped<T, U>(value: T | undefined, to: (value: T) => U): U | undefined {
  return value === undefined ? undefined : to(value);
}

export const COLUMNS: readonly Column[] = [
  {
    ...{ id: 'order', title: '#', description: 'Place in the file', align: 'end', width: 40, priority: 12 },
    value: (row) => row.order,
    text: (row) => (row.kind === 'part' ? '' : count(row.order + 1)),
  },
  {
    ...{ id: 'name', title: 'Layer', description: 'Path from the file’s root', align: 'start' },
    ...{ width: 170, priority: 0 },
    value: (row) => row.name,
    text: (row) => printable(row.name),
  },
  {
    ...{ id: 'kind', title: 'Kind', description: 'What kind of layer the matrix belongs to', align: 'start' },
    ...{ width: 80, priority: 5 },
    value: kindOf,
    text: (row) => mapped(kindOf(row), printable),
  },
  {
    ...{
      id: 'shape',
      title: 'Shape',
      description: 'm × n, out × in; of one group for a grouped convolution',
    },
    ...{ align: 'end', width: 100, priority: 4 },
    value: (row) => mapped(measured(row)?.shape, ([m, n]) => m * n),
    text: shapeText,
  },
  {
    ...{ id: 'dtype', title: 'Type', description: 'Number type in the file', align: 'start', width: 74 },
    priority: 19,
    value: dtypeOf,
    text: (row) => mapped(dtypeOf(row), printable),
  },
  {
    ...{ id: 'parameters', title: 'Parameters', description: 'Elements of the matrix', align: 'end' },
    ...{ width: 92, priority: 9 },
    value: parametersOf,
    text: (row) => mapped(parametersOf(row), count),
  },
  metric(
    {
      ...{ id: 'rank', title: 'Rank', width: 58, priority: 2 },
      description: 'The fewest singular values that hold 99.99 % of the energy Σσ²',
    },
    (m) => m.rank,
    rank,
  ),
  metric(
    {
      id: 'maxRank',
      title: 'Of',
      description: 'Most possible: min(m, n), or the rank of an adapter',
      width: 50,
      priority: 3,
    },
    (m) => m.maxRank,
    count,
  ),
  metric(
    {
      ...{ id: 'utilization', title: 'Utilization', width: 128, priority: 1 },
      description: 'Rank as a share of the most possible',
    },
    (m) => m.utilization,
    percent,
  ),
  energyRank('r90', '0.9', '90 %', 14),
  energyRank('r95', '0.95', '95 %', 17),
  energyRank('r99', '0.99', '99 %', 7),
  energyRank('r999', '0.999', '99.9 %', 16),
  metric(
    {
      ...{ id: 'stableRank', title: 'Stable', width: 62, priority: 8 },
      description: 'Stable rank: ‖W‖²_F / σ₁²',
    },
    (m) => m.stableRank,
    oneDecimal,
  ),
  metric(
    {
      ...{ id: 'effectiveRank', title: 'Effective', width: 76, priority: 10 },
      description: 'Effective rank: exp of the entropy of σ/Σσ',
    },
    (m) => m.effectiveRank,
    oneDecimal,
  ),
  metric(
    {
      ...{ id: 'spikes', title: 'Spikes', width: 64, priority: 11 },
      description: 'Singular values above the random edge: larger than chance at this size',
    },
    (m) => m.spikes,
    rank,
  ),
  metric(
    {
      ...{ id: 'spectralNorm', title: 'σ₁', width: 62, priority: 13 },
      description: 'Largest singular value (spectral norm)',
    },
    (m) => m.spectralNorm,
    significant,
  ),
  metric(
    { id: 'frobeniusNorm', title: '‖W‖F', description: 'Frobenius norm', width: 66, priority: 15 },
    (m) => m.frobeniusNorm,
    significant,
  ),
  metric(
    {
      ...{ id: 'randomEdge', title: 'Edge', width: 62, priority: 18 },
      description: 'Upper edge for a random matrix of this shape and variance (Marchenko–Pastur)',
    },
    (m) => m.randomEdge,
    significant,
  ),
  {
    ...{ id: 'saves', title: 'Saves', align: 'end', width: 62, priority: 6 },
    description: 'Parameters saved by two low-rank layers r × n and m × r in place of one; – where none are',
    value: savedFraction,
    text: (row) => (row.layer === undefined ? undefined : (mapped(savedFraction(row), percent) ?? '–')),
  },
];

/**
 * The columns that fit a width, in their usual order: those that matter least leave first.
 *
 * @param width CSS pixels there are
 */
export function fittingColumns<C extends { readonly width: number; readonly priority: number }>(
  columns: readonly C[],
  width: number,
): C[] {
  const kept = new Set<C>();
  let used = 0;
  for (const column of [...columns].sort((a, b) => a.priority - b.priority)) {
    used += column.width;
    if (used > width && kept.size > 0) break;
    kept.add(column);
  }
  return columns.filter((column) => kept.has(column));
}
