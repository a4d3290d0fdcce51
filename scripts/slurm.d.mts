/** Whether Slurm's programs are on this machine. */
export function slurmInstalled(): boolean;

/** Installs Debian's packages where they are missing (root). */
export function installSlurm(say?: (line: string) => void): Promise<void>;

export interface StartedSlurm {
  /** What Slurm's programs need in their environment to find it. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends it, jobs too. */
  stop(): Promise<void>;
  /** As if it lost power: daemon and jobs end without a word. */
  killNode(name: string): Promise<void>;
  startNode(name: string): void;
}

/** Starts a controller and two nodes, n1 and n2, in a folder of their own, and waits until both are idle. */
export function startSlurm(
  folder: string,
  settings?: Readonly<Record<string, string | number>>,
): Promise<StartedSlurm>;
