/** What a person has chosen in the page; kept by VS Code while the page is hidden, and checked when it comes back. */
import type { LayerKind } from '../../src/engine/document';
import { COLUMN_IDS } from './columns';
import { SKIPPED_COLUMN_IDS, type SkippedSort, type Sort } from './rows';
import { NO_SELECTION, type Selection } from './selection';
import type { SnapshotScale } from './snapshot';
import type { SpectrumScale, SpectrumView } from './spectrum';
import { isRecord, oneOf, pixels } from './stored';

export interface ViewState {
  readonly filter: string;
  readonly kind: LayerKind | 'any';
  readonly sort: Sort;
  readonly skippedSort: SkippedSort;
  readonly tab: 'layers' | 'skipped';
  readonly selection: Selection;
  readonly expanded: readonly string[];
  readonly snapshotScale: SnapshotScale;
  readonly spectrumView: SpectrumView;
  readonly spectrumScale: SpectrumScale;
  readonly snapshotAs: 'chart' | 'table';
  readonly spectrumAs: 'chart' | 'table';
  /** CSS pixels from the top: of the page, and of the layer table. */
  readonly pageScroll: number;
  readonly tableScroll: number;
}

export const INITIAL_VIEW: ViewState = {
  filter: '',
  kind: 'any',
  sort: { column: 'order', direction: 'ascending' },
  skippedSort: { column: 'order', direction: 'ascending' },
  tab: 'layers',
  selection: NO_SELECTION,
  expanded: [],
  snapshotScale: 'rank',
  spectrumView: 'values',
  spectrumScale: 'log',
  snapshotAs: 'chart',
  spectrumAs: 'chart',
  pageScroll: 0,
  tableScroll: 0,
};

/** The stored state's version: another one's is not read. */
const VERSION = 1;

/** A selection of every layer of a huge model is not worth storing whole. */
const MAX_STORED_NAMES = 1000;

export function storedView(view: ViewState): object {
  const selection = { ...view.selection, names: view.selection.names.slice(0, MAX_STORED_NAMES) };
  return { version: VERSION, ...view, selection, expanded: view.expanded.slice(0, MAX_STORED_NAMES) };
}

/** Field by field: what an older or a damaged state lacks is as in a fresh page. */
export function restoredView(stored: unknown): ViewState {
  if (!isRecord(stored) || stored.version !== VERSION) return INITIAL_VIEW;
  const initial = INITIAL_VIEW;
  return {
    filter: typeof stored.filter === 'string' ? stored.filter : initial.filter,
    kind: oneOf(stored.kind, ['any', 'linear', 'conv', 'embedding', 'attention', 'other'], initial.kind),
    sort: restoredSort(stored.sort, COLUMN_IDS, initial.sort),
    skippedSort: restoredSort(stored.skippedSort, ['order', ...SKIPPED_COLUMN_IDS], initial.skippedSort),
    tab: oneOf(stored.tab, ['layers', 'skipped'], initial.tab),
    selection: restoredSelection(stored.selection),
    expanded: names(stored.expanded),
    snapshotScale: oneOf(stored.snapshotScale, ['rank', 'share'], initial.snapshotScale),
    spectrumView: oneOf(stored.spectrumView, ['values', 'energy'], initial.spectrumView),
    spectrumScale: oneOf(stored.spectrumScale, ['log', 'linear'], initial.spectrumScale),
    snapshotAs: oneOf(stored.snapshotAs, ['chart', 'table'], initial.snapshotAs),
    spectrumAs: oneOf(stored.spectrumAs, ['chart', 'table'], initial.spectrumAs),
    pageScroll: pixels(stored.pageScroll),
    tableScroll: pixels(stored.tableScroll),
  };
}

interface SortOf<T> {
  readonly column: T;
  readonly direction: Sort['direction'];
}

function restoredSort<T extends string>(
  value: unknown,
  columns: readonly T[],
  otherwise: SortOf<T>,
): SortOf<T> {
  if (!isRecord(value)) return otherwise;
  return {
    column: oneOf(value.column, columns, otherwise.column),
    direction: oneOf(value.direction, ['ascending', 'descending'], otherwise.direction),
  };
}

function restoredSelection(value: unknown): Selection {
  if (!isRecord(value)) return NO_SELECTION;
  const { anchor } = value;
  return { names: names(value.names), ...(typeof anchor === 'string' && { anchor }) };
}

function names(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : [];
}
