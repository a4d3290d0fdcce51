import { EngineError } from '../../engine/connection';
import type { RunState, RunSummary } from '../../../webview/training/protocol';
import type { EngineClient, JobListener } from '../engineClient';
import { TrainingFeed } from './trainingFeed';

/** Waits between tries while runs cannot be followed, in milliseconds; the last goes on for ever. */
const RETRIES = [1000, 3000, 10_000, 30_000] as const;

/** The engine, as far as following runs needs it. */
export type WatchingEngine = Pick<EngineClient, 'run' | 'request' | 'newJob'>;

/** It goes on, or waits for its turn, until somebody or something ends it. */
export function isLive(state: RunState): boolean {
  return state === 'queued' || state === 'running' || state === 'stopping';
}

/**
 * All runs of one recipe, followed for whoever is interested: the panel's feed, the tasks, the lens. Runs go on without
 * this window, so losing the engine only means not to see them for a while.
 */
export class RecipeRuns {
  readonly feed: TrainingFeed;
  private readonly listeners = new Set<() => void>();
  private watching: AbortController | undefined;
  private failures = 0;
  private retry: NodeJS.Timeout | undefined;
  private telling: NodeJS.Immediate | undefined;

  /** @param restartNotice what the page is told when runs are followed by a new engine. */
  constructor(
    readonly path: string,
    private readonly engine: WatchingEngine,
    private readonly restartNotice: (reason: string) => string,
    feed = new TrainingFeed(),
  ) {
    this.feed = feed;
  }

  /** Newest first. */
  get runs(): readonly RunSummary[] {
    return this.feed.runs;
  }

  get live(): readonly RunSummary[] {
    return this.runs.filter(({ status }) => isLive(status.state));
  }

  /** Called when runs came, went or changed: once for all that come together. @returns ends it */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  /** Runs that were just started are known before they are heard of. */
  started(runs: readonly RunSummary[]): void {
    for (const run of runs) this.feed.run(run);
    this.tell();
    this.watch();
  }

  /** Follows runs from now on. Nothing happens when they are followed already. */
  watch(): void {
    if (this.watching !== undefined) return;
    clearTimeout(this.retry);
    const controller = new AbortController();
    this.watching = controller;
    void this.follow(controller.signal).finally(() => {
      if (this.watching === controller) this.watching = undefined;
    });
  }

  /** A person does not want to wait for the next try. */
  watchNow(): void {
    this.failures = 0;
    this.watch();
  }

  dispose(): void {
    clearTimeout(this.retry);
    clearImmediate(this.telling);
    this.watching?.abort();
    this.watching = undefined;
    this.listeners.clear();
    this.feed.detach();
  }

  /** Never rejects: failures go to the feed. */
  private async follow(signal: AbortSignal): Promise<void> {
    const params = { job: this.engine.newJob(), path: this.path };
    try {
      await this.list(signal);
      await this.engine.run('watchRuns', params, this.listener(signal), signal);
      // It only ends when it is cancelled; an engine that thinks otherwise is asked again.
      if (!signal.aborted) this.again();
    } catch (error) {
      if (signal.aborted || (error instanceof EngineError && error.cancelled)) return;
      this.feed.failed(error instanceof Error ? error.message : String(error));
      this.tell();
      this.again();
    }
  }

  private async list(signal: AbortSignal): Promise<void> {
    const runs = await this.engine.request('runs', { path: this.path }, signal);
    if (signal.aborted) return;
    this.feed.listed(runs);
    this.tell();
  }

  private again(): void {
    const pause = RETRIES[Math.min(this.failures, RETRIES.length - 1)];
    this.failures++;
    this.retry = setTimeout(() => {
      this.watch();
    }, pause);
  }

  private listener(signal: AbortSignal): JobListener {
    const whileWanted = <T>(act: (told: T) => void) => {
      return (told: T): void => {
        if (signal.aborted) return;
        this.failures = 0;
        act(told);
      };
    };
    const { feed } = this;
    return {
      run: whileWanted(({ run }) => {
        feed.run(run);
        this.tell();
      }),
      runGone: whileWanted(({ folder }) => {
        feed.gone(folder);
        this.tell();
      }),
      runEvents: whileWanted(({ folder, from, events }) => {
        feed.events(folder, from, events);
      }),
      restarted: whileWanted((reason) => {
        feed.notice(this.restartNotice(reason));
        // Runs that were deleted meanwhile are not told of; when this fails too, following does.
        this.list(signal).catch(() => undefined);
      }),
    };
  }

  private tell(): void {
    this.telling ??= setImmediate(() => {
      this.telling = undefined;
      for (const listener of [...this.listeners]) listener();
    });
  }
}
