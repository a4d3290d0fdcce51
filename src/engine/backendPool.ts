import { abortReason, type ChosenBackend, type ComputeBackend } from '../compute';
import { deviceSettings, openBackend } from './backends';
import type { BackendFacts } from './protocol';

interface Kept {
  readonly key: string;
  readonly opening: Promise<ChosenBackend>;
  users: number;
  /** Chosen from what was there before: no new job gets it. */
  stale: boolean;
}

/** A backend that a job uses. */
export interface UsedBackend extends ChosenBackend {
  /** The job is done with it; called once. */
  readonly release: () => void;
}

/** What hosts are told of the backend of a job. */
export function backendFacts({ name, build, concurrency }: ComputeBackend, why: string): BackendFacts {
  return { name, build, threads: concurrency, why };
}

/**
 * Backends shared by the jobs that run at the same time. The one used last is kept warm; one that was asked for
 * before with other settings is closed when its last job ends.
 */
export class BackendPool {
  private readonly kept: Kept[] = [];
  private current: Kept | undefined;

  /** @param onNotice in one line: a backend that was asked for cannot be used, or stopped working */
  constructor(private readonly onNotice: (notice: string) => void) {}

  /**
   * @throws {Error} with a one-line message for a name that is not known
   * @throws the signal's reason; what is being opened stays for the next job
   */
  async use(
    name: string | undefined,
    threads: number | undefined,
    signal: AbortSignal,
  ): Promise<UsedBackend> {
    const key = JSON.stringify([name ?? 'auto', threads ?? null, deviceSettings()]);
    const entry =
      this.kept.find((candidate) => candidate.key === key && !candidate.stale) ??
      this.open(key, name, threads);
    entry.users++;
    this.current = entry;
    this.closeUnused();
    const release = (): void => {
      entry.users--;
      this.closeUnused();
    };
    try {
      const chosen = await untilAborted(entry.opening, signal);
      return { ...chosen, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** What computes is chosen anew for the next job: libraries came or went. */
  chooseAnew(): void {
    for (const entry of this.kept) entry.stale = true;
    this.current = undefined;
    this.closeUnused();
  }

  private open(key: string, name: string | undefined, threads: number | undefined): Kept {
    const { signal } = new AbortController();
    const opening = openBackend({ name, threads, signal, onNotice: this.onNotice });
    const entry: Kept = { key, opening, users: 0, stale: false };
    this.kept.push(entry);
    // One that does not open is asked for anew the next time.
    opening.catch(() => {
      this.remove(entry);
    });
    return entry;
  }

  private closeUnused(): void {
    for (const entry of [...this.kept]) {
      if (entry.users > 0 || entry === this.current) continue;
      this.remove(entry);
      // It runs nothing: there is nobody to tell of a failure to close.
      entry.opening
        .then(({ backend }: { backend: ComputeBackend }) => backend.dispose())
        .catch(() => undefined);
    }
  }

  private remove(entry: Kept): void {
    const index = this.kept.indexOf(entry);
    if (index >= 0) this.kept.splice(index, 1);
    if (this.current === entry) this.current = undefined;
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(abortReason(signal));
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort);
    });
  });
}
