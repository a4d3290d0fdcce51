/** What a person has chosen in the page; kept by VS Code while the page is hidden, and checked when it comes back. */
import { isRecord, oneOf, pixels } from '../../model/stored';
import { COLUMN_IDS, type Sort } from './columns';
import type { Statistic } from './comparison';
import type { XAxis } from './points';
import type { Scope } from './shown';
import { FORM_KINDS, LIST_FIELDS, type SweepForm } from './sweep';

export interface ViewState {
  readonly sort: Sort;
  readonly scope: Scope;
  /** Folders of the runs that were chosen in the table. */
  readonly selected: readonly string[];
  /** What the chart shows; undefined: what matters most. */
  readonly quantity?: string;
  readonly x: XAxis;
  readonly log: boolean;
  readonly smooth: boolean;
  /** Keys of variants that are switched off in the legend. */
  readonly hidden: readonly string[];
  readonly statistic: Statistic;
  /** Folder of the run whose layers are on show. */
  readonly layersOf?: string;
  readonly plotAs: 'chart' | 'table';
  readonly layersAs: 'chart' | 'table';
  /** The form of a new comparison is open. */
  readonly comparing: boolean;
  /** What was typed into it; undefined: what the recipe suggests. */
  readonly form?: SweepForm;
  readonly pageScroll: number;
}

export const INITIAL_VIEW: ViewState = {
  sort: { column: 'started', direction: 'descending' },
  scope: 'last',
  selected: [],
  x: 'step',
  log: false,
  smooth: false,
  hidden: [],
  statistic: 'best',
  plotAs: 'chart',
  layersAs: 'chart',
  comparing: false,
  pageScroll: 0,
};

/** The stored state's version: another one's is not read. */
const VERSION = 1;

/** More than anybody chooses; VS Code keeps the state on disk. */
const MAX_KEPT = 500;

export function storedView(view: ViewState): object {
  const { selected, hidden } = view;
  return {
    ...view,
    version: VERSION,
    selected: selected.slice(0, MAX_KEPT),
    hidden: hidden.slice(0, MAX_KEPT),
  };
}

/** Field by field: what an older or a damaged state lacks is as in a fresh page. */
export function restoredView(stored: unknown): ViewState {
  if (!isRecord(stored) || stored.version !== VERSION) return INITIAL_VIEW;
  const as = (value: unknown): 'chart' | 'table' => oneOf(value, ['chart', 'table'], 'chart');
  const sort = isRecord(stored.sort) ? stored.sort : {};
  const form = restoredForm(stored.form);
  return {
    sort: {
      column: oneOf(sort.column, COLUMN_IDS, 'started'),
      direction: oneOf(sort.direction, ['ascending', 'descending'], 'descending'),
    },
    scope: oneOf(stored.scope, ['last', 'all'], 'last'),
    selected: texts(stored.selected),
    ...(typeof stored.quantity === 'string' && { quantity: stored.quantity }),
    x: oneOf(stored.x, ['step', 'epoch', 'seconds'], 'step'),
    log: stored.log === true,
    smooth: stored.smooth === true,
    hidden: texts(stored.hidden),
    statistic: oneOf(stored.statistic, ['best', 'last'], 'best'),
    ...(typeof stored.layersOf === 'string' && { layersOf: stored.layersOf }),
    plotAs: as(stored.plotAs),
    layersAs: as(stored.layersAs),
    comparing: stored.comparing === true,
    ...(form !== undefined && { form }),
    pageScroll: pixels(stored.pageScroll),
  };
}

function texts(value: unknown): readonly string[] {
  const all: readonly unknown[] = Array.isArray(value) ? value : [];
  return all.filter((text) => typeof text === 'string').slice(0, MAX_KEPT);
}

function restoredForm(stored: unknown): SweepForm | undefined {
  if (!isRecord(stored)) return undefined;
  const named = texts(stored.forms);
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const [rank, omega, seed, learningRate] = LIST_FIELDS.map((field) => text(stored[field]));
  return {
    forms: FORM_KINDS.filter((kind) => named.includes(kind)),
    ...{ rank: rank ?? '', omega: omega ?? '', seed: seed ?? '', learningRate: learningRate ?? '' },
  };
}
