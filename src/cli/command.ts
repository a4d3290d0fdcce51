import type { Progress } from '../engine/progress';
import type { Display } from '../engine/report/display';

/** Where a running command writes. */
export interface Streams {
  readonly out: (text: string) => void;
  /** What stdout can show. */
  readonly display: Display;
  /** One line for people on stderr. */
  readonly complain: (line: string) => void;
  readonly onProgress: (progress: Progress) => void;
  /** The progress shown is over. */
  readonly endProgress: () => void;
}

/** What a command runs with. */
export interface Terminal {
  readonly print: (text: string) => void;
  readonly complain: (line: string) => void;
  /**
   * Runs a job under a progress bar; Ctrl-C aborts its signal.
   *
   * @param hasMoreToWrite the job still writes files when nobody reads stdout any more
   */
  job(
    hasMoreToWrite: boolean,
    work: (streams: Streams, signal: AbortSignal) => Promise<number>,
  ): Promise<number>;
}

/** Does what a command line asked for. @returns the exit code. */
export type Run = (terminal: Terminal) => Promise<number> | number;

/** One command of the program. */
export interface CliCommand {
  readonly name: string;
  /** Lines for `rankscope --help`: how it is called, and what it does. */
  readonly usage: readonly (readonly [call: string, summary: string])[];
  /** Text of `rankscope <name> --help`; fits 80 columns. */
  readonly help: string;
  /** @throws UsageError */
  parse(argv: readonly string[]): Run | 'help';
}
