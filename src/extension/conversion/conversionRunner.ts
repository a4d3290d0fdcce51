import type { ConvertParams } from '../../engine/conversionProtocol';
import type { ConversionChoices } from '../../../webview/conversion/protocol';
import type { EngineClient, JobListener } from '../engineClient';
import { endingOf, type ActivityListener, type AuditSettings } from '../panel/auditRunner';
import type { ConversionFeed } from './conversionFeed';

/** The factorization that the panel converts to. */
const TO = 'sine';

interface Run {
  readonly choices: ConversionChoices;
  readonly controller: AbortController;
  ended: boolean;
}

/** The conversion of one checkpoint for one feed; only the newest run reaches the feed. */
export class ConversionRunner {
  private run: Run | undefined;

  /** @param restartNotice what the page is told when the conversion goes on in a new engine. */
  constructor(
    private readonly path: string,
    private readonly engine: Pick<EngineClient, 'run' | 'newJob'>,
    private readonly feed: ConversionFeed,
    private readonly settings: () => AuditSettings,
    private readonly activity: ActivityListener,
    private readonly restartNotice: (reason: string) => string,
  ) {}

  /** What the newest conversion was asked for. */
  get choices(): ConversionChoices | undefined {
    return this.run?.choices;
  }

  get isRunning(): boolean {
    return this.run?.ended === false;
  }

  /** Starts a conversion, whatever runs. Never rejects: failures go to the feed. */
  async start(choices: ConversionChoices): Promise<void> {
    this.cancel();
    const run: Run = { choices, controller: new AbortController(), ended: false };
    this.run = run;
    const { feed, activity, engine } = this;
    feed.begin();
    activity.started(() => {
      this.cancel();
    });
    const isCurrent = (): boolean => this.run === run;
    const params = this.params(choices, engine.newJob());
    try {
      const document = await engine.run('convert', params, this.listener(isCurrent), run.controller.signal);
      if (isCurrent()) feed.end({ type: 'done', document });
    } catch (error) {
      if (isCurrent()) feed.end(endingOf(error));
    } finally {
      run.ended = true;
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

  private params({ ranks, layers, materialize, out }: ConversionChoices, job: number): ConvertParams {
    return {
      ...{ job, path: this.path, to: TO, ranks, materialize },
      ...(layers !== undefined && { layers }),
      ...(out !== undefined && { out }),
      ...this.settings(),
    };
  }

  private listener(isCurrent: () => boolean): JobListener {
    const { feed, activity } = this;
    return {
      conversionOpened: ({ checkpoint, layerNames, backend }) => {
        if (!isCurrent()) return;
        feed.open({ checkpoint, layerNames, backend });
        activity.backend(backend);
      },
      conversionLayer: ({ index, layer }) => {
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
