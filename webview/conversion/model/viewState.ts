/** What a person has chosen in the page; kept by VS Code while the page is hidden, and checked when it comes back. */
import { isRecord, oneOf, pixels } from '../../model/stored';
import type { SpectrumScale } from '../../model/spectrum';
import { COLUMN_IDS } from './columns';
import { INITIAL_FORM, numberProblem, RANKS_KINDS, type FormState, type RanksKind } from './form';
import type { Sort } from './rows';

export interface ViewState {
  readonly form: FormState;
  /** The form's further options are open. */
  readonly optionsOpen: boolean;
  readonly sort: Sort;
  /** Name of the layer whose spectra are on show; undefined while nobody has chosen one. */
  readonly layer?: string;
  /** The explorer was asked for: it computes, which costs something on a large layer. */
  readonly exploring: boolean;
  readonly scale: SpectrumScale;
  readonly errorsAs: 'chart' | 'table';
  readonly spectraAs: 'chart' | 'table';
  readonly explorerAs: 'chart' | 'table';
  readonly pageScroll: number;
}

export const INITIAL_VIEW: ViewState = {
  form: INITIAL_FORM,
  optionsOpen: false,
  sort: { column: 'order', direction: 'ascending' },
  exploring: false,
  scale: 'log',
  errorsAs: 'chart',
  spectraAs: 'chart',
  explorerAs: 'chart',
  pageScroll: 0,
};

/** The stored state's version: another one's is not read. */
const VERSION = 1;

export function storedView(view: ViewState): object {
  return { version: VERSION, ...view };
}

/** Field by field: what an older or a damaged state lacks is as in a fresh page. */
export function restoredView(stored: unknown): ViewState {
  if (!isRecord(stored) || stored.version !== VERSION) return INITIAL_VIEW;
  const initial = INITIAL_VIEW;
  const as = (value: unknown): 'chart' | 'table' => oneOf(value, ['chart', 'table'], 'chart');
  return {
    form: restoredForm(stored.form),
    optionsOpen: stored.optionsOpen === true,
    sort: restoredSort(stored.sort),
    ...(typeof stored.layer === 'string' && { layer: stored.layer }),
    exploring: stored.exploring === true,
    scale: oneOf(stored.scale, ['log', 'linear'], initial.scale),
    errorsAs: as(stored.errorsAs),
    spectraAs: as(stored.spectraAs),
    explorerAs: as(stored.explorerAs),
    pageScroll: pixels(stored.pageScroll),
  };
}

function restoredForm(value: unknown): FormState {
  if (!isRecord(value)) return INITIAL_FORM;
  const numbers = isRecord(value.numbers) ? value.numbers : {};
  const number = (kind: RanksKind): number => {
    const stored = numbers[kind];
    const good = typeof stored === 'number' && numberProblem(kind, stored) === undefined;
    return good ? stored : INITIAL_FORM.numbers[kind];
  };
  return {
    kind: oneOf(value.kind, RANKS_KINDS, INITIAL_FORM.kind),
    numbers: {
      share: number('share'),
      rank: number('rank'),
      compression: number('compression'),
      error: number('error'),
    },
    layers: typeof value.layers === 'string' ? value.layers : '',
    materialize: value.materialize === true,
    out: typeof value.out === 'string' ? value.out : undefined,
  };
}

function restoredSort(value: unknown): Sort {
  if (!isRecord(value)) return INITIAL_VIEW.sort;
  return {
    column: oneOf(value.column, COLUMN_IDS, 'order'),
    direction: oneOf(value.direction, ['ascending', 'descending'], 'ascending'),
  };
}
