/** Waiting before each restart within a minute: at once after a first accident, then ever longer. */
const DELAYS_MS: readonly number[] = [0, 500, 2000, 5000];

/** An engine that stops more often than there are delays within this time is broken, not unlucky. */
const WINDOW_MS = 60_000;

/** When a process that stopped by itself may be started again. Times are milliseconds of one clock. */
export class RestartPolicy {
  private crashes: number[] = [];

  crashed(now: number): void {
    this.crashes.push(now);
    this.forgetBefore(now - WINDOW_MS);
  }

  /** Milliseconds to wait before the next start, or undefined while it has stopped too often. */
  delay(now: number): number | undefined {
    this.forgetBefore(now - WINDOW_MS);
    return this.crashes.length === 0 ? 0 : DELAYS_MS[this.crashes.length - 1];
  }

  /** Milliseconds until `delay` gives a number again. */
  blockedFor(now: number): number {
    if (this.delay(now) !== undefined) return 0;
    const excess = this.crashes[this.crashes.length - DELAYS_MS.length - 1] ?? now;
    return Math.max(0, excess + WINDOW_MS - now);
  }

  private forgetBefore(time: number): void {
    this.crashes = this.crashes.filter((crash) => crash > time);
  }
}
