import { setImmediate } from 'node:timers/promises';

/** Longest stretch of work without letting messages in. */
const STRETCH_MILLISECONDS = 20;

/** Lets messages in while something long goes on, so that a cancellation is heard. */
export class Pauses {
  private since = performance.now();

  constructor(private readonly signal: AbortSignal) {}

  /** Whether the stretch is over. To be asked before `pause`, as a promise costs more than a short piece of work. */
  get isDue(): boolean {
    return performance.now() - this.since > STRETCH_MILLISECONDS;
  }

  /** @throws the signal's reason */
  async pause(): Promise<void> {
    await setImmediate();
    this.signal.throwIfAborted();
    this.since = performance.now();
  }
}
