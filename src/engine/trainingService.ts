import { setTimeout as sleep } from 'node:timers/promises';
import path from 'node:path';
import { CheckpointError, printable } from '../checkpoint/errors';
import { readSweepOf } from '../training/readTraining';
import { isOver, readRun, runPaths } from '../training/run/runFolder';
import { Tail } from '../training/run/tail';
import type { RunSummary } from '../training/run/run';
import { summariesOf, watchRuns } from '../training/watch';
import { deviceSettings } from './backends';
import type { EngineEnd } from './connection';
import {
  deleteTraining,
  launcherOf,
  outlineTraining,
  resumeTraining,
  runsOf,
  startTraining,
  stopTraining,
  type TrainRequest,
  type TrainWith,
} from './train';
import type { TrainingRequests, TrainParams } from './trainingProtocol';

type Log = (level: 'info' | 'warn' | 'error', message: string) => void;
type Params<K extends keyof TrainingRequests> = TrainingRequests[K]['params'];

/** Between two looks at a log. */
const LOG_MS = 250;

/** Whether a run is over is asked less often than its log is read. */
const STATE_EVERY = 4;

/** Training, the engine's side of the protocol. Runs are processes of their own: nothing here computes. */
export class TrainingService {
  constructor(
    private readonly host: EngineEnd,
    private readonly log: Log,
  ) {
    host.serve('train', async (params, signal) => {
      const started = await startTraining(this.request(params), signal);
      this.log('info', `training: ${started.runs.length} runs of ${printable(params.path)}`);
      return started;
    });
    host.serve('trainingOutline', (params, signal) => outlineTraining(this.request(params), signal));
    host.serve('runs', ({ path: recipe }, signal) => runsOf(recipe, this.plain, signal));
    host.serve('watchRuns', async (params, signal) => {
      await this.watch(params, signal);
      return null;
    });
    host.serve('watchLog', (params, signal) => this.watchLog(params, signal));
    host.serve('stopRuns', async ({ folders, now = false }, signal) => {
      await stopTraining(folders, now, this.plain, signal);
      return null;
    });
    host.serve('resumeRuns', ({ folders, trusted, python }, signal) =>
      resumeTraining(folders, { ...this.plain, trusted, python }, signal),
    );
    host.serve('deleteRuns', async ({ folders }, signal) => {
      await deleteTraining(folders, this.plain, signal);
      return null;
    });
  }

  /** What needs no trust: looking, stopping, deleting. */
  private get plain(): TrainWith {
    return { trusted: false, settings: deviceSettings() };
  }

  private request({ path: file, sweep, trusted, python, backend }: TrainParams): TrainRequest {
    return {
      path: path.resolve(file),
      sweep: sweep === undefined ? undefined : readSweepOf(sweep, file),
      trusted,
      python,
      backend,
      settings: deviceSettings(),
    };
  }

  private async watch({ job, path: recipe }: Params<'watchRuns'>, signal: AbortSignal): Promise<void> {
    const { host } = this;
    await watchRuns({
      recipe: path.resolve(recipe),
      launcherOf: launcherOf(this.plain),
      signal,
      onRun: (run) => {
        host.notify('run', { job, run });
      },
      onGone: (folder) => {
        host.notify('runGone', { job, folder });
      },
      onEvents: (folder, from, events) => {
        host.notify('runEvents', { job, folder, from, events });
      },
    });
  }

  private async watchLog({ job, folder }: Params<'watchLog'>, signal: AbortSignal): Promise<RunSummary> {
    const tail = new Tail(runPaths(folder).log);
    for (let look = 0; ; look++) {
      signal.throwIfAborted();
      const summary = look % STATE_EVERY === 0 ? await this.summary(folder, signal) : undefined;
      // What was written before its end was known is told before the answer.
      await this.tellLog(job, folder, tail);
      if (summary !== undefined && isOver(summary.status.state)) return summary;
      await sleep(LOG_MS, undefined, { signal });
    }
  }

  private async tellLog(job: number, folder: string, tail: Tail): Promise<void> {
    for (;;) {
      const { lines, more } = await tail.read();
      if (lines.length > 0) this.host.notify('runLog', { job, folder, text: `${lines.join('\n')}\n` });
      if (!more) return;
    }
  }

  private async summary(folder: string, signal: AbortSignal): Promise<RunSummary> {
    const [summary] = await summariesOf([readRun(folder)], launcherOf(this.plain), signal);
    if (summary === undefined) throw new CheckpointError('io', 'holds no run', { file: folder });
    return summary;
  }
}
