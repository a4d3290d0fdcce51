/** What the form plans and what became of it: the table's rows, and the layer on show. */
import type { Row } from './model/columns';
import { layersPattern, ranksOf } from './model/form';
import { plan, type Plan } from './model/plan';
import { rowsOf } from './model/rows';
import { isBusy, type ConversionState } from './model/state';
import type { ViewState } from './model/viewState';

export interface Planned {
  readonly plan: Plan;
  /** In file order. */
  readonly rows: readonly Row[];
}

/** Keeps the plan as long as nothing in it changed: rows of a large model are thousands. */
export class Outlook {
  private from: readonly unknown[] = [];
  private planned: Planned | undefined;

  /** Undefined until the checkpoint is known. */
  of(state: ConversionState, { form }: ViewState): Planned | undefined {
    const { preview, layers, names } = state;
    if (preview === undefined) return undefined;
    const from = [preview, form, layers, names, isBusy(state)];
    if (this.planned === undefined || from.some((part, i) => part !== this.from[i])) {
      this.from = from;
      const pattern = layersPattern(form.layers);
      const outlook = plan(preview, ranksOf(form), pattern.kind === 'pattern' ? pattern.pattern : undefined);
      this.planned = { plan: outlook, rows: rowsOf(outlook, state) };
    }
    return this.planned;
  }
}

/** The row on show: the chosen layer's, otherwise that of the largest layer that is converted. */
export function shownRow(rows: readonly Row[], chosen: string | undefined): Row | undefined {
  const byHand = rows.find(({ name }) => name === chosen);
  if (byHand !== undefined) return byHand;
  let largest: Row | undefined;
  for (const row of rows) {
    const before = largest?.planned.layer.parameters ?? -1;
    if (row.planned.fate.kind !== 'dense' && row.planned.layer.parameters > before) largest = row;
  }
  return largest ?? rows[0];
}
