/** The rows of the conversion's table, and their order. */
import { sortedBy, type Direction } from '../../model/sorting';
import { COLUMNS, type ColumnId, type Row } from './columns';
import type { Plan } from './plan';
import { isBusy, type ConversionState } from './state';

export interface Sort {
  readonly column: ColumnId;
  readonly direction: Direction;
}

/**
 * Layers in file order. While a conversion runs or its result is on show, they are what it made of them; otherwise what
 * the form plans.
 */
export function rowsOf(plan: Plan, state: ConversionState): Row[] {
  const busy = isBusy(state);
  const running = new Set(busy ? state.names : []);
  return plan.layers.map((planned, order) => {
    const { name } = planned.layer;
    const result = state.layers.get(name);
    return {
      ...{ name, order, planned },
      pending: result === undefined && running.has(name),
      ...(result !== undefined && { result }),
    };
  });
}

export function sortedRows(rows: readonly Row[], { column, direction }: Sort): Row[] {
  const value = COLUMNS.find(({ id }) => id === column)?.value ?? (({ order }: Row) => order);
  return sortedBy(rows, value, direction);
}

/** Directions worth seeing first: names and places from the start, sizes and savings from the top, the best ratios. */
export function firstDirection(column: ColumnId): Direction {
  const fromTheTop: readonly ColumnId[] = ['shape', 'before', 'after', 'saves', 'error', 'svdError', 'k'];
  return fromTheTop.includes(column) ? 'descending' : 'ascending';
}
