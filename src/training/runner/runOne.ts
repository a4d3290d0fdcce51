import { printable } from '../../checkpoint/errors';
import { claimRun, isStillOurs } from '../launchers/claim';
import { readRun } from '../run/runFolder';
import { Reporter } from './reporter';
import { StopWish } from './stopWish';
import { trainNetwork } from './trainNetwork';
import { trainWithScript } from './trainWithScript';
import type { RunEnd } from './runEnd';

/** Makes one run, or goes on with it. @returns exit code: 0 done or stopped, 1 failed */
export async function runOne(folder: string): Promise<number> {
  // Cancelled, or started again, before this process got to it.
  if ((await claimRun(folder)) === undefined) return 0;
  const run = readRun(folder);
  const reporter = new Reporter(folder, run.launch?.attempt ?? 1, run.state, () => isStillOurs(folder));
  const wish = new StopWish(folder);
  wish.onWanted(() => {
    reporter.update({ state: 'stopping' });
  });
  try {
    const isScript = run.record.resolved.training.script !== undefined;
    const end = await (isScript ? trainWithScript(run, reporter, wish) : trainNetwork(run, reporter, wish));
    close(reporter, end);
    return end.kind === 'done' || end.kind === 'stopped' ? 0 : 1;
  } catch (error) {
    const message = printable(error instanceof Error ? error.message : String(error));
    close(reporter, { kind: 'failed', message });
    return 1;
  } finally {
    wish.dispose();
  }
}

function close(reporter: Reporter, { kind, message, exitCode }: RunEnd): void {
  reporter.update({
    state: kind,
    ...(message !== undefined && { message }),
    ...(exitCode !== undefined && { exitCode }),
  });
  reporter.write();
  // For whoever reads the log.
  process.stdout.write(`${kind}${message === undefined ? '' : `: ${message}`}\n`);
}
