/** What the parent and a worker tell each other. */
import { readSync, writeSync } from 'node:fs';

/** How a case may not be. */
export interface Limits {
  /** Of one case. */
  readonly milliseconds: number;
  /** That the process may grow by, over all of its cases. */
  readonly bytes: number;
}

/** Cases `from` to `to` − 1, until a moment (of Date.now) at which no further one is begun. */
export interface Batch {
  readonly reader: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  readonly until: number;
}

export type WorkerMessage =
  | { readonly kind: 'finding'; readonly case: number; readonly signature: string; readonly reason: string }
  | { readonly kind: 'done'; readonly next: number };

/** A worker ends itself so when it has grown too much. */
export const EXIT_TOO_LARGE = 86;

/** Where a worker is; in a file, because one that hangs can send no message. */
export interface Progress {
  /** The case that is running. */
  readonly case: number;
  /** When it began, of Date.now; 0 between batches. */
  readonly begun: number;
  readonly opened: number;
  readonly refused: number;
  /** Of this process. */
  readonly slowestMilliseconds: number;
  readonly slowestCase: number;
  readonly peakBytes: number;
  readonly peakCase: number;
}

const FIELDS = [
  ...(['case', 'begun', 'opened', 'refused'] as const),
  ...(['slowestMilliseconds', 'slowestCase', 'peakBytes', 'peakCase'] as const),
];

export const NO_PROGRESS: Progress = {
  case: 0,
  begun: 0,
  opened: 0,
  refused: 0,
  slowestMilliseconds: 0,
  slowestCase: 0,
  peakBytes: 0,
  peakCase: 0,
};

const numbers = new Float64Array(FIELDS.length);

export function writeProgress(fd: number, progress: Progress): void {
  FIELDS.forEach((field, i) => (numbers[i] = progress[field]));
  writeSync(fd, numbers, 0, numbers.byteLength, 0);
}

export function readProgress(fd: number): Progress {
  const read = new Float64Array(FIELDS.length);
  const length = readSync(fd, read, 0, read.byteLength, 0);
  if (length < read.byteLength) return NO_PROGRESS;
  const at = (field: keyof Progress): number => read[FIELDS.indexOf(field)] ?? 0;
  return {
    case: at('case'),
    begun: at('begun'),
    opened: at('opened'),
    refused: at('refused'),
    slowestMilliseconds: at('slowestMilliseconds'),
    slowestCase: at('slowestCase'),
    peakBytes: at('peakBytes'),
    peakCase: at('peakCase'),
  };
}
