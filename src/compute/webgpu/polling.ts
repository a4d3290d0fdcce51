/**
 * How often Dawn looks whether the GPU is done. Its addon asks by `setImmediate` again and again, which keeps a whole core
 * busy that the eigenvalues need: here it asks at once a few times, and then every millisecond.
 */

/** About half a millisecond: most short waits are over by then. */
const EAGER_POLLS = 100;

const POLL_MS = 1;

let eager = 0;

/** A wait begins: its answer may be near. */
export function pollSoon(): void {
  eager = EAGER_POLLS;
}

/** For a process that is there for the device: whoever else waits by the global `setImmediate` waits as long. */
export function pollGently(): void {
  const immediately = globalThis.setImmediate;
  const poll = (callback: (...args: unknown[]) => void, ...args: unknown[]): unknown => {
    if (eager === 0) return setTimeout(callback, POLL_MS, ...args);
    eager--;
    return immediately(callback, ...args);
  };
  // Dawn calls it and looks at nothing that it returns.
  globalThis.setImmediate = poll as typeof setImmediate;
}
