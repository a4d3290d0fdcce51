import { isStopRequested } from '../run/runFolder';

/** Between two looks for the file. */
const LOOK_MS = 200;

/** Somebody wants the run to stop: by its file, or by a signal, as terminals and clusters send them. */
export class StopWish {
  private isWanted = false;
  private readonly timer: NodeJS.Timeout;
  private readonly listeners: (() => void)[] = [];

  constructor(private readonly folder: string) {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, this.want);
    this.timer = setInterval(this.look, LOOK_MS);
    this.look();
  }

  get wanted(): boolean {
    // Long steps hold the timer up.
    this.look();
    return this.isWanted;
  }

  onWanted(listener: () => void): void {
    if (this.isWanted) listener();
    else this.listeners.push(listener);
  }

  dispose(): void {
    clearInterval(this.timer);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, this.want);
  }

  private readonly look = (): void => {
    if (!this.isWanted && isStopRequested(this.folder)) this.want();
  };

  private readonly want = (): void => {
    if (this.isWanted) return;
    this.isWanted = true;
    for (const listener of this.listeners) listener();
  };
}
