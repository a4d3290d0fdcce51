/** The columns of the table of runs: what each means, how it sorts and how it reads. */
import { printable } from '../../model/names';
import { count, percent, seconds } from '../../model/numbers';
import { sortedBy, type Direction } from '../../model/sorting';
import type { RunSummary } from '../protocol';
import {
  digits,
  fractionOf,
  launcherText,
  metricText,
  parametersText,
  reasonOf,
  stateText,
  timeText,
} from './words';

export const COLUMN_IDS = [
  'state',
  'label',
  'seed',
  'best',
  'last',
  'loss',
  'step',
  'parameters',
  'rate',
  'seconds',
  'started',
  'launcher',
  'reason',
] as const;
export type ColumnId = (typeof COLUMN_IDS)[number];

export interface Sort {
  readonly column: ColumnId;
  readonly direction: Direction;
}

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
  readonly value: (run: RunSummary) => number | string | undefined;
  /** What it shows; undefined shows as nothing known. */
  readonly text: (run: RunSummary) => string | undefined;
}

/** Parameters ÷ those of the same network dense. */
export function rateOf({ status: { parameters } }: RunSummary): number | undefined {
  return parameters === undefined || parameters.dense <= 0 ? undefined : parameters.total / parameters.dense;
}

function shown<T>(value: T | undefined, text: (value: T) => string): string | undefined {
  return value === undefined ? undefined : text(value);
}

/** What goes on first, what waits next, what is over last. */
const STATE_ORDER: Readonly<Record<string, number>> = {
  running: 0,
  stopping: 1,
  queued: 2,
  failed: 3,
  diverged: 4,
};

const NUMBER = { align: 'end' } as const;

export const COLUMNS: readonly Column[] = [
  {
    ...{ id: 'state', title: 'State', align: 'start', width: 104, priority: 1 },
    description: 'What the run does, and how much of its steps are done',
    value: (run) => (STATE_ORDER[run.status.state] ?? 5) - (fractionOf(run) ?? 0) / 2,
    text: stateText,
  },
  {
    ...{ id: 'label', title: 'Run', align: 'start', width: 130, priority: 0 },
    description: 'What tells the run from those started with it',
    value: ({ record }) => record.label,
    text: ({ record }) => printable(record.label),
  },
  {
    ...{ ...NUMBER, id: 'seed', title: 'Seed', width: 48, priority: 9 },
    description: 'Seed of the first weights and of the order of the data',
    value: ({ record }) => record.seed,
    text: ({ record }) => count(record.seed),
  },
  {
    ...{ ...NUMBER, id: 'best', title: 'Best', width: 78, priority: 2 },
    description: 'The metric of the best evaluation',
    value: ({ status }) => status.best?.value,
    text: ({ status }) => shown(status.best?.value, (value) => metricText(status.metric, value)),
  },
  {
    ...{ ...NUMBER, id: 'last', title: 'Last', width: 78, priority: 3 },
    description: 'The metric of the last evaluation',
    value: ({ status }) => status.value,
    text: ({ status }) => shown(status.value, (value) => metricText(status.metric, value)),
  },
  {
    ...{ ...NUMBER, id: 'loss', title: 'Loss', width: 66, priority: 8 },
    description: 'Loss of the last batches',
    value: ({ status }) => status.loss,
    text: ({ status }) => shown(status.loss, digits),
  },
  {
    ...{ ...NUMBER, id: 'step', title: 'Step', width: 64, priority: 10 },
    description: 'Steps of the optimiser made so far',
    value: ({ status }) => status.step,
    text: ({ status }) => shown(status.step, count),
  },
  {
    ...{ ...NUMBER, id: 'parameters', title: 'Parameters', width: 86, priority: 4 },
    description: 'Parameters of the network in its form',
    value: ({ status }) => status.parameters?.total,
    text: ({ status }) => shown(status.parameters?.total, parametersText),
  },
  {
    ...{ ...NUMBER, id: 'rate', title: 'Compression', width: 94, priority: 5 },
    description: 'Compression rate: parameters ÷ those of the same network dense',
    value: rateOf,
    text: (run) => shown(rateOf(run), percent),
  },
  {
    ...{ ...NUMBER, id: 'seconds', title: 'Time', width: 92, priority: 6 },
    description: 'Time spent training, over all attempts',
    value: ({ status }) => status.seconds,
    text: ({ status }) => seconds(status.seconds),
  },
  {
    ...{ id: 'started', title: 'Started', align: 'start', width: 122, priority: 7 },
    description: 'When the run was made',
    value: ({ record }) => record.createdAt,
    text: ({ record }) => timeText(record.createdAt),
  },
  {
    ...{ id: 'launcher', title: 'Where', align: 'start', width: 96, priority: 11 },
    description: 'Where the run runs',
    value: launcherText,
    text: launcherText,
  },
  {
    ...{ id: 'reason', title: 'Why', align: 'start', width: 140, priority: 12 },
    description: 'Why the run is as it is: its own last words, and its place’s',
    value: (run) => reasonOf(run) || undefined,
    text: (run) => printable(reasonOf(run)),
  },
];

export function sortedRuns(runs: readonly RunSummary[], { column, direction }: Sort): RunSummary[] {
  const value =
    COLUMNS.find(({ id }) => id === column)?.value ?? (({ record }: RunSummary) => record.createdAt);
  return sortedBy(runs, value, direction);
}

/** Directions worth seeing first: the best, the newest. */
export function firstDirection(column: ColumnId): Direction {
  const fromTheTop: readonly ColumnId[] = ['best', 'last', 'started', 'step', 'seconds'];
  return fromTheTop.includes(column) ? 'descending' : 'ascending';
}

/** The order after a click on a column's head: the other way round, or by that column. */
export function sortAfter(sort: Sort, column: string): Sort {
  const id = COLUMN_IDS.find((known) => known === column);
  if (id === undefined) return sort;
  const flipped = sort.direction === 'ascending' ? 'descending' : 'ascending';
  return { column: id, direction: sort.column === id ? flipped : firstDirection(id) };
}
