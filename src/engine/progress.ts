/** One report of a running job. Fractions and seconds are estimates by work (floating-point operations), not by count. */
export interface Progress {
  readonly done: number;
  readonly total: number;
  /** 0 … 1, by estimated work. */
  readonly fraction: number;
  readonly secondsLeft?: number;
  /** What was finished last: a layer's name. */
  readonly label?: string;
}
