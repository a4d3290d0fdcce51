/** Rows of a panel's layer table that are in sight, from the top: each a record of column to text, and whether selected. */
export async function rowsInSight(grid) {
  const rows = await grid.getByRole('row').evaluateAll((elements) =>
    elements
      .filter((row) => row.querySelector('[role=gridcell]') !== null)
      .map((row) => ({
        index: Number(row.getAttribute('aria-rowindex')),
        selected: row.getAttribute('aria-selected') === 'true',
        cells: Object.fromEntries(
          [...row.querySelectorAll('[role=gridcell]')].map((cell) => [
            cell.dataset.column,
            // A name may be shown without the keys that all share, or cut; its tooltip is whole.
            cell.querySelector('.name')?.title ?? cell.textContent,
          ]),
        ),
      })),
  );
  return rows.sort((a, b) => a.index - b.index);
}
