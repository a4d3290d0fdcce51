import { BACKEND_NAMES, createBackend, type ComputeBackend } from '../compute';

/** What each backend is, for people who choose one. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  wasm: 'WebAssembly kernels on the processor; built in, nothing to install',
};

interface Kept {
  readonly key: string;
  readonly backend: ComputeBackend;
  users: number;
}

/**
 * Backends shared by the jobs that run at the same time. The one used last is kept warm; one that was asked for
 * before with other settings is closed when its last job ends.
 */
export class BackendPool {
  private readonly kept: Kept[] = [];
  private current: Kept | undefined;

  list(): { name: string; description: string }[] {
    return BACKEND_NAMES.map((name) => ({ name, description: DESCRIPTIONS[name] ?? name }));
  }

  /**
   * @returns the backend, and what the job calls once when it is done with it.
   * @throws {Error} with a one-line message for a name that is not known.
   */
  use(
    name: string | undefined,
    threads: number | undefined,
  ): { readonly backend: ComputeBackend; readonly release: () => void } {
    const key = JSON.stringify([name ?? 'auto', threads ?? null]);
    let entry = this.kept.find((candidate) => candidate.key === key);
    if (entry === undefined) {
      entry = { key, backend: createBackend(name, threads), users: 0 };
      this.kept.push(entry);
    }
    const used = entry;
    used.users++;
    this.current = used;
    this.closeUnused();
    return {
      backend: used.backend,
      release: () => {
        used.users--;
        this.closeUnused();
      },
    };
  }

  private closeUnused(): void {
    for (const entry of [...this.kept]) {
      if (entry.users > 0 || entry === this.current) continue;
      this.kept.splice(this.kept.indexOf(entry), 1);
      // It runs nothing: there is nobody to tell of a failure to close.
      entry.backend.dispose().catch(() => undefined);
    }
  }
}
