import { EngineError } from '../../engine/connection';
import type { BackendFacts, AuditParams, ReportFormat } from '../../engine/protocol';
import type { EngineClient } from '../engineClient';
import type { AuditFeed } from './auditFeed';

/** What the settings say about every audit. */
export type AuditSettings = Pick<AuditParams, 'backend' | 'threads' | 'cache'>;

/** Told what an audit does, for the status bar. */
export interface ActivityListener {
  readonly started: (cancel: () => void) => void;
  readonly backend: (facts: BackendFacts) => void;
  /** 0 … 1. */
  readonly progress: (fraction: number) => void;
  readonly ended: () => void;
}

interface Run {
  readonly params: AuditParams;
  readonly controller: AbortController;
}

/** The audit of one file for one feed: started, cancelled, started again; only the newest run reaches the feed. */
export class AuditRunner {
  private run: Run | undefined;

  /** @param restartNotice what the page is told when the audit begins again in a new engine. */
  constructor(
    private readonly path: string,
    private readonly engine: EngineClient,
    private readonly feed: AuditFeed,
    private readonly settings: () => AuditSettings,
    private readonly activity: ActivityListener,
    private readonly restartNotice: (reason: string) => string,
  ) {}

  /** Starts afresh, whatever runs. Never rejects: failures go to the feed. */
  async start(notice?: string): Promise<void> {
    this.abandon();
    const run: Run = {
      params: { job: this.engine.newJob(), path: this.path, ...this.settings() },
      controller: new AbortController(),
    };
    this.run = run;
    const { feed, activity } = this;
    feed.begin();
    if (notice !== undefined) feed.notice(notice);
    activity.started(() => {
      this.cancel();
    });
    const isCurrent = (): boolean => this.run === run;
    try {
      const document = await this.engine.audit(run.params, this.listener(isCurrent), run.controller.signal);
      if (isCurrent()) feed.end({ type: 'done', document });
    } catch (error) {
      if (isCurrent()) feed.end(endingOf(error));
    } finally {
      if (isCurrent()) activity.ended();
    }
  }

  cancel(): void {
    this.run?.controller.abort();
  }

  /** @throws {EngineError} */
  async report(format: ReportFormat, target: string): Promise<void> {
    if (this.run === undefined) throw new EngineError('there is no audit to report', false);
    await this.engine.report({ audit: this.run.params, format, target });
  }

  dispose(): void {
    this.abandon();
    this.activity.ended();
  }

  private abandon(): void {
    const { run } = this;
    this.run = undefined;
    run?.controller.abort();
    if (run !== undefined) this.engine.forget(run.params.job);
  }

  private listener(isCurrent: () => boolean): Parameters<EngineClient['audit']>[1] {
    const { feed, activity } = this;
    return {
      opened: ({ checkpoint, layerNames, backend }) => {
        if (!isCurrent()) return;
        feed.open({ checkpoint, layerNames, backend });
        activity.backend(backend);
      },
      layer: ({ index, layer }) => {
        if (isCurrent()) feed.layer(index, layer);
      },
      progress: ({ progress }) => {
        if (!isCurrent()) return;
        feed.progressed(progress);
        activity.progress(progress.fraction);
      },
      restarted: (reason) => {
        if (!isCurrent()) return;
        feed.resume();
        feed.notice(this.restartNotice(reason));
      },
    };
  }
}

/** How a job ended that did not succeed. */
export function endingOf(error: unknown): { type: 'cancelled' } | { type: 'failed'; message: string } {
  if (error instanceof EngineError && error.cancelled) return { type: 'cancelled' };
  return { type: 'failed', message: error instanceof Error ? error.message : String(error) };
}
