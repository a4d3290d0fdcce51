/** One report of a running job. Fractions and seconds are estimates by work (floating-point operations), not by count. */
export interface Progress {
  /** Items (layers) finished, and how many there are. */
  readonly done: number;
  readonly total: number;
  /** What is counted; absent: layers. */
  readonly unit?: string;
  /** 0 … 1, by estimated work. */
  readonly fraction: number;
  /** Absent until enough is done to tell. */
  readonly secondsLeft?: number;
  /** What was finished last: a layer's name. */
  readonly label?: string;
}

/** Work that must have been measured before a remaining time is told, in seconds. */
const MIN_MEASURED_SECONDS = 0.3;

/** Adds up the work of a job's items into progress reports with an estimate of the time left. */
export class ProgressMeter {
  private readonly startedAt = performance.now();
  private readonly fractions = new Map<number, number>();
  private readonly totalWork: number;
  private doneItems = 0;
  private doneWork = 0;
  /** Work that cost next to nothing (found in the cache), which says nothing about the speed of the rest. */
  private freeWork = 0;

  /** @param works estimated work of each item, in any unit. */
  constructor(
    private readonly works: readonly number[],
    private readonly report: (progress: Progress) => void,
  ) {
    this.totalWork = works.reduce((sum, work) => sum + work, 0);
  }

  /** An item is `fraction` done. */
  advance(index: number, fraction: number): void {
    this.fractions.set(index, fraction);
    this.report(this.progress());
  }

  /** An item is finished; `free` when it came from the cache. */
  finish(index: number, label: string, free: boolean): void {
    this.fractions.delete(index);
    const work = this.works[index] ?? 0;
    this.doneItems++;
    this.doneWork += work;
    if (free) this.freeWork += work;
    this.report({ ...this.progress(), label });
  }

  private progress(): Progress {
    let work = this.doneWork;
    for (const [index, fraction] of this.fractions) work += fraction * (this.works[index] ?? 0);
    const seconds = (performance.now() - this.startedAt) / 1000;
    const measured = work - this.freeWork;
    const secondsLeft =
      seconds >= MIN_MEASURED_SECONDS && measured > 0
        ? (seconds * (this.totalWork - work)) / measured
        : undefined;
    return {
      done: this.doneItems,
      total: this.works.length,
      // Sums of parts need not reach the sum: the end is told exactly.
      fraction: this.doneItems === this.works.length ? 1 : Math.min(1, work / this.totalWork),
      ...(secondsLeft !== undefined && { secondsLeft }),
    };
  }
}

/** A bar on a screen shows no more reports than this; every one costs the host a message. */
const PROGRESS_EVERY_MS = 50;

/** Passes on the first report, then one every so often, and always the one that ends the job. */
export function throttled(report: (progress: Progress) => void): (progress: Progress) => void {
  let last = -Infinity;
  return (progress) => {
    const now = performance.now();
    if (now - last < PROGRESS_EVERY_MS && progress.done < progress.total) return;
    last = now;
    report(progress);
  };
}
