/** The exit code of a cancelled command (128 + SIGINT, as shells have it). */
export const CANCELLED = 130;

/** Cancelling takes at most a second; work that has not stopped by itself by then is cut off. */
const PATIENCE_MILLISECONDS = 800;

/** What an aborted job rejects with. */
export class Cancelled extends Error {
  override readonly name = 'Cancelled';
  constructor() {
    super('cancelled');
  }
}

/**
 * Turns Ctrl-C and SIGTERM into an abort. The process ends by itself soon after; a second Ctrl-C, or patience run out,
 * ends it at once.
 *
 * @param restoreTerminal brings back the line and the cursor; called before a forced end
 */
export function abortOnSignals(restoreTerminal: () => void): AbortSignal {
  const controller = new AbortController();
  const end = () => {
    restoreTerminal();
    process.exit(CANCELLED);
  };
  const onSignal = () => {
    if (controller.signal.aborted) end();
    controller.abort(new Cancelled());
    setTimeout(end, PATIENCE_MILLISECONDS).unref();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return controller.signal;
}
