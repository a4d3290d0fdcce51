import type { UtilizeParams } from '../../engine/utilizationProtocol';
import type { EngineClient, JobListener } from '../engineClient';
import { endingOf, type ActivityListener, type AuditSettings } from '../panel/auditRunner';
import type { UtilizationFeed } from './utilizationFeed';

/** What a measurement is of, and what the window says about it. */
export type MeasurementParams = Omit<UtilizeParams, 'job' | 'resume' | keyof AuditSettings>;

interface Run {
  readonly controller: AbortController;
}

/** The measurement of one network for one feed; only the newest run reaches the feed. */
export class UtilizationRunner {
  private run: Run | undefined;

  /** @param restartNotice what the page is told when the measurement goes on in a new engine. */
  constructor(
    private readonly engine: Pick<EngineClient, 'run' | 'newJob'>,
    private readonly feed: UtilizationFeed,
    private readonly settings: () => AuditSettings,
    private readonly activity: ActivityListener,
    private readonly restartNotice: (reason: string) => string,
  ) {}

  /** Goes on where an earlier measurement of the same stopped. Never rejects: failures go to the feed. */
  async start(params: MeasurementParams): Promise<void> {
    this.cancel();
    const run: Run = { controller: new AbortController() };
    this.run = run;
    const { feed, activity, engine } = this;
    feed.begin();
    activity.started(() => {
      this.cancel();
    });
    const isCurrent = (): boolean => this.run === run;
    const { backend, threads } = this.settings();
    const request: UtilizeParams = {
      ...params,
      job: engine.newJob(),
      resume: true,
      ...(backend !== undefined && { backend }),
      ...(threads !== undefined && { threads }),
    };
    try {
      const document = await engine.run('utilize', request, this.listener(isCurrent), run.controller.signal);
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

  dispose(): void {
    this.cancel();
    this.run = undefined;
    this.activity.ended();
  }

  private listener(isCurrent: () => boolean): JobListener {
    const { feed, activity } = this;
    return {
      utilizationOpened: ({ job: _, ...opened }) => {
        if (!isCurrent()) return;
        feed.open(opened);
        activity.backend(opened.backend.name, opened.backend.threads);
      },
      utilizationStage: ({ stage }) => {
        if (isCurrent()) feed.reached(stage);
      },
      utilizationProbe: ({ layer, probe }) => {
        if (isCurrent()) feed.probed({ layer, probe });
      },
      utilizationLayer: ({ index, layer }) => {
        if (isCurrent()) feed.layer(index, layer);
      },
      progress: ({ progress }) => {
        if (!isCurrent()) return;
        feed.progressed(progress);
        activity.progress(progress.fraction);
      },
      restarted: (reason) => {
        if (!isCurrent()) return;
        feed.notice(this.restartNotice(reason));
      },
    };
  }
}
