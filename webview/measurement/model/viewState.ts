/** What a person has chosen in the page; kept by VS Code while the page is hidden, and checked when it comes back. */
import { isRecord, oneOf, pixels } from '../../model/stored';
import { COLUMN_IDS, type Sort } from './columns';

/** What the plot of one layer shows. */
export type LayerView = 'search' | 'spectrum';

export interface ViewState {
  readonly sort: Sort;
  /** Name of the layer on show; undefined follows the search. */
  readonly layer?: string;
  readonly side: 'input' | 'output';
  readonly layerView: LayerView;
  readonly scale: 'rank' | 'share';
  readonly ranksAs: 'chart' | 'table';
  readonly layerAs: 'chart' | 'table';
  readonly pageScroll: number;
}

export const INITIAL_VIEW: ViewState = {
  sort: { column: 'order', direction: 'ascending' },
  side: 'input',
  layerView: 'search',
  scale: 'rank',
  ranksAs: 'chart',
  layerAs: 'chart',
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
  const as = (value: unknown): 'chart' | 'table' => oneOf(value, ['chart', 'table'], 'chart');
  const sort = isRecord(stored.sort) ? stored.sort : {};
  return {
    sort: {
      column: oneOf(sort.column, COLUMN_IDS, 'order'),
      direction: oneOf(sort.direction, ['ascending', 'descending'], 'ascending'),
    },
    ...(typeof stored.layer === 'string' && { layer: stored.layer }),
    side: oneOf(stored.side, ['input', 'output'], 'input'),
    layerView: oneOf(stored.layerView, ['search', 'spectrum'], 'search'),
    scale: oneOf(stored.scale, ['rank', 'share'], 'rank'),
    ranksAs: as(stored.ranksAs),
    layerAs: as(stored.layerAs),
    pageScroll: pixels(stored.pageScroll),
  };
}
