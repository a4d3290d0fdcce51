export interface Measurement {
  /** Wall time. */
  readonly seconds: number;
  /** User and system time of the process and its children; undefined where there is no /proc. */
  readonly cpuSeconds: number | undefined;
  /** Peak resident memory, summed over the process and its children; undefined where there is no /proc. */
  readonly peakBytes: number | undefined;
  /** null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function measure(
  command: string,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<Measurement>;

export function median(values: readonly number[]): number;
