import type { UtilizationDocument } from '../../engine/utilizationDocument';
import type { UtilizeParams } from '../../engine/utilizationProtocol';
import type { EngineClient, JobListener } from '../engineClient';
import { sameNames } from '../panel/auditFeed';
import { endingOf, type ActivityListener, type AuditSettings } from '../panel/auditRunner';
import type { UtilizationFeed } from './utilizationFeed';

/** What a measurement is of, and what the window says about it. */
export type MeasurementParams = Omit<UtilizeParams, 'job' | 'resume' | keyof AuditSettings>;

interface Run {
  readonly controller: AbortController;
}

/** How the writing of a decomposed checkpoint ended. */
export type Decomposed =
  | { readonly kind: 'done'; readonly document: UtilizationDocument }
  | { readonly kind: 'cancelled' }
  /** The network, its data or its settings are no longer those of the result: nothing was written. */
  | { readonly kind: 'changed' };

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
    const run = this.begin();
    const { feed, activity, engine } = this;
    feed.begin();
    const isCurrent = (): boolean => this.run === run;
    try {
      const document = await engine.run(
        'utilize',
        this.request(params),
        this.listener(isCurrent),
        run.controller.signal,
      );
      if (isCurrent()) feed.end({ type: 'done', document });
    } catch (error) {
      if (isCurrent()) feed.end(endingOf(error));
    } finally {
      if (isCurrent()) activity.ended();
    }
  }

  /**
   * Measures once more to write what the result on show is of, which stays on show: every probe comes from the kept
   * search. A network that turns out to be another one is left alone.
   *
   * @param shown the result on show
   * @throws what the engine says
   */
  async decompose(params: MeasurementParams, shown: UtilizationDocument): Promise<Decomposed> {
    const run = this.begin();
    const { feed, activity, engine } = this;
    let document = shown;
    // A field, not a variable: the listener sets it while the job is waited for.
    const seen = { isAnother: false };
    const listener: JobListener = {
      utilizationOpened: ({ network, layers, resumedProbes }) => {
        seen.isAnother =
          network.identity !== shown.network.identity ||
          resumedProbes < shown.summary.passes ||
          !sameNames(namesOf(layers), namesOf(shown.layers));
        if (seen.isAnother) run.controller.abort();
      },
      utilizationStage: ({ stage }) => {
        if (this.run === run) feed.reached(stage);
      },
      progress: ({ progress }) => {
        if (this.run !== run) return;
        feed.progressed(progress);
        activity.progress(progress.fraction);
      },
      restarted: () => undefined,
    };
    feed.reached({ kind: 'opening' });
    try {
      const request = { ...this.request(params), ...settingsOf(shown) };
      document = await engine.run('utilize', request, listener, run.controller.signal);
      return { kind: 'done', document };
    } catch (error) {
      if (seen.isAnother) return { kind: 'changed' };
      if (endingOf(error).type === 'cancelled') return { kind: 'cancelled' };
      throw error;
    } finally {
      if (this.run === run) {
        feed.end({ type: 'done', document });
        activity.ended();
      }
    }
  }

  private begin(): Run {
    this.cancel();
    const run: Run = { controller: new AbortController() };
    this.run = run;
    this.activity.started(() => {
      this.cancel();
    });
    return run;
  }

  private request(params: MeasurementParams): UtilizeParams {
    const { backend, threads } = this.settings();
    return {
      ...params,
      job: this.engine.newJob(),
      resume: true,
      ...(backend !== undefined && { backend }),
      ...(threads !== undefined && { threads }),
    };
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
        activity.backend(opened.backend);
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

/** What the dimensions of a result were chosen by, whatever the recipe says by now. */
function settingsOf({
  mode,
  delta,
  energy,
}: UtilizationDocument): Pick<UtilizeParams, 'mode' | 'delta' | 'energy'> {
  return {
    mode,
    ...(delta !== undefined && { delta }),
    ...(energy !== undefined && { energy: energy.input }),
  };
}

function namesOf(layers: readonly { readonly name: string }[]): readonly string[] {
  return layers.map(({ name }) => name);
}
