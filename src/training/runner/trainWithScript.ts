import { bundledFile } from '../../compute/wasm/kernels';
import type { StoredRun } from '../run/runFolder';
import { runScript } from '../script';
import type { Reporter } from './reporter';
import type { RunEnd } from './runEnd';
import type { StopWish } from './stopWish';

/** A run that a program of the user's makes. */
export async function trainWithScript(run: StoredRun, reporter: Reporter, wish: StopWish): Promise<RunEnd> {
  const controller = new AbortController();
  wish.onWanted(() => {
    controller.abort();
  });
  const { state, message, exitCode } = await runScript(run, {
    signal: controller.signal,
    helper: bundledFile('rankscope_log.py'),
    python: process.env.RANKSCOPE_PYTHON,
    onEvents: (events) => {
      reporter.tell(events);
    },
    onState: (change) => {
      reporter.update(change);
    },
  });
  return {
    kind: state,
    ...(message !== undefined && { message }),
    ...(exitCode !== undefined && { exitCode }),
  };
}
