/** One way to sort a table's rows by what a column shows. */

export type Direction = 'ascending' | 'descending';

/** Numbers inside names count as numbers: layer2 before layer10. */
const collator = new Intl.Collator('en', { numeric: true });

/** Ties keep their order; what is not known is neither small nor large, and comes last. */
export function sortedBy<Row>(
  rows: readonly Row[],
  value: (row: Row) => number | string | undefined,
  direction: Direction,
): Row[] {
  const sign = direction === 'ascending' ? 1 : -1;
  const keyed = rows.map((row) => ({ row, key: value(row) }));
  keyed.sort((a, b) => {
    if (a.key === undefined || b.key === undefined)
      return Number(a.key === undefined) - Number(b.key === undefined);
    return sign * compare(a.key, b.key);
  });
  return keyed.map(({ row }) => row);
}

export function compare(a: number | string, b: number | string): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return collator.compare(String(a), String(b));
}
