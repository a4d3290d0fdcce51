/** The columns of the conversion's table: what each means, how it sorts and how it reads. */
import { printable } from '../../model/names';
import { count, percent, significant } from '../../model/numbers';
import type { PageLayer } from '../protocol';
import type { PlannedLayer } from './plan';

/** A layer as planned, and as it became once it is finished. */
export interface Row {
  readonly name: string;
  /** Place in the file, from 0. */
  readonly order: number;
  readonly planned: PlannedLayer;
  readonly result?: PageLayer;
  /** Waits for its turn in a conversion under way. */
  readonly pending: boolean;
}

export const COLUMN_IDS = [
  'order',
  'name',
  'kind',
  'shape',
  'k',
  'error',
  'svdError',
  'ratio',
  'before',
  'after',
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
  readonly value: (row: Row) => number | string | undefined;
  /** What it shows; undefined shows as nothing known. */
  readonly text: (row: Row) => string | undefined;
}

/** Why a layer stays dense; undefined when it does not. */
export function denseReason({ planned, result, pending }: Row): string | undefined {
  if (result !== undefined) return result.outcome === 'dense' ? result.reason : undefined;
  return !pending && planned.fate.kind === 'dense' ? planned.fate.reason : undefined;
}

function converted({ result }: Row) {
  return result?.outcome === 'converted' ? result : undefined;
}

export function rankOf(row: Row): number | undefined {
  if (row.result !== undefined) return converted(row)?.k;
  const { fate } = row.planned;
  return fate.kind === 'converted' ? fate.k : undefined;
}

function parametersAfter(row: Row): number | undefined {
  const { result, planned } = row;
  if (result !== undefined)
    return result.outcome === 'converted' ? result.after.parameters : result.before.parameters;
  if (planned.fate.kind === 'converted') return planned.fate.parametersAfter;
  return planned.fate.kind === 'dense' ? planned.layer.parameters : undefined;
}

/** Sine's error over truncated SVD's at the same k. */
export function errorRatio(row: Row): number | undefined {
  const layer = converted(row);
  if (layer === undefined) return undefined;
  const { relativeError, svdRelativeError } = layer;
  if (svdRelativeError > 0) return relativeError / svdRelativeError;
  return relativeError === 0 ? 1 : undefined;
}

/** Four decimals: errors of two methods on one layer often differ in the third. */
export function errorText(value: number): string {
  if (value >= 10) return significant(value);
  return value > 0 && value < 5e-5 ? value.toExponential(1) : value.toFixed(4);
}

/** Three decimals, where a difference of two methods shows. */
export function ratioText(value: number): string {
  return value < 100 ? value.toFixed(3) : significant(value);
}

function shown<T>(value: T | undefined, text: (value: T) => string): string | undefined {
  return value === undefined ? undefined : text(value);
}

/** A number where a layer was converted; a dash where it stays dense, for which there is none. */
function measured(row: Row, value: number | undefined, text: (value: number) => string) {
  return shown(value, text) ?? (denseReason(row) === undefined ? undefined : '–');
}

function savedShare(row: Row): number | undefined {
  const after = parametersAfter(row);
  const before = row.planned.layer.parameters;
  return after === undefined || before === 0 || after === before ? undefined : 1 - after / before;
}

export const COLUMNS: readonly Column[] = [
  {
    ...{ id: 'order', title: '#', description: 'Place in the file', align: 'end', width: 40, priority: 10 },
    value: ({ order }) => order,
    text: ({ order }) => count(order + 1),
  },
  {
    ...{ id: 'name', title: 'Layer', description: 'Path from the file’s root', align: 'start' },
    ...{ width: 150, priority: 0 },
    value: ({ name }) => name,
    text: ({ name }) => printable(name),
  },
  {
    ...{ id: 'kind', title: 'Kind', description: 'What kind of layer the matrix belongs to', align: 'start' },
    ...{ width: 80, priority: 9 },
    value: ({ planned }) => planned.layer.kind,
    text: ({ planned }) => planned.layer.kind,
  },
  {
    ...{ id: 'shape', title: 'Shape', align: 'end', width: 96, priority: 7 },
    description: 'm × n, out × in; of one group for a grouped convolution',
    value: ({ planned }) => planned.layer.shape[0] * planned.layer.shape[1],
    text: ({ planned: { layer } }) =>
      `${layer.groups > 1 ? `${layer.groups} · ` : ''}${layer.shape[0]} × ${layer.shape[1]}`,
  },
  {
    ...{ id: 'k', title: 'k', align: 'end', width: 56, priority: 1 },
    description: 'Columns of U and V; dense where the layer stays as it is',
    value: rankOf,
    text: (row) => (denseReason(row) === undefined ? shown(rankOf(row), count) : 'dense'),
  },
  {
    ...{ id: 'error', title: 'Sine', align: 'end', width: 66, priority: 2 },
    description: 'Relative error ‖W − Ŵ‖ ÷ ‖W‖ of sine-low-rank',
    value: (row) => converted(row)?.relativeError,
    text: (row) => measured(row, converted(row)?.relativeError, errorText),
  },
  {
    ...{ id: 'svdError', title: 'SVD', align: 'end', width: 66, priority: 3 },
    description: 'Relative error of truncated SVD at the same k',
    value: (row) => converted(row)?.svdRelativeError,
    text: (row) => measured(row, converted(row)?.svdRelativeError, errorText),
  },
  {
    ...{ id: 'ratio', title: 'Ratio', align: 'end', width: 60, priority: 4 },
    description: 'Sine’s error ÷ truncated SVD’s: below 1, sine is closer with the same parameters',
    value: errorRatio,
    text: (row) => measured(row, errorRatio(row), ratioText),
  },
  {
    ...{ id: 'before', title: 'Before', description: 'Parameters of the layer', align: 'end' },
    ...{ width: 84, priority: 8 },
    value: ({ planned }) => planned.layer.parameters,
    text: ({ planned }) => count(planned.layer.parameters),
  },
  {
    ...{ id: 'after', title: 'After', description: 'Parameters of U and V', align: 'end' },
    ...{ width: 84, priority: 5 },
    value: parametersAfter,
    text: (row) => shown(parametersAfter(row), count),
  },
  {
    ...{ id: 'saves', title: 'Saves', description: 'Parameters saved', align: 'end', width: 64, priority: 6 },
    value: savedShare,
    text: (row) => measured(row, savedShare(row), percent),
  },
];
